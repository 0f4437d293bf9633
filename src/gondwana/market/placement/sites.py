"""Which machines stand together: a site by measured speed between machines of one owner, a city by coordinates."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from gondwana.market.placement.model import Floats, Integers

SITE_ROUND_TRIP_SECONDS_MAX: Final = 0.002  # a switch or two; Wi-Fi is slower
SITE_BITS_PER_SECOND_MIN: Final = 300e6  # a gigabit line that something else uses too
CITY_SECONDS: Final = 0.005  # one way between cities' middles; nearer ones are one city
CITIES_MAX: Final = 64  # the first so many that are found; machines beyond join the nearest


class Measured(NamedTuple):
    """A link that was measured between two machines of one owner."""

    one: str
    other: str
    round_trip_seconds: float
    bits_per_second: float


def is_one_site(link: Measured) -> bool:
    """Whether two machines reach each other at the speed of a local network."""
    fast = link.bits_per_second >= SITE_BITS_PER_SECOND_MIN
    return fast and link.round_trip_seconds <= SITE_ROUND_TRIP_SECONDS_MAX


def sites(links: Iterable[Measured]) -> dict[str, str]:
    """The site of each machine that stands with another: the least name of those it is joined to, over any others."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for link in links:
        if is_one_site(link):
            low, high = sorted((find(link.one), find(link.other)))
            root[high] = low
    return {name: find(name) for name in sorted(root)}


def cities(point_N3: Floats, region_N: Sequence[str]) -> tuple[Integers, Floats]:
    """(the city of each machine, where each city is), by position (seconds, one way) and region.

    The first machine that is in no city founds one, for all of its region within CITY_SECONDS; so the first of a list
    decide, and the caller keeps them in an order that does not depend on chance.
    """
    _, region_number_N = np.unique(np.array(region_N, dtype=np.str_), return_inverse=True)
    city_N = np.full(len(point_N3), -1, np.int64)
    founders: list[int] = []
    while len(founders) < CITIES_MAX and (homeless := np.flatnonzero(city_N < 0)).size:
        first = homeless[0]
        away = np.sqrt(((point_N3[homeless] - point_N3[first]) ** 2).sum(axis=1))
        joins = (away < CITY_SECONDS) & (region_number_N[homeless] == region_number_N[first])
        joins[0] = True
        city_N[homeless[joins]] = len(founders)
        founders.append(int(first))
    point_C3 = point_N3[founders].reshape(-1, 3)
    for row in np.flatnonzero(city_N < 0):
        city_N[row] = int(((point_C3 - point_N3[row]) ** 2).sum(axis=1).argmin())
    return city_N, point_C3
