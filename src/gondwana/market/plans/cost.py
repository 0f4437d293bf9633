"""What a job takes and costs on given machines: compute, link, codec, inner steps (docs/explanation/plans.md).

A round of island training: every island does its inner steps within the window, sends its delta, fetches the next
parameters; the slowest ends the round; then the deltas are judged. A step's speed is the machine's measured reference
speed times what one recipe's step is of a reference step.
"""

from collections.abc import Sequence
from math import ceil, log, log2
from statistics import median
from typing import Final

from gondwana.market.plans import risk
from gondwana.market.plans.model import BatchWork, Choice, Forecast, Host, Link, TrainingWork

BYTES_UP: Final = {"fp32": 8.0, "int8": 2.016, "int4": 1.016}
"""Per parameter: a delta and its momentum, with the scales of their blocks."""
BYTES_DOWN: Final = 1.524  # per parameter: the change as int8, the optimiser's state as int4
CODEC_GAP: Final = {"fp32": 0.0, "int8": 0.0, "int4": 0.0002}  # of loss, measured in our lab
ROUNDS_MAX: Final = 100_000  # as a job file allows
STEPS_MAX: Final = 100_000
QUALITY_EXPONENT: Final = 21.0  # loss ~ compute^-0.0477: 1 % of loss is 23 % of compute
GAP_INNER_STEPS: Final = 30  # what the table below was measured at
GAP_EXPONENT: Final = 0.15  # how the gap grows with the inner steps; fitted to our lab's rows
GAPS: Final = (
    (35e6, (-0.001, 0.007, 0.020, 0.039)),
    (90e6, (-0.001, 0.005, 0.015, 0.031)),
    (180e6, (-0.002, 0.003, 0.011, 0.023)),
    (335e6, (-0.003, 0.001, 0.009, 0.020)),
    (550e6, (-0.003, 0.002, 0.007, 0.017)),
    (1.3e9, (-0.004, 0.002, 0.005, 0.013)),
    (2.4e9, (-0.004, -0.001, 0.003, 0.011)),
)
"""Parameters -> loss above data-parallel's at equal tokens, with 1, 2, 4, 8 islands (DiLoCo scaling laws, table 4)."""


def loss_gap(parameters: int, islands: int, inner_steps: int, codec: str) -> float:
    """Expected loss above one large machine's at equal tokens; outside the table its nearest row counts."""
    size = min(max(float(parameters), GAPS[0][0]), GAPS[-1][0])
    below = max(place for place, (known, _) in enumerate(GAPS) if known <= size)
    above = min(below + 1, len(GAPS) - 1)
    share = 0.0
    if above > below:
        share = log(size / GAPS[below][0]) / log(GAPS[above][0] / GAPS[below][0])
    low, high = (_by_islands(GAPS[place][1], islands) for place in (below, above))
    gap = low + share * (high - low)
    if gap > 0:
        gap *= (max(1, inner_steps) / GAP_INNER_STEPS) ** GAP_EXPONENT
    return gap + CODEC_GAP[codec]


def _by_islands(gaps: Sequence[float], islands: int) -> float:
    """Between the columns, and past the last one, along the logarithm of the number of islands."""
    place = log2(max(1, islands))
    column = min(int(place), len(gaps) - 2)
    return gaps[column] + (place - column) * (gaps[column + 1] - gaps[column])


def compute_factor(gap: float) -> float:
    """How much more work reaches the same loss as without the gap."""
    return (1.0 + gap) ** QUALITY_EXPONENT


def sync_seconds(parameters: int, codec: str, host: Host) -> float:
    """What a round's exchange takes on one machine's link."""
    return link_seconds(parameters, codec, host.link)


def link_seconds(parameters: int, codec: str, link: Link) -> float:
    """What a round's exchange takes: up, down, and four round trips."""
    bits = 8.0 * parameters
    sent = bits * BYTES_UP[codec] / link.up_bits_per_second
    fetched = bits * BYTES_DOWN / link.down_bits_per_second
    return sent + fetched + 4 * link.round_trip_seconds


def reference_speeds(hosts: Sequence[Host]) -> list[float]:
    """Reference steps per second of each; a machine that was not measured counts as the slowest that was, or as 1."""
    known = [each.reference_steps_per_second for each in hosts]
    usual = min((each for each in known if each > 0), default=1.0)
    return [each or usual for each in known]


def step_ratio(work: TrainingWork, hosts: Sequence[Host]) -> float:
    """The recipe's steps per reference step; where nobody knows, the window is right for the inner steps."""
    if work.steps_per_reference_step is not None:
        return work.steps_per_reference_step
    return work.inner_steps / work.window_seconds / median(reference_speeds(hosts))


def steps_of_round(choice: Choice, speeds: Sequence[float]) -> list[int]:
    """How many inner steps each island does: what the window allows, at most the choice's. One alone does them all."""
    if choice.count == 1:
        return [choice.inner_steps]
    return [
        max(1, min(choice.inner_steps, int(min(choice.window_seconds * speed, STEPS_MAX))))
        for speed in speeds
    ]


