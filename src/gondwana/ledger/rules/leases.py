"""Leases by the second: escrow, metering by proven seconds, closing."""

from collections.abc import Iterable, Sequence
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import lease_escrow, provider_holdback
from gondwana.ledger.events import Fact
from gondwana.ledger.model import Balance, Draw, Entry, Funding, LeaseTerms
from gondwana.ledger.rules.entries import Move, legs, split
from gondwana.ledger.rules.funding import OWN_MONEY, fill, give_back

RUNWAY_SECONDS_MIN: Final = 3_600  # an escrow that lasts less drains before anybody can react
OPENS: Final = "lease.open"  # the kind of entry that fills a lease's escrow first
RUNWAY_SECONDS_MAX: Final = 100 * 365 * 86_400  # "for ever" as a number


def escrow_to_open(price_micro_usd_per_hour: int, seconds: int, *, budget_micro_usd: int) -> int:
    """What to set aside for a lease: its price over `seconds`, at least an hour's, or the budget if smaller."""
    price = -(-price_micro_usd_per_hour * max(seconds, RUNWAY_SECONDS_MIN) // 3_600)  # rounded up
    return min(budget_micro_usd, price)


def runway_seconds(terms: LeaseTerms, proven_seconds: int, escrow: Balance) -> int:
    """For how many more seconds the escrow pays; RUNWAY_SECONDS_MAX when the lease costs nothing."""
    if terms.price_micro_usd_per_hour == 0:
        return RUNWAY_SECONDS_MAX
    left = max(0, escrow.credits_posted - terms.due_before_micro_usd)
    paid_for = left * 3_600 // terms.price_micro_usd_per_hour
    return max(0, terms.priced_from_seconds + paid_for - proven_seconds)


def open_lease(terms: LeaseTerms, escrow_micro_usd: int, funding: Funding = OWN_MONEY) -> Entry:
    """Set money aside for a lease."""
    moves = fill(lease_escrow(terms.lease_id), terms.tenant_id, escrow_micro_usd, funding)
    return lease_entry(terms, OPENS, moves)


def top_up(
    terms: LeaseTerms, amount_micro_usd: int, funding: Funding = OWN_MONEY, *, key: str
) -> Entry:
    """Set more money aside for a lease; `key` tells one top-up from the next."""
    moves = fill(lease_escrow(terms.lease_id), terms.tenant_id, amount_micro_usd, funding)
    return lease_entry(terms, "lease.top_up", moves, key=f":{key}")


def meter(terms: LeaseTerms, proven_seconds: int, escrow: Balance) -> Entry:
    """Pay what `proven_seconds` cost in all, less what the escrow already paid, and never more than it holds.

    Both the due amount and its split are functions of the running total, so the sum does not depend on how often
    this is posted. The event is named by the total paid after it. `escrow` is read in the same transaction.
    """
    paid, total = escrow.debits_posted, _total_payable(terms, proven_seconds, escrow)
    moves = _meter_moves(terms, paid, total)
    return lease_entry(
        terms, "lease.meter", moves, key=f":{total}", facts=_metered(terms, proven_seconds)
    )


def close_lease(
    terms: LeaseTerms, proven_seconds: int, escrow: Balance, draws: Sequence[Draw] = ()
) -> Entry:
    """The last metering, and the rest of the escrow back to where it came from."""
    paid, total = escrow.debits_posted, _total_payable(terms, proven_seconds, escrow)
    rest = escrow.credits_posted - total
    back = give_back(lease_escrow(terms.lease_id), terms.tenant_id, rest, draws, paid=total)
    moves = [*_meter_moves(terms, paid, total), *back]
    return lease_entry(terms, "lease.close", moves, facts=_metered(terms, proven_seconds))


def _total_payable(terms: LeaseTerms, proven_seconds: int, escrow: Balance) -> int:
    """What the escrow will have paid in all; not less than it already has, not more than went in."""
    if type(proven_seconds) is not int or proven_seconds < 0:
        raise InvalidValue(field="proven_seconds", value=proven_seconds)
    due = terms.due_micro_usd(proven_seconds)
    return max(escrow.debits_posted, min(due, escrow.credits_posted))


def _meter_moves(terms: LeaseTerms, paid: int, total: int) -> list[Move]:
    provider = provider_holdback(terms.provider_id)
    before = split(paid, terms, provider=provider)
    after = split(total, terms, provider=provider)
    escrow = lease_escrow(terms.lease_id)
    return [
        Move(escrow, account, new - old)
        for (account, new), (_, old) in zip(after, before, strict=True)
    ]


def _metered(terms: LeaseTerms, proven_seconds: int) -> tuple[Fact, ...]:
    facts = (proven_seconds, terms.price_micro_usd_per_hour)
    if terms.priced_from_seconds == 0:
        return facts
    return (*facts, terms.due_before_micro_usd)  # it had other prices before


def lease_entry(
    terms: LeaseTerms,
    kind: str,
    moves: Iterable[Move],
    *,
    key: str = "",
    facts: tuple[Fact, ...] = (),
) -> Entry:
    """An entry about a lease, or a reservation of one; `key` tells one of its kind from the next."""
    return Entry(
        event_id=lease_event(kind, terms.lease_id, key),
        kind=kind,
        subject=terms.lease_id,
        legs=legs(moves),
        job_id=terms.job_id,
        facts=facts,
    )


def lease_event(kind: str, lease_id: str, key: str = "") -> str:
    """The event of an entry about a lease."""
    return f"{kind}:{lease_id}{key}"
