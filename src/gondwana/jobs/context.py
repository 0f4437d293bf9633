"""What reconcilers and routes are given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from typing import Final

from gondwana.blobs.base import BlobStore
from gondwana.core.clock import Instant
from gondwana.core.random import Random, SecureRandom
from gondwana.db.database import Database
from gondwana.db.events import StoredEvent
from gondwana.jobs.fairness import Fairness
from gondwana.jobs.heard import Heard, noun
from gondwana.jobs.open_orders import OpenOrders
from gondwana.jobs.probes import Probes
from gondwana.jobs.proofs import Proofs
from gondwana.jobs.shelf import Shelf
from gondwana.market.plans.list_prices import ListPrices, packaged
from gondwana.supply.rules import DOWN_AFTER_SECONDS, HEARTBEAT_SECONDS

ALWAYS: Final = Instant(0.0)


def _probes() -> Probes:
    return Probes(SecureRandom())  # tokens guard ports: never from a seed


def _ended_runs() -> Heard:
    return Heard("run.exited", "run.lost", look_seconds=inf)  # another pass looks at all


def _rated() -> Heard:
    kinds = ("lease.closed", "booking.broken")
    return Heard(*kinds, of=lambda event: event.data.get("machine_id"), look_seconds=3600.0)


@dataclass(slots=True)
class Turn:
    """How far a pass that looks at some of many has come."""

    after: str = ""
    began_at: Instant | None = None  # with the first of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The database, the blobs, randomness, and the network's settings."""

    database: Database
    blobs: BlobStore
    random: Random
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    down_after_seconds: float = DOWN_AFTER_SECONDS
    listening_since: Instant = ALWAYS  # before that nobody could prove to be alive
    proofs: Proofs = field(default_factory=Proofs)  # heard, not written yet
    shelf: Shelf = field(default_factory=Shelf)  # what the market sells, in memory
    fairness: Fairness = field(default_factory=Fairness)  # whose turn it is
    open_orders: OpenOrders = field(default_factory=OpenOrders)  # at posted prices
    ended_runs: Heard = field(default_factory=_ended_runs)
    trainings: Heard = field(default_factory=lambda: Heard("training.begun"))  # those that go on
    rated: Heard = field(default_factory=_rated)  # machines of which there is something to learn
    metering: Turn = field(default_factory=Turn)  # among the leases that are paid by the second
    list_prices: ListPrices = field(default_factory=packaged)  # what others ask, to compare
    probes: Probes = field(default_factory=_probes)  # links that are being measured

    def follow(self, events: Sequence[StoredEvent]) -> None:
        """Tell all that is kept in memory what was committed."""
        about: dict[str, list[StoredEvent]] = {}
        for each in events:
            about.setdefault(noun(each.event.kind), []).append(each)
        for one in (
            self.shelf, self.fairness, self.open_orders, self.ended_runs, self.trainings, self.rated,
        ):  # fmt: skip
            heard = [part for name, part in about.items() if one.hears(name)]
            one.follow(list(chain.from_iterable(heard)))
