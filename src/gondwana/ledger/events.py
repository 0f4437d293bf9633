"""Every event that posts: what it is called, how a statement says it in words, what it moves.

An entry stores facts, not sentences: its kind, its subject and a few numbers. `words` makes the sentence, so a line of
a statement costs a few bytes and can be said better later. docs/reference/ledger.md is made from this table.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gondwana.core.errors import InvalidValue
from gondwana.core.money import format_usd
from gondwana.core.units import format_seconds

Fact = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """One kind of event."""

    kind: str  # "lease.meter"
    words: str  # {subject}, and facts by number: {0:usd} {1:seconds} {2}
    moves: str  # "lease:escrow → provider:holdback (the rest), income:fees"


def _event(kind: str, words: str, moves: str) -> EventType:
    return EventType(kind=kind, words=words, moves=moves)


EVENTS: Final = (
    # money that comes in and goes out
    _event("deposit", "Deposit of {0:usd} by {1}", "ext → tenant:available (pending until confirmed)"),
    _event("deposit.confirm", "Deposit of {0:usd} by {1} confirmed", "post of the pending deposit"),
    _event("deposit.void", "Deposit of {0:usd} by {1} failed", "void of the pending deposit"),
    _event("deposit.unclear", "Payment of {0:usd} by {1}, reference {2!r}: whose is it?", "ext → suspense"),
    _event("deposit.clear", "Payment of {0:usd} found its owner", "suspense → tenant:available"),
    _event("deposit.return", "Payment of {0:usd} sent back", "suspense → ext"),
    _event("chargeback", "Deposit of {0:usd} charged back: {1}",
           "tenant:available, expense:chargeback (the shortfall) → ext"),
    _event("payout", "Payout of {0:usd} by {1}", "payable or tenant:available → ext (pending)"),
    _event("payout.confirm", "Payout of {0:usd} by {1} arrived", "post of the pending payout"),
    _event("payout.fail", "Payout of {0:usd} by {1} failed: {2}", "void of the pending payout"),
    _event("promo.grant", "Promotional credit: {0}", "fund:treasury → tenant:promo"),
    _event("promo.expire", "Promotional credit expired", "tenant:promo → fund:treasury"),
    # leases by the second
    _event("lease.open", "Set aside for lease {subject}",
           "tenant:promo, tenant:available → lease:escrow; budget:left → budget:granted"),
    _event("lease.top_up", "More set aside for lease {subject}", "as lease.open"),
    _event("lease.meter", "Lease {subject}: {0:seconds} proven so far, at {1:usd} an hour",
           "lease:escrow → provider:holdback (the rest), income:fees, fund:insurance, fund:verification, tax"),
    _event("lease.close",
           "Lease {subject}: {0:seconds} proven so far, at {1:usd} an hour; closed, the rest returned",
           "as lease.meter; lease:escrow → tenant:promo, tenant:available; budget:granted → budget:left"),
    # reservations
    _event("reserve.open", "Deposit of reservation {subject}", "as lease.open; the escrow has the reservation's name"),
    _event("reserve.release", "Deposit of reservation {subject} returned",
           "lease:escrow → tenant:promo, tenant:available; budget:granted → budget:left"),
    _event("reserve.cancel", "Reservation {subject} cancelled: {0:usd} of its deposit kept, the rest returned",
           "lease:escrow → provider:holdback (the rest), income:fees, fund:insurance, fund:verification, tax; "
           "as reserve.release"),
    # training by the unit
    _event("task.open", "Budget set aside for job {subject}",
           "tenant:promo, tenant:available → task:escrow; budget:left → budget:granted"),
    _event("task.close", "Job {subject} closed, the rest of its budget returned",
           "task:escrow → tenant:promo, tenant:available; budget:granted → budget:left"),
    _event("unit.assign", "Price of unit {subject}",
           "task:escrow → provider:holdback, income:fees, fund:insurance, fund:verification, tax (pending)"),
    _event("unit.accept", "Unit {subject} accepted", "post of the pending price"),
    _event("unit.reject", "Unit {subject} rejected: {0}", "void of the pending price"),
    _event("unit.expire", "Unit {subject} not delivered in time", "void of the pending price"),
    _event("evaluation.pay", "Evaluation {subject}", "task:escrow or fund:verification → verifier:payable"),
    _event("canary.fund", "Planted unit for job {subject}", "fund:verification → task:escrow"),
    _event("canary.close", "Planted unit of job {subject} is over", "task:escrow → fund:verification"),
    # what owners earn and put at stake
    _event("holdback.mature", "Earnings free after the challenge window", "provider:holdback → provider:payable"),
    _event("stake", "Put at stake", "provider:payable or ext → stake"),
    _event("stake.unbond", "Stake on its way out, free in {0:seconds}", "stake → stake:unbonding"),
    _event("stake.release", "Stake released", "stake:unbonding → provider:payable"),
    _event("slash", "Slash {subject}: {0}",
           "holdback, stake, unbonding (in this order) → tenant:available (made whole), reporter:payable (≤ 25 %), "
           "fund:verification, fund:insurance (all pending while it can be appealed)"),
    _event("slash.uphold", "Slash {subject} upheld", "post of the pending slash"),
    _event("slash.reverse", "Slash {subject} reversed: {0}", "void of the pending slash"),
    _event("slash.cover", "Slash {subject}: the rest of what makes you whole", "fund:insurance → tenant:available"),
    _event("bounty.pay", "Bounty for report {subject}", "reporter:payable → payable or tenant:available"),
    _event("bond", "Bond for case {subject}", "payable or tenant:available → bond"),
    _event("bond.return", "Bond for case {subject} returned: upheld", "bond → payable or tenant:available"),
    _event("bond.forfeit", "Bond for case {subject} lost: refused",
           "bond → provider:payable of the accused (half), fund:verification"),
    # promises and funds
    _event("sla.credit", "Credit: {0} was available {1} in {2}",
           "provider:holdback → stake (capped) → fund:insurance, each → tenant:available"),
    _event("treasury.deposit", "Operator's money by {0}", "ext → fund:treasury"),
    _event("treasury.withdraw", "Operator's money taken out by {0}", "fund:treasury → ext"),
    _event("treasury.sweep", "Fees earned so far", "income:fees → fund:treasury"),
    _event("fund.deposit", "Operator's money for the fund", "fund:treasury → fund:insurance or fund:verification"),
    _event("fund.withdraw", "Surplus of the fund", "fund:insurance or fund:verification → fund:treasury"),
    _event("tax.remit", "Tax remitted by {0}", "tax → ext"),
    _event("subsidy.fund", "Subsidy program {subject}, epoch {0}", "fund:treasury → fund:subsidy"),
    _event("subsidy.award", "Subsidy program {subject}, epoch {0}", "fund:subsidy → subsidy:vesting, provider:payable"),
    _event("subsidy.vest", "Subsidy vested", "subsidy:vesting → provider:payable"),
    _event("subsidy.clawback", "Subsidy taken back: {0}", "subsidy:vesting → fund:treasury"),
    _event("subsidy.return", "Subsidy program {subject}, epoch {0}: the rest returned", "fund:subsidy → fund:treasury"),
    # limits and corrections
    _event("budget.grant", "Budget {subject} for {0}", "budget:granted → budget:left"),
    _event("budget.revoke", "Budget {subject} for {0} lowered", "budget:left → budget:granted"),
    _event("correction", "Correction of {0}: {1}", "the mirror of what it corrects, which it names"),
)  # fmt: skip
_BY_KIND: Final = {event.kind: event for event in EVENTS}


def event_type(kind: str) -> EventType:
    """What is known of a kind of event; raises InvalidValue for one that is none."""
    found = _BY_KIND.get(kind)
    if found is None:
        raise InvalidValue(field="kind", value=kind, hint="see the events in the ledger reference")
    return found


def words(kind: str, subject: str, facts: Sequence[Fact]) -> str:
    """The sentence that a statement shows."""
    if facts and facts[0] == "":  # entries of the first version kept the sentence itself
        return str(facts[1])
    return _WORDS.vformat(event_type(kind).words, list(facts), {"subject": subject})


class _Words(string.Formatter):
    """`{0:usd}` and `{0:seconds}`; a fact that is missing shows as `?`, since a statement must never fail."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Any) -> Any:
        if isinstance(key, int):
            return args[key] if key < len(args) else "?"
        return kwargs[key]

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "usd" and isinstance(value, int):
            return format_usd(value)
        if format_spec == "seconds" and isinstance(value, int):
            return format_seconds(value)
        return str(value)


_WORDS: Final = _Words()
