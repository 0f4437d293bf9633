"""Many ways to do a job, and those of them that nothing beats in both time and cost.

A machine set is what the market itself would give out under a price cap and a least speed, so a plan that was chosen
can be bound: its cap and its speed go into the order. The order of what comes in changes nothing, and the work is
bounded however much is offered.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from gondwana.core.values import replace
from gondwana.market.plans import cost
from gondwana.market.plans.model import (
    BatchWork,
    Choice,
    Forecast,
    Front,
    Host,
    Plan,
    TrainingWork,
    Work,
)
from gondwana.market.rules import price_per_work

N = TypeVar("N", int, float)
Pick = Callable[[Sequence[Host], int], Sequence[Host]]
"""So many of those that fit, cheapest per measured work first, as the market would give them out."""
POOL_MAX: Final = 2_000  # machines looked at; whoever calls brings the cheapest per work
CAPS_MAX: Final = 10  # prices tried as a cap
FLOORS_MAX: Final = 8  # speeds tried as the least
COUNTS_MAX: Final = 10  # numbers of islands tried
STEPS_TRIED: Final = (
    20,
    50,
    100,
)  # inner steps that the lab found good, beside half and twice the job's own
CODECS: Final = ("int4", "int8", "fp32")
CANDIDATES_MAX: Final = 4_096
TOLD_MAX: Final = 48  # plans of a front that a client is told
WINDOW_SECONDS_MAX: Final = 86_400.0
WINDOW_SECONDS_MIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Set:
    """A machine set in the market's order."""

    hosts: tuple[Host, ...]

    @property
    def price_max(self) -> int:
        return max(each.listing.price_micro_usd_per_device_hour for each in self.hosts)

    @property
    def speed_min(self) -> float:
        return min(each.listing.steps_per_second for each in self.hosts)


def cheapest(hosts: Sequence[Host], count: int) -> Sequence[Host]:
    """What the market gives out where it does not matter where machines stand."""
    return hosts[:count]


def front_of(work: Work, found: Sequence[Plan]) -> Front:
    """Of a job's plans, the default first, those that nothing beats."""
    return Front(
        plans=tuple(not_dominated(plan for plan in found if not plan.is_too_long)),
        default=found[0] if found else None,
        basis=work.basis,
        candidates=len(found),
    )


def others(
    work: Work, fits: Iterable[Host], default: Sequence[Host], *, devices: int, pick: Pick = cheapest
) -> Iterator[Plan]:  # fmt: skip
    """At most CANDIDATES_MAX plans that do on other machines the work that the job as written does on its default's.

    `devices`: of each machine.
    """
    hosts = _in_order(fits)
    make = (
        _batch(work, hosts, default, devices, pick)
        if isinstance(work, BatchWork)
        else _training(work, hosts, default, devices, pick)
    )
    return islice(make, CANDIDATES_MAX)


def as_it_is(work: Work, hosts: Sequence[Host], *, devices: int) -> Plan | None:
    """The job as it is on these machines; None where they are too few."""
    return _default(work, hosts[: _most(work)], devices)


def _most(work: Work) -> int:
    return work.nodes if isinstance(work, BatchWork) else work.islands_max


def _in_order(fits: Iterable[Host]) -> list[Host]:
    return sorted(fits, key=lambda each: (*price_per_work(each.listing), each.id))[:POOL_MAX]


def not_dominated(plans: Iterable[Plan]) -> list[Plan]:
    """The plans that no other beats in time or cost without losing in the other; one of each such pair, fastest first.

    Of several with the same time and cost: the default, then the less risky one, then always the same.
    """
    kept: list[Plan] = []
    for plan in sorted(plans, key=_order):
        if not kept or plan.forecast.cost_micro_usd < kept[-1].forecast.cost_micro_usd:
            kept.append(plan)
    return kept


def dominates(one: tuple[float, int], other: tuple[float, int]) -> bool:
    """Whether (seconds, cost) is better in one and no worse in the other."""
    return one != other and one[0] <= other[0] and one[1] <= other[1]


def _order(plan: Plan) -> tuple[object, ...]:
    choice = plan.choice
    return (
        *plan.key,
        not plan.is_default,
        plan.forecast.interruption_probability,
        choice.count,
        choice.inner_steps,
        choice.codec,
        [each.id for each in plan.hosts],
    )


