"""What every rule builds entries from: moves, legs, the split of a payment, the resolution of holds."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gondwana.core.money import split_cumulative
from gondwana.core.values import replace
from gondwana.ledger.accounts import (
    AccountName,
    fund_insurance,
    fund_verification,
    income_fees,
    tax,
)
from gondwana.ledger.events import Fact
from gondwana.ledger.model import Entry, LeaseTerms, Leg, TaskTerms, TransferKind, leg_id


class Move(NamedTuple):
    """So much from one account to another; zero is no move, less is refused by Leg."""

    debit: AccountName
    credit: AccountName
    amount: int


def legs(moves: Iterable[Move], kind: TransferKind = TransferKind.POST) -> tuple[Leg, ...]:
    """A leg per move that moves something."""
    return tuple(
        Leg(debit=move.debit, credit=move.credit, amount_micro_usd=move.amount, kind=kind)
        for move in moves
        if move.amount != 0
    )


def resolve(
    hold: Entry, how: TransferKind, kind: str, *, facts: tuple[Fact, ...] | None = None
) -> Entry:
    """The entry that pays (POST_PENDING) or releases (VOID_PENDING) all holds of another entry, whole."""
    resolved = tuple(
        replace(leg, kind=how, pending_id=leg_id(hold.event_id, number))
        for number, leg in enumerate(hold.legs)
        if leg.kind is TransferKind.PENDING
    )
    return replace(
        hold,
        event_id=f"{kind}:{hold.event_id.partition(':')[2]}",
        kind=kind,
        legs=resolved,
        facts=hold.facts if facts is None else facts,
    )


def split(
    total_micro_usd: int, terms: LeaseTerms | TaskTerms, *, provider: AccountName
) -> list[tuple[AccountName, int]]:
    """Who gets how much of a running total; the amounts sum to it, none is below zero, the provider's is last.

    Each part is cut from what the parts before it left over, by a floor of that: so every part only ever grows with
    the total, and paying the growth of each, whenever one likes, adds up to the same. Cutting each part
    from the whole instead lets the residual shrink by a micro-unit when several parts step up at once.
    """
    shares = terms.shares
    parts = [
        (income_fees(), shares.fee_bps),
        (fund_insurance(), shares.insurance_bps),
        (fund_verification(), shares.verification_bps),
        (tax(terms.jurisdiction), shares.tax_bps),
    ]
    bps_left = sum(bps for _, bps in parts)
    left = split_cumulative(total_micro_usd, bps_left)
    residual = total_micro_usd - left
    amounts: list[tuple[AccountName, int]] = []
    for account, bps in parts:
        part = left * bps // bps_left if bps_left else 0
        amounts.append((account, part))
        left -= part
        bps_left -= bps
    assert left == 0
    return [*amounts, (provider, residual)]


def pour(
    sources: Sequence[tuple[AccountName, int]], payees: Sequence[tuple[AccountName, int]]
) -> list[Move]:
    """The moves that pay all payees in order, emptying the sources in order; the sources must hold enough."""
    assert all(available >= 0 for _, available in sources)
    assert sum(amount for _, amount in payees) <= sum(available for _, available in sources)
    moves: list[Move] = []
    left = list(sources)
    for payee, owed in payees:
        while owed:
            source, available = left.pop(0)
            part = min(owed, available)
            moves.append(Move(source, payee, part))
            owed -= part
            if available > part:
                left.insert(0, (source, available - part))
    return moves


def largest_remainder(total: int, weights: list[int]) -> list[int]:
    """`total` cut in proportion to whole `weights`, to the unit; ties go to the earlier one; all zero without weight.

    Each gets the floor of its exact part; what is left goes, a unit each, to the largest remainders (Hamilton).
    """
    assert total >= 0
    assert all(weight >= 0 for weight in weights)
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda n: (-(total * weights[n] % whole), n))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts
