"""Plans and jobs."""

from typing import Any

from fastapi import APIRouter, Query, Response

from gondwana.api import views
from gondwana.api.deps import (
    LIMIT_MAX,
    CallerDep,
    OperatorDep,
    PlaneDep,
    ReaderDep,
    TenantDep,
    WriteDep,
    answer,
    page,
)
from gondwana.core.clock import Instant
from gondwana.db.events import events_after
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import admit, end, store
from gondwana.jobs.model import Job, JobReason, JobState
from gondwana.jobs.rules import batch
from gondwana.policy import rules as policy_rules
from gondwana.policy.model import Caller, Scope
from gondwana.wire.jobs import JobSpec
from gondwana.wire.views import JobView, PlanView

router = APIRouter(prefix="/v1", tags=["jobs"])
WAIT_SECONDS_MAX = 30.0  # of a long poll
LOG_BYTES_MAX = 256 * 1024  # of one answer


@router.post("/plans", response_model=PlanView)
def make_plan(spec: JobSpec, caller: TenantDep, plane: PlaneDep, reader: ReaderDep) -> Response:
    """Which machines the job would get now, for how much; nothing is changed."""
    return answer(views.plan_view(admit.plan(reader, caller.principal.id, spec, plane.clock.now())))


@router.post("/jobs", response_model=JobView)
def submit(spec: JobSpec, caller: TenantDep, plane: PlaneDep, write: WriteDep) -> Response:
    """Launch a job; its blobs have been uploaded before."""
    policy_rules.check_spec(spec)
    admit.check_blobs(plane.context.blobs, spec)

    def run(tx: Transaction, now: Instant) -> Any:
        job = admit.submit(tx, plane.context.random, now, caller.principal.id, spec)
        return views.job_view(tx, job)

    return write(run)


@router.get("/jobs")
def list_jobs(
    caller: TenantDep,
    reader: ReaderDep,
    cursor: str | None = None,
    limit: int = Query(50, ge=1, le=LIMIT_MAX),
) -> Response:
    """The caller's jobs, newest first."""
    found = store.jobs(reader, caller.principal.id, before=cursor, limit=limit)
    items = [views.job_view(reader, job, whole=False) for job in found]
    return page(items, found[-1].id if len(found) == limit else None)


@router.get("/jobs/{job_id}", response_model=JobView)
def show(job_id: str, caller: TenantDep, reader: ReaderDep) -> Response:
    """One job, by id or by name."""
    return answer(views.job_view(reader, _job(reader, caller, job_id)))


@router.post("/jobs/{job_id}/cancel", response_model=JobView)
def cancel(job_id: str, caller: TenantDep, write: WriteDep) -> Response:
    """End a job; what it did not spend comes back. Cancelling an ended job changes nothing."""

    def run(tx: Transaction, now: Instant) -> Any:
        job = _job(tx, caller, job_id)
        how = batch.End(state=JobState.CANCELLED, reason=JobReason.CANCELLED, exit_code=130)
        return views.job_view(tx, end.end_job(tx, now, job, how))

    return write(run)


@router.get("/jobs/{job_id}/events")
def job_events(
    job_id: str, caller: TenantDep, plane: PlaneDep, reader: ReaderDep, after: int = 0,
    wait: float = Query(0.0, ge=0, le=WAIT_SECONDS_MAX), limit: int = Query(LIMIT_MAX, ge=1, le=1000),
) -> Response:  # fmt: skip
    """What happened to a job after event number `after`; waits up to `wait` seconds for a first one."""
    job = _job(reader, caller, job_id)
    return _events(plane, reader, after, wait, limit, job.id)


@router.get("/events")
def all_events(
    caller: OperatorDep, plane: PlaneDep, reader: ReaderDep, after: int = 0,
    wait: float = Query(0.0, ge=0, le=WAIT_SECONDS_MAX), limit: int = Query(LIMIT_MAX, ge=1, le=1000),
) -> Response:  # fmt: skip
    """What happened on the whole network."""
    return _events(plane, reader, after, wait, limit, None)


@router.get("/jobs/{job_id}/logs")
def logs(
    job_id: str, caller: TenantDep, plane: PlaneDep, reader: ReaderDep, rank: int = 0, offset: int = Query(0, ge=0),
    wait: float = Query(0.0, ge=0, le=WAIT_SECONDS_MAX),
) -> Response:  # fmt: skip
    """A node's output from byte `offset` on. X-Log-Next: where to go on; X-Log-End: 1 when there will be no more."""
    job = _job(reader, caller, job_id)
    deadline = plane.clock.now() + wait
    seq = 0
    while True:
        job = store.job(reader, job.id)
        data = _log(reader, job, rank, offset)[:LOG_BYTES_MAX]
        left = deadline - plane.clock.now()
        if data or job.ended or left <= 0:
            ended = job.ended and len(data) < LOG_BYTES_MAX
            headers = {"x-log-next": str(offset + len(data)), "x-log-end": str(int(ended))}
            return Response(data, media_type="application/octet-stream", headers=headers)
        seq = plane.wait_for_news(seq, min(left, 0.25))


def _log(reader: Reader, job: Job, rank: int, offset: int) -> bytes:
    """All attempts of a node, one after the other."""
    text = b""
    for run in store.runs_of_job(reader, job.id):
        if run.rank == rank:
            size = store.log_bytes(reader, run.id)
            if offset < size:
                text += store.read_log(reader, run.id, offset)
                offset = 0
                if len(text) >= LOG_BYTES_MAX:
                    break
            else:
                offset -= size
    return text


def _events(
    plane: PlaneDep, reader: Reader, after: int, wait: float, limit: int, job_id: str | None
) -> Response:
    deadline = plane.clock.now() + wait
    seen = after
    while True:
        found = events_after(reader, after, limit=limit, job_id=job_id)
        left = deadline - plane.clock.now()
        if found or left <= 0:
            return page(
                [views.event_view(each) for each in found],
                str(found[-1].seq) if found else str(after),
            )
        seen = max(seen, plane.wait_for_news(seen, min(left, 5.0)))


def _job(reader: Reader, caller: CallerDep | Caller, name_or_id: str) -> Job:
    if Scope.OPERATOR in caller.scopes and name_or_id.startswith("job_"):
        return store.job(reader, name_or_id)
    return store.job_of(reader, caller.principal.id, name_or_id)
