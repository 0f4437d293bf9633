"""Earnings that passed the challenge window become payable."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import rules
from gondwana.ledger.accounts import provider_holdback
from gondwana.ledger.inbox import SQL
from gondwana.ledger.payments import HoldbackSettings
from gondwana.ledger.settings import setting
from gondwana.ledger.store import balance, credited_before, first_seq_at, post

RIPE_MAX: Final = 5_000  # owners in one pass; the others are found in the next


def ripe(reader: Reader, now: Instant) -> list[str]:
    """Owners who earned something before the window that is still held back, at most RIPE_MAX."""
    params = {"first": first_seq_at(reader, _window(reader, now)), "limit": RIPE_MAX}
    return [str(row["name"]).split(":")[1] for row in reader.all(SQL.ripe_holdbacks, params)]


def mature(tx: Transaction, now: Instant, provider_id: str) -> int:
    """Free what an owner earned before the window; returns how much."""
    account = provider_holdback(provider_id)
    entry = rules.mature(
        provider_id,
        credited_before_window=credited_before(tx, account, _window(tx, now)),
        holdback=balance(tx, account),
    )
    amount = entry.total_micro_usd()
    if amount:
        post(tx, entry, now)
        data = {"amount_micro_usd": amount}
        tx.emit(Event(at=now, kind="holdback.matured", subject=provider_id, data=data))
    return amount


def _window(reader: Reader, now: Instant) -> Instant:
    return Instant(now - setting(reader, "holdback", HoldbackSettings).seconds)
