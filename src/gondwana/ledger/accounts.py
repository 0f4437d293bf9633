"""The chart of accounts: which accounts exist, by name, and what limits them."""

import functools
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

from gondwana.core.errors import InvalidValue
from gondwana.core.values import grouped

AccountName = NewType("AccountName", str)
"""`lease:lse_01k3…:escrow`: what the account is, for whom."""

_ID: Final = r"[A-Za-z0-9_.\-]{1,64}"

USD: Final = "USD"  # whole micro-USD
BUDGET: Final = "BUDGET"  # micro-USD that somebody still allows to be spent: a limit, not money


class Limit(StrEnum):
    """Which side of an account may not outgrow the other, holds included."""

    DEBITS = "D"  # debits may not exceed credits: it holds money that is there
    CREDITS = "C"  # credits may not exceed debits: no more leaves than came in
    NONE = "N"  # a result, or a suspense that is zero at close


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKind:
    """One line of the chart of accounts."""

    code: int
    limit: Limit
    name: str  # with `<…>` where an id stands
    explains: str  # what a person calls it, in a statement
    asset: str = USD

    def pattern(self) -> re.Pattern[str]:
        """What names of this kind look like."""
        parts = re.split(r"<[a-z ]+>", self.name)
        return re.compile(f"{_ID}".join(re.escape(part) for part in parts))


def _kind(code: int, limit: Limit, name: str, explains: str, asset: str = USD) -> AccountKind:
    return AccountKind(code=code, limit=limit, name=name, explains=explains, asset=asset)


CHART: Final = (
    _kind(1000, Limit.CREDITS, "ext:<rail>", "the outside world"),
    _kind(1090, Limit.NONE, "suspense:<rail>", "unclear payments"),
    _kind(2000, Limit.DEBITS, "tenant:<id>:available", "the tenant's balance"),
    _kind(2010, Limit.DEBITS, "tenant:<id>:promo", "the tenant's promotional balance"),
    _kind(2100, Limit.DEBITS, "lease:<id>:escrow", "the lease's escrow"),
    _kind(2110, Limit.DEBITS, "task:<id>:escrow", "the job's escrow"),
    _kind(2200, Limit.DEBITS, "provider:<id>:holdback", "the owner's earnings, held back"),
    _kind(2210, Limit.DEBITS, "provider:<id>:payable", "the owner's earnings, ready to pay out"),
    _kind(2300, Limit.DEBITS, "stake:<id>", "a stake"),
    _kind(2310, Limit.DEBITS, "stake:<id>:unbonding", "a stake on its way out"),
    _kind(2320, Limit.DEBITS, "bond:<id>", "a bond"),
    _kind(2400, Limit.DEBITS, "verifier:<id>:payable", "a verifier's earnings"),
    _kind(2400, Limit.DEBITS, "reporter:<id>:payable", "a reporter's earnings"),
    _kind(2500, Limit.DEBITS, "tax:<jurisdiction>", "tax"),
    _kind(3000, Limit.DEBITS, "fund:insurance", "the insurance fund"),
    _kind(3050, Limit.DEBITS, "fund:verification", "the verification fund"),
    _kind(3100, Limit.DEBITS, "fund:subsidy:<program>:<epoch>", "a subsidy fund"),
    _kind(3110, Limit.DEBITS, "subsidy:<id>:vesting", "a subsidy, vesting"),
    _kind(3200, Limit.DEBITS, "fund:treasury", "the operator's treasury"),
    _kind(4000, Limit.NONE, "income:fees", "the operator's fee"),
    _kind(5000, Limit.NONE, "expense:<kind>", "the operator's expense"),
    _kind(9000, Limit.NONE, "budget:granted", "all budgets", BUDGET),
    _kind(9010, Limit.DEBITS, "budget:<id>:left", "what a budget still allows", BUDGET),
)
"""Codes below 9000 are money, and their balances sum to zero; 9000 and above are limits, counted the same way."""
_PATTERNS: Final = grouped(
    [(kind, kind.pattern()) for kind in CHART], lambda each: each[0].name.partition(":")[0]
)
"""By the first word of the name: every lease opens an account."""


