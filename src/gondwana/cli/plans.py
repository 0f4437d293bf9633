"""Plans in words: which machines, how long, for how much, what else could be done, and how far plans were off."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from gondwana.cli.output import columns, facts, price, table
from gondwana.cli.plots import scatter
from gondwana.core.errors import InvalidValue
from gondwana.core.money import format_usd, parse_usd
from gondwana.core.units import format_seconds, parse_seconds
from gondwana.wire.jobs import JobSpec, Resources, kind_called
from gondwana.wire.plans import AccuracyView, PlanOption, PredictionView, SpreadView, Wanted
from gondwana.wire.views import PlanView

MACHINE_HEADS = columns(
    "MACHINE", "REGION", "ACCELERATOR", ">DEVICES", ">STEPS/S", ">$/DEVICE-HOUR"
)
BATCH_HEADS = columns("", ">TIME", ">COST", ">$/HOUR", ">RISK", "MACHINES")
TRAIN_HEADS = columns(
    "", ">TIME", ">COST", ">$/HOUR", ">RISK", ">STEP", ">BUSY", ">LOSS", ">ROUNDS", ">STEPS", "CODEC", "MACHINES",
)  # fmt: skip
RELAX_HEADS = columns(">MORE $/HOUR", ">$/HOUR", ">ABOUT", "CHANGE")
COMPARE_HEADS = columns("WHO", "MODEL", ">$/DEVICE-HOUR", ">HOURS", ">COST", "AS OF", "SOURCE")
ACCURACY_HEADS = columns("MODEL", "BASIS", ">JOBS", ">TIME", ">WITHIN 25 %", ">COST", ">STEP")
SHOWN_MAX: Final = 12  # plans of a table
PLOT_COLUMNS, PLOT_ROWS = 56, 10
DEFAULT_MARK, CHOSEN_MARK = "*", ">"

_CHOICES: Final = (
    click.option("--fastest", is_flag=True, help="The plan that takes the least time."),
    click.option("--cheapest", is_flag=True, help="The plan that costs the least."),
    click.option("--by", "by_text", metavar="HOURS", default=None, help="The cheapest plan done in time: 2, 90m, 1d."),
    click.option("--under", "under_text", metavar="USD", default=None, help="The fastest plan that costs no more."),
)  # fmt: skip


def choice_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command that can be asked for one of the plans."""
    for option in reversed(_CHOICES):
        function = option(function)
    return function


def wanted(*, fastest: bool, cheapest: bool, by_text: str | None, under_text: str | None) -> Wanted:
    """Which plan the options ask for; raises InvalidValue for what is no time or amount, or for two of them."""
    asked = Wanted(
        fastest=fastest,
        cheapest=cheapest,
        by_seconds=None if by_text is None else _seconds(by_text),
        under_micro_usd=None if under_text is None else parse_usd(under_text, field="--under"),
    )
    if sum((fastest, cheapest, by_text is not None, under_text is not None)) > 1:
        raise InvalidValue(
            "choose one plan",
            field="plan",
            hint="one of --fastest, --cheapest, --by HOURS, --under USD",
        )
    return asked


def _seconds(text: str) -> float:
    hours = text.strip()
    return parse_seconds(hours if hours[-1:].isalpha() else f"{hours}h", field="--by")


def show_plan(plan: PlanView, spec: JobSpec, chosen: PlanOption | None = None) -> str:
    """The plan as text; `chosen` is marked in the table."""
    if not plan.fits:
        return _refusal(plan, spec)
    rows = [
        [
            machine.name,
            machine.region,
            machine.accelerator,
            str(machine.devices),
            f"{machine.steps_per_second:,.1f}",
            price(machine.price_micro_usd_per_device_hour),
        ]
        for machine in plan.machines
    ]
    parts = [table(MACHINE_HEADS, rows, empty="no machines"), facts(_sums(plan, spec))]
    if plan.default is not None:
        parts += [_front(plan, chosen, spec.resources), _compared(plan)]
    return "\n\n".join(part for part in parts if part)


