"""Plans and jobs."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from gondwana.api import plan_views, views
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
    page_of,
    strict,
)
from gondwana.api.plane import Plane
from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.events import events_after
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import admit, end, plans, predictions, resizes, store
from gondwana.jobs.model import Job, JobReason, JobState
from gondwana.jobs.rules import batch
from gondwana.policy.model import Caller, Scope
from gondwana.wire.jobs import ExtendRequest, JobSpec, ResizeRequest
from gondwana.wire.views import JobView, PlanView

router = APIRouter(prefix="/v1", tags=["jobs"])
SpecTold = Annotated[JobSpec, strict(JobSpec)]
WAIT_SECONDS_MAX = 30.0  # of a long poll
LOG_BYTES_MAX = 256 * 1024  # of one answer


@router.post("/plans", response_model=PlanView)
def make_plan(spec: SpecTold, caller: TenantDep, plane: PlaneDep, reader: ReaderDep) -> Response:
    """Which machines the job would get now, for how much, and what else could be done; nothing is changed."""
    context, tenant_id = plane.context, caller.principal.id
    planned = plans.make(
        reader, context.shelf, context.list_prices, tenant_id, spec, plane.clock.now()
    )
    return answer(plan_views.plan_view(planned))


@router.get("/plans/accuracy")
def plan_accuracy(caller: TenantDep, reader: ReaderDep) -> Response:
    """How far off the network's plans were, per device model and by what they rested on: actual over predicted."""
    return page([plan_views.accuracy_view(each) for each in predictions.accuracy(reader)])


@router.post("/jobs", response_model=JobView)
def submit(
    spec: SpecTold, caller: TenantDep, plane: PlaneDep, reader: ReaderDep, write: WriteDep
) -> Response:
    """Launch a job; its blobs have been uploaded before."""
    admit.check(spec)
    admit.check_blobs(plane.context.blobs, spec)
    tenant_id = caller.principal.id
    seen = admit.look(reader, plane.context.shelf, tenant_id, spec, plane.clock.now())
    expected = plans.predict(reader, tenant_id, spec, seen)

    def run(tx: Transaction, now: Instant) -> Any:
        job = admit.submit(tx, plane.context.random, now, tenant_id, spec, seen)
        if expected is not None:
            predictions.save(tx, replace(expected, job_id=job.id))
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
    return page_of(found, limit, lambda each: views.job_view(reader, each, whole=False))


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


@router.post("/jobs/{job_id}/extend", response_model=JobView)
def extend(
    job_id: str,
    told: Annotated[ExtendRequest, strict(ExtendRequest)],
    caller: TenantDep,
    write: WriteDep,
) -> Response:
    """Give a job more time: its runs, and its leases where they were agreed for a time."""

    def run(tx: Transaction, now: Instant) -> Any:
        return views.job_view(tx, resizes.extend(tx, now, _job(tx, caller, job_id), told.seconds))

    return write(run)


@router.post("/jobs/{job_id}/resize", response_model=JobView)
def resize(
    job_id: str,
    told: Annotated[ResizeRequest, strict(ResizeRequest)],
    caller: TenantDep,
    write: WriteDep,
) -> Response:
    """Give a job more or fewer machines while it runs."""

    def run(tx: Transaction, now: Instant) -> Any:
        return views.job_view(tx, resizes.resize(tx, now, _job(tx, caller, job_id), told.nodes))

    return write(run)


@router.get("/jobs/{job_id}/events")
async def job_events(
    job_id: str, caller: TenantDep, plane: PlaneDep, reader: ReaderDep, after: int = 0,
    wait: float = Query(0.0, ge=0, le=WAIT_SECONDS_MAX), limit: int = Query(LIMIT_MAX, ge=1, le=1000),
) -> Response:  # fmt: skip
    """What happened to a job after event number `after`; waits up to `wait` seconds for a first one."""
    job = await run_in_threadpool(_job, reader, caller, job_id)
    return await _follow(plane, job.id, wait, partial(_events, reader, after, limit, job.id))


@router.get("/events")
async def all_events(
    caller: OperatorDep, plane: PlaneDep, reader: ReaderDep, after: int = 0,
    wait: float = Query(0.0, ge=0, le=WAIT_SECONDS_MAX), limit: int = Query(LIMIT_MAX, ge=1, le=1000),
) -> Response:  # fmt: skip
    """What happened on the whole network."""
    return await _follow(plane, None, wait, partial(_events, reader, after, limit, None))


@router.get("/jobs/{job_id}/logs")
async def logs(
    job_id: str, caller: TenantDep, plane: PlaneDep, reader: ReaderDep, rank: int = 0, offset: int = Query(0, ge=0),
    wait: float = Query(0.0, ge=0, le=WAIT_SECONDS_MAX),
) -> Response:  # fmt: skip
    """A node's output from byte `offset` on. X-Log-Next: where to go on; X-Log-End: 1 when there will be no more."""
    job = await run_in_threadpool(_job, reader, caller, job_id)
    return await _follow(plane, job.id, wait, partial(_output, reader, job.id, rank, offset))


async def _follow(
    plane: Plane, job_id: str | None, wait_seconds: float, look: Callable[[bool], Response | None]
) -> Response:
    """What `look(last)` answers, asked again whenever something happened; it must answer when `last`.

    Whoever waits holds no thread, so thousands may.
    """
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    deadline = plane.clock.now() + wait_seconds

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closing
            loop.call_soon_threadsafe(woken.set)

    with plane.following(job_id, wake):
        while True:
            woken.clear()
            left = deadline - plane.clock.now()
            found = await run_in_threadpool(look, left <= 0)
            if found is not None:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await woken.wait()


def _output(reader: Reader, job_id: str, rank: int, offset: int, last: bool) -> Response | None:
    job = store.job(reader, job_id)
    data, whole = _log(reader, job, rank, offset)
    if not (data or job.ended or last):
        return None
    headers = {
        "x-log-next": str(offset + len(data)),
        "x-log-end": str(int(job.ended and whole)),
    }
    return Response(data, media_type="application/octet-stream", headers=headers)


def _log(reader: Reader, job: Job, rank: int, offset: int) -> tuple[bytes, bool]:
    """All attempts of a node, one after the other, from byte `offset` on; and whether that is all there is."""
    text = b""
    for run in store.runs_of_job(reader, job.id):
        size = store.log_bytes(reader, run.id) if run.rank == rank else 0
        if offset >= size:
            offset -= size
            continue
        piece = store.read_log(reader, run.id, offset)
        text += piece
        if len(text) > LOG_BYTES_MAX or offset + len(piece) < size:
            return text[:LOG_BYTES_MAX], False
        offset = 0
    return text, True


def _events(
    reader: Reader, after: int, limit: int, job_id: str | None, last: bool
) -> Response | None:
    found = events_after(reader, after, limit=limit, job_id=job_id)
    if not (found or last):
        return None
    return page([views.event_view(each) for each in found], str(found[-1].seq if found else after))


def _job(reader: Reader, caller: CallerDep | Caller, name_or_id: str) -> Job:
    if Scope.OPERATOR in caller.scopes and name_or_id.startswith("job_"):
        return store.job(reader, name_or_id)
    return store.job_of(reader, caller.principal.id, name_or_id)
