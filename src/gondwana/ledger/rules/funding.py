"""Escrows are filled from promotional credit and the tenant's balance, within budgets, and give the rest back."""

from collections.abc import Sequence
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import (
    AccountName,
    budget_granted,
    tenant_available,
    tenant_promo,
)
from gondwana.ledger.model import Draw, Funding
from gondwana.ledger.rules.entries import Move

OWN_MONEY: Final = Funding()
BUDGETS_FREED_MAX: Final = (
    48  # with the shares of the last metering still one entry, or no escrow would close
)


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
    escrow: AccountName, tenant_id: str, rest: int, draws: Sequence[Draw], *, paid: int
) -> list[Move]:
    """What empties an escrow that paid `paid` in all: to the tenant, and to the budgets that may use it again.

    Promotional credit paid first, so its own rest comes back as promotional credit. `draws` are all fillings, the
    newest first: what was drawn last is given back first, to the budgets that it was drawn from. Of very many, which
    only somebody has who sets them anew all the time, the newest get it.
    """
    promo = min(rest, max(0, sum(draw.promo_micro_usd for draw in draws) - paid))
    freed: dict[AccountName, int] = {}
    left = rest
    for draw in draws:
        part = min(left, draw.amount_micro_usd)
        left -= part
        for budget in draw.budgets:
            if budget in freed or len(freed) < BUDGETS_FREED_MAX:
                freed[budget] = freed.get(budget, 0) + part
    return [
        Move(escrow, tenant_promo(tenant_id), promo),
        Move(escrow, tenant_available(tenant_id), rest - promo),
        *(Move(budget_granted(), budget, amount) for budget, amount in freed.items()),
    ]
