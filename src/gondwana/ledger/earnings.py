"""What an owner's earnings wait for: the holdback by the day on which it matures, and what was paid out."""

from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.many import read_keys
from gondwana.db.queries import load_queries
from gondwana.db.transaction import Reader
from gondwana.ledger.accounts import (
    provider_holdback,
    provider_payable,
    reporter_payable,
    verifier_payable,
)
from gondwana.ledger.chain import MS_PER_DAY, day_of
from gondwana.ledger.payments import HoldbackSettings
from gondwana.ledger.settings import setting
from gondwana.ledger.store import SQL, balance, first_seq_at

EARNINGS: Final = load_queries("gondwana.ledger", "earnings.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matures:
    """What becomes payable on one day."""

    day: str  # UTC
    at: Instant  # the first of it
    amount_micro_usd: int


def maturing(reader: Reader, provider_id: str, now: Instant) -> list[Matures]:
    """What an owner's holdback frees on which day, the earliest first; what is due already counts as of today.

    First in, first out, as `rules.mature` frees it: what left the holdback, or is held, was the oldest of it.
    """
    account = reader.one(SQL.account, {"name": provider_holdback(provider_id)})
    if account is None:
        return []
    left = balance(reader, provider_holdback(provider_id)).available_micro_usd
    seconds = setting(reader, "holdback", HoldbackSettings).seconds
    since = first_seq_at(reader, Instant(now - seconds))
    days = reader.all(EARNINGS.credited_by_day, {"account": account["id"], "first": since})
    found: list[Matures] = []
    for row in days:
        amount = min(left, int(row["amount"]))
        if amount:
            at_ms = max(int(row["at_ms"]) + 1_000 * seconds, round(now * 1_000))
            day = day_of(int(row["day"]) * MS_PER_DAY + 1_000 * seconds)
            found.append(Matures(day=day, at=Instant(at_ms / 1_000), amount_micro_usd=amount))
        left -= amount
    if left:
        found.append(Matures(day=day_of(round(now * 1_000)), at=now, amount_micro_usd=left))
    return _by_day(found)


def _by_day(found: list[Matures]) -> list[Matures]:
    """The earliest day first; two parts of one day as one."""
    merged: dict[str, Matures] = {}
    for each in reversed(found):
        same = merged.get(each.day)
        amount = each.amount_micro_usd + (same.amount_micro_usd if same else 0)
        at = min(each.at, same.at) if same else each.at
        merged[each.day] = Matures(day=each.day, at=at, amount_micro_usd=amount)
    return list(merged.values())


def paid_out_micro_usd(reader: Reader, principal_id: str) -> int:
    """What a principal's earnings ever paid out to the outside world."""
    earned = (provider_payable, verifier_payable, reporter_payable)
    names = [of(principal_id) for of in earned]
    ids = [row["id"] for row in read_keys(reader, SQL.account_ids, names)]
    if not ids:
        return 0
    row = reader.one(EARNINGS.paid_out.replace(":keys", ",".join("?" * len(ids))), ids)
    return int(row["amount"] or 0) if row else 0
