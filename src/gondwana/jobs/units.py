"""Units given to islands: what each is, what it costs, how long it may take. Every function is one transaction."""

from collections.abc import Sequence

from gondwana.core.clock import Instant
from gondwana.core.errors import WrongState
from gondwana.core.ids import UnitId, new_id
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.transaction import Transaction
from gondwana.jobs import money, store
from gondwana.jobs.model import Island, Job, JobState, Training, Unit, UnitState
from gondwana.jobs.rules import islands as speeds
from gondwana.jobs.rules import rounds as rules
from gondwana.ledger.exposure import check_exposure
from gondwana.supply import store as supply
from gondwana.training import manifest
from gondwana.wire.jobs import Train
from gondwana.wire.units import Candidate, UnitKind, UnitSpec

CHECKPOINT_BYTES_MAX = 8 * 1024**3  # of first parameters: 2 billion of them
UNASSIGNED_SHARDS = (
    16  # that a delta is compared on: of two, drawn from mixed data, 8 in 176 honest ones fell
)
WARM_CODEC = "int8"  # one island's delta has nobody to average its noise with


def assign_init(tx: Transaction, random: Random, now: Instant, job: Job, island: Island) -> Unit:
    """The unit that makes the first parameters, given to `island`.

    Raises, as every assignment does, WrongState where the lease ended meanwhile, FundsTooLow, and ExposureTooHigh
    where the owner already holds as much unverified work as he may.
    """
    train = _train(job)
    spec = _spec(
        job, random, now, UnitKind.INIT, 0, seed=train.seed, output_bytes_max=CHECKPOINT_BYTES_MAX
    )
    return _assign(tx, now, job, island, spec, speeds.INIT_STEPS)


def assign_train(
    tx: Transaction, random: Random, now: Instant, job: Job, state: Training, island: Island, *, shard_bytes: int,
    output_bytes: int,
) -> Unit | None:  # fmt: skip
    """The round's unit for `island`, its data drawn now; None when the run has moved on meanwhile."""
    train, current = _train(job), store.training(tx, job.id)
    if (
        current is None
        or (current.phase, current.round) != (state.phase, state.round)
        or current.params is None
    ):
        return None
    everybody = store.islands(tx, job.id)
    warm = rules.is_warm(train, state.round)
    steps = speeds.inner_steps(train, island, everybody, warm=warm)
    units = store.units_of_round(tx, job.id, state.round)
    slot = sum(unit.kind is UnitKind.TRAIN for unit in units)
    before = store.units_of_round(tx, job.id, state.round - 1) if state.round else []
    count = rules.shards_wanted(train, steps, rules.tokens_per_step([*before, *units]), shard_bytes)
    seed = rules.data_seed(current.params.hash)
    first, total = rules.schedule(train, state.round, steps)
    spec = replace(
        _spec(
            job,
            random,
            now,
            UnitKind.TRAIN,
            state.round,
            seed=seed + slot,
            output_bytes_max=output_bytes,
        ),
        params=current.params,
        state=current.state,
        shards=manifest.draw_shards(
            train.shards, seed=seed, round_number=state.round, slot=slot, count=count
        ),
        inner_steps=steps,
        step_first=first,
        steps_total=total,
        codec=codec(train, state.round),
    )
    return _assign(tx, now, job, island, spec, steps)


def assign_evaluation(
    tx: Transaction, random: Random, now: Instant, job: Job, state: Training, island: Island,
    candidates: Sequence[Unit], *, sample_chars: int = 0,
) -> Unit:  # fmt: skip
    """A unit that measures the published parameters, and these deltas, on held-out data."""
    train, current = _train(job), store.training(tx, job.id)
    assert current is not None
    assert current.params is not None, "there are parameters to evaluate"
    used = [
        shard
        for unit in store.units_of_round(tx, job.id, state.round)
        for shard in unit.spec.shards
    ]
    seed = rules.data_seed(current.params.hash)
    spec = replace(
        _spec(job, random, now, UnitKind.EVALUATE, state.round, seed=seed, output_bytes_max=0),
        params=current.params,
        heldout=train.heldout,
        unassigned=manifest.draw_unassigned(
            train.shards, used, seed=seed, round_number=state.round, count=UNASSIGNED_SHARDS
        ),
        candidates=tuple(
            Candidate(
                unit_id=unit.id,
                delta=unit.output or "",
                shards=unit.spec.shards,
                seed=unit.spec.seed,
            )
            for unit in candidates
        ),
        codec=codec(train, state.round),
        sample_chars=sample_chars,
    )
    return _assign(tx, now, job, island, spec, speeds.evaluation_steps(len(candidates)))


def codec(train: Train, round: int) -> str:
    """How the deltas of a round are written."""
    return WARM_CODEC if rules.is_warm(train, round) and train.codec == "int4" else train.codec


def _assign(
    tx: Transaction, now: Instant, job: Job, island: Island, spec: UnitSpec, steps: int
) -> Unit:
    train, everybody = _train(job), store.islands(tx, job.id)
    able = {other.lease_id for other in store.able_islands(tx, job, spec.kind, now)}
    if island.lease_id not in able or store.job(tx, job.id).ended:
        raise WrongState("the lease or its job ended meanwhile, or ends before the unit would")
    seconds = rules.unit_seconds_max(train, island, spec.kind)
    owner_id = supply.machine(tx, island.machine_id).owner_id
    price = speeds.unit_price_micro_usd(train, island, everybody, spec.kind, steps)
    if owner_id == job.tenant_id:
        price = 0  # nobody pays himself: promotional credit would come out as earnings
    unit = Unit(
        id=UnitId(spec.id),
        job_id=job.id,
        kind=spec.kind,
        round=spec.round,
        state=UnitState.ASSIGNED,
        lease_id=island.lease_id,
        machine_id=island.machine_id,
        spec=replace(spec, seconds_max=seconds),
        price_micro_usd=price,
        assigned_at=now,
        expires_at=Instant(now + seconds),
    )
    check_exposure(tx, owner_id, unit.price_micro_usd)
    money.hold_unit(tx, now, unit, job)
    if job.state in (JobState.PROVISIONING, JobState.RECOVERING):
        store.move_job(tx, now, store.job(tx, job.id), JobState.RUNNING)
    return store.add_unit(tx, now, unit)


def _spec(
    job: Job,
    random: Random,
    now: Instant,
    kind: UnitKind,
    round: int,
    *,
    seed: int,
    output_bytes_max: int,
) -> UnitSpec:
    train = _train(job)
    assert job.spec.workdir is not None, "admission saw to it"
    return UnitSpec(
        id=new_id("unit", now, random),
        job_id=job.id,
        kind=kind,
        round=round,
        code=job.spec.workdir,
        recipe=train.recipe,
        config=train.config,
        seed=seed,
        output_bytes_max=output_bytes_max,
    )


def _train(job: Job) -> Train:
    assert job.spec.train is not None, "only training jobs have units"
    return job.spec.train