def cold_steps(work: TrainingWork, hosts: Sequence[Host], ratio: float) -> float:
    """The inner steps that the job as written would do after its warm start, over all its islands."""
    choice = as_written(work, len(hosts))
    per_round = sum(steps_of_round(choice, [ratio * each for each in reference_speeds(hosts)]))
    return float((work.rounds - work.warm_rounds) * per_round)


def as_written(work: TrainingWork, count: int) -> Choice:
    """The choice that changes nothing."""
    return Choice(
        count=count,
        inner_steps=work.inner_steps,
        window_seconds=work.window_seconds,
        rounds=work.rounds,
        codec=work.codec,
    )


def rounds_for(
    work: TrainingWork, choice: Choice, hosts: Sequence[Host], steps: float, *, ratio: float
) -> int | None:
    """How many rounds do `steps` after the warm ones; None where it would take more than a job may have."""
    per_round = sum(steps_of_round(choice, [ratio * each for each in reference_speeds(hosts)]))
    rounds = work.warm_rounds + (max(1, ceil(steps / per_round - 1e-9)) if steps > 0 else 0)
    return rounds if rounds <= ROUNDS_MAX else None


def forecast_training(
    work: TrainingWork, choice: Choice, hosts: Sequence[Host], *, devices: int, ratio: float
) -> Forecast:
    """What is expected of a training with this choice on these machines."""
    assert len(hosts) == choice.count > 0, (len(hosts), choice)
    speeds = [ratio * each for each in reference_speeds(hosts)]
    prices = [each.listing.price_micro_usd_per_device_hour * devices for each in hosts]
    steps = steps_of_round(choice, speeds)
    computes = [count / speed for count, speed in zip(steps, speeds, strict=True)]
    syncs = [sync_seconds(work.parameters, choice.codec, host) for host in hosts]
    judging = work.evaluation_steps / median(speeds) if choice.count > 1 else 0.0
    overhead = judging if work.overhead_seconds is None else work.overhead_seconds
    trained = max(a + b for a, b in zip(computes, syncs, strict=True))
    round_seconds = max(max(computes), trained + overhead)  # a measured overhead may be below 0
    best = max(range(choice.count), key=lambda place: (speeds[place], hosts[place].id))
    warm_compute = _warm_seconds(work, choice, speeds[best])
    warm_seconds = warm_compute + work.warm_rounds * max(0.0, syncs[best] + overhead)
    cold_rounds = choice.rounds - work.warm_rounds
    init = work.init_steps / speeds[best]
    seconds = work.start_seconds + init + warm_seconds + cold_rounds * round_seconds
    judged = judging * sum(prices) / choice.count * choice.rounds
    per_round = sum(price * each for price, each in zip(prices, computes, strict=True))
    paid = prices[best] * (init + warm_compute) + cold_rounds * per_round
    rate = risk.rate_per_hour(hosts)
    lost = risk.seconds_lost_by_rounds(rate, seconds, round_seconds)
    known = work.parameters > 0
    return Forecast(
        seconds=round(seconds + lost, 3),
        cost_micro_usd=round((paid + judged) / 3600),
        price_micro_usd_per_hour=sum(prices),
        step_seconds=round_seconds * choice.count / sum(steps),
        utilisation=sum(computes) / (choice.count * round_seconds),
        loss_gap=loss_gap(work.parameters, choice.count, choice.inner_steps, choice.codec)
        if known
        else None,
        seconds_lost=round(lost, 3),
        interruption_probability=risk.probability(rate, seconds),
    )


def _warm_seconds(work: TrainingWork, choice: Choice, speed: float) -> float:
    """What the strongest island computes alone: the inner steps at first, which measure it, then windows."""
    if not work.warm_rounds:
        return 0.0
    first = choice.inner_steps / speed
    if choice.count == 1:
        return work.warm_rounds * first
    return first + (work.warm_rounds - 1) * max(choice.window_seconds, 1.0 / speed)


def forecast_batch(hosts: Sequence[Host], *, reference_steps: float, devices: int) -> Forecast:
    """What is expected of commands that each do so much work; the slowest machine decides."""
    price = sum(each.listing.price_micro_usd_per_device_hour * devices for each in hosts)
    seconds = reference_steps / min(reference_speeds(hosts))
    rate = risk.rate_per_hour(hosts)
    lost = risk.seconds_lost_from_start(rate, seconds)
    return Forecast(
        seconds=round(seconds + lost, 3),
        cost_micro_usd=round(price * (seconds + lost) / 3600),
        price_micro_usd_per_hour=price,
        seconds_lost=round(lost, 3),
        interruption_probability=risk.probability(rate, seconds),
    )


def reference_steps_of(work: BatchWork, hosts: Sequence[Host]) -> float:
    """What each node does in reference steps; where nobody knows, the limit on the slowest of these machines."""
    if work.reference_steps is not None:
        return work.reference_steps
    return work.seconds_max * min(reference_speeds(hosts))
