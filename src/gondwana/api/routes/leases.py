"""The leases that a machine serves, and taking the machine back with the notice that was agreed."""

from typing import Any

from fastapi import APIRouter, Response

from gondwana.api.deps import ProviderDep, ReaderDep, WriteDep, answer
from gondwana.api.routes.machines import machine_for
from gondwana.core.clock import Instant
from gondwana.core.errors import NoSuchThing
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import reclaims
from gondwana.market import store as market
from gondwana.market.model import Lease
from gondwana.policy.model import Caller
from gondwana.supply import store as supply
from gondwana.supply.model import Machine
from gondwana.wire.leases import ServedLease, ServedLeases

router = APIRouter(prefix="/v1", tags=["leases"])


@router.get("/machines/{name}/leases", response_model=ServedLeases)
def served(name: str, caller: ProviderDep, reader: ReaderDep) -> Response:
    """What one machine serves now, with the notice that each lease agreed."""
    machine = machine_for(reader, caller, name)
    return answer(_view(machine, market.live_leases_of_machine(reader, machine.id)))


@router.post("/machines/{name}/reclaim", response_model=ServedLeases)
def reclaim_machine(name: str, caller: ProviderDep, write: WriteDep) -> Response:
    """Take a machine back: it sells nothing new, and each lease ends when its agreed notice is over."""

    def run(tx: Transaction, now: Instant) -> Any:
        found = machine_for(tx, caller, name)
        return _view(*reclaims.reclaim_machine(tx, now, found))

    return write(run)


@router.post("/leases/{lease_id}/reclaim", response_model=ServedLease)
def reclaim_lease(lease_id: str, caller: ProviderDep, write: WriteDep) -> Response:
    """The same for one lease of a machine that serves several; a second notice changes nothing."""

    def run(tx: Transaction, now: Instant) -> Any:
        lease, machine = _own(tx, caller, lease_id)
        return _served(reclaims.reclaim_lease(tx, now, lease), machine)

    return write(run)


def _own(reader: Reader, caller: Caller, lease_id: str) -> tuple[Lease, Machine]:
    """The lease, if the caller's machine serves it; raises NoSuchThing."""
    lease = market.lease(reader, lease_id)
    machine = supply.machine(reader, lease.machine_id)
    if machine.owner_id != caller.principal.id:
        raise NoSuchThing(lease=lease_id, hint="gondwana provider leases MACHINE")
    return lease, machine


def _view(machine: Machine, leases: list[Lease]) -> ServedLeases:
    return ServedLeases(
        machine=machine.name,
        state=machine.state,
        leases=tuple(_served(each, machine) for each in leases),
    )


def _served(lease: Lease, machine: Machine) -> ServedLease:
    return ServedLease(
        id=lease.id,
        machine=machine.name,
        state=lease.state,
        reason=lease.reason or "",
        devices=lease.devices,
        price_micro_usd_per_device_hour=lease.price_micro_usd_per_device_hour,
        notice_seconds=lease.notice_seconds,
        reserved_at=lease.reserved_at,
        active_at=lease.active_at,
        reclaim_at=lease.reclaim_at,
        ends_at=lease.ends_at,
        seconds_proven=lease.seconds_proven,
    )