def told(found: Front, most: int = TOLD_MAX) -> tuple[Plan, ...]:
    """At most so many of the front, two or more: its two ends, then the default, and the rest evenly between."""
    plans = found.plans
    if len(plans) <= most:
        return plans
    last = len(plans) - 1
    places = {last * n // (most - 1) for n in range(most)}
    default = next((place for place, plan in enumerate(plans) if plan.is_default), None)
    between = places - {0, last}
    if default is not None and default not in places and between:
        places.discard(min(between, key=lambda place: (abs(place - default), place)))
        places.add(default)
    return tuple(plans[place] for place in sorted(places))


def _default(work: Work, hosts: Sequence[Host], devices: int) -> Plan | None:
    chosen = _Set(tuple(hosts))
    if isinstance(work, BatchWork):
        if len(hosts) < work.nodes:
            return None
        steps = cost.reference_steps_of(work, chosen.hosts)
        return replace(_batch_plan(work, chosen, steps, devices), is_default=True)
    if len(hosts) < work.islands_min:
        return None
    written, ratio = cost.as_written(work, len(chosen.hosts)), cost.step_ratio(work, chosen.hosts)
    told = cost.forecast_training(work, written, chosen.hosts, devices=devices, ratio=ratio)
    return replace(_plan(chosen, written, told), is_default=True)


def _batch(
    work: BatchWork, hosts: Sequence[Host], default: Sequence[Host], devices: int, pick: Pick
) -> Iterator[Plan]:
    steps = cost.reference_steps_of(work, default)
    for each in _sets(hosts, [work.nodes], pick):
        yield _batch_plan(work, each, steps, devices)


def _batch_plan(work: BatchWork, each: _Set, steps: float, devices: int) -> Plan:
    told = cost.forecast_batch(each.hosts, reference_steps=steps, devices=devices)
    too_long = work.reference_steps is not None and told.seconds > work.seconds_max
    return replace(_plan(each, Choice(count=work.nodes), told), is_too_long=too_long)


def _training(
    work: TrainingWork, hosts: Sequence[Host], default: Sequence[Host], devices: int, pick: Pick
) -> Iterator[Plan]:
    """Plans that train to the same expected loss with other machines, islands, steps, codecs."""
    ratio = cost.step_ratio(work, default)
    steps = cost.cold_steps(work, default, ratio)
    written = cost.as_written(work, len(default))
    for each, choice in _choices(work, hosts, pick):
        wanted = steps * _effort(work, choice, written)
        rounds = cost.rounds_for(work, choice, each.hosts, wanted, ratio=ratio)
        if rounds is None:
            continue
        bound = replace(choice, rounds=rounds)
        told = cost.forecast_training(work, bound, each.hosts, devices=devices, ratio=ratio)
        yield _plan(each, bound, told)


def _choices(
    work: TrainingWork, hosts: Sequence[Host], pick: Pick
) -> Iterator[tuple[_Set, Choice]]:
    """Every set with the job's own steps and codec, then with others, so that a bound leaves out the finest steps."""
    sets = list(_sets(hosts, _counts(work, len(hosts)), pick))
    known = work.parameters > 0
    codecs = sorted(CODECS, key=lambda each: each != work.codec) if known else [work.codec]
    for inner_steps in _inner_steps(work) if known else [work.inner_steps]:
        window = work.window_seconds * inner_steps / work.inner_steps
        if (
            not WINDOW_SECONDS_MIN <= window <= WINDOW_SECONDS_MAX
            and inner_steps != work.inner_steps
        ):
            continue
        for codec in codecs:
            for each in sets:
                yield (
                    each,
                    Choice(
                        count=len(each.hosts),
                        inner_steps=inner_steps,
                        window_seconds=window,
                        codec=codec,
                    ),
                )


def _effort(work: TrainingWork, choice: Choice, written: Choice) -> float:
    """How much more work than as written reaches the same loss; 1 where the model's size is not known."""
    if not work.parameters:
        return 1.0
    wanted, had = (
        cost.compute_factor(
            cost.loss_gap(work.parameters, each.count, each.inner_steps, each.codec)
        )
        for each in (choice, written)
    )
    return wanted / had


def _counts(work: TrainingWork, found: int) -> list[int]:
    """Numbers of islands to try: the ends, and the powers of two between."""
    most = min(work.islands_max, found)
    between = (1 << bit for bit in range(most.bit_length()))
    tried = {
        work.islands_min,
        most,
        *(each for each in between if work.islands_min <= each <= most),
    }
    return sorted(tried, reverse=True)[:COUNTS_MAX]


def _inner_steps(work: TrainingWork) -> list[int]:
    own = work.inner_steps
    others = {own // 2, own * 2, *STEPS_TRIED} - {own}
    return [own, *sorted(each for each in others if 1 <= each <= cost.STEPS_MAX)]


def _sets(hosts: Sequence[Host], counts: Sequence[int], pick: Pick) -> Iterator[_Set]:
    """What the market would give out under each cap and least speed, in each number; every set once."""
    seen: set[frozenset[str]] = set()
    for left in _under_bounds(hosts):
        for count in counts:
            found = _Set(tuple(pick(left, count))) if len(left) >= count else _Set(())
            key = frozenset(each.id for each in found.hosts)
            if len(found.hosts) == count and key not in seen:
                seen.add(key)
                yield found


def _under_bounds(hosts: Sequence[Host]) -> Iterator[list[Host]]:
    """The machines under each cap and of each least speed; the same ones once."""
    prices = sorted({each.listing.price_micro_usd_per_device_hour for each in hosts})
    floors = _spread(sorted({each.listing.steps_per_second for each in hosts}), FLOORS_MAX)
    before: set[tuple[str, ...]] = set()
    for cap in reversed(_spread(prices, CAPS_MAX)):
        under = [each for each in hosts if each.listing.price_micro_usd_per_device_hour <= cap]
        for floor in floors:
            left = [each for each in under if each.listing.steps_per_second >= floor]
            names = tuple(each.id for each in left)
            if names not in before:
                before.add(names)
                yield left


def _spread(values: Sequence[N], most: int) -> list[N]:
    """At most so many of the sorted values, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    last = len(values) - 1
    return [values[last * n // (most - 1)] for n in range(most)]


def _plan(each: _Set, choice: Choice, told: Forecast) -> Plan:
    return Plan(
        hosts=each.hosts,
        choice=choice,
        forecast=told,
        price_max_micro_usd_per_device_hour=each.price_max,
        steps_per_second_min=each.speed_min,
    )
