"""Money that goes out: payouts of what people earned or did not spend, the operator's own money, tax."""

from typing import Final

from gondwana.core.errors import FundsTooLow, InvalidValue
from gondwana.core.money import format_usd
from gondwana.ledger.accounts import (
    AccountName,
    ext,
    fund_treasury,
    income_fees,
    kind_of,
    tax,
)
from gondwana.ledger.events import Fact
from gondwana.ledger.model import Balance, Entry, Leg, TransferKind
from gondwana.ledger.rules.entries import resolve

PAID_OUT: Final = frozenset(
    {
        "provider:<id>:payable",
        "verifier:<id>:payable",
        "reporter:<id>:payable",
        "tenant:<id>:available",
    }
)
"""The lines of the chart whose owners may take the money out; promotional credit and holdbacks are not among them."""
TREASURY: Final = "treasury"  # the subject of the operator's own entries


def payout(rail: str, account: AccountName, amount_micro_usd: int, *, key: str) -> Entry:
    """Money on its way out of a person's account over `rail`; `key` tells one payout from the next.

    It is held until `confirm_payout` or `fail_payout` of the same key. Raises InvalidValue for an account that
    nobody may be paid out from.
    """
    if kind_of(account).name not in PAID_OUT:
        raise InvalidValue(
            field="account", value=account, hint="pay out what is payable or a tenant's own balance"
        )
    leg = Leg(
        debit=account,
        credit=ext(rail),
        amount_micro_usd=amount_micro_usd,
        kind=TransferKind.PENDING,
    )
    return Entry(
        event_id=f"payout:{account}:{key}",
        kind="payout",
        subject=account.split(":")[1],
        legs=(leg,),
        facts=(amount_micro_usd, rail),
    )


def confirm_payout(rail: str, account: AccountName, amount_micro_usd: int, *, key: str) -> Entry:
    """The payout arrived."""
    pending = payout(rail, account, amount_micro_usd, key=key)
    return resolve(pending, TransferKind.POST_PENDING, "payout.confirm")


def fail_payout(
    rail: str, account: AccountName, amount_micro_usd: int, *, key: str, reason: str
) -> Entry:
    """The payout did not arrive: the money is its owner's again."""
    pending = payout(rail, account, amount_micro_usd, key=key)
    facts = (*pending.facts, reason)
    return resolve(pending, TransferKind.VOID_PENDING, "payout.fail", facts=facts)


def treasury_deposit(rail: str, amount_micro_usd: int, *, key: str) -> Entry:
    """The operator's own money comes in over `rail`."""
    leg = Leg(debit=ext(rail), credit=fund_treasury(), amount_micro_usd=amount_micro_usd)
    return _entry("treasury.deposit", f"{rail}:{key}", leg, rail)


def treasury_withdraw(rail: str, amount_micro_usd: int, *, key: str) -> Entry:
    """The operator takes own money out over `rail`."""
    leg = Leg(debit=fund_treasury(), credit=ext(rail), amount_micro_usd=amount_micro_usd)
    return _entry("treasury.withdraw", f"{rail}:{key}", leg, rail)


def treasury_sweep(amount_micro_usd: int, income: Balance, *, key: str) -> Entry:
    """Fees earned so far become the operator's money; raises FundsTooLow for more than `income` has.

    The account of fees has no limit of its own, so the rule keeps it: fees that a correction took back are not swept.
    """
    if amount_micro_usd > income.available_micro_usd:
        raise FundsTooLow(
            f"The fees earned so far are {format_usd(income.available_micro_usd)}.",
            hint="sweep at most that",
        )
    leg = Leg(debit=income_fees(), credit=fund_treasury(), amount_micro_usd=amount_micro_usd)
    return _entry("treasury.sweep", key, leg)


def remit_tax(rail: str, jurisdiction: str, amount_micro_usd: int, *, key: str) -> Entry:
    """Tax paid over `rail` to the jurisdiction that it is owed to."""
    leg = Leg(debit=tax(jurisdiction), credit=ext(rail), amount_micro_usd=amount_micro_usd)
    return Entry(
        event_id=f"tax.remit:{jurisdiction}:{key}",
        kind="tax.remit",
        subject=jurisdiction,
        legs=(leg,),
        facts=(rail,),
    )


def _entry(kind: str, key: str, leg: Leg, *facts: Fact) -> Entry:
    return Entry(event_id=f"{kind}:{key}", kind=kind, subject=TREASURY, legs=(leg,), facts=facts)
