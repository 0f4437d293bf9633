"""Slashes: money of an owner whose work was wrong, held while he may appeal, then paid out or released.

The tenant is made whole first, then the reporters share a bounty, then the checks of the case are paid, and the
insurance fund gets the rest. The operator's income never gets any: it would gain by false accusations
(field notes, ledger §4).
"""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import WrongState
from gondwana.core.money import split_cumulative
from gondwana.ledger.accounts import (
    AccountName,
    fund_insurance,
    fund_verification,
    provider_holdback,
    reporter_payable,
    stake_unbonding,
    tenant_available,
)
from gondwana.ledger.accounts import stake as stake_of
from gondwana.ledger.cases import SLASH_TRANSITIONS, SlashState, SlashTerms
from gondwana.ledger.model import Balance, Entry, TransferKind
from gondwana.ledger.rules.entries import Move, largest_remainder, legs, pour, resolve

APPEAL_SECONDS: Final = 3 * 86_400  # an owner may be away for a weekend
DECIDE_SECONDS: Final = 30 * 86_400  # whoever is not judged for so long is not guilty


def slash(terms: SlashTerms, *, holdback: Balance, stake: Balance, unbonding: Balance) -> Entry:
    """Hold what a slash takes, already split among those it will go to; what the owner lacks is not taken.

    Taken from what is available in holdback, stake and stake on its way out, in this order. The three balances are
    read in the same transaction. Without anything to take, the entry has no legs and posts nothing.
    """
    sources = [
        (provider_holdback(terms.provider_id), holdback.available_micro_usd),
        (stake_of(terms.provider_id), stake.available_micro_usd),
        (stake_unbonding(terms.provider_id), unbonding.available_micro_usd),
    ]
    collected = min(terms.amount_micro_usd, sum(available for _, available in sources))
    return Entry(
        event_id=f"slash:{terms.case_id}",
        kind="slash",
        subject=terms.case_id,
        legs=legs(pour(sources, _payees(terms, collected)), TransferKind.PENDING),
        job_id=terms.job_id,
        facts=(terms.reason,),
    )


def uphold_slash(hold: Entry) -> Entry:
    """Pay out all that a slash holds; `hold` is the entry that was posted."""
    return resolve(hold, TransferKind.POST_PENDING, "slash.uphold")


def reverse_slash(hold: Entry, *, reason: str) -> Entry:
    """Release all that a slash holds; `hold` is the entry that was posted."""
    return resolve(hold, TransferKind.VOID_PENDING, "slash.reverse", facts=(reason,))


def cover_slash(terms: SlashTerms, hold: Entry, *, fund: Balance) -> Entry:
    """What an upheld slash lacks to make the tenant whole, out of the insurance fund as far as that goes.

    `hold` is the entry that was posted. Nobody but the tenant gets any of a slash that does not make him whole.
    """
    tenant = tenant_available(terms.tenant_id) if terms.tenant_id is not None else None
    got = sum(leg.amount_micro_usd for leg in hold.legs if leg.credit == tenant)
    missing = min(terms.made_whole_micro_usd - got, fund.available_micro_usd)
    moves = [Move(fund_insurance(), tenant, missing)] if tenant is not None else []
    return Entry(
        event_id=f"slash.cover:{terms.case_id}",
        kind="slash.cover",
        subject=terms.case_id,
        legs=legs(moves),
        job_id=terms.job_id,
    )


def next_slash_state(
    state: SlashState, decided_at: Instant, *, now: Instant, verdict: SlashState | None = None,
    appealed_at: Instant | None = None,
) -> SlashState:  # fmt: skip
    """The state after this moment: that of the verdict on an appeal, that of silence, or the same.

    Nobody appealed in APPEAL_SECONDS: upheld. Nobody judged an appeal in DECIDE_SECONDS: reversed. `decided_at` is
    when the slash was proposed. Raises WrongState for a verdict that may not follow.
    """
    if verdict is not None:
        if state is not SlashState.APPEALED or verdict not in SLASH_TRANSITIONS[state]:
            raise WrongState(
                f"A slash that is {state} cannot become {verdict} by a verdict.",
                hint="only an appealed slash is upheld or reversed",
            )
        return verdict
    if state is SlashState.PROPOSED and not may_appeal(state, decided_at, now=now):
        return SlashState.UPHELD
    is_late = appealed_at is not None and now - appealed_at >= DECIDE_SECONDS
    return SlashState.REVERSED if state is SlashState.APPEALED and is_late else state


def may_appeal(state: SlashState, decided_at: Instant, *, now: Instant) -> bool:
    """Whether the accused may still appeal: once, within APPEAL_SECONDS of the proposal."""
    return state is SlashState.PROPOSED and now - decided_at < APPEAL_SECONDS


def bounty_shares(bounty_micro_usd: int, reporters: int) -> list[int]:
    """What each of so many reporters gets of one bounty, in order: each half of the one before; all of it together.

    The sum is fixed, and alone nobody gains by reporting under many names. Among others he does: names after his own
    take from everybody else, up to half of the bounty in all, but never press the first reporter below half of it. Each
    name costs a bond while the case runs. Winner-takes-all would close this, and pay nobody to confirm a report.
    """
    return largest_remainder(bounty_micro_usd, [2**n for n in reversed(range(reporters))])


def _payees(terms: SlashTerms, collected: int) -> list[tuple[AccountName, int]]:
    """Who gets how much of what is collected; the amounts sum to it, and what is missing is missing at the end."""
    tenant = min(collected, terms.made_whole_micro_usd)
    bounty = min(split_cumulative(collected, terms.bounty_bps), collected - tenant)
    shares = bounty_shares(bounty, len(terms.reporters))
    left = collected - tenant - sum(shares)
    checks = min(left, terms.verification_cost_micro_usd)
    return [
        *([(tenant_available(terms.tenant_id), tenant)] if terms.tenant_id is not None else []),
        *zip(map(reporter_payable, terms.reporters), shares, strict=True),
        (fund_verification(), checks),
        (fund_insurance(), left - checks),
    ]
