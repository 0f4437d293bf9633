"""What each event posts: pure functions from facts to the `Entry`.

Events have ids made of what happened ("lease.open:<lease>"), so the same thing decided twice is posted once.
"""

import dataclasses
from collections.abc import Iterable
from typing import Final, NamedTuple

from gondwana.core.errors import InvalidValue, WrongState
from gondwana.core.money import due_micro_usd, format_usd, split_cumulative
from gondwana.core.units import format_seconds
from gondwana.ledger.accounts import (
    AccountName,
    ext,
    fund_insurance,
    fund_verification,
    income_fees,
    lease_escrow,
    provider_holdback,
    task_escrow,
    tax,
    tenant_available,
    verifier_payable,
)
from gondwana.ledger.model import (
    Assignment,
    Balance,
    Entry,
    Evaluation,
    LeaseTerms,
    Leg,
    TaskTerms,
    TransferKind,
    leg_id,
)

RUNWAY_SECONDS_MIN: Final = 3_600  # an escrow that lasts less drains before anybody can react
RUNWAY_SECONDS_MAX: Final = 100 * 365 * 86_400  # "for ever" as a number


class _Move(NamedTuple):
    debit: AccountName
    credit: AccountName
    amount: int


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


def deposit(
    rail: str, tenant_id: str, amount_micro_usd: int, *, key: str, pending: bool = False
) -> Entry:
    """Money of a tenant that came in over `rail`; `key` tells one deposit from the next.

    A pending one counts after `confirm_deposit`, and never after `void_deposit`, of the same key.
    """
    leg = Leg(
        debit=ext(rail),
        credit=tenant_available(tenant_id),
        amount_micro_usd=amount_micro_usd,
        kind=TransferKind.PENDING if pending else TransferKind.POST,
    )
    reason = f"Deposit of {format_usd(amount_micro_usd)} by {rail}"
    return Entry(event_id=f"deposit:{tenant_id}:{key}", kind="deposit", reason=reason, legs=(leg,))


