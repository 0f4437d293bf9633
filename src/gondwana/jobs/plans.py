"""Plans of a job on what the market sells now: the best of them, what others ask, or what would have to change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId, OrderId, PrincipalId
from gondwana.core.money import format_usd
from gondwana.core.values import replace
from gondwana.db.transaction import Reader
from gondwana.jobs import admit, predictions
from gondwana.jobs.listings import listings_of
from gondwana.jobs.predictions import Prediction
from gondwana.jobs.rules.work import bucket_of, host_of, work_key, work_of
from gondwana.jobs.shelf import Shelf
from gondwana.market import rules as market_rules
from gondwana.market.alternatives import variants
from gondwana.market.history import History, histories
from gondwana.market.model import Listing, Mechanism, Order, Plan, Screening
from gondwana.market.plans import front, relax
from gondwana.market.plans.list_prices import Comparison, ListPrices, compare
from gondwana.market.plans.model import Basis, BatchWork, Forecast, Front, Host, Work
from gondwana.market.plans.relax import Relaxation
from gondwana.wire.jobs import JobSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is told of a job before it is launched."""

    plan: Plan  # what launching takes
    front: Front
    relaxations: tuple[tuple[Relaxation, Forecast], ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    no_comparison: str = ""
    notes: tuple[str, ...] = ()


def make(
    reader: Reader, shelf: Shelf, prices: ListPrices, tenant_id: PrincipalId, spec: JobSpec, now: Instant
) -> Planned:  # fmt: skip
    """The plans of a job; changes nothing. Raises for a job that is not valid."""
    plan = admit.plan(reader, shelf, tenant_id, spec, now)
    order = admit.order_for(spec, tenant_id, JobId("plan"), OrderId("plan"), now)
    wanted = variants(order)[plan.variant]
    work = work_of(spec, predictions.past(reader, work_key(tenant_id, spec)))
    if not plan.machines:
        return _refused(reader, shelf, plan, wanted, work, now)
    is_ahead = wanted.starts_at is not None
    fits = (
        plan.machines
        if is_ahead
        else admit.screen(wanted, _pool(reader, shelf, wanted, now), now).fits
    )
    found = front.front(work, _hosts(reader, fits, work), devices=wanted.devices)
    if found.default is None:  # what fitted a moment ago is gone
        return Planned(plan=plan, front=found)
    told, why_not = compare(
        prices, found.default.hosts, devices=wanted.devices, seconds=found.default.forecast.seconds
    )
    return Planned(
        plan=plan,
        front=found,
        comparisons=told,
        no_comparison=why_not,
        notes=(*_of_auction(reader, wanted), *plan.notes, *_notes(spec, work, found)),
    )


def predict(
    reader: Reader, tenant_id: PrincipalId, spec: JobSpec, seen: Screening
) -> Prediction | None:
    """What is expected of a job that has no id yet on the machines just seen to fit; None where too few did."""
    key = work_key(tenant_id, spec)
    work = work_of(spec, predictions.past(reader, key))
    most = work.nodes if isinstance(work, BatchWork) else work.islands_max
    hosts = _hosts(reader, seen.fits[:most], work)
    kinds = spec.resources.alternatives
    accelerators = (kinds[seen.variant] if kinds else spec.resources).accelerators
    devices = max((wanted.count for wanted in accelerators), default=1)
    told = front.as_it_is(work, hosts, devices=devices)
    if told is None:
        return None
    forecast, listings = told.forecast, [host.listing for host in told.hosts]
    return Prediction(
        job_id=JobId(""),
        work_key=key,
        bucket=bucket_of(listings),
        basis=work.basis,
        machines=len(listings),
        seconds=forecast.seconds,
        cost_micro_usd=forecast.cost_micro_usd,
        step_seconds=forecast.step_seconds,
        utilisation=forecast.utilisation,
    )


def _refused(
    reader: Reader, shelf: Shelf, plan: Plan, wanted: Order, work: Work, now: Instant
) -> Planned:  # fmt: skip
    nothing = Front(plans=(), default=None, basis=work.basis, candidates=0)
    is_ahead = wanted.starts_at is not None  # what would have to change is another time
    found = () if is_ahead else relax.relaxations(wanted, _near(reader, shelf, wanted), now)
    told = [(each, _expected(reader, work, each)) for each in found]
    return Planned(plan=plan, front=nothing, relaxations=tuple(told))


def _expected(reader: Reader, work: Work, relaxed: Relaxation) -> Forecast:
    count = len(relaxed.machines)
    wanted = (
        replace(work, nodes=count)
        if isinstance(work, BatchWork)
        else replace(work, islands_min=count, islands_max=count)
    )
    hosts = _hosts(reader, relaxed.machines, work)
    told = front.as_it_is(wanted, hosts, devices=relaxed.order.devices)
    assert told is not None, "a relaxation names the machines that fit"
    return told.forecast


def _pool(reader: Reader, shelf: Shelf, wanted: Order, now: Instant) -> list[Listing]:
    if shelf.is_small(reader):
        return shelf.listings(reader)
    return listings_of(reader, shelf.find(reader, replace(wanted, count_max=front.POOL_MAX), now))


def _near(reader: Reader, shelf: Shelf, wanted: Order) -> list[Listing]:
    """What a job might be changed for: everything, or of too much what is nearest."""
    if shelf.is_small(reader):
        return shelf.listings(reader)
    return shelf.nearest(reader, wanted, relax.LISTINGS_MAX)


def _hosts(reader: Reader, listings: Sequence[Listing], work: Work) -> list[Host]:
    cheapest = sorted(listings, key=market_rules.price_per_work)[: front.POOL_MAX]
    past = histories(reader, [each.machine_id for each in cheapest])
    known = [(each, past.get(each.machine_id, History())) for each in cheapest]
    return [
        host_of(
            each,
            work.basis,
            seconds_proven=had.seconds_proven,
            interruptions=had.interruptions,
        )
        for each, had in known
    ]


_TOLD: Final = {
    Basis.MEASURED: "times are from the last time that this job's work was done",
    Basis.TOLD: "times are from the model's size as the job file tells it, at the machines' measured speed",
    Basis.WINDOW: "nobody knows yet how fast this recipe is: times take it that a machine does inner_steps in one "
    "window; gondwana.train.parameters and tokens_per_step, or one finished run, would tell",
    Basis.LIMIT: "nobody knows yet how long the command takes: times are its limit, max_duration, on the machines that "
    "launching would take, and in proportion on others; one finished run would tell",
}


def _of_auction(reader: Reader, wanted: Order) -> Iterable[str]:
    cap = wanted.price_cap_micro_usd_per_device_hour
    if wanted.mechanism is Mechanism.AUCTION and cap is not None:
        yield (
            f"it is auctioned: owners bid for {admit.window_seconds(reader)} seconds from its launch; "
            f"prices are at most those shown while their offers stand, and never above {format_usd(cap)}"
        )


def _notes(spec: JobSpec, work: Work, found: Front) -> Iterable[str]:
    yield _TOLD[work.basis]
    assert found.default is not None
    cost, budget = found.default.forecast.cost_micro_usd, spec.budget_micro_usd
    if budget is not None and cost > budget and work.basis is not Basis.LIMIT:
        within = [plan for plan in found.plans if plan.forecast.cost_micro_usd <= budget]
        way = "--under would take a cheaper plan" if within else "no plan costs less than that"
        yield f"launching would cost about {format_usd(cost)}, the budget is {format_usd(budget)}: {way}"
    if found.default.is_too_long:
        yield "it is likely to run into its limit: raise gondwana.max_duration, or take a faster plan"
