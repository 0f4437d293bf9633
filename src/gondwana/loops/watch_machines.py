"""Machines without a proof of life go down, and what they ran goes on elsewhere; who is back comes up again."""

from gondwana.core.clock import Instant
from gondwana.db.transaction import Transaction
from gondwana.jobs import end
from gondwana.jobs import store as jobs
from gondwana.jobs.calendar import Calendar
from gondwana.jobs.context import Context
from gondwana.market import store as market
from gondwana.market.model import Charge, CloseReason
from gondwana.supply import rules
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState


def watch_machines(context: Context, now: Instant) -> int:
    """Returns how many machines went down, left or came back."""
    reader, writer = context.database.reader(), context.database.writer
    heard = context.proofs.flush(writer)
    if heard is not None:
        heard.result()  # who was heard is not silent, and where that cannot be written nobody is judged
    silent = (
        supply.silent(reader, Instant(now - context.down_after_seconds))
        if rules.may_judge_silence(now, context.listening_since, context.down_after_seconds)
        else []
    )
    lost = [
        machine
        for machine in silent
        if rules.state_on_silence(machine) is not machine.state
        or market.live_leases_of_machine(reader, machine.id)
    ]
    for machine in lost:
        writer.call(_down, now, machine.id, context.down_after_seconds)
    for machine in supply.draining(reader):
        writer.call(_free, now, machine.id)
    done = [
        machine
        for machine in supply.draining(reader)
        if not market.live_leases_of_machine(reader, machine.id)
    ]
    for machine in done:
        writer.call(_leave, now, machine.id)
    back = supply.alive_again(reader, Instant(now - context.down_after_seconds))
    for machine in back:
        writer.call(_up, now, machine.id)
    return len(lost) + len(done) + len(back)


def _down(tx: Transaction, now: Instant, machine_id: str, down_after_seconds: float) -> None:
    machine = supply.machine(tx, machine_id)
    if rules.is_silent(machine, now, down_after_seconds):
        to = rules.state_on_silence(machine)
        end.lose_machine(tx, now, machine, to, _why(tx, now, machine_id))


def _why(tx: Transaction, now: Instant, machine_id: str) -> CloseReason:
    """Why a machine is away: one that is worked on, as was announced, and serves nobody, is not lost."""
    is_announced = Calendar.read(tx, [machine_id], now).in_maintenance(machine_id)
    if is_announced and not market.live_leases_of_machine(tx, machine_id):
        return CloseReason.MAINTENANCE
    return CloseReason.MACHINE_LOST


def _free(tx: Transaction, now: Instant, machine_id: str) -> None:
    """Training would keep a draining machine for as long as the job lasts: let it go between two units."""
    for lease in market.live_leases_of_machine(tx, machine_id):
        if lease.charge is Charge.UNIT and not jobs.units_assigned_to(tx, lease.id):
            end.close_lease(tx, now, lease, CloseReason.OWNER_LEFT)


def _leave(tx: Transaction, now: Instant, machine_id: str) -> None:
    machine = supply.machine(tx, machine_id)
    if machine.state is MachineState.DRAINING and not market.live_leases_of_machine(tx, machine_id):
        stopped = machine.reason == rules.STOPPED
        supply.move(
            tx,
            now,
            machine,
            MachineState.DOWN if stopped else MachineState.LEFT,
            machine.reason or "drained",
        )


def _up(tx: Transaction, now: Instant, machine_id: str) -> None:
    machine = supply.machine(tx, machine_id)
    if machine.state is MachineState.DOWN and machine.inventory is not None:
        supply.move(tx, now, machine, MachineState.UP)
