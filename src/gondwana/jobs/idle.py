"""Which orders nothing fits, until an offer becomes better that might fit them."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T", bound=str)

ORDERS_MAX: Final = 100_000  # remembered; past it they are looked at again
STEPS_MAX: Final = 256  # remembered of one model; past it the older half counts as one


class Wish(NamedTuple):
    """What an offer must be, at least, to be of use to an order."""

    models: tuple[str, ...]  # one of these; none: any
    price_max: int


ANYTHING: Final = Wish(models=(), price_max=2**63 - 1)


class Idle:
    """Orders that nothing fitted, each with the version of the market then; not for two threads at once.

    The version grows by one whenever an offer becomes better for somebody. Of each model it is known how lately an
    offer of at most a price did, so an order of an unknown model, or with a cap below every price, rests however busy
    the market is; and a gang that lacked a hundred machines rests until a hundred offers became better.
    """

    def __init__(self) -> None:
        self._version = 0
        self._all_at = 0  # the version at which something became better for everybody
        self._steps: dict[str, tuple[list[int], list[int]]] = {}
        """By model ("": any) rising prices and, for each, the version at which an offer of that price became better."""
        self._orders: dict[str, tuple[int, int, Wish]] = {}  # (version, lacking, wish)
        self._woken: dict[Wish, int] = {}  # as of this version

    def better_for_all(self) -> None:
        """Something else than an offer became better, or nobody knows what."""
        self._version += 1
        self._all_at = self._version
        self._steps.clear()
        self._woken.clear()

    def better(self, model: str, price: int) -> None:
        """An offer of this model, which asks this price now, became better for somebody."""
        self._version += 1
        self._woken.clear()
        for name in (model, ""):
            prices, versions = self._steps.setdefault(name, ([], []))
            while prices and prices[-1] >= price:  # this one is newer and asks no more
                prices.pop()
                versions.pop()
            prices.append(price)
            versions.append(self._version)
            if len(prices) > STEPS_MAX:
                half = STEPS_MAX // 2
                prices[:half], versions[:half] = prices[:1], versions[half - 1 : half]

    def remember(self, order_id: str, wish: Wish, *, lacking: int = 1) -> None:
        """Nothing fits this order now: it lacks so many machines more than there are."""
        if len(self._orders) >= ORDERS_MAX:
            self._orders.clear()
        self._orders[order_id] = self._version, lacking, wish

    def forget(self, order_ids: Iterable[str]) -> None:
        """Look at these orders again."""
        for each in order_ids:
            self._orders.pop(each, None)

    def awake(self, order_ids: Sequence[T]) -> list[T]:
        """The orders that something may fit now."""
        known, version = self._orders, self._version
        return [
            each
            for each in order_ids
            if (found := known.get(each)) is None or (found[0] != version and self._may_fit(*found))
        ]

    def __contains__(self, order_id: str) -> bool:
        """Whether nothing fitted an order, and no offer that it could use has become better since."""
        found = self._orders.get(order_id)
        return found is not None and not self._may_fit(*found)

    def _may_fit(self, version: int, lacking: int, wish: Wish) -> bool:
        if version < self._all_at:
            return True
        return self._version - version >= lacking and version < self._woken_at(wish)

    def _woken_at(self, wish: Wish) -> int:
        at = self._woken.get(wish)
        if at is None:
            at = self._all_at
            for model in wish.models or ("",):
                prices, versions = self._steps.get(model, ((), ()))
                place = bisect_right(prices, wish.price_max)
                at = max(at, versions[place - 1]) if place else at
            self._woken[wish] = at
        return at
