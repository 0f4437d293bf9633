"""Which machines come first to an order: the cheapest per work, or, without accelerators, those without any; pure."""

from collections.abc import Callable
from typing import Final

from gondwana.core.devices import CPU
from gondwana.core.values import replace
from gondwana.market.model import Charge, Mechanism, Order
from gondwana.market.search import Want

PRICES_MAX: Final = 32  # looked at for the lowest; each look leaves half of what was left, or so

Fitting = Callable[[Want, int], list[str]]
"""The cheapest machines per work that fit, at most so many."""


def preferred(
    order: Order, want: Want, count: int, fitting: Fitting, price_of: Callable[[str], int]
) -> list[str]:
    """The machines that an order is to have, at most `count`.

    Work that asks for no accelerator and is paid by the second goes to machines without any as long as they are enough.
    How fast the accelerators of others are means nothing to it, so of those the lowest price comes first.
    """
    by_time = order.charge is Charge.SECOND and order.mechanism is Mechanism.POSTED
    if order.resources.accelerators or not by_time:
        return fitting(want, count)
    found = fitting(replace(want, models=(CPU,)), count)
    if len(found) >= min(count, order.count_max):
        return found
    return _at_lowest_price(want, fitting, price_of) if count == 1 else fitting(want, count)


def _at_lowest_price(want: Want, fitting: Fitting, price_of: Callable[[str], int]) -> list[str]:
    found: list[str] = []
    for _ in range(PRICES_MAX):
        cheaper = fitting(want, 1)
        if not cheaper:
            break
        found = cheaper
        want = replace(want, price_max=price_of(found[0]) - 1)
    return found
