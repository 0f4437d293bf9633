"""A plan in words: which machines, what they cost, how long, what is held."""

from gondwana.cli.output import columns, facts, price, table
from gondwana.core.money import format_usd
from gondwana.core.units import format_seconds
from gondwana.wire.jobs import JobSpec
from gondwana.wire.views import PlanView

HEADS = columns("MACHINE", "REGION", "ACCELERATOR", ">DEVICES", ">STEPS/S", ">$/DEVICE-HOUR")


def show_plan(plan: PlanView, spec: JobSpec) -> str:
    """The plan as text."""
    if not plan.fits:
        return facts(
            [("job", spec.name), ("fits", "no"), ("because", plan.why_not), ("try", plan.hint)]
        )
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
    return table(HEADS, rows, empty="no machines") + "\n\n" + facts(_sums(plan, spec))


def _sums(plan: PlanView, spec: JobSpec) -> list[tuple[str, str]]:
    cap, budget = spec.price_cap_micro_usd_per_device_hour, spec.budget_micro_usd
    seconds, cost = plan.seconds_estimated, plan.cost_micro_usd_estimated
    return [
        ("job", spec.name),
        ("price", f"{price(plan.price_micro_usd_per_hour)} per hour for all of it"),
        ("price cap", "" if cap is None else f"{price(cap)} per device and hour"),
        ("budget", "" if budget is None else format_usd(budget)),
        ("estimate", "" if seconds is None else _estimate(seconds, cost)),
        (
            "held",
            f"{format_usd(plan.hold_micro_usd)} set aside at launch; what is not used comes back",
        ),
    ]


def _estimate(seconds: float, cost: int | None) -> str:
    return f"about {format_seconds(seconds)}" + ("" if cost is None else f", {format_usd(cost)}")
