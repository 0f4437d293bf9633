"""Issue the invoices and credit notes of the months that are over."""

from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing
from gondwana.core.ids import PrincipalId
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import store
from gondwana.jobs.context import Context
from gondwana.ledger import invoices
from gondwana.loops.each import write_each
from gondwana.policy import store as policy
from gondwana.wire.ledger import Buyer


def issue_invoices(context: Context, now: Instant) -> int:
    """Returns for how many tenants and months something was issued; nothing while the network has no seller."""
    reader = context.database.reader()
    if invoices.seller(reader) is None:
        return 0
    issued = 0
    for month in invoices.due_months(reader, now):
        tenants = invoices.tenants_of(reader, month)
        done = write_each(context, _issue, [(now, month, tenant) for tenant in tenants])
        issued += done
        if done < len(
            tenants
        ):  # said in the log; tried again in the next pass, the months after it too
            break
        context.database.writer.call(invoices.finish_month, month, now)
    return issued


def _issue(tx: Transaction, now: Instant, month: str, tenant_id: str) -> None:
    buyer = Buyer(id=tenant_id, name=_name(tx, tenant_id))
    invoices.issue(tx, now, month, buyer, lambda job_id: _job_name(tx, job_id))


def _name(reader: Reader, tenant_id: str) -> str:
    try:
        return policy.principal(reader, PrincipalId(tenant_id)).name
    except NoSuchThing:  # charged in books that came from elsewhere
        return tenant_id


def _job_name(reader: Reader, job_id: str) -> str:
    try:
        return store.job(reader, job_id).name
    except NoSuchThing:
        return ""
