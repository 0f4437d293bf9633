"""Escrows are filled from promotional credit and the tenant's balance, within budgets, and give the rest back."""

from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import (
    AccountName,
    budget_granted,
    tenant_available,
    tenant_promo,
)
from gondwana.ledger.model import Funding
from gondwana.ledger.rules.entries import Move

OWN_MONEY: Final = Funding()


def fill(escrow: AccountName, tenant_id: str, amount: int, funding: Funding) -> list[Move]:
    """What fills an escrow with `amount`: promotional credit first, then the tenant's own; each budget counts it all.

    A budget that does not allow it refuses the whole entry, as an overdraft does: a hard stop needs no luck.
    """
    promo = funding.promo_micro_usd
    if not 0 <= promo <= amount:
        raise InvalidValue(field="promo_micro_usd", value=promo, hint=f"between 0 and {amount}")
    return [
        Move(tenant_promo(tenant_id), escrow, promo),
        Move(tenant_available(tenant_id), escrow, amount - promo),
        *(Move(left, budget_granted(), amount) for left in funding.budgets),
    ]


def give_back(
    escrow: AccountName, tenant_id: str, rest: int, funding: Funding, *, paid: int
) -> list[Move]:
    """What empties an escrow whose payments came to `paid`, of which promotional credit paid first.

    `funding` is what went in over the escrow's life: its promotional part, and the budgets that may use it again.
    """
    promo = min(rest, max(0, funding.promo_micro_usd - paid))
    return [
        Move(escrow, tenant_promo(tenant_id), promo),
        Move(escrow, tenant_available(tenant_id), rest - promo),
        *(Move(budget_granted(), left, rest) for left in funding.budgets),
    ]
