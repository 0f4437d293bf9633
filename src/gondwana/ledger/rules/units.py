"""Training by the unit: a job's budget, prices held and paid, evaluations."""

from collections.abc import Sequence

from gondwana.core.errors import WrongState
from gondwana.core.money import format_usd
from gondwana.ledger.accounts import (
    fund_verification,
    provider_holdback,
    task_escrow,
    verifier_payable,
)
from gondwana.ledger.events import Fact
from gondwana.ledger.model import (
    Assignment,
    Balance,
    Draw,
    Entry,
    Evaluation,
    Funding,
    Leg,
    TaskTerms,
    TransferKind,
)
from gondwana.ledger.rules.entries import Move, legs, resolve, split
from gondwana.ledger.rules.funding import OWN_MONEY, fill, give_back


def open_task(terms: TaskTerms, budget_micro_usd: int, funding: Funding = OWN_MONEY) -> Entry:
    """Set a job's budget aside for its units."""
    moves = fill(task_escrow(terms.job_id), terms.tenant_id, budget_micro_usd, funding)
    return _entry(terms, "task.open", legs(moves))


def assign_unit(terms: TaskTerms, assignment: Assignment) -> Entry:
    """Hold a unit's price in the job's escrow, already split among those it will go to."""
    provider = provider_holdback(assignment.provider_id)
    parts = split(assignment.price_micro_usd, terms, provider=provider)
    moves = [Move(task_escrow(terms.job_id), account, amount) for account, amount in parts]
    return Entry(
        event_id=f"unit.assign:{assignment.unit_id}:{assignment.attempt}",
        kind="unit.assign",
        subject=assignment.unit_id,
        legs=legs(moves, TransferKind.PENDING),
        job_id=terms.job_id,
    )


def accept_unit(terms: TaskTerms, assignment: Assignment) -> Entry:
    """Pay a unit out of its hold."""
    return resolve(assign_unit(terms, assignment), TransferKind.POST_PENDING, "unit.accept")


def reject_unit(terms: TaskTerms, assignment: Assignment, *, reason: str) -> Entry:
    """Release the hold of a rejected unit: its provider gets nothing.

    The money stays in the job's escrow, because the unit is given out again and must be paid then; what is left
    goes to the tenant when the job closes. Returned at once, it could be spent elsewhere and strand the job.
    """
    hold = assign_unit(terms, assignment)
    return resolve(hold, TransferKind.VOID_PENDING, "unit.reject", facts=(reason,))


def expire_unit(terms: TaskTerms, assignment: Assignment) -> Entry:
    """Release the hold of a unit that was not delivered in time."""
    return resolve(assign_unit(terms, assignment), TransferKind.VOID_PENDING, "unit.expire")


def pay_evaluator(terms: TaskTerms, evaluation: Evaluation) -> Entry:
    """Pay who evaluated: from the job's escrow, or from the verification fund where the work was rejected."""
    payer = fund_verification() if evaluation.from_fund else task_escrow(terms.job_id)
    move = Move(payer, verifier_payable(evaluation.verifier_id), evaluation.price_micro_usd)
    return Entry(
        event_id=f"evaluation.pay:{evaluation.unit_id}",
        kind="evaluation.pay",
        subject=evaluation.unit_id,
        legs=legs([move]),
        job_id=terms.job_id,
    )


def close_task(terms: TaskTerms, escrow: Balance, draws: Sequence[Draw] = ()) -> Entry:
    """The rest of a job's escrow back to where it came from; raises WrongState while a unit's price is held."""
    if escrow.held_micro_usd:
        raise WrongState(
            f"Job {terms.job_id} still holds {format_usd(escrow.held_micro_usd)} for units in work.",
            hint="accept, reject or expire its units first",
        )
    rest, paid = escrow.posted_micro_usd, escrow.debits_posted
    moves = give_back(task_escrow(terms.job_id), terms.tenant_id, rest, draws, paid=paid)
    return _entry(terms, "task.close", legs(moves))


def _entry(
    terms: TaskTerms, kind: str, made: tuple[Leg, ...], facts: tuple[Fact, ...] = ()
) -> Entry:
    return Entry(
        event_id=f"{kind}:{terms.job_id}",
        kind=kind,
        subject=terms.job_id,
        legs=made,
        job_id=terms.job_id,
        facts=facts,
    )
