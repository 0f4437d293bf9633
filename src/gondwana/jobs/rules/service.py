"""What a lease owed its tenant and what was proven of it, month by month; pure.

Time that nobody is to blame for is no outage: before the worker first lived, after the tenant's command ended, and
while the network itself was away (`Gap`). All times are the control plane's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gondwana.core.clock import Instant
from gondwana.ledger.rules.sla import GRACE_MS
from gondwana.ledger.service import UNSERVED_MS_MAX, Service, promised_ms
from gondwana.market.model import CloseReason, Lease, LeaseState
from gondwana.market.rules import PROOF_GAP_SECONDS_MAX

KEPT_SECONDS: Final = (
    35 * 86_400
)  # after its end, what could not be paid of a lease's credits is due no more
GROWN_SECONDS: Final = (
    240.0  # between two credits while an outage goes on: the next pass is within five minutes
)
CHARGED_SECONDS: Final = 3_600.0  # between two that only follow what was charged meanwhile
PROVIDER_ENDS: Final = frozenset(
    {CloseReason.MACHINE_LOST, CloseReason.RUN_FAILED, CloseReason.OWNER_LEFT}
)
"""Ends without notice. An owner gives notice by draining, and his machine then finishes what it serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which the network could not hear its machines, or they could not come back yet."""

    since: Instant
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a lease went, as far as it is known."""

    lease: Lease
    known_until: Instant  # what came later is not judged yet
    command_ended_at: Instant | None = None  # by itself: nothing is missing after it
    job_ended_at: Instant | None = None
    served_again_at: Instant | None = None  # its place in the order, by another machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a lease had proven and paid before one of its months began."""

    proven_ms: int = 0
    paid_micro_usd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One lease's time in one month, in milliseconds."""

    live_ms: int  # less what was excused
    unserved_ms: int  # after its owner ended it, less what was excused
    excused_ms: int

    @property
    def promised_ms(self) -> int:
        """What the lease owed."""
        return promised_ms(self.live_ms, unserved_ms=self.unserved_ms)


def month_of(at: Instant) -> str:
    """`2026-11`: the month of an instant, UTC."""
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m")


def month_begins(month: str) -> Instant:
    """The first instant of a month, UTC."""
    return Instant(datetime.strptime(f"{month} +0000", "%Y-%m %z").timestamp())


def next_month(month: str) -> str:
    """The month after."""
    return month_of(Instant(month_begins(month) + 31 * 86_400 + 3_600))


def months(course: Course) -> list[str]:
    """The months in which the lease was live, the earliest first; none before its worker lived."""
    lease = course.lease
    if lease.lived_at is None:
        return []
    found, last = [month_of(lease.lived_at)], month_of(live_until(course))
    while found[-1] < last:
        found.append(next_month(found[-1]))
    return found


def live_until(course: Course) -> Instant:
    """Until when the lease owed its service: now, its end, or its command's own end.

    The tail after the last proof is left out while the next one can still prove it; after an end that its owner is not
    to blame for, it is nobody's.
    """
    lease = course.lease
    end = course.known_until
    if lease.closed_at is not None:
        end = min(end, lease.closed_at)
    if course.command_ended_at is not None:
        end = min(end, course.command_ended_at)
    proven_at, blamed = lease.proven_at or end, was_ended_by_owner(lease)
    return (
        proven_at if not blamed and 0 < end - proven_at <= PROOF_GAP_SECONDS_MAX else Instant(end)
    )


def unserved(course: Course) -> tuple[Instant, Instant] | None:
    """From the owner's end without notice until the order was served again, the job ended or a day was over."""
    closed_at = course.lease.closed_at
    if closed_at is None or not was_ended_by_owner(course.lease):
        return None
    ends = [course.known_until, closed_at + UNSERVED_MS_MAX / 1000]
    ends += [at for at in (course.job_ended_at, course.served_again_at) if at is not None]
    lease = course.lease
    if lease.reclaim_at is not None and lease.notice_seconds:
        ends.append(lease.reclaim_at)  # it would have ended then, as agreed
    return closed_at, Instant(max(closed_at, min(ends)))


