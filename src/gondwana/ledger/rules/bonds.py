"""Bonds: what a report or a dispute costs whoever turns out to be wrong, and the bounty of who was right.

One report or dispute is one case here. In the entry of a slash a reporter goes by the id of his report, so the accused
reads no name in his statement; the bounty then moves on in an entry that does not touch the accused.
"""

from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import (
    AccountName,
    bond,
    fund_verification,
    kind_of,
    provider_payable,
    reporter_payable,
    tenant_available,
)
from gondwana.ledger.model import Entry
from gondwana.ledger.rules.entries import Move, legs

_PAYERS = {kind_of(provider_payable("any")), kind_of(tenant_available("any"))}


def post_bond(case_id: str, payer: AccountName, *, amount_micro_usd: int) -> Entry:
    """A bond put down by an owner out of his payable earnings, or by a tenant out of his balance."""
    return _entry("bond", case_id, Move(_checked(payer), bond(case_id), amount_micro_usd))


def return_bond(case_id: str, payer: AccountName, *, amount_micro_usd: int) -> Entry:
    """The bond back to who put it down: the case was upheld."""
    return _entry("bond.return", case_id, Move(bond(case_id), _checked(payer), amount_micro_usd))


def forfeit_bond(case_id: str, accused_id: str, *, amount_micro_usd: int) -> Entry:
    """The bond is lost, for the case was refused: half to the owner who was accused, the rest pays for checks."""
    half = amount_micro_usd // 2
    return _entry(
        "bond.forfeit",
        case_id,
        Move(bond(case_id), provider_payable(accused_id), half),
        Move(bond(case_id), fund_verification(), amount_micro_usd - half),
    )


def pay_bounty(report_id: str, payer: AccountName, *, amount_micro_usd: int) -> Entry:
    """A report's share of an upheld slash, on to where its bond came from."""
    move = Move(reporter_payable(report_id), _checked(payer), amount_micro_usd)
    return _entry("bounty.pay", report_id, move)


def _checked(payer: AccountName) -> AccountName:
    if kind_of(payer) not in _PAYERS:
        raise InvalidValue(
            field="payer", value=payer, hint="an owner's payable, a tenant's balance"
        )
    return payer


def _entry(kind: str, case_id: str, *moves: Move) -> Entry:
    return Entry(event_id=f"{kind}:{case_id}", kind=kind, subject=case_id, legs=legs(moves))
