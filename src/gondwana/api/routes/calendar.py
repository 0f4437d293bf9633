"""What a machine is promised for ahead, and when its owner works on it."""

from typing import Annotated, Any

from fastapi import APIRouter, Response

from gondwana.api import views
from gondwana.api.deps import PlaneDep, ProviderDep, ReaderDep, WriteDep, answer, strict
from gondwana.api.routes.machines import machine_for
from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import maintenance
from gondwana.market.calendar import store
from gondwana.wire.calendar import BookingView, CalendarView, MaintenanceRequest

router = APIRouter(prefix="/v1", tags=["calendar"])


@router.get("/machines/{name}/calendar", response_model=CalendarView)
def show(name: str, caller: ProviderDep, reader: ReaderDep) -> Response:
    """What one machine is reserved for, and when its owner works on it: what stands, the soonest first."""
    machine = machine_for(reader, caller, name)
    found = store.of_machine(reader, machine.id)
    bookings = tuple(views.booking_view(each, machine.name) for each in found)
    return answer(CalendarView(machine=machine.name, bookings=bookings))


@router.post("/machines/{name}/maintenance", response_model=BookingView)
def announce(
    name: str,
    told: Annotated[MaintenanceRequest, strict(MaintenanceRequest)],
    caller: ProviderDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Announce when a machine is worked on: nobody is leased it then, and who is there goes in time."""

    def run(tx: Transaction, now: Instant) -> Any:
        machine = machine_for(tx, caller, name)
        random = plane.context.random
        made = maintenance.announce(tx, random, now, machine, told.starts_at, told.ends_at)
        return views.booking_view(made, machine.name)

    return write(run)


@router.post("/machines/{name}/maintenance/{booking}/cancel", response_model=BookingView)
def cancel(name: str, booking: str, caller: ProviderDep, write: WriteDep) -> Response:
    """Take an announced window back; the machine sells again."""

    def run(tx: Transaction, now: Instant) -> Any:
        machine = machine_for(tx, caller, name)
        return views.booking_view(maintenance.cancel(tx, now, machine, booking), machine.name)

    return write(run)
