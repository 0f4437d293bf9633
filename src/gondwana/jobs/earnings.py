"""What an owner's machines earn at this moment and nothing has posted yet."""

from gondwana.core.ids import PrincipalId
from gondwana.db.transaction import Reader
from gondwana.jobs import store
from gondwana.ledger import rules
from gondwana.ledger.accounts import lease_escrow, provider_holdback
from gondwana.ledger.model import LeaseTerms
from gondwana.ledger.store import balance
from gondwana.market import store as market
from gondwana.market.model import Charge, Lease
from gondwana.supply import store as supply


def accrued_micro_usd(reader: Reader, owner_id: PrincipalId) -> int:
    """What the next metering will credit an owner for seconds that are proven already."""
    leases = [
        lease
        for machine in supply.machines(reader, owner_id)
        for lease in market.live_leases_of_machine(reader, machine.id)
        if lease.charge is Charge.SECOND
    ]
    return sum(_accrued(reader, lease, owner_id) for lease in leases)


def _accrued(reader: Reader, lease: Lease, owner_id: PrincipalId) -> int:
    terms = LeaseTerms(
        lease_id=lease.id,
        tenant_id=lease.tenant_id,
        provider_id=owner_id,
        price_micro_usd_per_hour=lease.price_micro_usd_per_hour,
        shares=store.job(reader, lease.job_id).shares,
        job_id=lease.job_id,
        due_before_micro_usd=lease.due_before_micro_usd,
        priced_from_seconds=lease.priced_from_seconds,
    )
    entry = rules.meter(terms, lease.seconds_proven, balance(reader, lease_escrow(lease.id)))
    own = provider_holdback(owner_id)
    return sum(leg.amount_micro_usd for leg in entry.legs if leg.credit == own)
