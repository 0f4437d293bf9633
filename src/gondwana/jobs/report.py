"""What an agent reports, stored once: repeated, late and foreign reports change nothing."""

from gondwana.blobs.base import BlobStore
from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, ManifestMismatch, NoSuchThing, StaleEpoch
from gondwana.core.ids import JobId
from gondwana.core.values import replace
from gondwana.db.blob_references import hold_blobs, release_blobs
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, holders, store
from gondwana.jobs.model import RUN_TRANSITIONS, Job, JobState, RunState, Unit, UnitState
from gondwana.jobs.rules import batch, results
from gondwana.jobs.rules.rounds import AGENT_FAILURES, DIED
from gondwana.market import rules as market_rules
from gondwana.market import store as market
from gondwana.market.model import CloseReason, Lease, LeaseState
from gondwana.supply import store as supply
from gondwana.wire.agent import CheckpointReport, LeaseProof, LogChunk, RunReport, UnitReport
from gondwana.wire.units import UnitKind

REPORTED = {str(state): state for state in (RunState.PREPARING, RunState.RUNNING, RunState.EXITED)}
"""What an agent may report; how else a run ends is not its word."""
MISMATCH = f"{ManifestMismatch.code}:"
"""Beginning of a failure of the network's: the machine refused to run what was not ordered."""


def heartbeat(
    tx: Transaction, now: Instant, machine_id: str, proofs: tuple[LeaseProof, ...]
) -> None:
    """The machine proved at `now` to be alive, and which leases it serves; only such time is ever paid."""
    supply.prove_life(tx, machine_id, now)
    proven = {proof.lease_id: proof for proof in proofs}
    for lease in market.live_leases_of_machine(tx, machine_id) if proven else ():
        proof = proven.get(lease.id)
        if proof is not None and proof.epoch == lease.epoch:
            market.prove(tx, market_rules.proved(lease, now, alive=proof.alive))


def run_report(tx: Transaction, now: Instant, machine_id: str, report: RunReport) -> None:
    """Move a run to the state its agent reports; raises StaleEpoch for a lease that is not this machine's any more."""
    lease = live_lease(tx, machine_id, report.lease_id, report.epoch)
    run = store.run(tx, report.run_id)
    if run.lease_id != lease.id:
        raise StaleEpoch(run=report.run_id)
    to = REPORTED.get(report.state)
    if to is None:
        raise InvalidValue(field="state", value=report.state[:80])
    if to is RunState.EXITED and report.reason.startswith(MISMATCH):
        end.close_lease(tx, now, lease, CloseReason.MANIFEST_MISMATCH)
        return
    if (
        to is RunState.EXITED
        and report.exit_code is None
        and report.reason.startswith(AGENT_FAILURES)
    ):
        end.close_lease(tx, now, lease, CloseReason.RUN_FAILED)
        return
    if not batch.may_move_run(run, to):
        return
    if to is RunState.EXITED and batch.was_stopped_by_notice(lease, run, report.exit_code, now):
        end.end_noticed(tx, now, lease)
        return
    changed = replace(
        run,
        state=to,
        exit_code=results.exit_code(report.exit_code),
        reason=report.reason[: results.REASON_CHARS_MAX],
        output=report.output,
        started_at=run.started_at or (None if to is RunState.PREPARING else now),
        ended_at=now if to is RunState.EXITED else None,
    )
    if report.output:
        hold_blobs(tx, [report.output], holder=run.job_id, at=now)
    store.save_run(tx, now, changed, machine_id=machine_id)
    _job_runs(tx, now, store.job(tx, run.job_id))


def checkpoint_report(
    tx: Transaction, blobs: BlobStore, now: Instant, machine_id: str, told: CheckpointReport
) -> None:
    """Keep what a run saved for its next attempt; raises StaleEpoch for a run that is not this machine's any more."""
    lease = live_lease(tx, machine_id, told.lease_id, told.epoch)
    run = store.run(tx, told.run_id)
    if run.lease_id != lease.id or not RUN_TRANSITIONS[run.state]:
        raise StaleEpoch(run=told.run_id)
    if blobs.size(told.checkpoint) is None:
        raise NoSuchThing("the checkpoint was never uploaded", blob=told.checkpoint)
    if run.checkpoint == told.checkpoint:
        return
    store.save_checkpoint(tx, now, run, told.checkpoint)
    holder, kept = holders.of_checkpoints(run.job_id), store.runs_of_job(tx, run.job_id)
    release_blobs(tx, holder=holder)  # only the last of each node is of use
    hold_blobs(tx, batch.checkpoints(kept).values(), holder=holder, at=now)


