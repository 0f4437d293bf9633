"""Agents: what is switched on proves to be alive, does what it is told, and reports it; some fail, some never begin."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import StaleEpoch
from gondwana.jobs import end, report
from gondwana.jobs.proofs import Proof
from gondwana.wire.agent import LeaseProof, RunReport

if TYPE_CHECKING:
    from gondwana.sim.market.world import World

_SERVED: Final = """
SELECT lease.id AS lease_id, lease.epoch, lease.machine_id, run.id AS run_id, run.state, run.started_at, run.job_id
FROM lease LEFT JOIN run ON run.lease_id = lease.id AND run.state IN ('assigned', 'preparing', 'running')
WHERE lease.state IN ('active', 'reclaiming') ORDER BY lease.id, run.id"""
BEGIN_SECONDS: Final = 3.0  # from a duty to the run that it asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What will become of a run, unless its lease ends before."""

    seconds: float  # after it began
    code: int | None
    reason: str = ""


def beat(world: "World") -> None:
    """Every machine that is on proves to be alive, and which leases it serves."""
    life = world.plane.life
    if life is None:
        return
    now, served = world.now, dict[str, list[Any]]()
    for row in world.plane.reader.all(_SERVED):
        served.setdefault(row["machine_id"], []).append(row)
    for box in world.boxes:
        if not box.is_on or box.has_left:
            continue
        proofs = {
            row["lease_id"]: LeaseProof(lease_id=row["lease_id"], epoch=row["epoch"], alive=True)
            for row in served.get(box.id, ())
            if not box.idle_hands
        }
        life.context.proofs.add(Proof(machine_id=box.id, at=now, leases=tuple(proofs.values())))


def flush(world: "World") -> None:
    """What was heard is written."""
    life = world.plane.life
    if life is not None:
        life.context.proofs.flush(life)


def work(world: "World") -> None:
    """Every machine that is on reports what became of its runs."""
    boxes = {box.id: box for box in world.boxes}
    for row in world.plane.reader.all(_SERVED):
        box = boxes[row["machine_id"]]
        if row["run_id"] is None or not box.is_on or box.idle_hands:
            continue
        fate = world.fates.get(row["run_id"])
        if fate is None:
            fate = world.fates[row["run_id"]] = _fate(world, row["job_id"])
        now = world.now
        if row["state"] == "assigned":
            _report(world, row, now, "running")
        elif now - row["started_at"] >= fate.seconds:
            _report(world, row, now, "exited", fate)


def _fate(world: "World", job_id: str) -> Fate:
    dice, seconds_max = world.dice, world.jobs[job_id].seconds_max if job_id in world.jobs else 600
    seconds = dice.between(60, seconds_max)
    if world.is_calm:
        return Fate(seconds=seconds, code=0)
    how = dice.among({"done": 80, "agent": 9, "code": 4, "time": 4, "memory": 2})
    match how:
        case "agent":
            return Fate(seconds=dice.between(1, 200), code=None, reason="agent: no sandbox")
        case "code":
            return Fate(seconds=seconds, code=3)
        case "time":
            return Fate(seconds=seconds_max, code=137, reason="out_of_time")
        case "memory":
            return Fate(seconds=seconds / 2, code=137, reason="out_of_memory")
        case _:
            return Fate(seconds=seconds, code=0)


def _report(world: "World", row: Any, now: Instant, state: str, fate: Fate | None = None) -> None:
    told = RunReport(
        number=1,
        run_id=row["run_id"],
        lease_id=row["lease_id"],
        epoch=row["epoch"],
        state=state,
        exit_code=fate.code if fate else None,
        reason=fate.reason if fate else "",
    )
    if fate is not None:
        world.say(f"{told.run_id} exits {fate.code} {fate.reason}")
        world.watch.exited.add(told.lease_id)

    def tell() -> None:
        world.write(  # what is told again arrives later
            lambda tx: report.run_report(tx, world.now, row["machine_id"], told),
            allowed=StaleEpoch,
        )

    tell()
    if not world.is_calm and world.dice.chance(0.06):
        world.seen["report again"] += 1
        world.timeline.after(world.dice.between(5, 300), tell)


def boot(world: "World") -> None:
    """An agent starts anew: what its earlier life had begun is lost."""
    found = [box for box in world.boxes if box.is_on and not box.has_left]
    if found:
        box, now = world.dice.pick(found), world.now
        world.say(f"{box.name} starts anew")
        world.write(lambda tx: end.lose_begun_runs(tx, now, box.id))