def was_ended_by_owner(lease: Lease) -> bool:
    """Whether the owner's side ended it without notice."""
    return lease.state is LeaseState.CLOSED and lease.reason in PROVIDER_ENDS


def is_over(course: Course) -> bool:
    """Whether nothing of the lease can change any more, but for what is still to be paid."""
    lease = course.lease
    if lease.closed_at is None or course.known_until < lease.closed_at:
        return False
    missing = unserved(course)
    return missing is None or missing[1] < course.known_until


def measure(course: Course, month: str, gaps: Sequence[Gap]) -> Measured:
    """What the lease owed in one month."""
    lease, missing = course.lease, unserved(course)
    assert lease.lived_at is not None
    live = _within(month, lease.lived_at, live_until(course))
    after = _within(month, *missing) if missing else None
    live_excused, after_excused = excused_ms(live, gaps), excused_ms(after, gaps)
    return Measured(
        live_ms=_length_ms(live) - live_excused,
        unserved_ms=_length_ms(after) - after_excused,
        excused_ms=live_excused + after_excused,
    )


def proven_before(lease: Lease, earlier: Start, month: str, gaps: Sequence[Gap]) -> int:
    """What of a lease's proven time was before a month, told within the month's first passes.

    Heartbeats tell sums, so the seconds around midnight are counted for the new month as far as they fit into it: where
    some were missing just then, it is the old month that lacks them.
    """
    begun, proven_at = month_begins(month), lease.proven_at or month_begins(month)
    span = (begun, Instant(max(begun, proven_at)))
    fits = _length_ms(span) - excused_ms(span, gaps)
    return lease.proven_ms - min(lease.proven_ms - earlier.proven_ms, fits)


def excused_ms(span: tuple[Instant, Instant] | None, gaps: Sequence[Gap]) -> int:
    """How much of a span lies in the gaps, which may overlap."""
    if span is None:
        return 0
    total, at = 0.0, span[0]
    for gap in sorted(gaps, key=lambda gap: gap.since):
        since, until = max(at, gap.since), min(span[1], gap.until)
        if until > since:
            total, at = total + until - since, Instant(until)
    return round(total * 1000)


def may_miss(
    lease: Lease, known_until: Instant, *, start: Start, month: str, gaps: Sequence[Gap]
) -> bool:
    """Whether so much of the month is unproven that the lease is worth a look, by its own row alone."""
    if lease.lived_at is None:
        return False
    span = _within(month, lease.lived_at, live_until(Course(lease=lease, known_until=known_until)))
    owed_ms = _length_ms(span) - excused_ms(span, gaps)
    return owed_ms - (lease.proven_ms - start.proven_ms) >= GRACE_MS


def is_due_again(
    service: Service, due: int, *, outage_ms: int, since_seconds: float | None
) -> bool:
    """Whether a credit that grew to `due` is posted now: at once the first time, then in steps a person can read.

    `outage_ms` is what was missing when the last one was posted, `since_seconds` ago.
    """
    if due <= service.credited_micro_usd:
        return False
    grown = service.outage_ms >= outage_ms + GRACE_MS
    return since_seconds is None or since_seconds >= (GROWN_SECONDS if grown else CHARGED_SECONDS)


def _within(month: str, since: Instant, until: Instant) -> tuple[Instant, Instant]:
    """The part of a span that lies in a month; empty where none does."""
    begins, ends = month_begins(month), month_begins(next_month(month))
    first = Instant(min(max(since, begins), ends))
    return first, Instant(max(first, min(until, ends)))


def _length_ms(span: tuple[Instant, Instant] | None) -> int:
    return round((span[1] - span[0]) * 1000) if span else 0
