"""The insurance fund: what it needs to hold, what it can pay, when money may leave it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gondwana.core.errors import InvalidValue, WrongState
from gondwana.core.money import format_usd
from gondwana.ledger.accounts import (
    AccountName,
    fund_insurance,
    fund_treasury,
    fund_verification,
)
from gondwana.ledger.model import Entry, Leg
from gondwana.ledger.service import PPM

RATIO_PPM_MAX: Final = 1_000 * PPM  # a fund that needs nothing holds "a thousand times enough"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundFacts:
    """What is known of the fund and of what it may have to pay."""

    fund_micro_usd: int
    claims_of_30_days_micro_usd: int
    claims_of_90_days_micro_usd: int
    premiums_of_30_days_micro_usd: int
    exposure_micro_usd_by_provider: Mapping[str, int]  # the most it would pay if one owner vanished
    open_claims_micro_usd: int = 0  # of this pass, not paid yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Solvency:
    """Whether the fund holds enough; published as it is."""

    fund_micro_usd: int
    open_claims_micro_usd: int
    expected_monthly_loss_micro_usd: int
    largest_exposure_micro_usd: int
    required_micro_usd: int  # the expected month and the largest owner's failure together
    ratio_ppm: int  # the fund, less its open claims, over what is required; at most RATIO_PPM_MAX
    haircut_ppm: int  # what open claims lose, because the fund cannot pay them whole


def solvency(facts: FundFacts) -> Solvency:
    """How the fund stands.

    The month to expect is the worst of: the last one, a third of the last three, and the premiums of one, which were
    set to cover the losses: a young fund without claims has no history to be proud of.
    """
    expected = max(
        facts.claims_of_30_days_micro_usd,
        -(-facts.claims_of_90_days_micro_usd // 3),
        facts.premiums_of_30_days_micro_usd,
    )
    largest = max(facts.exposure_micro_usd_by_provider.values(), default=0)
    required = expected + largest
    free = max(0, facts.fund_micro_usd - facts.open_claims_micro_usd)
    ratio = free * PPM // required if required else RATIO_PPM_MAX
    return Solvency(
        fund_micro_usd=facts.fund_micro_usd,
        open_claims_micro_usd=facts.open_claims_micro_usd,
        expected_monthly_loss_micro_usd=expected,
        largest_exposure_micro_usd=largest,
        required_micro_usd=required,
        ratio_ppm=min(ratio, RATIO_PPM_MAX),
        haircut_ppm=haircut_ppm(facts.fund_micro_usd, facts.open_claims_micro_usd),
    )


def haircut_ppm(fund_micro_usd: int, claims_micro_usd: int) -> int:
    """What each claim of one pass loses, so that all are paid alike and the fund never runs below zero; rounded up."""
    assert fund_micro_usd >= 0
    missing = claims_micro_usd - fund_micro_usd
    return -(-missing * PPM // claims_micro_usd) if missing > 0 else 0


def cover_left_micro_usd(
    *, paid_in_micro_usd: int, drawn_micro_usd: int, trusted_micro_usd: int = 0
) -> int:
    """The most that the fund still pays for one owner's failures.

    `paid_in` is what his leases ever paid in fees and premiums, `drawn` what the fund paid for him, `trusted` what the
    operator stands for beyond that: a known datacentre's exposure, nothing for a stranger. Without this cap an owner
    rents his own machine, takes the earnings out after the challenge window, fails, and is refunded by the others.
    """
    return max(0, paid_in_micro_usd + trusted_micro_usd - drawn_micro_usd)


def may_withdraw(state: Solvency, amount_micro_usd: int) -> bool:
    """Whether the fund still holds what is required after its open claims and a withdrawal of so much."""
    left = state.fund_micro_usd - state.open_claims_micro_usd - amount_micro_usd
    return amount_micro_usd > 0 and left >= state.required_micro_usd


def fund_deposit(fund: AccountName, amount_micro_usd: int, *, key: str) -> Entry:
    """The operator's money for the insurance or verification fund."""
    return _entry(
        "fund.deposit",
        fund,
        leg=Leg(debit=fund_treasury(), credit=fund, amount_micro_usd=amount_micro_usd),
        key=key,
    )


def fund_withdraw(
    fund: AccountName, amount_micro_usd: int, *, key: str, state: Solvency | None = None
) -> Entry:
    """A surplus of the insurance or verification fund back to the operator.

    Raises WrongState where the insurance fund would hold less than is required, or its `state` is not given.
    """
    if fund == fund_insurance() and (state is None or not may_withdraw(state, amount_micro_usd)):
        required = "unknown" if state is None else format_usd(state.required_micro_usd)
        raise WrongState(
            f"The insurance fund has to keep what it may have to pay: {required}.",
            hint="withdraw less, or wait until claims and exposures have fallen",
        )
    return _entry(
        "fund.withdraw",
        fund,
        leg=Leg(debit=fund, credit=fund_treasury(), amount_micro_usd=amount_micro_usd),
        key=key,
    )


def _entry(kind: str, fund: AccountName, *, leg: Leg, key: str) -> Entry:
    if fund not in (fund_insurance(), fund_verification()):
        raise InvalidValue(
            field="fund", value=fund, hint=f"{fund_insurance()} or {fund_verification()}"
        )
    return Entry(
        event_id=f"{kind}:{fund}:{key}",
        kind=kind,
        subject=fund,
        legs=(leg,),
    )
