"""How a job enters: its plan, its checks, its money, its order."""

from collections.abc import Sequence
from typing import Final

from gondwana.blobs.base import BlobStore
from gondwana.core.clock import Instant
from gondwana.core.errors import Exhausted, InvalidValue, NoSuchThing, NothingFits
from gondwana.core.ids import JobId, OrderId, PrincipalId, new_id
from gondwana.core.money import due_micro_usd
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.blob_references import hold_blobs
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import choosing, holders, money, quotas, reservations, store
from gondwana.jobs.calendar import Ahead
from gondwana.jobs.listings import listings_of
from gondwana.jobs.model import Job, JobState
from gondwana.jobs.rules import batch, islands
from gondwana.jobs.shelf import Shelf
from gondwana.ledger.frozen import check_not_frozen
from gondwana.ledger.settings import setting
from gondwana.market import rules as market_rules
from gondwana.market import screening
from gondwana.market import store as market
from gondwana.market.alternatives import check_alternatives, joined, variants
from gondwana.market.auction import bidding
from gondwana.market.calendar import rules as calendar
from gondwana.market.model import Charge, Listing, Mechanism, Order, OrderState, Plan, Screening
from gondwana.market.where import check_where
from gondwana.policy import rules as policy
from gondwana.wire.auctions import WINDOW_SECONDS, AuctionSettings
from gondwana.wire.jobs import JobSpec, kind_called
from gondwana.wire.manifests import manifest_hash

ORDER_SECONDS_MAX: Final = market_rules.ORDER_SECONDS_MAX
STANDING_MAX: Final = (
    100  # of one tenant's jobs wait without an end: each is looked at in each pass
)
LIVE_JOBS_MAX: Final = (
    2_000  # of one tenant: the reconcilers look at 10,000 in one pass, oldest first
)


def order_for(
    spec: JobSpec, tenant_id: PrincipalId, job_id: JobId, order_id: OrderId, now: Instant
) -> Order:
    """What a job wants of the market: a gang of nodes, or as many islands as there are between its bounds."""
    train, cap = spec.train, spec.price_cap_micro_usd_per_device_hour
    count_min = train.islands_min if train else spec.num_nodes
    devices = _devices(spec)
    mechanism = _mechanism(spec)
    return Order(
        id=order_id,
        job_id=job_id,
        tenant_id=tenant_id,
        state=OrderState.OPEN,
        count_min=count_min,
        count_max=train.islands_max if train else spec.num_nodes,
        devices=devices,
        resources=spec.resources,
        price_cap_micro_usd_per_device_hour=cap,
        charge=Charge.UNIT if train else Charge.SECOND,
        created_at=now,
        expires_at=_expires_at(spec, now),
        mechanism=mechanism,
        closes_at=Instant(now + WINDOW_SECONDS) if mechanism is Mechanism.AUCTION else None,
        filters=spec.market.where,
        notice_seconds_min=spec.market.notice_seconds_min,
        priority=spec.market.priority,
        lease_seconds=spec.market.lease_seconds,
        starts_at=None if spec.market.starts_at is None else Instant(spec.market.starts_at),
        is_standing=spec.market.is_standing,
        manifest_hash=manifest_hash(spec),
        project=spec.project,
        seconds_max=None if train else spec.seconds_max,
    )


def _devices(spec: JobSpec) -> int:
    return max((wanted.count for wanted in spec.resources.accelerators), default=1)


def _mechanism(spec: JobSpec) -> Mechanism:
    nodes = spec.train.islands_min if spec.train else spec.num_nodes
    if spec.resources.alternatives and not spec.market.mechanism:
        return Mechanism.POSTED
    return bidding.mechanism_for(
        spec.market.mechanism,
        devices_min=nodes * _devices(spec),
        lease_seconds=spec.market.lease_seconds,
        has_cap=spec.price_cap_micro_usd_per_device_hour is not None,
        is_ahead=spec.market.starts_at is not None,
    )


def check(spec: JobSpec) -> None:
    """Raise InvalidValue for a job that no machine could run as written, or whose filter cannot be read."""
    policy.check_spec(spec)
    mechanism = _mechanism(spec)
    check_where(spec.market.where, mechanism)
    is_ahead = spec.market.starts_at is not None
    check_alternatives(spec.resources, mechanism, is_ahead=is_ahead)
    kinds = "resources.ordered" if spec.resources.is_ordered else "resources.any_of"
    for index, each in enumerate(spec.resources.alternatives):
        for text in (each.where, joined(spec.market.where, each.where)):  # both are asked at once
            check_where(text, mechanism, f"{kinds}[{index}].where")