def confirm_deposit(rail: str, tenant_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """The pending deposit arrived."""
    pending = deposit(rail, tenant_id, amount_micro_usd, key=key, pending=True)
    return _resolve(pending, TransferKind.POST_PENDING, "deposit.confirm", "Deposit confirmed")


def void_deposit(rail: str, tenant_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """The pending deposit did not arrive."""
    pending = deposit(rail, tenant_id, amount_micro_usd, key=key, pending=True)
    return _resolve(pending, TransferKind.VOID_PENDING, "deposit.void", "Deposit failed")


def escrow_to_open(price_micro_usd_per_hour: int, seconds: int, *, budget_micro_usd: int) -> int:
    """What to set aside for a lease: its price over `seconds`, at least an hour's, or the budget if smaller."""
    price = -(-price_micro_usd_per_hour * max(seconds, RUNWAY_SECONDS_MIN) // 3_600)  # rounded up
    return min(budget_micro_usd, price)


def runway_seconds(terms: LeaseTerms, proven_seconds: int, escrow: Balance) -> int:
    """For how many more seconds the escrow pays; RUNWAY_SECONDS_MAX when the lease costs nothing."""
    if terms.price_micro_usd_per_hour == 0:
        return RUNWAY_SECONDS_MAX
    paid_for = escrow.credits_posted * 3_600 // terms.price_micro_usd_per_hour
    return max(0, paid_for - proven_seconds)


def open_lease(terms: LeaseTerms, escrow_micro_usd: int) -> Entry:
    """Set money aside for a lease."""
    moves = [_fund_lease(terms, escrow_micro_usd)]
    return _lease_entry(terms, "lease.open", moves, f"Set aside for lease {terms.lease_id}")


def top_up(terms: LeaseTerms, amount_micro_usd: int, *, key: str) -> Entry:
    """Set more money aside for a lease; `key` tells one top-up from the next."""
    moves = [_fund_lease(terms, amount_micro_usd)]
    reason = f"More set aside for lease {terms.lease_id}"
    return _lease_entry(terms, "lease.top_up", moves, reason, key=f":{key}")


def meter(terms: LeaseTerms, proven_seconds: int, escrow: Balance) -> Entry:
    """Pay what `proven_seconds` cost in all, less what the escrow already paid, and never more than it holds.

    Both the due amount and its split are functions of the running total, so the sum does not depend on how often
    this is posted. The event is named by the total paid after it. `escrow` is read in the same transaction.
    """
    paid, total = escrow.debits_posted, _total_payable(terms, proven_seconds, escrow)
    moves = _meter_moves(terms, paid, total)
    reason = _metered(terms, proven_seconds)
    return _lease_entry(terms, "lease.meter", moves, reason, key=f":{total}")


def close_lease(terms: LeaseTerms, proven_seconds: int, escrow: Balance) -> Entry:
    """The last metering, and the rest of the escrow back to the tenant."""
    paid, total = escrow.debits_posted, _total_payable(terms, proven_seconds, escrow)
    rest = escrow.credits_posted - total
    back = _Move(lease_escrow(terms.lease_id), tenant_available(terms.tenant_id), rest)
    moves = [*_meter_moves(terms, paid, total), back]
    reason = f"{_metered(terms, proven_seconds)}; closed, the rest returned"
    return _lease_entry(terms, "lease.close", moves, reason)


def open_task(terms: TaskTerms, budget_micro_usd: int) -> Entry:
    """Set a job's budget aside for its units."""
    move = _Move(tenant_available(terms.tenant_id), task_escrow(terms.job_id), budget_micro_usd)
    reason = f"Budget set aside for job {terms.job_id}"
    return _task_entry(terms, "task.open", _legs([move]), reason)


def assign_unit(terms: TaskTerms, assignment: Assignment) -> Entry:
    """Hold a unit's price in the job's escrow, already split among those it will go to."""
    provider = provider_holdback(assignment.provider_id)
    parts = split(assignment.price_micro_usd, terms, provider=provider)
    moves = [_Move(task_escrow(terms.job_id), account, amount) for account, amount in parts]
    return Entry(
        event_id=f"unit.assign:{assignment.unit_id}:{assignment.attempt}",
        kind="unit.assign",
        reason=f"Price of unit {assignment.unit_id}",
        legs=_legs(moves, TransferKind.PENDING),
        job_id=terms.job_id,
        unit_id=assignment.unit_id,
    )


def accept_unit(terms: TaskTerms, assignment: Assignment) -> Entry:
    """Pay a unit out of its hold."""
    hold = assign_unit(terms, assignment)
    reason = f"Unit {assignment.unit_id} accepted"
    return _resolve(hold, TransferKind.POST_PENDING, "unit.accept", reason)


def reject_unit(terms: TaskTerms, assignment: Assignment, *, reason: str) -> Entry:
    """Release the hold of a rejected unit: its provider gets nothing.

    The money stays in the job's escrow, because the unit is given out again and must be paid then; what is left
    goes to the tenant when the job closes. Returned at once, it could be spent elsewhere and strand the job.
    """
    hold = assign_unit(terms, assignment)
    text = f"Unit {assignment.unit_id} rejected: {reason}"
    return _resolve(hold, TransferKind.VOID_PENDING, "unit.reject", text)


def expire_unit(terms: TaskTerms, assignment: Assignment) -> Entry:
    """Release the hold of a unit that was not delivered in time."""
    hold = assign_unit(terms, assignment)
    reason = f"Unit {assignment.unit_id} not delivered in time"
    return _resolve(hold, TransferKind.VOID_PENDING, "unit.expire", reason)


def pay_evaluator(terms: TaskTerms, evaluation: Evaluation) -> Entry:
    """Pay who evaluated: from the job's escrow, or from the verification fund where the work was rejected."""
    payer = fund_verification() if evaluation.from_fund else task_escrow(terms.job_id)
    move = _Move(payer, verifier_payable(evaluation.verifier_id), evaluation.price_micro_usd)
    return Entry(
        event_id=f"evaluation.pay:{evaluation.unit_id}",
        kind="evaluation.pay",
        reason=f"Evaluation {evaluation.unit_id}",
        legs=_legs([move]),
        job_id=terms.job_id,
        unit_id=evaluation.unit_id,
    )


def close_task(terms: TaskTerms, escrow: Balance) -> Entry:
    """The rest of a job's escrow back to the tenant. Raises WrongState while a unit's price is still held."""
    if escrow.held_micro_usd:
        raise WrongState(
            f"Job {terms.job_id} still holds {format_usd(escrow.held_micro_usd)} for units in work.",
            hint="accept, reject or expire its units first",
        )
    rest = escrow.posted_micro_usd
    move = _Move(task_escrow(terms.job_id), tenant_available(terms.tenant_id), rest)
    reason = f"Job {terms.job_id} closed, the rest of its budget returned"
    return _task_entry(terms, "task.close", _legs([move]), reason)


def _fund_lease(terms: LeaseTerms, amount: int) -> _Move:
    return _Move(tenant_available(terms.tenant_id), lease_escrow(terms.lease_id), amount)


def _total_payable(terms: LeaseTerms, proven_seconds: int, escrow: Balance) -> int:
    """What the escrow will have paid in all; not less than it already has, not more than went in."""
    if type(proven_seconds) is not int or proven_seconds < 0:
        raise InvalidValue(field="proven_seconds", value=proven_seconds)
    due = due_micro_usd(terms.price_micro_usd_per_hour, proven_seconds)
    return max(escrow.debits_posted, min(due, escrow.credits_posted))


def _meter_moves(terms: LeaseTerms, paid: int, total: int) -> list[_Move]:
    provider = provider_holdback(terms.provider_id)
    before = split(paid, terms, provider=provider)
    after = split(total, terms, provider=provider)
    escrow = lease_escrow(terms.lease_id)
    return [
        _Move(escrow, account, new - old)
        for (account, new), (_, old) in zip(after, before, strict=True)
    ]


def _metered(terms: LeaseTerms, proven_seconds: int) -> str:
    price, time = format_usd(terms.price_micro_usd_per_hour), format_seconds(proven_seconds)
    return f"Lease {terms.lease_id}: {time} proven so far, at {price} an hour"


def _lease_entry(
    terms: LeaseTerms, kind: str, moves: Iterable[_Move], reason: str, *, key: str = ""
) -> Entry:
    return Entry(
        event_id=f"{kind}:{terms.lease_id}{key}",
        kind=kind,
        reason=reason,
        legs=_legs(moves),
        job_id=terms.job_id,
        lease_id=terms.lease_id,
    )


def _task_entry(terms: TaskTerms, kind: str, legs: tuple[Leg, ...], reason: str) -> Entry:
    event_id = f"{kind}:{terms.job_id}"
    return Entry(event_id=event_id, kind=kind, reason=reason, legs=legs, job_id=terms.job_id)


def _legs(moves: Iterable[_Move], kind: TransferKind = TransferKind.POST) -> tuple[Leg, ...]:
    """A leg per move that moves something; a negative amount is refused by Leg."""
    return tuple(
        Leg(debit=move.debit, credit=move.credit, amount_micro_usd=move.amount, kind=kind)
        for move in moves
        if move.amount != 0
    )


def _resolve(hold: Entry, how: TransferKind, kind: str, reason: str) -> Entry:
    """The entry that pays or releases all of another entry's holds."""
    legs = tuple(
        dataclasses.replace(leg, kind=how, pending_id=leg_id(hold.event_id, number))
        for number, leg in enumerate(hold.legs)
    )
    event_id = f"{kind}:{hold.event_id.partition(':')[2]}"
    return dataclasses.replace(hold, event_id=event_id, kind=kind, legs=legs, reason=reason)
