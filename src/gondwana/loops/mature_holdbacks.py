"""What owners earned before the challenge window becomes payable."""

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.transaction import Transaction
from gondwana.jobs.context import Context
from gondwana.ledger import rules
from gondwana.ledger.accounts import provider_holdback
from gondwana.ledger.payments import HoldbackSettings
from gondwana.ledger.settings import setting
from gondwana.ledger.store import accounts_of_code, balance, credited_before, post
from gondwana.loops.each import write_each


def mature_holdbacks(context: Context, now: Instant) -> int:
    """Returns how many owners have more to pay out now."""
    reader = context.database.reader()
    before = Instant(now - setting(reader, "holdback", HoldbackSettings).seconds)
    due: list[tuple[Instant, Instant, str]] = []
    for account, holdback in accounts_of_code(reader, 2200):
        gone = holdback.debits_posted + holdback.debits_pending
        if holdback.available_micro_usd > 0 and credited_before(reader, account, before) > gone:
            due.append((now, before, account.split(":")[1]))
    return write_each(context, _mature, due)


def _mature(tx: Transaction, now: Instant, before: Instant, provider_id: str) -> None:
    account = provider_holdback(provider_id)
    entry = rules.mature(
        provider_id,
        credited_before_window=credited_before(tx, account, before),
        holdback=balance(tx, account),
    )
    if entry.legs:
        post(tx, entry, now)
        data = {"amount_micro_usd": entry.total_micro_usd()}
        tx.emit(Event(at=now, kind="holdback.matured", subject=provider_id, data=data))