@functools.lru_cache(maxsize=65_536)
def kind_of(name: str) -> AccountKind:
    """The line of the chart that `name` belongs to. Raises InvalidValue for a name that no line describes."""
    for kind, pattern in _PATTERNS.get(name.partition(":")[0], ()):
        if pattern.fullmatch(name):
            return kind
    raise InvalidValue(field="account", value=name, hint="see the chart of accounts")


def _named(name: str) -> AccountName:
    kind_of(name)
    return AccountName(name)


def ext(rail: str) -> AccountName:
    """The outside world as reached over one rail: `bank`, `card`, `manual`."""
    return _named(f"ext:{rail}")


def suspense(rail: str) -> AccountName:
    """Money that came in over a rail and nobody knows whose it is; zero at close."""
    return _named(f"suspense:{rail}")


@functools.lru_cache(maxsize=65_536)
def tenant_available(tenant_id: str) -> AccountName:
    """What a tenant can spend or withdraw."""
    return _named(f"tenant:{tenant_id}:available")


@functools.lru_cache(maxsize=65_536)
def tenant_promo(tenant_id: str) -> AccountName:
    """What a tenant was given to spend; it cannot be withdrawn."""
    return _named(f"tenant:{tenant_id}:promo")


def lease_escrow(lease_id: str) -> AccountName:
    """What is set aside for one lease."""
    return _named(f"lease:{lease_id}:escrow")


def task_escrow(job_id: str) -> AccountName:
    """What is set aside for the units of one job."""
    return _named(f"task:{job_id}:escrow")


def provider_holdback(provider_id: str) -> AccountName:
    """What an owner earned and may still lose to a challenge."""
    return _named(f"provider:{provider_id}:holdback")


def provider_payable(provider_id: str) -> AccountName:
    """What an owner earned for good."""
    return _named(f"provider:{provider_id}:payable")


def stake(provider_id: str) -> AccountName:
    """What an owner put at stake for the work to be right."""
    return _named(f"stake:{provider_id}")


def stake_unbonding(provider_id: str) -> AccountName:
    """A stake on its way out; it can still be slashed."""
    return _named(f"stake:{provider_id}:unbonding")


def bond(case_id: str) -> AccountName:
    """What a reporter or disputant put down for one case."""
    return _named(f"bond:{case_id}")


def verifier_payable(verifier_id: str) -> AccountName:
    """What a verifier or evaluator earned."""
    return _named(f"verifier:{verifier_id}:payable")


def reporter_payable(reporter_id: str) -> AccountName:
    """What a whistleblower earned."""
    return _named(f"reporter:{reporter_id}:payable")


def tax(jurisdiction: str) -> AccountName:
    """Tax owed to one jurisdiction."""
    return _named(f"tax:{jurisdiction}")


def fund_insurance() -> AccountName:
    """The fund that pays what owners cannot."""
    return _named("fund:insurance")


def fund_verification() -> AccountName:
    """The fund that pays for checks."""
    return _named("fund:verification")


def fund_subsidy(program: str, epoch: str) -> AccountName:
    """What one subsidy program may give out in one epoch."""
    return _named(f"fund:subsidy:{program}:{epoch}")


def subsidy_vesting(provider_id: str) -> AccountName:
    """What an owner was awarded and does not own yet."""
    return _named(f"subsidy:{provider_id}:vesting")


def fund_treasury() -> AccountName:
    """The operator's own money inside the network: pays promotions, subsidies and the funds' seed."""
    return _named("fund:treasury")


def income_fees() -> AccountName:
    """The operator's income."""
    return _named("income:fees")


def expense(kind: str) -> AccountName:
    """What the operator lost: `chargeback`."""
    return _named(f"expense:{kind}")


def budget_granted() -> AccountName:
    """The other side of every budget: what was allowed and is not yet used is owed from here."""
    return _named("budget:granted")


def budget_left(budget_id: str, period: str) -> AccountName:
    """What one budget still allows in one period (`2026-11`)."""
    return _named(f"budget:{budget_id}.{period}:left")
