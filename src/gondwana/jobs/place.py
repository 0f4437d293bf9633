"""From orders to machines at work, many at once: reserve, confirm, start. One is a batch of one.

A lease is reserved before it is active. Where both happen in one transaction its row is written once, as active, and
both events are; what cannot be confirmed stays reserved until a later pass confirms it or it lapses. Everything is read
with a few queries, decided by pure functions one order after the other, and written with a few statements.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId, LeaseId, PrincipalId, RunId, new_id
from gondwana.core.money import format_usd
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.together import Asked, both, together
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import end, money, reservations, store
from gondwana.jobs.calendar import Calendar
from gondwana.jobs.listings import listings_of_asked
from gondwana.jobs.model import Island, Job, JobReason, JobState, Run, RunState
from gondwana.jobs.quotas import Limits
from gondwana.jobs.rules import batch, memory
from gondwana.market import rules as market_rules
from gondwana.market import screening
from gondwana.market import store as market
from gondwana.market.alternatives import has_kinds
from gondwana.market.calendar import store as calendar
from gondwana.market.calendar.model import Booking
from gondwana.market.keeping import Hold, may_take
from gondwana.market.model import CloseReason, Lease, LeaseState, Listing, Order, OrderState
from gondwana.policy.quotas import quotas_of_asked
from gondwana.supply import store as supply


class Proposal(Struct, frozen=True, kw_only=True):
    """An order as it was read some time ago, in one of its kinds, and the machines that it might get."""

    order: Order
    machine_ids: Sequence[str]
    prices: Mapping[str, int] | None = None
    """By machine, micro-USD per device-hour: what was agreed instead of the posted price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What goes with leases that are chosen and not written yet."""

    orders: dict[str, Order] = field(default_factory=dict[str, Order])  # that they serve
    offers: dict[str, Listing] = field(
        default_factory=dict[str, Listing]
    )  # that they are of, by machine
    booked: list[Booking] = field(default_factory=list[Booking])  # that they are made for


_Stored = tuple[dict[str, Hold], dict[str, list[Booking]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What of some machines is kept for others: for large orders, and for what is booked."""

    holds: Mapping[str, Hold]
    calendar: Calendar

    @classmethod
    def read(cls, reader: Reader, machine_ids: Sequence[str], now: Instant) -> "Kept":
        """As it is stored."""
        return cls.of(reader, cls.asked(machine_ids).of(reader), now)

    @staticmethod
    def asked(machine_ids: Sequence[str]) -> Asked[_Stored]:
        """What is stored, not asked yet."""
        holds, booked = market.holds_on_asked(machine_ids), calendar.booked_on_asked(machine_ids)
        return both(holds, booked, lambda *found: found)

    @classmethod
    def of(cls, reader: Reader, stored: _Stored, now: Instant) -> "Kept":
        """The same where that has been read."""
        holds, booked = stored
        return cls(holds=holds, calendar=Calendar.of(reader, booked, now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a batch looked at in its transaction, kept as it changes."""

    jobs: dict[JobId, Job]
    leases: dict[JobId, list[Lease]]  # all of each job
    reserved: list[Lease] = field(default_factory=list[Lease])  # to be confirmed
    unwritten: Chosen | None = None  # None: the reserved ones are in the database

    def keep(self, changed: Sequence[Lease]) -> None:
        """These leases stand otherwise now."""
        now = {lease.id: lease for lease in changed}
        for job_id in {lease.job_id for lease in changed}:
            self.leases[job_id] = [now.get(lease.id, lease) for lease in self.leases[job_id]]

    def active(self, job: Job) -> list[Lease]:
        """The leases that serve a job, those that were given notice too."""
        serve = (LeaseState.ACTIVE, LeaseState.RECLAIMING)
        return [lease for lease in self.leases[job.id] if lease.state in serve]


def place(tx: Transaction, random: Random, now: Instant, proposals: Sequence[Proposal]) -> int:
    """Reserve and confirm what was proposed, where it still fits; returns how many leases became active."""
    return confirm(tx, random, now, choose(tx, random, now, proposals))


def confirm_reserved(
    tx: Transaction, random: Random, now: Instant, lease_ids: Sequence[LeaseId]
) -> int:
    """Confirm what was reserved before, still is and has not lapsed; returns how many leases became active."""
    reserved = [
        lease
        for lease in market.leases(tx, lease_ids)
        if lease.state is LeaseState.RESERVED and not market_rules.has_lapsed(lease, now)
    ]
    job_ids = list(dict.fromkeys(lease.job_id for lease in reserved))
    jobs, leases = store.jobs_by_id(tx, job_ids), market.leases_of_jobs(tx, job_ids)
    return confirm(tx, random, now, Seen(jobs=jobs, leases=leases, reserved=reserved))


def reserve(tx: Transaction, random: Random, now: Instant, proposals: Sequence[Proposal]) -> Seen:
    """Reserve what was proposed, where it still fits, to be confirmed by a later call."""
    seen = choose(tx, random, now, proposals)
    _use_booked(tx, now, seen)
    _write(tx, now, seen, [])
    return replace(seen, unwritten=None)


def choose(tx: Transaction, random: Random, now: Instant, proposals: Sequence[Proposal]) -> Seen:
    """For each order, of the machines proposed, what it still lacks: all of a gang or nothing. Writes nothing.

    Whoever proposed may have seen old numbers: each machine is looked at again, here, and what one order gets is gone
    for the next. An order that is not open any more, or gets nothing, costs the others nothing. (Of an order, only its
    state and its end ever change.)
    """
    orders = [each.order for each in proposals]
    job_ids = list(dict.fromkeys(order.job_id for order in orders))
    named = Counter(machine_id for each in proposals for machine_id in each.machine_ids)
    machine_ids = list(named)
    still, jobs, past, listings, stored, quotas = together(
        tx,
        market.still_open_asked([order.id for order in orders]),
        store.jobs_by_id_asked(job_ids),
        market.leases_of_jobs_asked(job_ids),
        listings_of_asked(machine_ids),
        Kept.asked(machine_ids),
        quotas_of_asked(order.tenant_id for order in orders),
    )
    seen = Seen(jobs=jobs, leases=past, unwritten=(chosen_of := Chosen()))
    offers = {str(each.machine_id): each for each in listings}
    kept = Kept.of(tx, stored, now)
    limits = Limits.of(tx, quotas)
    for proposed in proposals:
        if proposed.order.state is not OrderState.OPEN or proposed.order.id not in still:
            continue
        order = proposed.order
        if has_kinds(order):  # a gang would get some of each
            continue
        job, leases = seen.jobs.get(order.job_id), seen.leases[order.job_id]
        if job is None:
            continue
        held = market.held_by(leases, order.id)
        ends_at = market_rules.ends_at(order, leases, now)
        if ends_at is not None and ends_at <= now:  # the time that it had is over: it ends
            continue
        left = not_kept(order, _agreed(proposed, offers, kept), kept, now, leases)
        allowed = limits.allowed(order, held, left)
        for chosen in _choose(order, leases, held, allowed, now):
            lease_id = LeaseId(new_id("lea", now, random))
            lease = market_rules.reservation(
                order,
                chosen,
                lease_id,
                rank=_rank(job, leases),
                now=now,
                ends_at=ends_at,
            )
            if named[lease.machine_id] > 1:  # else nobody looks at it again
                offers[lease.machine_id] = market_rules.leased(offers[lease.machine_id], lease)
            leases.append(lease)
            seen.reserved.append(lease)
            limits.count(order, lease, chosen.accelerator)
            if (booked := kept.calendar.count(order, lease)) is not None:
                chosen_of.booked.append(booked)
            chosen_of.orders[order.id] = order
            chosen_of.offers[lease.machine_id] = chosen
    return seen


def not_kept(
    order: Order, offers: Sequence[Listing], kept: Kept, now: Instant, past: Sequence[Lease] = ()
) -> list[Listing]:
    """The offers of which nothing is kept for others that this order would take; `past`: all leases of its job."""
    return [
        each
        for each in offers
        if (
            (hold := kept.holds.get(each.machine_id)) is None
            or may_take(order, hold, each.devices_free, now)
        )
        and kept.calendar.has_room(order, each, past)
    ]


def _agreed(proposed: Proposal, offers: Mapping[str, Listing], kept: Kept) -> list[Listing]:
    """What is proposed as it stands now, at the prices that were agreed, else at those that are asked."""
    order = proposed.order
    found = [offers[each] for each in proposed.machine_ids if each in offers]
    prices = {**(proposed.prices or {}), **kept.calendar.prices(order)}
    return [
        replace(each, price_micro_usd_per_device_hour=price)
        if (price := prices.get(each.machine_id)) is not None
        else market_rules.discounted(order, each)
        for each in found
    ]


def _choose(
    order: Order, past: Sequence[Lease], held: int, offers: Sequence[Listing], now: Instant
) -> Sequence[Listing]:
    """The machines to reserve: as proposed, which is a gang's ring, or the cheapest where more were proposed.

    `past`: all leases of its job, of which the order has `held`.
    """
    if past:
        barred = set(memory.barred(past, now))
        offers = [each for each in offers if each.machine_id not in barred]
    chosen = market_rules.match(order, held, screening.screen(order, offers, now))
    if len(chosen) < len(offers):
        return chosen
    wanted = {each.machine_id for each in chosen}
    return [each for each in offers if each.machine_id in wanted]


def _write(tx: Transaction, now: Instant, seen: Seen, active: Sequence[Lease]) -> list[Lease]:
    """Store what is reserved and not written yet, some of it already active, with what goes with it; returns those."""
    if seen.unwritten is None:
        return market.activate(tx, now, active)
    orders = seen.unwritten.orders.values()
    names = {machine_id: each.name for machine_id, each in seen.unwritten.offers.items()}
    active = market.reserve(tx, now, seen.reserved, names, active=active)
    matched = [order for order in orders if _is_matched(order, seen, now)]
    market.move_orders(tx, now, matched, OrderState.MATCHED)
    admitted = [
        job for order in orders if (job := seen.jobs[order.job_id]).state is JobState.ADMITTED
    ]
    store.move_jobs(tx, now, admitted, JobState.PROVISIONING)
    market.tell_active(tx, now, active)
    return active


def _use_booked(tx: Transaction, now: Instant, seen: Seen) -> None:
    """What was booked is a lease now; its deposit is there again to open that."""
    if seen.unwritten is not None:
        reservations.use(tx, now, seen.unwritten.booked)


def _rank(job: Job, past: Sequence[Lease]) -> int:
    if not past:
        return 0
    live = [lease for lease in past if lease.state is not LeaseState.CLOSED]
    return batch.free_rank(job.spec, live)


def _is_matched(order: Order, seen: Seen, now: Instant) -> bool:
    held = market.held_by(seen.leases[order.job_id], order.id)
    return market_rules.order_state(order, held, now) is OrderState.MATCHED


def confirm(tx: Transaction, random: Random, now: Instant, seen: Seen) -> int:
    """Make reservations active: their escrows are opened, their runs or islands stored; returns how many.

    A job that has no funds for a lease ends, whatever else it has. One whose tenant is about to get money back from
    such an end waits for it, reserved.
    """
    _use_booked(tx, now, seen)
    over = [lease for lease in seen.reserved if seen.jobs[lease.job_id].ended]
    live = [lease for lease in seen.reserved if lease not in over] if over else seen.reserved
    opened = money.open_leases(tx, now, live, seen.jobs, seen.leases, _owners(tx, seen))
    leases = [lease for lease in opened.leases if lease.job_id not in opened.refused]
    active = _write(tx, now, seen, leases)
    seen.keep(active)
    for lease in over:
        market.close(tx, now, lease, CloseReason.JOB_DONE)
    money.tell_short(tx, now, opened)
    jobs = [seen.jobs[job_id] for job_id in dict.fromkeys(lease.job_id for lease in active)]
    _start_gangs(tx, random, now, seen, [job for job in jobs if job.spec.train is None])
    _start_training(
        tx, now, seen, [lease for lease in active if seen.jobs[lease.job_id].spec.train]
    )
    for job_id, lease in opened.refused.items():
        _end_broke(tx, now, store.job(tx, JobId(job_id)), lease)
    return len(active)


def _owners(tx: Transaction, seen: Seen) -> Mapping[str, PrincipalId]:
    """Whose the machines are that are reserved."""
    if seen.unwritten is not None:
        return {machine_id: each.owner_id for machine_id, each in seen.unwritten.offers.items()}
    return supply.owners(tx, list(dict.fromkeys(lease.machine_id for lease in seen.reserved)))


def _end_broke(tx: Transaction, now: Instant, job: Job, lease: Lease) -> None:
    """End a job that has nothing left for one of its leases."""
    market.close(tx, now, lease, CloseReason.FUNDS_GONE)
    used_up = f"the budget of {format_usd(job.spec.budget_micro_usd or 0)} is used up"
    how = batch.End(state=JobState.FAILED, reason=JobReason.FUNDS_GONE, detail=used_up, exit_code=1)
    end.end_job(tx, now, job, how)


def _start_gangs(
    tx: Transaction, random: Random, now: Instant, seen: Seen, jobs: Sequence[Job]
) -> None:
    """Give each active lease its run, where the whole gang has its machines; an elastic one that runs needs not all."""
    begun = (JobState.RUNNING, JobState.RECOVERING)
    whole = [
        job
        for job in jobs
        if len(seen.active(job)) >= job.spec.num_nodes
        or (job.spec.is_elastic and job.state in begun)
    ]
    fresh = {lease.id for lease in seen.reserved} if seen.unwritten is not None else set[str]()
    older = [job.id for job in whole if any(each.id not in fresh for each in seen.active(job))]
    running = store.leases_with_runs(tx, older)
    idle = [lease for job in whole for lease in seen.active(job) if lease.id not in running]
    runs = [
        Run(
            id=RunId(new_id("run", now, random)),
            job_id=lease.job_id,
            lease_id=lease.id,
            rank=lease.rank,
            state=RunState.ASSIGNED,
            created_at=now,
        )
        for lease in idle
    ]
    store.add_runs(tx, now, runs, {lease.id: lease.machine_id for lease in idle})


def _start_training(tx: Transaction, now: Instant, seen: Seen, active: Sequence[Lease]) -> None:
    """Make each active lease an island, and begin where there are enough of them."""
    for lease in active:
        store.save_island(tx, _island(tx, lease))
    for job in {lease.job_id: seen.jobs[lease.job_id] for lease in active}.values():
        assert job.spec.train is not None
        enough = len(seen.active(job)) >= job.spec.train.islands_min
        if enough and store.training(tx, job.id) is None:
            store.begin_training(tx, now, job)


def _island(tx: Transaction, lease: Lease) -> Island:
    machine = supply.machine(tx, lease.machine_id)
    speed = machine.speed.steps_per_second if machine.speed else None
    return Island(
        lease_id=lease.id,
        job_id=lease.job_id,
        machine_id=lease.machine_id,
        epoch=lease.epoch,
        price_micro_usd_per_hour=lease.price_micro_usd_per_hour,
        reference_steps_per_second=speed or 0.0,
    )


def barred_machines(leases: Sequence[Lease]) -> list[str]:
    """The machines that a job gets no lease of, whenever: those that serve it, and those that may not again."""
    return memory.barred(leases)
