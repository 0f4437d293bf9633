"""Links that are being measured between two machines: in memory alone, since a probe that is lost costs nothing.

The control plane tells one machine to answer and another to ask, with a token for this once. Which address is told to
whom is decided by `rules.reach`: between owners only where both allow it, and only what the control plane saw itself.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.ids import new_id
from gondwana.core.random import Random
from gondwana.jobs.rules import reach
from gondwana.jobs.rules.reach import Reached
from gondwana.wire import agent as wire

PROBE_SECONDS_MAX: Final = 10.0  # then it counts as lost
PROBES_MAX: Final = 512  # at once, in the whole network
PROBES_OF_MACHINE_MAX: Final = 4  # at once
AGAIN_SECONDS_MIN: Final = 60.0  # before the same pair is measured again, however that went
TRIED_MAX: Final = 100_000  # pairs remembered as tried
TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One measurement under way."""

    id: str
    asker: str  # machine ids
    answerer: str
    address: str  # of the answerer, as the asker reaches it
    token: bytes
    begun_at: Instant


class Probes:
    """Who may be measured, and what is being measured; for several threads."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._lock = threading.Lock()
        self._reached: dict[str, Reached] = {}  # by machine, while it is linked
        self._probes: dict[str, Probe] = {}
        self._outbox: dict[str, list[wire.FromPlane]] = {}
        self._tried: dict[tuple[str, str], Instant] = {}
        self.settled_until = Instant(0.0)  # the newest link that sites have followed
        self.wake: Callable[[str], None] = (
            _nobody  # tells a machine's link that there is something to send
        )

    def linked(self, machine_id: str, reached: Reached) -> None:
        """A machine told what its owner allows."""
        with self._lock:
            self._reached[machine_id] = reached

    def unlinked(self, machine_id: str) -> None:
        """Its link is gone."""
        with self._lock:
            self._reached.pop(machine_id, None)
            self._outbox.pop(machine_id, None)

    def neighbours(self) -> list[list[str]]:
        """Machines that may stand together: of one owner behind one address, sorted, those alone left out."""
        groups: dict[tuple[str, str], list[str]] = {}
        with self._lock:
            for machine_id, reached in self._reached.items():
                if reached.peers != wire.PEERS_OFF:
                    groups.setdefault((reached.owner_id, reached.seen_address), []).append(
                        machine_id
                    )
        return [sorted(group) for _, group in sorted(groups.items()) if len(group) > 1]

    def ask(self, pairs: Sequence[tuple[str, str]], now: Instant) -> int:
        """Begin to measure what may be measured of these; returns how many are under way."""
        woken, under_way = set[str](), 0
        with self._lock:
            self._forget_lost(now)
            running = {frozenset((probe.asker, probe.answerer)) for probe in self._probes.values()}
            for pair in pairs:
                if frozenset(pair) in running:
                    under_way += 1
                elif answerer := self._begin(min(pair), max(pair), now):
                    woken.add(answerer)
                    under_way += 1
        for machine_id in woken:
            self.wake(machine_id)
        return under_way

    def take(self, machine_id: str) -> list[wire.FromPlane]:
        """What there is to tell a machine; told once."""
        with self._lock:
            return self._outbox.pop(machine_id, [])

    def listening(self, machine_id: str, message: wire.Listening) -> None:
        """The one that answers is ready: the other may ask."""
        with self._lock:
            probe = self._probes.get(message.probe_id)
            if probe is None or probe.answerer != machine_id or not 0 < message.port < 65_536:
                return
            told = wire.Ask(
                probe_id=probe.id, address=probe.address, port=message.port, token=probe.token
            )
            self._outbox.setdefault(probe.asker, []).append(told)
            asker = probe.asker
        self.wake(asker)

    def measured(self, machine_id: str, message: wire.Measured) -> Probe | None:
        """The probe that this ends; None where it is another's, or was lost."""
        with self._lock:
            probe = self._probes.get(message.probe_id)
            if probe is None or probe.asker != machine_id:
                return None
            return self._probes.pop(probe.id)

    def _begin(self, low: str, high: str, now: Instant) -> str | None:
        """Tell one of two machines to answer; which one, or None where they may not or cannot be measured now."""
        one, other = self._reached.get(low), self._reached.get(high)
        if one is None or other is None or len(self._probes) >= PROBES_MAX:
            return None
        if now - self._tried.get((low, high), Instant(-AGAIN_SECONDS_MIN)) < AGAIN_SECONDS_MIN:
            return None
        if max(self._busy(low), self._busy(high)) >= PROBES_OF_MACHINE_MAX:
            return None
        address, asker, answerer = reach.address_for(one, other), low, high
        if address is None:
            address, asker, answerer = reach.address_for(other, one), high, low
        if address is None:
            return None
        if len(self._tried) >= TRIED_MAX:
            self._tried.clear()
        self._tried[low, high] = now
        probe = Probe(
            id=new_id("prb", now, self._random), asker=asker, answerer=answerer, address=address,
            token=self._random.token(TOKEN_BYTES), begun_at=now,
        )  # fmt: skip
        self._probes[probe.id] = probe
        told = wire.Listen(probe_id=probe.id, token=probe.token, seconds_max=PROBE_SECONDS_MAX)
        self._outbox.setdefault(answerer, []).append(told)
        return answerer

    def _busy(self, machine_id: str) -> int:
        return sum(machine_id in (probe.asker, probe.answerer) for probe in self._probes.values())

    def _forget_lost(self, now: Instant) -> None:
        lost = [each.id for each in self._probes.values() if now - each.begun_at > PROBE_SECONDS_MAX]  # fmt: skip
        for probe_id in lost:
            del self._probes[probe_id]


def _nobody(machine_id: str) -> None:
    """Nobody is to be told."""
