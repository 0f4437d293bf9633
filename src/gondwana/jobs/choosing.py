"""How an order gets machines where the cheapest are not simply the best: gangs, and jobs that a machine has failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.jobs import gangs
from gondwana.jobs.listings import listings_of
from gondwana.jobs.probes import Probes
from gondwana.jobs.rules import memory
from gondwana.jobs.shelf import Shelf
from gondwana.market import store as market
from gondwana.market.model import Charge, Lease, LeaseState, Listing, Order
from gondwana.supply import network

PROBE_WAIT_SECONDS_MAX: Final = 5.0  # that a gang waits for its links to be measured
PAIRS_OF_ORDER_MAX: Final = 64  # links measured for one gang


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """What choosing needs beside the order."""

    reader: Reader
    shelf: Shelf
    probes: Probes
    now: Instant

    def propose(
        self, order: Order, leases: Sequence[Lease], not_machines: Sequence[str] = ()
    ) -> list[str]:
        """The machines that an order of a job with these leases might get now; they count as taken."""
        held = market.held_by(leases, order.id)
        barred = [*memory.barred(leases, self.now), *not_machines]
        failed = memory.failures(leases, self.now)
        if order.count_max == 1 and not failed:
            return self.shelf.propose(self.reader, order, held, barred)
        kept = [lease.machine_id for lease in leases if lease.state is not LeaseState.CLOSED]
        if not failed:
            return self.shelf.propose_chosen(
                self.reader, order, held, barred, lambda found: self._best(order, held, found, kept)
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
        could = self.shelf.candidates(self.reader, order, barred, taken_too=True)
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

        return self.shelf.propose_chosen(self.reader, order, held, barred, choose)

    def _best(
        self, order: Order, held: int, found: Sequence[Listing], kept_ids: Sequence[str]
    ) -> Sequence[Listing] | None:
        """Those that an order lacks, of machines that fit; None while their links are being measured."""
        lacking = order.count_max - held
        if held + len(found) < order.count_min:
            return ()
        alone = order.count_max == 1
        if alone or (order.charge is Charge.UNIT and len(found) <= lacking):
            return found[:lacking]
        kept = listings_of(self.reader, kept_ids)
        if not gangs.differ_in_place([*found, *kept]):
            return found[:lacking]
        both = [*found, *kept]
        pairs = network.pairs_among(self.reader, [str(each.machine_id) for each in both])
        placed = gangs.place(order, found, kept, pairs)
        if placed is None:
            return found[:lacking]
        if order.charge is Charge.SECOND and self._is_measuring(
            order, gangs.unmeasured(placed, both, pairs, PAIRS_OF_ORDER_MAX)
        ):
            return None
        return [found[row] for row in placed.rows if row < len(found)]

    def _is_measuring(self, order: Order, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether links of a gang are being measured that it waits for; asks for it where that can be had."""
        if not pairs or self.now - order.created_at >= PROBE_WAIT_SECONDS_MAX:
            return False
        return self.probes.ask(pairs, self.now) > 0
