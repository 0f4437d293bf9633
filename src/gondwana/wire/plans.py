"""Plans as a client sees them, the choice among them, and a job bound to one."""

from dataclasses import dataclass
from typing import Final

from gondwana.core.errors import InvalidValue, NothingFits
from gondwana.core.money import format_usd
from gondwana.core.units import format_seconds
from gondwana.core.values import replace
from gondwana.wire.jobs import WHERE_CHARS_MAX, JobSpec, Resources, kinds_of

OPTIONS_MAX: Final = 48  # of one plan


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOption:
    """One way to do the job: so many machines, under this cap, at least so fast, and what is expected of them."""

    is_default: bool = False  # what launching takes if nothing is chosen
    machines: tuple[str, ...]  # names, in the order in which they would be leased now
    accelerators: str  # "2×H100, 1×CPU"
    price_max_micro_usd_per_device_hour: int  # of the dearest machine
    steps_per_second_min: float  # of the slowest
    seconds: float  # expected, interruptions included
    cost_micro_usd: int
    price_micro_usd_per_hour: int
    seconds_lost: float = 0.0  # of `seconds`, by interruptions
    interruption_probability: float = 0.0
    step_seconds: float | None = None  # of a training, by the clock on the wall
    utilisation: float | None = None  # of the leased time, the part that computes
    loss_gap: float | None = None  # 0.01: loss 1 % above one large machine's at equal tokens
    inner_steps: int = 0  # of a training, as are the rest
    window_seconds: float = 0.0
    rounds: int = 0
    codec: str = ""
    is_too_long: bool = False  # known to outlast the job's limit
    where: str = ""  # what binds a job to machines that are as fast: a filter's term
    alternative: int = 0  # of the job's any_of or ordered, from 1; 0: it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """One thing to write otherwise in the job file; without a field: something to wait for."""

    field: str
    was: str
    now: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaxationView:
    """What to change so that machines fit, which those are, and what they cost."""

    words: str
    changes: tuple[ChangeView, ...]
    machines: tuple[str, ...]
    price_micro_usd_per_hour: int
    added_micro_usd_per_hour: int  # above the most that the job's own price cap allows
    seconds: float | None = None
    cost_micro_usd: int | None = None
    alternative: int = 0  # of the job's any_of or ordered which to change, from 1; 0: it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """The same work at somebody's list price."""

    provider: str
    kind: str
    model: str
    price_micro_usd_per_device_hour: int
    device_hours: float  # of that model
    per_device: float  # its hours for one of the plan's devices: 1 for the same model
    cost_micro_usd: int
    as_of: str
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionView:
    """What was expected of a job when it was launched, and what became of it; None before it has ended."""

    bucket: str  # the device model; "mixed" for several
    basis: str
    machines: int
    seconds: float
    cost_micro_usd: int
    step_seconds: float | None = None
    utilisation: float | None = None
    actual_machines: int | None = None
    actual_seconds: float | None = None
    actual_cost_micro_usd: int | None = None
    actual_step_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadView:
    """Actual over predicted of several jobs: 1 is right, 2 took twice as much."""

    jobs: int
    median: float
    low: float  # nine tenths are above
    high: float  # nine tenths are below
    within_quarter: float  # the part that was off by at most a quarter


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyView:
    """How far off the plans of one device model were, by what they rested on."""

    bucket: str
    basis: str
    jobs: int
    seconds: SpreadView | None = None
    cost: SpreadView | None = None
    step_seconds: SpreadView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which plan a person asks for; nothing: the default."""

    fastest: bool = False
    cheapest: bool = False
    by_seconds: float | None = None  # the cheapest that is done in time
    under_micro_usd: int | None = None  # the fastest that costs no more

    @property
    def is_choice(self) -> bool:
        """Whether anything was asked for."""
        return self != Wanted()


def chosen(front: tuple[PlanOption, ...], wanted: Wanted) -> PlanOption:
    """The plan of the front (fastest first) that is asked for.

    Raises NothingFits where none is, InvalidValue where two different ones are asked for.
    """
    asked = (
        wanted.fastest,
        wanted.cheapest,
        wanted.by_seconds is not None,
        wanted.under_micro_usd is not None,
    )
    if sum(asked) != 1:
        raise InvalidValue(
            "choose one plan",
            field="plan",
            hint="one of --fastest, --cheapest, --by HOURS, --under USD",
        )
    if not front:
        raise NothingFits(hint="gondwana plan JOB says what left nothing")
    if wanted.by_seconds is not None:
        return _in_time(front, wanted.by_seconds)
    if wanted.under_micro_usd is not None:
        return _affordable(front, wanted.under_micro_usd)
    return front[0] if wanted.fastest else front[-1]


def _in_time(front: tuple[PlanOption, ...], seconds: float) -> PlanOption:
    found = [each for each in front if each.seconds <= seconds]
    if found:
        return found[-1]
    least = front[0]
    raise NothingFits(
        f"no plan is done within {format_seconds(seconds)}: the fastest takes {format_seconds(least.seconds)} "
        f"for {format_usd(least.cost_micro_usd)}",
        hint="give it more time, or take the fastest: --fastest",
    )


def _affordable(front: tuple[PlanOption, ...], micro_usd: int) -> PlanOption:
    found = [each for each in front if each.cost_micro_usd <= micro_usd]
    if found:
        return found[0]
    least = front[-1]
    raise NothingFits(
        f"no plan costs {format_usd(micro_usd)} or less: the cheapest costs {format_usd(least.cost_micro_usd)} "
        f"and takes {format_seconds(least.seconds)}",
        hint="allow more, or take the cheapest: --cheapest",
    )


def bound(spec: JobSpec, option: PlanOption) -> JobSpec:
    """The job bound to a plan: its price cap, its least speed, its kind of machine where it has alternatives, and of a
    training its islands, steps, rounds and codec.

    Which machines it gets is still the market's word: these, or others under the same cap that are as fast.
    """
    resources, of_kind = _of_kind(spec.resources, option.alternative)
    own = f"{spec.market.where} {of_kind}".strip()
    terms = f"{own} {option.where}".strip()
    where = terms if len(terms) <= WHERE_CHARS_MAX else own
    train = spec.train
    if train is not None:
        count = len(option.machines)
        train = replace(
            train,
            islands_max=count,
            islands_min=min(train.islands_min, count),
            inner_steps=option.inner_steps,
            window_seconds=option.window_seconds,
            rounds=option.rounds,
            codec=option.codec,
        )
    return replace(
        spec,
        train=train,
        resources=resources,
        price_cap_micro_usd_per_device_hour=option.price_max_micro_usd_per_device_hour,
        # an auction's winners may be paid up to the cap: the plan reckons with what owners ask
        market=replace(spec.market, where=where, mechanism=spec.market.mechanism or "posted"),
    )


def _of_kind(resources: Resources, alternative: int) -> tuple[Resources, str]:
    """What one of the alternatives asks of a node, and its filter."""
    if not alternative:
        return resources, ""
    kind = kinds_of(resources)[alternative - 1]
    alone = Resources(
        accelerators=kind.accelerators,
        cpus_min=kind.cpus_min,
        memory_bytes_min=kind.memory_bytes_min,
    )
    return alone, kind.where