def log_chunk(tx: Transaction, machine_id: str, chunk: LogChunk) -> JobId:
    """Append a piece of a run's output; returns the job it is of."""
    lease = market.lease(tx, chunk.lease_id)
    if lease.machine_id != machine_id or store.run(tx, chunk.run_id).lease_id != lease.id:
        raise StaleEpoch(run=chunk.run_id)
    store.add_log(tx, chunk.run_id, chunk.offset, chunk.data)
    return lease.job_id


def unit_report(
    tx: Transaction, blobs: BlobStore, now: Instant, machine_id: str, report: UnitReport
) -> None:
    """Store a unit's delivery or failure; a unit that is not assigned to this lease any more stays as it is."""
    lease = live_lease(tx, machine_id, report.lease_id, report.epoch)
    unit = store.unit(tx, report.unit_id)
    if unit is None or unit.lease_id != lease.id or unit.state is not UnitState.ASSIGNED:
        raise StaleEpoch(unit=report.unit_id)
    _job_runs(tx, now, store.job(tx, unit.job_id))
    if report.failure or report.result is None:
        _unit_failed(tx, now, unit, report.failure or "agent: no result")
        return
    size = 0
    if report.output is not None:
        found = blobs.size(report.output)
        if found is None:
            raise NoSuchThing("the delivered blob was never uploaded", blob=report.output)
        size = found
        hold_blobs(tx, [report.output], holder=holders.of_round(unit.job_id), at=now)
    delivered = replace(
        unit,
        delivered_at=now,
        output=report.output,
        output_bytes=size,
        result=results.bounded(report.result, unit.spec, seconds_max=_seconds_had(unit, now)),
    )
    store.move_unit(tx, now, delivered, UnitState.DELIVERED)
    training = store.training(tx, unit.job_id)
    if training is not None:
        store.save_training(
            tx, replace(training, bytes_up=training.bytes_up + size, failures_in_row=0)
        )


def live_lease(tx: Transaction, machine_id: str, lease_id: str, epoch: int) -> Lease:
    """The lease, if this machine serves it under this epoch; raises StaleEpoch otherwise."""
    try:
        lease = market.lease(tx, lease_id)
    except NoSuchThing:
        raise StaleEpoch(lease=lease_id) from None
    serves = lease.state in (LeaseState.ACTIVE, LeaseState.RECLAIMING)
    if not serves or lease.machine_id != machine_id or lease.epoch != epoch:
        raise StaleEpoch(lease=lease_id, epoch=epoch)
    return lease


def _seconds_had(unit: Unit, now: Instant) -> float:
    """How long the machine had for a unit, by the control plane's own clock."""
    return now - (now if unit.assigned_at is None else unit.assigned_at)


def _unit_failed(tx: Transaction, now: Instant, unit: Unit, failure: str) -> None:
    """A failure of the machine leaves the unit to others; one of the recipe counts against the recipe."""
    if failure.startswith(MISMATCH) and unit.lease_id is not None:
        lease = market.lease(tx, unit.lease_id)
        end.close_lease(tx, now, lease, CloseReason.MANIFEST_MISMATCH)
        return
    if failure.startswith(AGENT_FAILURES):
        end.expire_unit(tx, now, unit, verdict=failure[: results.REASON_CHARS_MAX])
        end.drop_useless(tx, now, unit)
        if not failure.startswith(DIED):  # by its machine or by its recipe: it counts against both
            return
    else:
        end.reject_unit(tx, now, unit, verdict=failure[: results.REASON_CHARS_MAX])
    training = store.training(tx, unit.job_id)
    if training is not None and unit.kind is not UnitKind.EVALUATE:
        store.save_training(tx, replace(training, failures_in_row=training.failures_in_row + 1))


def _job_runs(tx: Transaction, now: Instant, job: Job) -> None:
    if job.state not in (JobState.PROVISIONING, JobState.RECOVERING):
        return
    if job.spec.train or batch.is_whole(job.spec, store.runs_of_job(tx, job.id)):
        store.move_job(tx, now, job, JobState.RUNNING)
