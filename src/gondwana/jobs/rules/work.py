"""What a job's work is to the market's plans, from its file and from what the same work took before; pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import msgspec

from gondwana.core.ids import PrincipalId
from gondwana.jobs.model import Island, Round, Run, RunState, Unit, UnitState
from gondwana.jobs.rules import islands
from gondwana.market.model import Listing
from gondwana.market.plans import cost
from gondwana.market.plans.model import LINK_USUAL, Basis, BatchWork, Host, Link, TrainingWork, Work
from gondwana.wire.jobs import JobSpec, Train
from gondwana.wire.units import UnitKind

REFERENCE_STEP_FLOP: Final = 6 * 425_984 * 512
"""Of the reference step: 6 × parameters in products (2 layers of width 128, a head of 256) × tokens."""
FLOP_UTILISATION: Final = 0.4  # of a matrix product's speed, in training
START_SECONDS: Final = 10.0  # a worker fetches the recipe and imports PyTorch
MIXED: Final = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the same work took when it last went well; None where it was not that kind of work."""

    reference_steps: float | None = None  # of a command, per node
    parameters: int | None = None  # of a training, as are the rest
    steps_per_reference_step: float | None = None
    overhead_seconds: float | None = (
        None  # of a round, beside training and link; below 0 where the link is better
    )
    start_seconds: float | None = None  # of the whole, beside its rounds


def work_key(tenant_id: PrincipalId, spec: JobSpec) -> str:
    """The same for jobs of one tenant that do the same work: what runs, on what data, not on which machines."""
    if spec.train is not None:
        does = [spec.train.recipe, spec.train.config, spec.workdir]
    else:
        does = [spec.setup, spec.run, spec.envs, spec.workdir, spec.file_mounts, spec.num_nodes]
    text = msgspec.json.encode([tenant_id, does], order="deterministic")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def work_of(spec: JobSpec, past: Past | None) -> Work:
    """What there is to do."""
    if spec.train is None:
        steps = past.reference_steps if past else None
        return BatchWork(nodes=spec.num_nodes, seconds_max=spec.seconds_max, reference_steps=steps)
    train, ratio, basis = spec.train, None, Basis.WINDOW
    if past is not None and past.steps_per_reference_step:
        ratio, basis = past.steps_per_reference_step, Basis.MEASURED
    elif train.parameters and train.tokens_per_step:
        ratio = REFERENCE_STEP_FLOP / (6 * train.parameters * train.tokens_per_step)
        basis = Basis.TOLD
    known = past.parameters if past else None
    return TrainingWork(
        rounds=train.rounds,
        warm_rounds=train.warm_rounds,
        inner_steps=train.inner_steps,
        window_seconds=train.window_seconds,
        islands_min=train.islands_min,
        islands_max=train.islands_max,
        codec=train.codec,
        parameters=known or train.parameters,
        steps_per_reference_step=ratio,
        overhead_seconds=past.overhead_seconds if past and basis is Basis.MEASURED else None,
        basis=basis,
        init_steps=islands.INIT_STEPS,
        evaluation_steps=islands.evaluation_steps(train.gates.evaluate_per_round),
        start_seconds=START_SECONDS
        if past is None or past.start_seconds is None
        else past.start_seconds,
    )


def bucket_of(listings: Sequence[Listing]) -> str:
    """The one model that machines have, or that they differ."""
    models = {each.accelerator for each in listings}
    return models.pop() if len(models) == 1 else MIXED


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a job took."""

    step_seconds: float | None
    past: Past


def measured_batch(runs: Sequence[Run], speeds: Sequence[float]) -> Measured:
    """Of a command that went well: its slowest node's time, at the slowest machine's speed."""
    times = [
        run.ended_at - run.started_at
        for run in runs
        if run.state is RunState.EXITED and run.started_at is not None and run.ended_at is not None
    ]
    known = [each for each in speeds if each > 0]
    steps = max(times) * min(known) if times and known else None
    return Measured(step_seconds=None, past=Past(reference_steps=steps))


def measured_training(
    train: Train,
    rounds: Sequence[Round],
    units: Sequence[Unit],
    islands: Sequence[Island],
    *,
    links: Mapping[str, Link],
    parameters: int,
    seconds: float | None,
) -> Measured:
    """Of a training: its steps' time, the recipe's speed, what a round and the whole cost beside that.

    `islands`: all that it ever had, also those whose leases are closed; `links` by machine; `seconds`: what it took.
    """
    ratios = [
        each.steps_per_second / each.reference_steps_per_second
        for each in islands
        if each.steps_per_second and each.reference_steps_per_second > 0
    ]
    speeds = {
        str(each.machine_id): each.steps_per_second for each in islands if each.steps_per_second
    }
    steps: list[float] = []
    beside: list[float] = []
    for done in _typical(train, rounds):
        trained = [
            unit
            for unit in units
            if unit.round == done.round
            and unit.kind is UnitKind.TRAIN
            and unit.state is UnitState.ACCEPTED
        ]
        if trained:
            steps.append(
                done.seconds * len(trained) / sum(unit.spec.inner_steps for unit in trained)
            )
            beside.append(
                done.seconds
                - max(_unit_seconds(train, unit, parameters, speeds, links) for unit in trained)
            )
    return Measured(
        step_seconds=median(steps) if steps else None,
        past=Past(
            parameters=parameters or None,
            steps_per_reference_step=median(ratios) if ratios else None,
            overhead_seconds=median(beside) if beside else None,
            start_seconds=None
            if seconds is None
            else max(0.0, seconds - sum(done.seconds for done in rounds)),
        ),
    )


def _typical(train: Train, rounds: Sequence[Round]) -> list[Round]:
    """The rounds after the warm start, if there are any; the first one of all begins a worker and counts only alone."""
    cold = [each for each in rounds if each.round >= train.warm_rounds]
    return cold[1:] or cold or list(rounds[1:]) or list(rounds)


def _unit_seconds(
    train: Train,
    unit: Unit,
    parameters: int,
    speeds: Mapping[str, float],
    links: Mapping[str, Link],
) -> float:
    """What the model says of a unit at the speed that was measured on its machine."""
    machine_id = str(unit.machine_id)
    speed = speeds.get(machine_id)
    computing = unit.spec.inner_steps / speed if speed else 0.0
    link = links.get(machine_id, LINK_USUAL)
    return computing + cost.link_seconds(parameters, train.codec, link)


def link_of(listing: Listing) -> Link:
    """A machine's measured link; the usual one where it was not measured."""
    return Link(
        up_bits_per_second=listing.up_bits_per_second or LINK_USUAL.up_bits_per_second,
        down_bits_per_second=listing.down_bits_per_second or LINK_USUAL.down_bits_per_second,
    )


def host_of(listing: Listing, basis: Basis, *, seconds_proven: int, interruptions: int) -> Host:
    """A machine that fits, with its past and its measured link; its TFLOP/s count where the model's size is told."""
    by_tflops = listing.tflops * 1e12 * FLOP_UTILISATION / REFERENCE_STEP_FLOP
    return Host(
        listing=listing,
        seconds_proven=seconds_proven,
        interruptions=interruptions,
        link=link_of(listing),
        steps_by_tflops=by_tflops if basis is Basis.TOLD else 0.0,
    )