def plan(reader: Reader, shelf: Shelf, tenant_id: PrincipalId, spec: JobSpec, now: Instant) -> Plan:
    """Which machines the job would get now, for how much; changes nothing. Raises for a job that is not valid.

    On spot a machine that is taken may be had too: by the higher bid.
    """
    check(spec)
    wanted = order_for(spec, tenant_id, JobId("plan"), OrderId("plan"), now)
    if wanted.starts_at is not None:
        return _plan_ahead(reader, shelf, spec, wanted, now)
    seen = _best(reader, shelf, wanted, now, taken_too=False)
    variant = variants(wanted)[seen.variant]
    planned = _plan(spec, variant, seen)
    if not planned.machines:
        return replace(_if_free(reader, shelf, spec, wanted, planned, now), variant=seen.variant)
    waits = quotas.why_waiting(reader, wanted)
    notes = (f"it would wait: {waits}",) if waits else ()
    notes = (*notes, *choosing.told(reader, variant, planned.machines))
    return replace(planned, notes=notes, variant=seen.variant)


def _if_free(
    reader: Reader, shelf: Shelf, spec: JobSpec, wanted: Order, planned: Plan, now: Instant
) -> Plan:
    """A plan without machines, with whether it waits for some that are taken, and what is set aside meanwhile."""
    seen = _best(reader, shelf, wanted, now, taken_too=True)
    later = _plan(spec, variants(wanted)[seen.variant], seen)
    if not later.machines:
        return planned
    return replace(planned, waits=True, hold_micro_usd=later.hold_micro_usd)


def look(
    reader: Reader, shelf: Shelf, tenant_id: PrincipalId, spec: JobSpec, now: Instant
) -> Screening:
    """The machines that could serve a job if nothing were leased, or why there are none: for `submit`.

    It is done before the transaction, since the reason takes a look at every offer, and nobody else should wait.
    """
    check(spec)
    wanted = order_for(spec, tenant_id, JobId("look"), OrderId("look"), now)
    if wanted.starts_at is not None:
        calendar.check_start(wanted.starts_at, calendar.lease_seconds(wanted), now)
        return reservations.find(reader, shelf, wanted, now)
    return _best(reader, shelf, wanted, now, taken_too=True)


def _best(
    reader: Reader, shelf: Shelf, wanted: Order, now: Instant, *, taken_too: bool
) -> Screening:
    """What fits an order: of its alternatives the first that does, or the cheapest; or why none does."""
    all_free = taken_too or wanted.mechanism is Mechanism.SPOT
    found: list[Screening] = []
    kinds, ahead = variants(wanted), None if taken_too else Ahead.read(reader, now)
    for number, each in enumerate(kinds):
        machines = choosing.find(reader, shelf, each, now, taken_too=taken_too)
        barred = ahead.not_for(each) if ahead else ()
        seen = _screen(reader, shelf, each, machines, now, all_free=all_free, barred=barred)
        found.append(replace(seen, variant=number))
        if len(seen.fits) >= each.count_min and wanted.resources.is_ordered:
            return found[-1]
    whole = [each for each in found if len(each.fits) >= wanted.count_min]
    if whole:
        return min(whole, key=lambda each: _hourly(kinds[each.variant], each))
    if len(found) == 1:
        return found[0]
    told = (
        f"{kind_called(wanted.resources, each.variant + 1)}: {each.why_not or 'too few fit'}"
        for each in found
    )
    return replace(found[0], fits=(), why_not="; ".join(told))


def _hourly(variant: Order, seen: Screening) -> int:
    chosen = seen.fits[: variant.count_max]
    return sum(each.price_micro_usd_per_device_hour for each in chosen) * variant.devices


