"""Jobs and their plans: submit, look, follow, cancel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import SystemClock
from gondwana.core.errors import Unavailable
from gondwana.core.units import format_seconds
from gondwana.sdk.pages import PageOf, every, segment
from gondwana.sdk.transport import Transport
from gondwana.wire.jobs import ExtendRequest, JobSpec, ResizeRequest
from gondwana.wire.plans import AccuracyView
from gondwana.wire.views import EventView, JobView, PlanView

ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})
POLL_SECONDS: Final = 25.0  # the API waits at most 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """A piece of what a node printed."""

    data: bytes
    next_offset: int
    ended: bool  # the job has ended, and nothing more comes


class Plans:
    """What launching a job would do."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def make(self, spec: JobSpec) -> PlanView:
        """Machines, price, time and the amount held for `spec`; nothing is changed."""
        return self._transport.write("POST", "/v1/plans", spec).decode(PlanView)

    def accuracy(self) -> tuple[AccuracyView, ...]:
        """How far off the network's plans were, per device model: actual over predicted."""
        return self._transport.get("/v1/plans/accuracy").decode(PageOf[AccuracyView]).items


class Jobs:
    """The caller's jobs; `job` is an id or a name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def submit(self, spec: JobSpec) -> JobView:
        """The job that was made. Its money is held now; raises NothingFits, FundsTooLow, BudgetTooSmall."""
        return self._transport.write("POST", "/v1/jobs", spec).decode(JobView)

    def get(self, job: str) -> JobView:
        """One job as it stands."""
        return self._transport.get(f"/v1/jobs/{segment(job)}").decode(JobView)

    def list(self) -> Iterator[JobView]:
        """Every job of the caller, the newest first."""
        return every(self._transport, "/v1/jobs", JobView)

    def cancel(self, job: str) -> JobView:
        """The job after asking it to stop; what was not used comes back to the account."""
        return self._transport.write("POST", f"/v1/jobs/{segment(job)}/cancel").decode(JobView)

    def extend(self, job: str, seconds: int) -> JobView:
        """The job with so much more time, for its runs and for leases that were agreed for a time."""
        path = f"/v1/jobs/{segment(job)}/extend"
        return self._transport.write("POST", path, ExtendRequest(seconds=seconds)).decode(JobView)

    def resize(self, job: str, nodes: int) -> JobView:
        """The job with so many machines: raises WrongState for a gang, whose nodes count on each other."""
        path = f"/v1/jobs/{segment(job)}/resize"
        return self._transport.write("POST", path, ResizeRequest(nodes=nodes)).decode(JobView)

    def events(
        self, job: str, *, after: int = 0, wait_seconds: float = 0.0
    ) -> tuple[EventView, ...]:
        """The events after number `after`; waits up to `wait_seconds` (at most 30) for a first one."""
        path = f"/v1/jobs/{segment(job)}/events"
        answer = self._transport.get(
            path, poll_seconds=wait_seconds, after=after, wait=wait_seconds
        )
        return answer.decode(PageOf[EventView]).items

    def read_log(
        self, job: str, *, rank: int = 0, offset: int = 0, wait_seconds: float = 0.0
    ) -> LogPiece:
        """What one node printed from byte `offset` on; waits up to `wait_seconds` (at most 30) for more of it."""
        path = f"/v1/jobs/{segment(job)}/logs"
        answer = self._transport.get(
            path, poll_seconds=wait_seconds, rank=rank, offset=offset, wait=wait_seconds
        )
        return LogPiece(
            data=answer.body,
            next_offset=int(answer.headers.get("X-Log-Next", offset + len(answer.body))),
            ended=answer.headers.get("X-Log-End") == "1",
        )

    def logs(self, job: str, *, rank: int = 0, follow: bool = False) -> Iterator[bytes]:
        """What one node printed, in pieces from its start; with `follow` until the job has ended."""
        offset = 0
        while True:
            wait = POLL_SECONDS if follow else 0.0
            piece = self.read_log(job, rank=rank, offset=offset, wait_seconds=wait)
            if piece.data:
                yield piece.data
            offset = piece.next_offset
            if piece.ended or not (follow or piece.data):
                return

    def watch(self, job: str) -> Iterator[JobView]:
        """The job now, and again after each of its events, until it has ended."""
        view = self.get(job)
        yield view
        after = 0
        while view.state not in ENDED:
            events = self.events(view.id, after=after, wait_seconds=POLL_SECONDS)
            after = max([after, *(event.seq for event in events)])
            view = self.get(view.id)
            yield view

    def wait(self, job: str, *, seconds_max: float | None = None) -> JobView:
        """The job once it has ended; raises Unavailable after `seconds_max` (then it goes on without us)."""
        clock = SystemClock()
        started = clock.now()
        for view in self.watch(job):
            if view.state in ENDED:
                return view
            if seconds_max is not None and clock.now() - started > seconds_max:
                raise Unavailable(
                    f"{view.name} has not ended within {format_seconds(seconds_max)}: it is {view.state}",
                    hint=f"it goes on; look again: gondwana jobs wait {view.name}",
                )
        raise AssertionError("a job is watched until it has ended")
