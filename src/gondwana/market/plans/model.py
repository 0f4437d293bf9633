"""Values of plans: what a job asks for, on which machines, and what is expected of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gondwana.market.model import Listing


class Basis(StrEnum):
    """What the time of a plan rests on, the surest first."""

    MEASURED = "measured"  # the same work ran before
    TOLD = "told"  # the job file tells the model's size
    WINDOW = "window"  # nothing is known: one window is taken to be right for the job's inner steps
    LIMIT = "limit"  # nothing is known: a command takes as long as it may


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A machine's way to the control plane."""

    up_bits_per_second: float = 100e6
    down_bits_per_second: float = 300e6
    round_trip_seconds: float = 0.05


LINK_USUAL: Final = Link()
"""Of a machine whose link was not measured: a good line at home (field notes, the table of the cost model)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine that fits, with what its past says of it."""

    listing: Listing
    seconds_proven: int = 0  # over all its leases
    interruptions: int = 0  # leases that ended because of it
    link: Link = LINK_USUAL
    steps_by_tflops: float = (
        0.0  # reference steps a second that its measured TFLOP/s would do; 0: do not reckon so
    )

    @property
    def id(self) -> str:
        """The machine's."""
        return self.listing.machine_id

    @property
    def reference_steps_per_second(self) -> float:
        """How fast it is, 0 where that could not be measured; a reference step is too small to fill an accelerator."""
        return max(self.listing.steps_per_second, self.steps_by_tflops)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingWork:
    """A training as its job says it; a plan trains to the same expected loss as the job as written would."""

    rounds: int
    warm_rounds: int
    inner_steps: int
    window_seconds: float
    islands_min: int
    islands_max: int
    codec: str
    parameters: int = 0  # 0: not known; then only islands are varied, and the link counts nothing
    steps_per_reference_step: float | None = None  # the recipe's speed over the reference speed
    overhead_seconds: float | None = None  # of a round, beside training and link, where measured
    basis: Basis = Basis.WINDOW
    init_steps: int = 0  # making the first parameters is like so many
    evaluation_steps: int = 0  # judging a round's deltas is like so many
    start_seconds: float = 0.0  # before the first step


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWork:
    """Commands on so many machines at once; the slowest decides."""

    nodes: int
    seconds_max: float
    reference_steps: float | None = None  # what each node does, in reference steps, where measured

    @property
    def basis(self) -> Basis:
        """Whether the same work ran before."""
        return Basis.LIMIT if self.reference_steps is None else Basis.MEASURED


Work = TrainingWork | BatchWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a plan fixes; a job that is bound to it asks for just that."""

    count: int  # machines
    inner_steps: int = 0  # of a training; 0 for a command
    window_seconds: float = 0.0
    rounds: int = 0
    codec: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is expected of a plan; interruptions are in `seconds` and in the cost."""

    seconds: float
    cost_micro_usd: int
    price_micro_usd_per_hour: int
    step_seconds: float | None = None  # of the whole training, by the clock on the wall
    utilisation: float | None = None  # of the leased time, the part that computes
    loss_gap: float | None = (
        None  # held-out loss above one large machine's at equal tokens: 0.01 is 1 %
    )
    seconds_lost: float = 0.0  # by interruptions
    interruption_probability: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One way to do a job: these machines, chosen by this cap and this least speed, and what is expected of it."""

    hosts: tuple[Host, ...]  # in the order in which the market gives them out
    choice: Choice
    forecast: Forecast
    price_max_micro_usd_per_device_hour: int  # the dearest of its machines
    steps_per_second_min: float  # the slowest of its machines
    is_default: bool = False  # what launching takes if nothing is chosen
    is_too_long: bool = False  # known to outlast the job's limit, which would end it
    variant: int = 0  # which of the job's alternatives it is of

    @property
    def key(self) -> tuple[float, int]:
        """What is traded: time against cost."""
        return self.forecast.seconds, self.forecast.cost_micro_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The plans that no other beats in both time and cost, the fastest first; and the default, which may be beaten."""

    plans: tuple[Plan, ...]
    default: Plan | None
    basis: Basis
    candidates: int  # that were looked at
