"""Planted units: work whose result is known, paid by the verification fund as a tenant would pay.

The job is one of its own. In a tenant's job the rest of the money would go to him when it closes.
"""

from gondwana.core.errors import WrongState
from gondwana.core.money import format_usd
from gondwana.ledger.accounts import fund_verification, task_escrow
from gondwana.ledger.model import Balance, Entry, TaskTerms
from gondwana.ledger.rules.entries import Move, legs


def fund_canary(terms: TaskTerms, amount_micro_usd: int, *, key: str) -> Entry:
    """Set the price of planted units aside in their job's escrow; `key` tells one time from the next."""
    move = Move(fund_verification(), task_escrow(terms.job_id), amount_micro_usd)
    return _entry("canary.fund", terms, move, key=f":{key}")


def close_canary(terms: TaskTerms, escrow: Balance) -> Entry:
    """The rest of the escrow back to the fund; raises WrongState while a unit's price is held."""
    if escrow.held_micro_usd:
        raise WrongState(
            f"Job {terms.job_id} still holds {format_usd(escrow.held_micro_usd)} for units in work.",
            hint="accept, reject or expire its units first",
        )
    move = Move(task_escrow(terms.job_id), fund_verification(), escrow.posted_micro_usd)
    return _entry("canary.close", terms, move)


def _entry(kind: str, terms: TaskTerms, move: Move, *, key: str = "") -> Entry:
    return Entry(
        event_id=f"{kind}:{terms.job_id}{key}",
        kind=kind,
        subject=terms.job_id,
        legs=legs([move]),
        job_id=terms.job_id,
    )
