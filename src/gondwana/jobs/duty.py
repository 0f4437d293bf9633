"""What a machine should do now, in full: the answer depends on the database alone, so it may be told again any time."""

from gondwana.db.transaction import Reader
from gondwana.jobs import store
from gondwana.jobs.model import Job, Run, RunState
from gondwana.jobs.rules import batch
from gondwana.jobs.rules.batch import Runway
from gondwana.market import store as market
from gondwana.market.model import CloseReason, Lease, LeaseState
from gondwana.supply import store as supply
from gondwana.wire.agent import LeaseDuty, LeaseNotice, RunDuty

_GOES_ON = frozenset({RunState.ASSIGNED, RunState.PREPARING, RunState.RUNNING})


def duty(reader: Reader, machine_id: str) -> tuple[LeaseDuty, ...]:
    """Every live lease of the machine with its run or its units; what is not in it should stop."""
    owner_id = supply.machine(reader, machine_id).owner_id
    leases = market.live_leases_of_machine(reader, machine_id)
    serving = [lease for lease in leases if lease.state is not LeaseState.RESERVED]
    return tuple(_lease_duty(reader, lease, own=lease.tenant_id == owner_id) for lease in serving)


def _lease_duty(reader: Reader, lease: Lease, *, own: bool) -> LeaseDuty:
    job = store.job(reader, lease.job_id)
    runs = [run for run in store.runs_of_lease(reader, lease.id) if run.state in _GOES_ON]
    return LeaseDuty(
        lease_id=lease.id,
        epoch=lease.epoch,
        job_id=job.id,
        own=own,
        run=_run_duty(reader, job, lease, runs[-1]) if runs else None,
        units=tuple(unit.spec for unit in store.units_assigned_to(reader, lease.id)),
        code=job.spec.workdir if job.spec.train else None,
        notice=_notice(lease),
        manifest_hash=market.order(reader, lease.order_id).manifest_hash,
    )


def _notice(lease: Lease) -> LeaseNotice | None:
    """What is known of the lease's end, however far it is: the agent tells the run in time, also where we are away."""
    if lease.notice == Runway.DRAIN:
        return LeaseNotice(reason="funds", ends_at=None)
    ends = [(lease.ends_at, CloseReason.LEASE_ENDED)]
    if lease.state is LeaseState.RECLAIMING:
        ends.append((lease.reclaim_at, lease.reason or CloseReason.RECLAIMED))
    known = [(at, str(reason)) for at, reason in ends if at is not None]
    return LeaseNotice(reason=min(known)[1], ends_at=min(known)[0]) if known else None


def _run_duty(reader: Reader, job: Job, lease: Lease, run: Run) -> RunDuty:
    before = [each for each in store.runs_of_job(reader, job.id) if each.id != run.id]
    addresses = {
        other.rank: supply.machine(reader, other.machine_id).address or "127.0.0.1"
        for other in market.leases_of_job(reader, job.id, live=True)
    }
    own, told = job.spec.envs, batch.environment(job, run, addresses, lease.devices)
    return RunDuty(
        run_id=run.id,
        setup=job.spec.setup,
        run=job.spec.run,
        environment={name: text for name, text in told.items() if own.get(name) != text},
        envs=own,
        workdir=job.spec.workdir,
        file_mounts=job.spec.file_mounts,
        seconds_max=job.spec.seconds_max,
        checkpoint=batch.checkpoints(before).get(run.rank),
    )
