"""What must hold in every world: after each commit, now and then, and at the end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError
from gondwana.core.events import Event
from gondwana.db.transaction import Reader
from gondwana.jobs import store
from gondwana.jobs.model import (
    JOB_TRANSITIONS,
    RUN_TRANSITIONS,
    UNIT_TRANSITIONS,
    Job,
    JobState,
    UnitState,
)
from gondwana.ledger.accounts import lease_escrow
from gondwana.ledger.audit import audit
from gondwana.ledger.store import balance
from gondwana.market import store as market
from gondwana.market.model import (
    LEASE_TRANSITIONS,
    ORDER_TRANSITIONS,
    Charge,
    CloseReason,
    LeaseState,
)
from gondwana.sim.lies import HONEST, MALFORMED, TWISTED, Behaviour
from gondwana.supply import store as supply
from gondwana.supply.model import TRANSITIONS as MACHINE_TRANSITIONS
from gondwana.supply.model import MachineState
from gondwana.supply.rules import DOWN_AFTER_SECONDS
from gondwana.training.manifest import decode_checkpoint
from gondwana.wire.agent import Heartbeat
from gondwana.wire.units import UnitKind

if TYPE_CHECKING:
    from gondwana.sim.world import World

_TABLES: Final[dict[str, Any]] = {
    "job": JOB_TRANSITIONS,
    "run": RUN_TRANSITIONS,
    "unit": UNIT_TRANSITIONS,
    "lease": LEASE_TRANSITIONS,
    "order": ORDER_TRANSITIONS,
    "machine": MACHINE_TRANSITIONS,
}
_FIRST: Final = {"order": "open", "machine": "joining"}
_LEASED_TWICE: Final = """
SELECT machine.id FROM machine JOIN lease ON lease.machine_id = machine.id AND lease.state <> 'closed'
WHERE machine.id = :id GROUP BY machine.id HAVING sum(lease.devices) > machine.devices"""
_PROVEN: Final = """
SELECT id, proven_ms, coalesce(closed_at, :now) - active_at AS active_seconds FROM lease WHERE proven_ms > 0"""
PROOF_REACH_SECONDS: Final = 12.0  # a heartbeat proves no more than this before it
_WORK_OF_NOBODY: Final = """
SELECT unit.id FROM unit JOIN lease ON lease.id = unit.lease_id JOIN job ON job.id = unit.job_id
WHERE unit.state = 'assigned' AND (lease.state NOT IN ('active', 'reclaiming') OR job.ended_at IS NOT NULL)
UNION ALL SELECT run.id FROM run JOIN lease ON lease.id = run.lease_id
WHERE run.state IN ('assigned', 'preparing', 'running') AND lease.state NOT IN ('active', 'reclaiming')"""
_UNITS_PAID: Final = """
FROM ledger_entry AS entry JOIN ledger_transfer AS transfer ON transfer.seq - transfer.leg = entry.seq
JOIN ledger_name AS kind ON kind.id = entry.kind JOIN ledger_name AS subject ON subject.id = entry.subject
JOIN ledger_name AS job ON job.id = entry.job
WHERE kind.name IN ('unit.accept', 'evaluation.pay') AND transfer.kind IN (0, 2)"""
_PAID_OF_UNITS: Final = f"""
SELECT subject.name AS unit_id, count(DISTINCT entry.seq) AS entries, sum(transfer.amount) AS amount
{_UNITS_PAID} GROUP BY subject.name"""
_PAID_OF_LEASE: Final = """
SELECT sum(transfer.amount) AS amount FROM ledger_transfer AS transfer
JOIN ledger_account AS debit ON debit.id = transfer.debit JOIN ledger_account AS credit ON credit.id = transfer.credit
WHERE debit.name = :name AND credit.name NOT LIKE 'tenant:%'"""
_PAID_OF_TASK: Final = f"""
SELECT sum(transfer.amount) AS amount {_UNITS_PAID} AND job.name = :job_id"""
_ESCROWS: Final = """
SELECT name, credits_posted - debits_posted AS posted, debits_pending FROM ledger_account
WHERE name LIKE 'task:%:escrow' OR name LIKE 'lease:%:escrow'"""


@dataclass(slots=True)
class Tally:
    """How honest and dishonest machines fared; over all seeds together this says what the gates are worth."""

    honest_judged: int = 0
    honest_rejected: int = 0
    honest_suspended: int = 0
    slandered: int = 0  # honest units rejected where an evaluator lied
    slander_suspended: int = 0  # honest machines suspended where an evaluator lied
    lies_judged: int = 0
    lies_rejected: int = 0
    liars_suspended: int = 0
    by_behaviour: Counter[str] = field(default_factory=Counter[str])


class Watch:
    """Looks at every event as it is committed, and at the database now and then."""

    def __init__(self, reader: Reader, violations: list[str]) -> None:
        self._reader = reader
        self._violations = violations
        self._states: dict[str, str] = {}
        self._active_at: dict[str, float] = {}  # lease -> when it became active
        self._covered_until: dict[str, float] = {}
        self._covered_seconds: dict[
            str, float
        ] = {}  # lease -> what its heartbeats can have proven at most
        self._signatures: set[bytes] = set()
        self._heard_at: dict[str, float] = {}  # machine -> its last heartbeat that counted
        self.paused: set[str] = set()  # machines whose owners sell nothing now
        self.gone: set[str] = set()  # and nothing ever again

    def happened(self, event: Event) -> None:
        """One event: it must follow from the one before, and no device may be leased twice."""
        noun, _, verb = event.kind.partition(".")
        table = _TABLES.get(noun)
        if table is None:
            return
        states = {str(state): {str(to) for to in targets} for state, targets in table.items()}
        if verb == "opened":
            verb = "open"
        if verb not in states:
            return
        before = self._states.get(event.subject, _FIRST.get(noun))
        if before is not None and verb not in states[before] and not (before == verb == "open"):
            self._violations.append(f"{event.subject} went from {before} to {verb}")
        self._states[event.subject] = verb
        if event.kind == "lease.reserved":
            self._reserved(event)
        if event.kind == "machine.down" and event.data.get("reason") == CloseReason.MACHINE_LOST:
            self._lost(event)
        if event.kind == "lease.active":
            self._active_at[event.subject] = event.at

    def beat(self, now: Instant, machine_id: str, heartbeat: Heartbeat) -> None:
        """One heartbeat that was counted: it counts once, and proves little of the time before it."""
        self._heard_at[machine_id] = now
        if heartbeat.signature in self._signatures:
            self._violations.append("a heartbeat was counted twice")
        self._signatures.add(heartbeat.signature)
        for proof in heartbeat.leases:
            active_at = self._active_at.get(proof.lease_id)
            if proof.alive and active_at is not None:
                known = self._covered_until.get(proof.lease_id, active_at)
                reach = now - max(known, now - PROOF_REACH_SECONDS)
                covered = self._covered_seconds.get(proof.lease_id, 0.0)
                self._covered_seconds[proof.lease_id] = covered + reach
                self._covered_until[proof.lease_id] = now

    def look(self, now: Instant) -> None:
        """What must hold at any moment."""
        for row in self._reader.all(_PROVEN, {"now": now}):
            covered = self._covered_seconds.get(row["id"], 0.0)
            if row["proven_ms"] > min(row["active_seconds"] or 0.0, covered) * 1000 + 1:
                self._violations.append(f"{row['id']} is billed for seconds that nobody proved")
        for row in self._reader.all(_WORK_OF_NOBODY):
            self._violations.append(f"{row['id']} is to be done under a lease that is over")

    def _lost(self, event: Event) -> None:
        """Nobody is called lost who was heard a moment ago, whatever ails the control plane itself."""
        heard_at = self._heard_at.get(event.subject)
        if heard_at is not None and 0 < event.at - heard_at < DOWN_AFTER_SECONDS:
            silent = event.at - heard_at
            self._violations.append(
                f"{event.subject} is called lost {silent:.1f} s after it was heard"
            )

    def _reserved(self, event: Event) -> None:
        machine_id = event.data["machine_id"]
        if self._reader.one(_LEASED_TWICE, {"id": machine_id}) is not None:
            self._violations.append(f"{machine_id} is leased twice")
        if machine_id in self.paused | self.gone:
            self._violations.append(f"{machine_id} is leased although its owner sells nothing")


def check(world: "World", tally: Tally) -> list[str]:
    """What does not hold at the end of a world; counts into `tally`."""
    reader = world.control.database.reader()
    found = [f"never: {text}" for text in world.control.unexpected]
    found += [
        text for job_id in _jobs(world) for text in _job(reader, world, store.job(reader, job_id))
    ]
    found += _units(reader, world)
    found += _money(reader, world)
    found += _refusals(reader, world)
    found += _launches(reader, world)
    found += _lies(reader, world)
    _count(reader, world, tally)
    return found


def _jobs(world: "World") -> list[str]:
    return [job.id for job in store.jobs(world.control.database.reader(), None, limit=1000)]


def _job(reader: Reader, world: "World", job: Job) -> list[str]:
    """One job: it ended, for a reason, all that served it is over, and it cost no more than it may."""
    if not job.ended:
        training = store.training(reader, job.id)
        where = f", {training.phase} of round {training.round}" if training else ""
        order = market.order(reader, job.order_id or "")
        return [f"{job.id} never ended: it is {job.state}{where}, its order {order.state}"]
    found: list[str] = []
    if job.reason is None:
        found.append(f"{job.id} ended without a reason")
    leases = market.leases_of_job(reader, job.id)
    cap = job.spec.price_cap_micro_usd_per_device_hour
    for lease in leases:
        if lease.state is not LeaseState.CLOSED:
            found.append(f"{lease.id} is {lease.state} after its job ended")
        if cap is not None and lease.price_micro_usd_per_device_hour > cap:
            found.append(f"{lease.id} costs more than its job's cap")
        if lease.charge is Charge.SECOND:
            escrow = balance(reader, lease_escrow(lease.id))
            due = lease.due_micro_usd
            world.seen["lease.metered"] += due > 0
            paid = _paid_of_lease(reader, lease.id)
            if paid != min(due, escrow.credits_posted):
                found.append(f"{lease.id} paid {paid} for proven seconds worth {due}")
    found += [f"{run.id} is {run.state} after its job ended" for run in store.runs_of_job(reader, job.id)
              if RUN_TRANSITIONS[run.state]]  # fmt: skip
    spent = _spent(reader, job)
    if job.spec.budget_micro_usd is not None and spent > job.spec.budget_micro_usd:
        found.append(f"{job.id} cost {spent} of a budget of {job.spec.budget_micro_usd}")
    return found + _artifact(reader, world, job)


def _artifact(reader: Reader, world: "World", job: Job) -> list[str]:
    training = store.training(reader, job.id)
    if training is None or job.state is not JobState.SUCCEEDED:
        return []
    try:
        params, layout = decode_checkpoint(world.control.disk.read(training.artifact or ""))
    except GondwanaError as error:
        return [f"the model of {job.id} cannot be read: {error}"]
    world.seen["model.decoded"] += 1
    return [] if params.size == layout.size else [f"the model of {job.id} has another size"]


def _units(reader: Reader, world: "World") -> list[str]:
    """Paid are the accepted units, each once and at its price; no other."""
    paid = {row["unit_id"]: (row["entries"], row["amount"]) for row in reader.all(_PAID_OF_UNITS)}
    found: list[str] = []
    for job_id in _jobs(world):
        for unit in store.units_of_job(reader, store.job(reader, job_id).id):
            owed = unit.price_micro_usd if unit.state is UnitState.ACCEPTED else 0
            entries, amount = paid.pop(unit.id, (0, 0))
            if amount != owed:
                found.append(f"{unit.id} is {unit.state} and was paid {amount} instead of {owed}")
            if entries > 1:
                found.append(f"{unit.id} was paid {entries} times")
            if unit.state in (UnitState.ASSIGNED, UnitState.DELIVERED, UnitState.OPEN):
                found.append(f"{unit.id} is {unit.state} at the end")
    return [*found, *(f"{unit_id} was paid and does not exist" for unit_id in paid)]


def _money(reader: Reader, world: "World") -> list[str]:
    """The books balance, what came in is there, and no escrow of an ended job holds any."""
    report = audit(reader)
    found = [f"audit: {one.subject} {one.wrong}" for one in report.differences]
    deposited = sum(tenant.deposited_micro_usd for tenant in world.tenants)
    held = sum(amount for code, amount in report.posted_micro_usd.items() if 2000 <= code < 9000)
    if held != deposited:
        found.append(f"{deposited} were deposited, the accounts hold {held}")
    for row in reader.all(_ESCROWS):
        if row["posted"] or row["debits_pending"]:
            found.append(
                f"{row['name']} still has {row['posted']}, {row['debits_pending']} of it held"
            )
    return found


def _refusals(reader: Reader, world: "World") -> list[str]:
    """Only machines that left, or lied about what they are, are sent away for good."""
    return [
        f"{machine.id} was refused for good: {machine.refused}"
        for machine in world.machines
        if machine.refused and machine.setup.behaviour is not Behaviour.NUMBERLESS
        and supply.machine(reader, machine.id).state is not MachineState.LEFT
    ]  # fmt: skip


def _launches(reader: Reader, world: "World") -> list[str]:
    """Each launch made one job, however often it was sent."""
    launched = [job_id for tenant in world.tenants for job_id in tenant.launched]
    jobs = _jobs(world)
    return (
        []
        if sorted(jobs) == sorted(launched)
        else [f"{len(launched)} launches made {len(jobs)} jobs"]
    )


def _lies(reader: Reader, world: "World") -> list[str]:
    """No lie that numbers can tell is merged in a round with more honest deliveries than such lies."""
    found: list[str] = []
    for job_id in _jobs(world):
        judged = [
            (unit, _behaviour(world, unit.machine_id or ""))
            for unit in store.units_of_job(reader, store.job(reader, job_id).id)
            if unit.kind is UnitKind.TRAIN and unit.delivered_at is not None
        ]
        sides = Counter(unit.round for unit, behaviour in judged if behaviour in HONEST)
        sides.subtract(unit.round for unit, behaviour in judged if behaviour in TWISTED)
        found += [
            f"{unit.id}, {behaviour}, was accepted"
            for unit, behaviour in judged
            if unit.state is UnitState.ACCEPTED
            and (behaviour in MALFORMED or (behaviour in TWISTED and sides[unit.round] > 0))
        ]
    return found


def _count(reader: Reader, world: "World", tally: Tally) -> None:
    slander = any(machine.setup.behaviour is Behaviour.SLANDERER for machine in world.machines)
    for job_id in _jobs(world):
        for unit in store.units_of_job(reader, store.job(reader, job_id).id):
            judged = unit.state in (UnitState.ACCEPTED, UnitState.REJECTED) and unit.delivered_at
            if unit.kind is not UnitKind.TRAIN or not judged:
                continue
            rejected = unit.state is UnitState.REJECTED
            behaviour = _behaviour(world, unit.machine_id or "")
            tally.by_behaviour[f"{behaviour} {unit.state}"] += 1
            if behaviour in HONEST or behaviour is Behaviour.SLANDERER:
                tally.honest_judged += 1
                tally.honest_rejected += rejected and not slander
                tally.slandered += rejected and slander
            else:
                tally.lies_judged += 1
                tally.lies_rejected += rejected
    for machine in supply.machines(reader, None):
        suspended = machine.state is MachineState.SUSPENDED
        honest = _behaviour(world, machine.id) in HONEST
        tally.honest_suspended += suspended and honest and not slander
        tally.slander_suspended += suspended and honest and slander
        tally.liars_suspended += suspended and not honest


def _behaviour(world: "World", machine_id: str) -> Behaviour | None:
    found = [machine.setup.behaviour for machine in world.machines if machine.id == machine_id]
    return found[0] if found else None


def _paid_of_lease(reader: Reader, lease_id: str) -> int:
    """What a lease's escrow paid out, but for what went back to its tenant."""
    row = reader.one(_PAID_OF_LEASE, {"name": lease_escrow(lease_id)})
    return int(row["amount"] or 0) if row else 0


def _spent(reader: Reader, job: Job) -> int:
    if job.spec.train is not None:
        row = reader.one(_PAID_OF_TASK, {"job_id": job.id})
        return int(row["amount"] or 0) if row else 0
    return sum(_paid_of_lease(reader, lease.id) for lease in market.leases_of_job(reader, job.id))
