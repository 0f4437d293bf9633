"""Plans, predictions and how far they were off, as they are answered (wire/plans.py)."""

from collections import Counter

from gondwana.db.transaction import Reader
from gondwana.jobs import predictions
from gondwana.jobs.model import Job
from gondwana.jobs.plans import Planned
from gondwana.market.model import Plan as Machines
from gondwana.market.plans import front
from gondwana.market.plans.accuracy import Accuracy, Spread
from gondwana.market.plans.list_prices import Comparison
from gondwana.market.plans.model import Forecast, Plan
from gondwana.market.plans.relax import Relaxation
from gondwana.wire import plans as wire
from gondwana.wire.views import PlanMachine, PlanView


def plan_view(planned: Planned) -> PlanView:
    """What launching would do, and what else could be done."""
    plan, found = planned.plan, planned.front

    def number(variant: int) -> int:
        return variant + 1 if planned.has_alternatives else 0

    def option(each: Plan) -> wire.PlanOption:
        return _option(each, number(each.variant))

    return PlanView(
        fits=bool(plan.machines),
        machines=_machines(plan),
        price_micro_usd_per_hour=plan.price_micro_usd_per_hour,
        seconds_estimated=plan.seconds_estimated,
        cost_micro_usd_estimated=plan.cost_micro_usd_estimated,
        hold_micro_usd=plan.hold_micro_usd,
        why_not=plan.why_not,
        hint=plan.hint,
        basis=found.basis,
        waits=plan.waits,
        front=tuple(option(each) for each in front.told(found, wire.OPTIONS_MAX)),
        default=None if found.default is None else option(found.default),
        relaxations=tuple(
            _relaxation(each, told, number(each.variant)) for each, told in planned.relaxations
        ),
        comparisons=tuple(_comparison(each) for each in planned.comparisons),
        no_comparison=planned.no_comparison,
        notes=planned.notes,
    )


def prediction_view(reader: Reader, job: Job) -> wire.PredictionView | None:
    """What was expected of a job, and what became of it; None where nothing was."""
    found = predictions.of_job(reader, job.id)
    if found is None:
        return None
    return wire.PredictionView(
        bucket=found.bucket,
        basis=found.basis,
        machines=found.machines,
        seconds=found.seconds,
        cost_micro_usd=found.cost_micro_usd,
        step_seconds=found.step_seconds,
        utilisation=found.utilisation,
        actual_machines=found.actual_machines,
        actual_seconds=found.actual_seconds,
        actual_cost_micro_usd=found.actual_cost_micro_usd,
        actual_step_seconds=found.actual_step_seconds,
    )


def accuracy_view(each: Accuracy) -> wire.AccuracyView:
    """How far off the plans of one bucket were."""
    return wire.AccuracyView(
        bucket=each.bucket,
        basis=each.basis,
        jobs=each.jobs,
        seconds=_spread(each.seconds),
        cost=_spread(each.cost),
        step_seconds=_spread(each.step_seconds),
    )


def _machines(plan: Machines) -> tuple[PlanMachine, ...]:
    return tuple(
        PlanMachine(
            name=each.name,
            region=each.region,
            accelerator=each.accelerator,
            devices=plan.devices,
            price_micro_usd_per_device_hour=each.price_micro_usd_per_device_hour,
            steps_per_second=round(each.steps_per_second, 3),
        )
        for each in plan.machines
    )


def _option(plan: Plan, alternative: int) -> wire.PlanOption:
    told, choice = plan.forecast, plan.choice
    models = Counter(host.listing.accelerator for host in plan.hosts)
    return wire.PlanOption(
        is_default=plan.is_default,
        machines=tuple(host.listing.name for host in plan.hosts),
        accelerators=", ".join(f"{count}×{model}" for model, count in sorted(models.items())),
        price_max_micro_usd_per_device_hour=plan.price_max_micro_usd_per_device_hour,
        steps_per_second_min=round(plan.steps_per_second_min, 3),
        seconds=told.seconds,
        cost_micro_usd=told.cost_micro_usd,
        price_micro_usd_per_hour=told.price_micro_usd_per_hour,
        seconds_lost=told.seconds_lost,
        interruption_probability=told.interruption_probability,
        step_seconds=told.step_seconds,
        utilisation=told.utilisation,
        loss_gap=told.loss_gap,
        inner_steps=choice.inner_steps,
        window_seconds=choice.window_seconds,
        rounds=choice.rounds,
        codec=choice.codec,
        is_too_long=plan.is_too_long,
        where=_speed_term(plan.steps_per_second_min),
        alternative=alternative,
    )


def _speed_term(steps_per_second: float) -> str:
    """What binds a job to machines that are as fast; nothing where speed was not measured."""
    measured = round(steps_per_second, 3)
    return f"steps>={measured:.3f}" if measured > 0 else ""


def _relaxation(each: Relaxation, told: Forecast, alternative: int) -> wire.RelaxationView:
    return wire.RelaxationView(
        words=each.words,
        changes=tuple(
            wire.ChangeView(field=change.field, was=change.was, now=change.now, words=change.words)
            for change in each.changes
        ),
        machines=tuple(machine.name for machine in each.machines),
        price_micro_usd_per_hour=each.price_micro_usd_per_hour,
        added_micro_usd_per_hour=each.added_micro_usd_per_hour,
        seconds=told.seconds,
        cost_micro_usd=told.cost_micro_usd,
        alternative=alternative,
    )


def _comparison(each: Comparison) -> wire.ComparisonView:
    listed = each.listed
    return wire.ComparisonView(
        provider=listed.provider,
        kind=listed.kind,
        model=listed.model,
        price_micro_usd_per_device_hour=listed.price_micro_usd_per_device_hour,
        device_hours=each.device_hours,
        per_device=each.per_device,
        cost_micro_usd=each.cost_micro_usd,
        as_of=listed.as_of,
        source=listed.source,
        note=listed.note,
    )


def _spread(each: Spread | None) -> wire.SpreadView | None:
    if each is None:
        return None
    return wire.SpreadView(
        jobs=each.jobs,
        median=each.median,
        low=each.low,
        high=each.high,
        within_quarter=each.within_quarter,
    )
