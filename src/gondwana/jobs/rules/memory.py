"""What a job remembers of the machines that failed it; pure.

A machine that was lost, or could not run it, is used again only when nobody else could serve, and never at once. What
stands or falls with it (the same owner's machines at the same site, or behind the same address) comes before it, but
after all others. How long the job waits for the others is bounded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gondwana.core.clock import Instant
from gondwana.market.model import CloseReason, Lease, LeaseState, Listing

NEVER_AGAIN: Final = frozenset({CloseReason.WORK_REJECTED, CloseReason.RUN_FAILED})
"""Ends of a lease after which the same job does not come back to that machine."""

FAILURES: Final = frozenset({CloseReason.MACHINE_LOST, CloseReason.RUN_FAILED})
"""Ends of a lease that are remembered of the machine and of what stands or falls with it."""

MEMORY_SECONDS: Final = 3_600  # a failure before that says nothing of today
REST_SECONDS: Final = 5  # in which a machine that failed a job gets it back in no case
WAIT_SECONDS_MAX: Final = 60  # for others that are taken now, before one turns to who failed it


class Nearness(IntEnum):
    """How near a machine is to those that failed a job; the less, the better."""

    APART = 0  # has nothing to do with them
    DOMAIN = 1  # would fall with one of them
    FAILED = 2  # is one of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Which machines failed a job lately, and when."""

    machines: Mapping[str, Instant]
    domains: frozenset[tuple[str, str]]  # (owner, site or address)

    @property
    def last_at(self) -> Instant:
        """When one did so last."""
        return max(self.machines.values())

    def nearness(self, listing: Listing) -> Nearness:
        """How near a machine is to them."""
        if listing.machine_id in self.machines:
            return Nearness.FAILED
        return Nearness.DOMAIN if domains_of(listing) & self.domains else Nearness.APART


def domains_of(listing: Listing) -> frozenset[tuple[str, str]]:
    """What a machine may fall with."""
    return frozenset(
        (listing.owner_id, place) for place in (listing.site, listing.address) if place
    )


def barred(leases: Iterable[Lease], now: Instant | None = None) -> list[str]:
    """The machines that a job gets no lease of: those that serve it, those that may not again, and that rest `now`."""
    found = (
        lease.machine_id
        for lease in leases
        if lease.state is not LeaseState.CLOSED
        or lease.reason in NEVER_AGAIN
        or (now is not None and _is_remembered(lease, now, REST_SECONDS))
    )
    return list(dict.fromkeys(found))


def failures(leases: Iterable[Lease], now: Instant) -> dict[str, Instant]:
    """The machines that failed a job lately, and when."""
    found: dict[str, Instant] = {}
    for lease in leases:
        if lease.closed_at is not None and _is_remembered(lease, now, MEMORY_SECONDS):
            found[lease.machine_id] = max(
                lease.closed_at, found.get(lease.machine_id, lease.closed_at)
            )
    return found


def tiers(failed: Failed, listings: Sequence[Listing]) -> list[list[Listing]]:
    """The machines by how near they are to those that failed, the best first; none is left out."""
    found: list[list[Listing]] = [[], [], []]
    for listing in listings:
        found[failed.nearness(listing)].append(listing)
    return found


def may_turn_back(failed: Failed, now: Instant) -> bool:
    """Whether a job has waited long enough for others, and takes who stands near those that failed it."""
    return now - failed.last_at >= WAIT_SECONDS_MAX


def is_resting(failed: Failed, now: Instant) -> bool:
    """Whether one of them may serve again soon, though not yet."""
    return now - failed.last_at < REST_SECONDS


def _is_remembered(lease: Lease, now: Instant, seconds: float) -> bool:
    ended = lease.state is LeaseState.CLOSED and lease.reason in FAILURES
    return ended and lease.closed_at is not None and now - lease.closed_at < seconds
