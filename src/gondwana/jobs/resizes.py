"""A tenant changes what his job has while it runs: more time, more or fewer machines."""

from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, WrongState
from gondwana.core.units import format_instant
from gondwana.core.values import replace
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, quotas, store
from gondwana.jobs.calendar import Calendar
from gondwana.jobs.model import Job, JobState
from gondwana.market import rules as market_rules
from gondwana.market import store as market
from gondwana.market.model import CloseReason, Lease, LeaseState, Order
from gondwana.supply import store as supply
from gondwana.wire.jobs import ISLANDS_MAX, LEASE_SECONDS_MAX, NODES_MAX

RUN_SECONDS_MAX: Final = 30 * 86_400.0  # as in a job file


def extend(tx: Transaction, now: Instant, job: Job, seconds: int) -> Job:
    """The job with so much more time: for its runs, and for its leases where they were agreed for a time.

    Raises WrongState for a job that has ended, InvalidValue for more than may be agreed.
    """
    _check_live(job)
    spec = replace(job.spec, seconds_max=job.spec.seconds_max + seconds)
    agreed = job.spec.market.lease_seconds
    if agreed is not None:
        spec = replace(spec, market=replace(spec.market, lease_seconds=agreed + seconds))
    longest = RUN_SECONDS_MAX if agreed is None else LEASE_SECONDS_MAX
    has = spec.seconds_max if agreed is None else float(agreed + seconds)
    if seconds <= 0 or has > longest:
        raise InvalidValue(
            field="hours", value=seconds / 3600, hint=f"more than 0, to {longest / 3600:g} in all"
        )
    live = market.leases_of_job(tx, job.id, live=True)
    _check_calendar(tx, now, live, seconds)
    extended = store.save_job(tx, replace(job, spec=spec))
    if job.order_id is not None:
        order = market.order(tx, job.order_id)
        _check_begun(order, live)
        limit = None if order.seconds_max is None else order.seconds_max + seconds
        agreed = None if agreed is None else agreed + seconds
        changed = replace(order, lease_seconds=agreed, seconds_max=limit)
        if changed != order:
            market.save_order(tx, now, changed, "extended")
    market.extend(tx, now, live, seconds)
    return extended


def resize(tx: Transaction, now: Instant, job: Job, count: int) -> Job:
    """The job with so many machines: what lacks is sought at the market, what is too many is closed.

    Raises WrongState for a job that has ended or cannot change its size, InvalidValue for a size that it may not have,
    QuotaTooSmall.
    """
    _check_live(job)
    assert job.order_id is not None, "a job that was launched has an order"
    resized, order = _with_size(job, count), market.order(tx, job.order_id)
    _check_begun(order, market.leases_of_job(tx, job.id, live=True))
    begins_whole = job.spec.train is None and job.state in (JobState.SUBMITTED, JobState.ADMITTED)
    least = count if begins_whole else min(order.count_min, count)
    wanted = replace(order, count_min=least, count_max=count)
    if wanted == order:
        return job
    quotas.check_ever(tx, wanted)
    store.save_job(tx, resized)
    market.save_order(tx, now, wanted, "resized")
    live = market.leases_of_job(tx, job.id, live=True)
    for lease in _surplus(tx, resized, live, count):
        end.close_lease(tx, now, lease, CloseReason.RESIZED)
    held = market.held_by(market.leases_of_job(tx, job.id, live=True), order.id)
    market.move_order(tx, now, wanted, market_rules.order_state(wanted, held, now))
    return resized


def _with_size(job: Job, count: int) -> Job:
    train = job.spec.train
    if train is not None:
        if not train.islands_min <= count <= ISLANDS_MAX:
            hint = f"from {train.islands_min} (gondwana.train.islands.min) to {ISLANDS_MAX}"
            raise InvalidValue(field="nodes", value=count, hint=hint)
        return replace(job, spec=replace(job.spec, train=replace(train, islands_max=count)))
    if not job.spec.is_elastic:
        raise WrongState(
            f"'{job.name}' is a gang of {job.spec.num_nodes}: its nodes count on each other",
            hint="a job that can do with more or fewer says so: gondwana: {elastic: true}",
        )
    if not 1 <= count <= NODES_MAX:
        raise InvalidValue(field="nodes", value=count, hint=f"from 1 to {NODES_MAX}")
    return replace(job, spec=replace(job.spec, num_nodes=count))


def _surplus(tx: Transaction, job: Job, live: list[Lease], count: int) -> list[Lease]:
    """What is closed: of a batch job the highest ranks; of a training who leaves anyway, who is idle, the dearest."""
    if job.spec.train is None:
        return [lease for lease in live if lease.rank >= count]

    def worth(lease: Lease) -> tuple[bool, bool, int, str]:
        serves = lease.state is not LeaseState.RECLAIMING
        busy = bool(store.units_assigned_to(tx, lease.id))
        return serves, busy, -lease.price_micro_usd_per_device_hour, lease.id

    return sorted(live, key=worth)[: max(0, len(live) - count)]


def _check_begun(order: Order, live: list[Lease]) -> None:
    """Raise WrongState for a job that has machines reserved and does not have them yet."""
    if order.starts_at is not None and not live:
        raise WrongState(
            f"its machines are reserved from {format_instant(order.starts_at)} UTC on",
            hint="cancel it and reserve anew, or wait until it has begun",
        )


def _check_calendar(tx: Transaction, now: Instant, live: list[Lease], seconds: int) -> None:
    """Raise WrongState for leases that would last into what is booked on their machines."""
    calendar = Calendar.read(tx, [lease.machine_id for lease in live], now)
    for lease in live:
        machine = supply.machine(tx, lease.machine_id)
        booking = calendar.blocking(lease, machine.devices, seconds)
        if booking is not None:
            raise WrongState(
                f"{machine.name} is booked from {format_instant(booking.starts_at)} UTC on",
                hint="extend it by less, or let it go on elsewhere from what it saved",
            )


def _check_live(job: Job) -> None:
    if job.ended:
        raise WrongState(f"job '{job.name}' has ended: it is {job.state}")