def submit(
    tx: Transaction, random: Random, now: Instant, tenant_id: PrincipalId, spec: JobSpec, seen: Screening
) -> Job:  # fmt: skip
    """The job, stored and its order opened, its money set aside; it goes on from here by itself.

    `seen` is from `look`; what it found is looked at again.

    Raises InvalidValue for a job that is not valid, AccountFrozen, Exhausted where too many wait, NothingFits where no
    machine could ever serve it as written (a standing job waits for one), BudgetTooSmall and FundsTooLow where the
    money does not reach. A job that only has to wait for machines that are taken is accepted.
    """
    check(spec)
    check_not_frozen(tx, tenant_id)
    if store.count_live_jobs(tx, tenant_id) >= LIVE_JOBS_MAX:
        raise Exhausted(
            f"{LIVE_JOBS_MAX} of your jobs have not ended yet",
            hint="gondwana jobs cancel JOB, or wait",
        )
    job_id, order_id = JobId(new_id("job", now, random)), OrderId(new_id("ord", now, random))
    wanted = order_for(spec, tenant_id, job_id, order_id, now)
    if wanted.closes_at is not None:
        wanted = replace(wanted, closes_at=Instant(now + window_seconds(tx)))
    quotas.check_ever(tx, wanted)
    _check_standing(tx, spec, tenant_id)
    variant = variants(wanted)[seen.variant]
    planned = _plan(spec, variant, _seen_again(tx, variant, seen, now))
    if not planned.machines and not spec.market.is_standing:
        raise NothingFits(planned.why_not, hint=planned.hint)
    policy.check_budget(
        spec,
        min(planned.hold_micro_usd, planned.cost_micro_usd_estimated or planned.hold_micro_usd),
    )
    job = Job(
        id=job_id,
        tenant_id=tenant_id,
        name=spec.name,
        state=JobState.SUBMITTED,
        spec=spec,
        shares=money.shares(tx),
        order_id=order_id,
        created_at=now,
    )
    store.add_job(tx, job)
    hold_blobs(tx, blobs_of(spec), holder=holders.of_job(job.id), at=now)
    money.hold_job(tx, now, job, planned.hold_micro_usd)
    market.place_order(tx, wanted)
    if wanted.starts_at is not None:
        calendar.check_start(wanted.starts_at, calendar.lease_seconds(wanted), now)
        reservations.reserve(
            tx, random, now, job, wanted, [str(each.machine_id) for each in seen.fits]
        )
    return store.move_job(tx, now, job, JobState.ADMITTED)


def window_seconds(reader: Reader) -> int:
    """How long a new auction takes bids."""
    return setting(reader, "auction", AuctionSettings).window_seconds


def _expires_at(spec: JobSpec, now: Instant) -> Instant:
    """Until when an order looks for machines: a day, or until the end of its own window."""
    if spec.market.starts_at is None:
        return Instant(now + ORDER_SECONDS_MAX)
    return Instant(spec.market.starts_at + (spec.market.lease_seconds or 0))


def _plan_ahead(reader: Reader, shelf: Shelf, spec: JobSpec, wanted: Order, now: Instant) -> Plan:
    """Which machines the job could reserve now."""
    assert wanted.starts_at is not None
    calendar.check_start(wanted.starts_at, calendar.lease_seconds(wanted), now)
    planned = _plan(spec, wanted, reservations.find(reader, shelf, wanted, now))
    if not planned.machines:
        return planned
    return replace(planned, notes=reservations.told(wanted, planned.machines, now))


def _check_standing(tx: Transaction, spec: JobSpec, tenant_id: PrincipalId) -> None:
    """Raise Exhausted for one standing job too many, InvalidValue for one whose cost nothing limits."""
    if not spec.market.is_standing:
        return
    if market.count_standing_orders(tx, tenant_id) >= STANDING_MAX:
        raise Exhausted(
            f"{STANDING_MAX} of your jobs wait for machines until you cancel them",
            hint="gondwana jobs cancel JOB",
        )
    if spec.budget_micro_usd is None and spec.price_cap_micro_usd_per_device_hour is None:
        raise InvalidValue(
            "a standing job may meet any price one day: it needs a limit",
            field="gondwana.standing",
            hint="write gondwana.budget_usd or gondwana.price_cap_usd_per_gpu_hour",
        )


def _standing_hold(spec: JobSpec, wanted: Order) -> int:
    """What launching a job sets aside that nothing fits yet: what it would at its own price cap."""
    if spec.train:
        return spec.budget_micro_usd or 0
    cap = spec.price_cap_micro_usd_per_device_hour or 0
    seconds = int(min(market_rules.RUNWAY_SECONDS, spec.seconds_max))
    runway = due_micro_usd(cap * wanted.devices * wanted.count_max, seconds)
    return runway if spec.budget_micro_usd is None else min(runway, spec.budget_micro_usd)


