"""How an order gets machines where the cheapest are not simply the best: gangs, and jobs that a machine has failed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.transaction import Reader
from gondwana.jobs import gangs
from gondwana.jobs.listings import listings_of
from gondwana.jobs.probes import Probes
from gondwana.jobs.rules import memory
from gondwana.jobs.shelf import Shelf
from gondwana.market import store as market
from gondwana.market.alternatives import going_on, variants
from gondwana.market.model import Charge, Lease, LeaseState, Listing, Mechanism, Order
from gondwana.market.placement.model import Placement
from gondwana.supply import network
from gondwana.supply.model import Pair

PROBE_WAIT_SECONDS_MAX: Final = 5.0  # that a gang waits for its links to be measured
PAIRS_OF_ORDER_MAX: Final = 64  # links measured for one gang


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """What choosing needs beside the order."""

    reader: Reader
    shelf: Shelf
    probes: Probes
    now: Instant

    def propose_any(
        self, order: Order, leases: Sequence[Lease], not_machines: Sequence[str] = ()
    ) -> tuple[Order, list[str]]:
        """The same of an order that has kinds: as the one that is found, or as it is; and the machines."""
        live = [
            each.machine_id
            for each in leases
            if each.order_id == order.id and each.state is not LeaseState.CLOSED
        ]
        running = listings_of(self.reader, live) if live else ()
        found = list(going_on(variants(order), leases, running, self.now))
        if not order.resources.is_ordered:
            found.sort(key=lambda each: self._hourly(each, leases, not_machines))
        for number, each in enumerate(found, start=1):
            with self.shelf.trying(each.id, is_last=number == len(found)):
                if machine_ids := self.propose(each, leases, not_machines):
                    return each, machine_ids
        return order, []

    def _hourly(self, order: Order, leases: Sequence[Lease], not_machines: Sequence[str]) -> float:
        """What a machine of those that an order lacks costs in an hour; infinite where there are too few."""
        held = market.held_by(leases, order.id)
        lacking, least = order.count_max - held, max(1, order.count_min - held)
        barred = {*memory.barred(leases, self.now), *not_machines}
        wide = replace(order, count_max=lacking + len(barred))
        names = self.shelf.find(self.reader, wide, self.now, in_pass=True)
        free = [each for each in names if each not in barred][:lacking]
        prices = self.shelf.prices(free)
        return sum(prices) * order.devices / len(free) if len(free) >= least else inf

    def propose(
        self, order: Order, leases: Sequence[Lease], not_machines: Sequence[str] = ()
    ) -> list[str]:
        """The machines that an order of a job with these leases might get now; they count as taken."""
        held = market.held_by(leases, order.id)
        barred = [*memory.barred(leases, self.now), *not_machines]
        failed = memory.failures(leases, self.now)
        if order.count_max == 1 and not failed:
            return self.shelf.propose(self.reader, order, held, barred, self.now)
        kept = [lease.machine_id for lease in leases if lease.state is not LeaseState.CLOSED]
        if not failed:
            return self.shelf.propose_chosen(
                self.reader,
                order,
                held,
                barred,
                self.now,
                lambda found: self._best(order, held, found, kept),
            )
        return self._after_failure(order, held, barred, kept, failed)

    def _after_failure(
        self, order: Order, held: int, barred: Sequence[str], kept: Sequence[str], failed: dict[str, Instant]
    ) -> list[str]:  # fmt: skip
        """Others first, then what would fall with who failed it, then who failed it; better ones are waited for."""
        known = listings_of(self.reader, failed)
        with_them = listings_of(self.reader, kept)  # a gang that stays there falls with it anyway
        domains = frozenset[tuple[str, str]]().union(*map(memory.domains_of, known))
        domains = domains.difference(*map(memory.domains_of, with_them))
        lately = memory.Failed(machines=failed, domains=domains)
        could = self.shelf.candidates(self.reader, order, self.now, barred, taken_too=True)
        lacking = max(1, order.count_min - held)

        def choose(found: Sequence[Listing]) -> Sequence[Listing] | None:
            better, could_better = list[Listing](), 0
            for tier, could_tier in zip(
                memory.tiers(lately, found), memory.tiers(lately, could), strict=True
            ):
                better += tier
                could_better += len(could_tier)
                if len(better) >= lacking:
                    return self._best(order, held, better, kept)
                if could_better >= lacking and not memory.may_turn_back(lately, self.now):
                    return None
            return None if memory.is_resting(lately, self.now) else ()

        return self.shelf.propose_chosen(self.reader, order, held, barred, self.now, choose)

    def _best(
        self, order: Order, held: int, found: Sequence[Listing], kept_ids: Sequence[str]
    ) -> Sequence[Listing] | None:
        """Those that an order lacks, of machines that fit; None while their links are being measured."""
        lacking = order.count_max - held
        if held + len(found) < order.count_min:
            return ()
        kept = listings_of(self.reader, kept_ids)
        placed, pairs = _placed(self.reader, order, found, kept, lacking)
        if placed is None:
            return found[:lacking]
        if order.charge is Charge.SECOND and self._is_measuring(
            order, gangs.unmeasured(placed, [*found, *kept], pairs, PAIRS_OF_ORDER_MAX)
        ):
            return None
        return [found[row] for row in placed.rows if row < len(found)]

    def _is_measuring(self, order: Order, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether links of a gang are being measured that it waits for; asks for it where that can be had."""
        if not pairs or self.now - order.created_at >= PROBE_WAIT_SECONDS_MAX:
            return False
        return self.probes.ask(pairs, self.now) > 0


