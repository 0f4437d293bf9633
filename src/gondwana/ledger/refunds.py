"""Where a correction puts what an escrow paid: not into the escrow, which may be closed, but back to who filled it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.values import replace
from gondwana.db.transaction import Reader
from gondwana.ledger.accounts import (
    USD,
    AccountName,
    fund_verification,
    kind_of,
    tenant_available,
    tenant_promo,
)
from gondwana.ledger.model import Entry, Leg
from gondwana.ledger.rules.entries import pour
from gondwana.ledger.store import SQL, balance, moved_between

ESCROW_CODES: Final = (2100, 2110)
BALANCE_CODES: Final = (2000, 2010)  # a tenant's own money, and promotional credit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """Who filled an escrow, and how much of it was promotional credit."""

    own: AccountName
    promo: AccountName | None
    promo_micro_usd: int


def past_escrows(reader: Reader, mirror: Entry) -> Entry:
    """The mirror, but for what it puts into escrows: that goes to who filled them; what came from there stays there.

    Promotional credit paid first, so what comes back is a tenant's own money as long as there was any.
    """
    legs: list[Leg] = []
    for escrow in dict.fromkeys(leg.credit for leg in mirror.legs if _is_escrow(leg.credit)):
        filled = _filled(reader, escrow)
        paid_back = [leg for leg in mirror.legs if leg.credit == escrow]
        others = [leg for leg in paid_back if leg.debit not in (filled.own, filled.promo)]
        legs += _legs(reader, escrow, filled, others)
    if not any(_is_escrow(leg.credit) for leg in mirror.legs):
        return mirror
    kept = [leg for leg in mirror.legs if not _is_escrow(leg.credit)]
    return replace(mirror, legs=(*legs, *(leg for leg in kept if kind_of(leg.debit).asset == USD)))


def _legs(
    reader: Reader, escrow: AccountName, filled: _Filled, others: Sequence[Leg]
) -> tuple[Leg, ...]:
    amount = sum(leg.amount_micro_usd for leg in others)
    promo = 0
    if filled.promo is not None:
        back = [moved_between(reader, escrow, each) for each in (filled.own, filled.promo)]
        paid = balance(reader, escrow).debits_posted - sum(back)
        left = max(0, paid - amount)
        promo = min(filled.promo_micro_usd, paid) - min(filled.promo_micro_usd, left)
    payees = [(filled.promo, promo)] if filled.promo is not None and promo else []
    sources = [(leg.debit, leg.amount_micro_usd) for leg in others]
    moves = pour(sources, [*payees, (filled.own, amount - promo)])
    return tuple(
        Leg(debit=move.debit, credit=move.credit, amount_micro_usd=move.amount) for move in moves
    )


def _filled(reader: Reader, escrow: AccountName) -> _Filled:
    rows = [row for row in reader.all(SQL.draws_of_escrow, {"escrow": escrow}) if row["fills"]]
    names = [AccountName(row["debit"]) for row in rows]
    tenants = {name.split(":")[1] for name in names if kind_of(name).code in BALANCE_CODES}
    if not tenants:  # planted units
        return _Filled(own=fund_verification(), promo=None, promo_micro_usd=0)
    (tenant_id,) = tenants
    promo = tenant_promo(tenant_id)
    amount = sum(int(row["amount"]) for row in rows if row["debit"] == promo)
    return _Filled(own=tenant_available(tenant_id), promo=promo, promo_micro_usd=amount)


def _is_escrow(account: AccountName) -> bool:
    return kind_of(account).code in ESCROW_CODES