def blobs_of(spec: JobSpec) -> list[str]:
    """Every blob that the job names: its client has uploaded them before it launches."""
    names = [*spec.file_mounts.values()]
    if spec.workdir is not None:
        names.append(spec.workdir)
    if spec.train is not None:
        names += [*spec.train.shards, *spec.train.heldout]
    return names


def check_blobs(blobs: BlobStore, spec: JobSpec) -> None:
    """Raise NoSuchThing for a job that names a blob which is not here."""
    for name in blobs_of(spec):
        if blobs.size(name) is None:
            raise NoSuchThing(
                f"the job names the blob {name}, which was never uploaded",
                hint="gondwana launch JOB",
            )


def _plan(spec: JobSpec, wanted: Order, screened: Screening) -> Plan:
    chosen = screened.fits[: wanted.count_max]
    if len(chosen) < wanted.count_min:
        why = (
            screened.why_not
            or f"the job needs {wanted.count_min} machines at once, {len(chosen)} fit"
        )
        hint = (
            screened.hint
            or "ask for fewer (num_nodes, gondwana.train.islands.min), or wait for more to join"
        )
        return Plan(
            machines=(), devices=wanted.devices, price_micro_usd_per_hour=0, seconds_estimated=None,
            cost_micro_usd_estimated=None, why_not=why, hint=hint,
            hold_micro_usd=_standing_hold(spec, wanted) if wanted.is_standing else 0,
        )  # fmt: skip
    price = sum(each.price_micro_usd_per_device_hour * wanted.devices for each in chosen)
    seconds = cost = None
    if spec.train:
        seconds = islands.estimate_seconds(spec.train)
        cost = islands.estimate_micro_usd(spec.train, chosen, wanted.devices)
        hold = islands.hold_micro_usd(spec.budget_micro_usd, cost)
    else:
        hold = batch.batch_hold_micro_usd(spec, chosen, wanted.devices)
    return Plan(
        machines=chosen, devices=wanted.devices, price_micro_usd_per_hour=price, seconds_estimated=seconds,
        cost_micro_usd_estimated=cost, hold_micro_usd=hold,
    )  # fmt: skip


def _seen_again(tx: Transaction, wanted: Order, seen: Screening, now: Instant) -> Screening:
    """What a look found, as it is now; a look that found too little stays as it is."""
    chosen = seen.fits[: wanted.count_max]
    if len(chosen) < wanted.count_min or wanted.starts_at is not None:  # `reserve` looks again
        return seen
    found = listings_of(tx, (each.machine_id for each in chosen))
    return screen(wanted, as_if_free(found), now)


def screen(
    wanted: Order, found: Sequence[Listing], now: Instant, counts: Sequence[int] = ()
) -> Screening:
    """What fits an order at what it is asked now: on spot a floor; in an auction less may be bid than is posted."""
    cap = wanted.price_cap_micro_usd_per_device_hour
    posted = found
    if wanted.mechanism is Mechanism.SPOT:
        found = [market_rules.asked(wanted, each) for each in posted]
    elif wanted.mechanism is Mechanism.POSTED:
        found = [market_rules.discounted(wanted, each) for each in posted]
    elif wanted.mechanism is Mechanism.AUCTION and cap is not None:
        found = [
            bidding.at_price(each, min(each.price_micro_usd_per_device_hour, cap))
            for each in posted
        ]
    return screening.screen(wanted, found, now, counts)


def _screen(
    reader: Reader, shelf: Shelf, wanted: Order, found: Sequence[Listing], now: Instant, *, all_free: bool = False,
    barred: Sequence[str] = (),
) -> Screening:  # fmt: skip
    """What fits of those found; where that is too little, of all, for the reason, and as spot asks other prices.

    `barred`: machines that are booked, which is as if they were taken.
    """

    def look(every: Sequence[Listing], counts: Sequence[int] = ()) -> Screening:
        free = as_if_free(every) if all_free else every
        left = [
            replace(each, devices_free=0) if each.machine_id in barred else each for each in free
        ]
        return screen(wanted, left, now, counts)

    screened = look(found)
    if len(screened.fits) >= wanted.count_min:
        return screened
    if shelf.is_small(reader) or wanted.mechanism is not Mechanism.POSTED or wanted.filters:
        return look(shelf.listings(reader))
    return screened if screened.fits else look(*shelf.witnesses(reader, wanted, all_free=all_free))


def as_if_free(found: Sequence[Listing]) -> list[Listing]:
    """These machines as if nothing of them were leased."""
    return [replace(each, devices_free=each.devices) for each in found]