def find(
    reader: Reader, shelf: Shelf, order: Order, now: Instant, *, taken_too: bool = False
) -> list[Listing]:
    """The machines that a new order would get now, or if nothing were leased; takes nothing.

    Where these are too few they are what there is, cheapest first.
    """
    if order.count_max == 1 or order.mechanism is not Mechanism.POSTED:
        return listings_of(reader, shelf.find(reader, order, now, taken_too=taken_too))
    found = shelf.candidates(reader, order, now, taken_too=taken_too)
    placed, _ = _placed(reader, order, found, (), order.count_max)
    return found[: order.count_max] if placed is None else [found[row] for row in placed.rows]


def picker(
    reader: Reader, order: Order, found: Sequence[Listing]
) -> Callable[[Sequence[Listing], int], Sequence[Listing]]:
    """Gives so many of some of these machines, cheapest first, as the market would give them to a new order."""
    alone = order.count_max == 1 or order.mechanism is not Mechanism.POSTED
    if alone or not gangs.differ_in_place(found):
        return lambda some, count: some[:count]
    pairs = network.pairs_among(reader, [str(each.machine_id) for each in found])

    def pick(some: Sequence[Listing], count: int) -> Sequence[Listing]:
        wanted = replace(order, count_min=min(order.count_min, count), count_max=count)
        placed = (
            None if _is_plain(wanted, some, (), count) else gangs.place(wanted, some, (), pairs)
        )
        return some[:count] if placed is None else [some[row] for row in placed.rows]

    return pick


def told(reader: Reader, order: Order, listings: Sequence[Listing]) -> tuple[str, ...]:
    """What there is to say of where an order's machines stand."""
    alone = order.count_max == 1 or order.charge is Charge.UNIT or len(listings) < 2
    if alone or not gangs.differ_in_place(listings):
        return ()
    pairs = network.pairs_among(reader, [str(each.machine_id) for each in listings])
    return (gangs.told(listings, order.devices, pairs),)


def _placed(
    reader: Reader, order: Order, found: Sequence[Listing], kept: Sequence[Listing], lacking: int
) -> tuple[Placement | None, list[Pair]]:
    """(where an order goes, the links that are known); no place where the cheapest will do, or all are needed."""
    if _is_plain(order, found, kept, lacking):
        return None, []
    pairs = network.pairs_among(reader, [str(each.machine_id) for each in (*found, *kept)])
    return gangs.place(order, found, kept, pairs), pairs


def _is_plain(
    order: Order, found: Sequence[Listing], kept: Sequence[Listing], lacking: int
) -> bool:
    all_are_needed = order.charge is Charge.UNIT and len(found) <= lacking
    return order.count_max == 1 or all_are_needed or not gangs.differ_in_place([*found, *kept])