def _refusal(plan: PlanView, spec: JobSpec) -> str:
    fits = "not now: launched, it waits" if plan.waits or spec.market.is_standing else "no"
    head = facts(
        [("job", spec.name), ("fits", fits), ("because", plan.why_not), ("try", plan.hint)]
    )
    if not plan.relaxations:
        return head
    rows = [
        [
            price(each.added_micro_usd_per_hour),
            price(each.price_micro_usd_per_hour),
            _about(each.seconds, each.cost_micro_usd),
            f"{kind_called(spec.resources, each.alternative)}: {each.words}"
            if each.alternative
            else each.words,
        ]
        for each in plan.relaxations
    ]
    return f"{head}\n\nWhat would fit, the cheapest change first:\n{table(RELAX_HEADS, rows, empty='')}"


def _about(seconds: float | None, cost: int | None) -> str:
    if seconds is None or cost is None:
        return ""
    return f"{format_seconds(seconds)}, {_money(cost)}"


def _sums(plan: PlanView, spec: JobSpec) -> list[tuple[str, str]]:
    cap, budget = spec.price_cap_micro_usd_per_device_hour, spec.budget_micro_usd
    seconds, cost = plan.seconds_estimated, plan.cost_micro_usd_estimated
    expected = plan.default
    return [
        ("job", spec.name),
        ("price", f"{price(plan.price_micro_usd_per_hour)} per hour for all of it"),
        ("price cap", "" if cap is None else f"{price(cap)} per device and hour"),
        ("budget", "" if budget is None else format_usd(budget)),
        ("expected", "" if expected is None else _about(expected.seconds, expected.cost_micro_usd)),
        ("at most", "" if seconds is None else _about(seconds, cost)),
        (
            "held",
            f"{format_usd(plan.hold_micro_usd)} set aside at launch; what is not used comes back",
        ),
    ]


def _front(plan: PlanView, chosen: PlanOption | None, resources: Resources) -> str:
    """The front as a table, drawn where it has more than two points; a default that is beaten stands below it."""
    default = plan.default
    assert default is not None
    shown = _thinned(plan.front, [default] if chosen is None else [default, chosen])
    options = shown if any(each.is_default for each in shown) else [*shown, default]
    is_training = bool(default.rounds)
    rows = [
        _row(each, chosen, resources, beaten=each not in shown, is_training=is_training)
        for each in options
    ]
    left = f" ({len(plan.front) - len(shown)} more: --json)" if len(shown) < len(plan.front) else ""
    lines = [
        f"Plans that none beats in both time and cost{left}; {DEFAULT_MARK} is what launching takes:",
        table(TRAIN_HEADS if is_training else BATCH_HEADS, rows, empty=""),
    ]
    if len(plan.front) > 2:
        lines += ["", _drawn(plan, chosen)]
    lines += ["", *plan.notes] if plan.notes else []
    return "\n".join(lines)


