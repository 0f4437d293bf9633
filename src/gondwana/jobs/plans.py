"""Plans of a job on what the market sells now: the best of them, what others ask, or what would have to change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId, OrderId, PrincipalId
from gondwana.core.money import format_usd
from gondwana.core.units import format_seconds
from gondwana.core.values import replace
from gondwana.db.transaction import Reader
from gondwana.jobs import admit, choosing, predictions
from gondwana.jobs.listings import listings_of
from gondwana.jobs.predictions import Prediction
from gondwana.jobs.rules.work import bucket_of, host_of, work_key, work_of
from gondwana.jobs.shelf import Shelf
from gondwana.market import rules as market_rules
from gondwana.market.alternatives import has_kinds, variants
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
    has_alternatives: bool = False  # a plan, and a relaxation, is of one of them


def make(
    reader: Reader, shelf: Shelf, prices: ListPrices, tenant_id: PrincipalId, spec: JobSpec, now: Instant
) -> Planned:  # fmt: skip
    """The plans of a job; changes nothing. Raises for a job that is not valid."""
    plan = admit.plan(reader, shelf, tenant_id, spec, now)
    order = admit.order_for(spec, tenant_id, JobId("plan"), OrderId("plan"), now)
    kinds = variants(order)
    work = work_of(spec, predictions.past(reader, work_key(tenant_id, spec)))
    has_alternatives = has_kinds(order)
    if not plan.machines:
        refused = _refused(reader, shelf, plan, kinds, work, now)
        return replace(refused, has_alternatives=has_alternatives)
    found, default = _front(reader, shelf, plan, kinds, work, now)
    wanted = kinds[plan.variant]
    told, why_not = compare(
        prices, default.hosts, devices=wanted.devices, seconds=default.forecast.seconds
    )
    about = (*_of_auction(reader, wanted), *_of_spot(reader, wanted, plan))
    return Planned(
        plan=plan,
        front=found,
        comparisons=told,
        no_comparison=why_not,
        notes=(*about, *plan.notes, *_notes(spec, work, found, default)),
        has_alternatives=has_alternatives,
    )


def _front(
    reader: Reader, shelf: Shelf, plan: Plan, kinds: Sequence[Order], work: Work, now: Instant
) -> tuple[Front, front.Plan]:
    """(the best plans over all of a job's alternatives, the default: what launching takes)."""
    taken = _as_hosts(reader, plan.machines, work)
    default = front.as_it_is(work, taken, devices=plan.devices)
    assert default is not None, "there are machines that it takes"
    made = [replace(default, variant=plan.variant)]
    for number, wanted in enumerate(kinds):
        hosts = _hosts(reader, _fits(reader, shelf, plan, wanted, now), work)
        pick = _pick(reader, wanted, hosts)
        ways = front.others(work, hosts, taken, devices=wanted.devices, pick=pick)
        made += (replace(each, variant=number) for each in ways)
    return front.front_of(work, made), made[0]


def _pick(reader: Reader, wanted: Order, hosts: Sequence[Host]) -> front.Pick:
    """How the market chooses among these."""
    by_id = {each.id: each for each in hosts}
    pick = choosing.picker(reader, wanted, [each.listing for each in hosts])
    return lambda some, count: [
        by_id[str(each.machine_id)] for each in pick([host.listing for host in some], count)
    ]


def _fits(
    reader: Reader, shelf: Shelf, plan: Plan, wanted: Order, now: Instant
) -> Sequence[Listing]:
    """What may serve one of the job's alternatives now: of one for a time to come, what it would reserve."""
    if wanted.starts_at is not None:
        return plan.machines
    pool = _pool(reader, shelf, wanted, now)
    if wanted.mechanism is Mechanism.SPOT:  # the higher bid has them, whoever has them now
        pool = admit.as_if_free(pool)
    return admit.screen(wanted, pool, now).fits


def predict(
    reader: Reader, tenant_id: PrincipalId, spec: JobSpec, seen: Screening
) -> Prediction | None:
    """What is expected of a job that has no id yet on the machines just seen to fit; None where too few did."""
    key = work_key(tenant_id, spec)
    work = work_of(spec, predictions.past(reader, key))
    most = work.nodes if isinstance(work, BatchWork) else work.islands_max
    hosts = _as_hosts(reader, seen.fits[:most], work)
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
    reader: Reader, shelf: Shelf, plan: Plan, kinds: Sequence[Order], work: Work, now: Instant
) -> Planned:  # fmt: skip
    nothing = Front(plans=(), default=None, basis=work.basis, candidates=0)
    is_ahead = kinds[0].starts_at is not None  # what would have to change is another time
    found = [
        replace(each, variant=number)
        for number, wanted in enumerate(() if is_ahead else kinds)
        for each in relax.relaxations(wanted, _near(reader, shelf, wanted), now)
    ]
    told = [(each, _expected(reader, work, each)) for each in relax.cheapest(found)]
    return Planned(plan=plan, front=nothing, relaxations=tuple(told))


def _expected(reader: Reader, work: Work, relaxed: Relaxation) -> Forecast:
    count = len(relaxed.machines)
    wanted = (
        replace(work, nodes=count)
        if isinstance(work, BatchWork)
        else replace(work, islands_min=count, islands_max=count)
    )
    hosts = _as_hosts(reader, relaxed.machines, work)
    told = front.as_it_is(wanted, hosts, devices=relaxed.order.devices)
    assert told is not None, "a relaxation names the machines that fit"
    return told.forecast


def _pool(reader: Reader, shelf: Shelf, wanted: Order, now: Instant) -> list[Listing]:
    if shelf.is_small(reader):
        return shelf.listings(reader)
    many, taken_too = replace(wanted, count_max=front.POOL_MAX), wanted.mechanism is Mechanism.SPOT
    return listings_of(reader, shelf.find(reader, many, now, taken_too=taken_too))


def _near(reader: Reader, shelf: Shelf, wanted: Order) -> list[Listing]:
    """What a job might be changed for: everything, or of too much what is nearest."""
    if shelf.is_small(reader):
        return shelf.listings(reader)
    return shelf.nearest(reader, wanted, relax.LISTINGS_MAX)


def _hosts(reader: Reader, listings: Sequence[Listing], work: Work) -> list[Host]:
    """The cheapest per work of these, with what is known of them."""
    cheapest = sorted(listings, key=market_rules.price_per_work)[: front.POOL_MAX]
    return _as_hosts(reader, cheapest, work)


def _as_hosts(reader: Reader, listings: Sequence[Listing], work: Work) -> list[Host]:
    past = histories(reader, [each.machine_id for each in listings])
    known = [(each, past.get(each.machine_id, History())) for each in listings]
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


def _of_spot(reader: Reader, wanted: Order, plan: Plan) -> Iterable[str]:
    if wanted.mechanism is not Mechanism.SPOT:
        return
    now = listings_of(reader, [each.machine_id for each in plan.machines])
    taken = sum(each.devices_free < wanted.devices for each in now)
    if taken:
        yield (
            f"of these {len(plan.machines)} machines {taken} are taken now: it waits until it bids more than who has "
            "them, or they are free: gondwana prices"
        )


def _notes(spec: JobSpec, work: Work, found: Front, default: front.Plan) -> Iterable[str]:
    yield _TOLD[work.basis]
    told, budget = default.forecast, spec.budget_micro_usd
    cost = told.cost_micro_usd
    if budget is not None and cost > budget and work.basis is Basis.LIMIT:
        lasts = 3_600 * budget / told.price_micro_usd_per_hour
        yield f"the budget of {format_usd(budget)} lasts for {format_seconds(lasts)} there, and ends the job then"
    elif budget is not None and cost > budget:
        within = [plan for plan in found.plans if plan.forecast.cost_micro_usd <= budget]
        way = "--under would take a cheaper plan" if within else "no plan costs less than that"
        yield f"launching would cost about {format_usd(cost)}, the budget is {format_usd(budget)}: {way}"
    if default.is_too_long:
        yield "it is likely to run into its limit: raise gondwana.max_duration, or take a faster plan"
