"""Owners take their machines back, with the notice that was agreed."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end
from gondwana.market import rules
from gondwana.market import store as market
from gondwana.market.model import Charge, CloseReason, Lease, LeaseState
from gondwana.supply import store as supply
from gondwana.supply.model import Machine, MachineState
from gondwana.supply.rules import RECLAIMED


def reclaim(
    tx: Transaction, now: Instant, lease: Lease, reclaim_at: Instant, reason: CloseReason
) -> Lease:
    """The lease with its notice; its order seeks another machine at once where that costs its tenant nothing more.

    Seconds are paid on two machines at once only if somebody asks for that: their order seeks when the lease is gone.
    """
    told = market.reclaim(tx, now, lease, reclaim_at, reason)
    if told is not lease and told.charge is Charge.UNIT:
        end.seek_again(tx, now, told)
    return told


def reclaim_lease(tx: Transaction, now: Instant, lease: Lease) -> Lease:
    """The lease with the notice that was agreed; one that nobody has begun to use is closed at once.

    Its machine sells nothing new until its owner resumes it: what he takes back is not leased to the next. Said twice
    is said once; a closed lease stays as it is.
    """
    if lease.state is LeaseState.CLOSED:
        return lease
    _stop_selling(tx, now, supply.machine(tx, lease.machine_id))
    return _take_back(tx, now, lease)


def reclaim_machine(tx: Transaction, now: Instant, machine: Machine) -> tuple[Machine, list[Lease]]:
    """The machine, which sells nothing new until its owner resumes it, and all its leases with their notices."""
    machine = _stop_selling(tx, now, machine)
    live = market.live_leases_of_machine(tx, machine.id)
    return machine, [_take_back(tx, now, lease) for lease in live]


def make_way(tx: Transaction, now: Instant, lease: Lease, at: Instant, reason: CloseReason) -> None:
    """Tell a lease to go for what is booked on its machine; one that nobody has begun to use is closed at once."""
    if lease.state is LeaseState.RESERVED:
        end.close_lease(tx, now, lease, reason)
    elif lease.state is LeaseState.ACTIVE:
        reclaim(tx, now, lease, at, reason)


def _take_back(tx: Transaction, now: Instant, lease: Lease) -> Lease:
    if lease.state is LeaseState.RESERVED:
        end.close_lease(tx, now, lease, CloseReason.RECLAIMED)
        return market.lease(tx, lease.id)
    return reclaim(tx, now, lease, *rules.reclaim_of(lease, now))


def _stop_selling(tx: Transaction, now: Instant, machine: Machine) -> Machine:
    if machine.state is not MachineState.UP:
        return machine
    return supply.move(tx, now, machine, MachineState.PAUSED, reason=RECLAIMED)