def _thinned(front: Sequence[PlanOption], kept: Sequence[PlanOption]) -> list[PlanOption]:
    """At most SHOWN_MAX of them: both ends, those to be kept, and others evenly between."""
    last = len(front) - 1
    if last < SHOWN_MAX:
        return list(front)
    room = SHOWN_MAX - len(kept)
    places = {last * n // (room - 1) for n in range(room)}
    places |= {place for place, each in enumerate(front) if each in kept}
    return [front[place] for place in sorted(places)]


def _row(
    option: PlanOption,
    chosen: PlanOption | None,
    resources: Resources,
    *,
    beaten: bool,
    is_training: bool,
) -> list[str]:
    mark = (CHOSEN_MARK if option == chosen else "") + (DEFAULT_MARK if option.is_default else "")
    head = [
        mark + (" beaten" if beaten else " too long" if option.is_too_long else ""),
        format_seconds(option.seconds),
        _money(option.cost_micro_usd),
        price(option.price_micro_usd_per_hour),
        _percent(option.interruption_probability),
    ]
    machines = option.accelerators
    if option.alternative and resources.alternatives:  # else it is named by its machines
        machines += f" ({kind_called(resources, option.alternative)})"
    if not is_training:
        return [*head, machines]
    return [
        *head,
        "" if option.step_seconds is None else _step(option.step_seconds),
        _percent(option.utilisation),
        "" if option.loss_gap is None else f"{option.loss_gap:+.1%}",
        str(option.rounds),
        str(option.inner_steps),
        option.codec,
        machines,
    ]


def _drawn(plan: PlanView, chosen: PlanOption | None) -> str:
    points = [(each.seconds, float(each.cost_micro_usd), "o") for each in plan.front]
    for each, mark in ((plan.default, DEFAULT_MARK), (chosen, CHOSEN_MARK)):
        if each is not None:
            points.append((each.seconds, float(each.cost_micro_usd), mark))
    costs, times = [point[1] for point in points], [point[0] for point in points]
    labels = (_money(round(max(costs))), _money(round(min(costs))))
    ends = (format_seconds(min(times)), format_seconds(max(times)))
    return scatter(points, labels, ends, size=(PLOT_COLUMNS, PLOT_ROWS))


def _compared(plan: PlanView) -> str:
    if not plan.comparisons:
        return plan.no_comparison
    rows = [
        [
            each.provider,
            each.model,
            price(each.price_micro_usd_per_device_hour),
            f"{each.device_hours:,.2f}",
            _money(each.cost_micro_usd),
            each.as_of,
            "; ".join(part for part in (each.source, each.note) if part),
        ]
        for each in plan.comparisons
    ]
    head = "The same work at list prices of others (an hour of another model counts by its vendor's 16-bit TFLOP/s):"
    return f"{head}\n{table(COMPARE_HEADS, rows, empty='')}"


def show_accuracy(found: Sequence[AccuracyView]) -> str:
    """How far plans were off."""
    rows = [
        [
            each.bucket,
            each.basis,
            str(each.jobs),
            _median(each.seconds),
            "" if each.seconds is None else f"{each.seconds.within_quarter:.0%}",
            _median(each.cost),
            _median(each.step_seconds),
        ]
        for each in found
    ]
    told = table(ACCURACY_HEADS, rows, empty="no planned job has ended well yet")
    return (
        f"{told}\n\nactual over predicted, in the middle (and for nine tenths of the jobs)"
        if rows
        else told
    )


def prediction_pairs(told: PredictionView) -> list[tuple[str, str]]:
    """What was predicted of a job beside what became of it."""
    done = told.actual_seconds is not None
    return [
        (
            "predicted",
            f"{_about(told.seconds, told.cost_micro_usd)} on {told.machines} ({told.bucket}, {told.basis})",
        ),
        ("took", _took(told) if done else ""),
        ("step", _steps(told)),
    ]


def _took(told: PredictionView) -> str:
    seconds, cost = told.actual_seconds, told.actual_cost_micro_usd
    assert seconds is not None
    off = [
        f"{actual / expected:.2f} × the {what}"
        for what, actual, expected in (
            ("time", seconds, told.seconds),
            ("cost", cost, told.cost_micro_usd),
        )
        if actual is not None and expected
    ]
    return f"{_about(seconds, cost)} on {told.actual_machines}: {', '.join(off)}"


def _steps(told: PredictionView) -> str:
    if told.step_seconds is None:
        return ""
    actual = "" if told.actual_step_seconds is None else f", was {_step(told.actual_step_seconds)}"
    return f"{_step(told.step_seconds)} predicted{actual}"


def _median(spread: SpreadView | None) -> str:
    return "" if spread is None else f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def _money(micro_usd: int) -> str:
    return format_usd(micro_usd, decimals=2 if micro_usd >= 1_000_000 else 4)


def _percent(part: float | None) -> str:
    return "" if part is None else "<1%" if 0 < part < 0.005 else f"{part:.0%}"


def _step(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
