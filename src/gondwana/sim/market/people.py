"""Who buys and sells, and chance for what they do."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from gondwana.core.clock import Instant
from gondwana.core.ids import PrincipalId
from gondwana.core.random import SeededRandom
from gondwana.policy.model import Caller, Principal, Scope

T = TypeVar("T")

BEGIN: Final = Instant(1_799_999_000.0)  # when people brought their money
OWNERS: Final = ("pri_ada", "pri_bob", "pri_cyd")
TENANTS: Final = ("pri_kea", "pri_moa", "pri_tui", "pri_weka")
POOR: Final = "pri_weka"  # his money does not last
PROJECTS: Final = ("", "nest")
MODELS: Final = ("A100", "H100")
ABSENT_MODEL: Final = "B200"  # known to the market, owned by nobody
REGIONS: Final = ("akl", "wlg")
FILTERS: Final[dict[str, Callable[[Any], bool]]] = {
    "": lambda machine: True,
    "spot=yes": lambda machine: machine["floor"] is not None,
    "notice>=1h": lambda machine: machine["notice"] >= 3_600,
    f"region!={REGIONS[0]}": lambda machine: machine["region"] != REGIONS[0],
}
"""What jobs ask of machines in the market's words -> the same of a row of the oracle (`waiting`)."""
USD: Final = 1_000_000


def caller(name: str) -> Caller:
    """Somebody as the API knows him."""
    scope = Scope.PROVIDER if name in OWNERS else Scope.TENANT
    principal = Principal(id=PrincipalId(name), name=name, created_at=BEGIN)
    return Caller(principal=principal, scopes=(scope,))


class Dice:
    """Chance, from the seed."""

    def __init__(self, seed: str) -> None:
        self._random = SeededRandom(seed)

    def chance(self, probability: float) -> bool:
        """Whether something happens that happens so often."""
        return self._random.uniform() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of them."""
        return items[self.upto(len(items) - 1)]

    def upto(self, most: int) -> int:
        """A whole number from 0 to `most`."""
        return int(self._random.uniform() * (most + 1))

    def between(self, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        return low + (high - low) * self._random.uniform()

    def among(self, weights: dict[T, float]) -> T:
        """One of them, by weight."""
        left = self._random.uniform() * sum(weights.values())
        for each, weight in weights.items():
            left -= weight
            if left < 0:
                return each
        return next(reversed(weights))
