"""A world drawn from its seed: machines, tenants, jobs, and what goes wrong when."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from gondwana.blobs.base import blob_name
from gondwana.core.random import SeededRandom
from gondwana.core.values import replace
from gondwana.sim.demand import Launch
from gondwana.sim.learning import make_shard
from gondwana.sim.lies import Behaviour
from gondwana.sim.network import Conditions
from gondwana.sim.supply import MachineSetup
from gondwana.wire.jobs import Accelerators, Gates, JobSpec, Resources, Train

FAULTS_END_SECONDS: Final = 240.0  # what goes wrong does so until then
MACHINES_MAX: Final = 7
RARE_EVERY: Final = 20  # of as many seeds, one is of each rare kind
MICRO: Final = 1_000_000
CODE: Final = b"the folder of a job"
T = TypeVar("T")


class FaultKind(StrEnum):
    """One thing that goes wrong, or that an owner does."""

    AGENT_KILLED = "agent_killed"  # loses its memory; started again after `seconds`, or never
    LINK_CUT = "link_cut"  # nothing gets through for `seconds`
    PLANE_KILLED = "plane_killed"  # between two events; started again after `seconds`
    PLANE_CRASHED = (
        "plane_crashed"  # at its transaction number `count`; started again after `seconds`
    )
    BLACKOUT = "blackout"  # everything is off for a day and an hour
    PAUSED = "paused"  # the owner pauses the machine, and resumes it after `seconds`
    DRAINED = "drained"  # the owner wants the machine back for good once it has finished
    LEFT = "left"  # the owner takes the machine back, where it serves nothing
    STOPPED = "stopped"  # the owner stops the agent, and starts it again after `seconds`
    DISK_FULL = "disk_full"  # no blob can be stored for `seconds`
    DATABASE_FULL = "database_full"  # nothing can be written for `seconds`
    REPLAYED = "replayed"  # somebody sends again what they recorded of the machine's link


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault at one moment."""

    at: float
    kind: FaultKind
    machine: int = 0
    seconds: float = 0.0  # how long it lasts; 0 for an agent: it never comes back
    count: int = 1
    after_commit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All that one seed decides before the world begins."""

    seed: int
    machines: tuple[MachineSetup, ...]
    owners: int
    deposits_micro_usd: tuple[int, ...]  # one tenant each
    launches: tuple[Launch, ...]
    faults: tuple[Fault, ...]
    shards: tuple[bytes, ...]
    overlap_chance: float  # per transaction: another thread's comes first
    answers_lost_chance: (
        float  # per call of a tenant: it happens, and the tenant does not hear of it
    )


class Draw:
    """Random choices that read well."""

    def __init__(self, seed: str) -> None:
        self._random = SeededRandom(seed)

    def between(self, low: float, high: float) -> float:
        """A uniform number."""
        return low + (high - low) * self._random.uniform()

    def whole(self, low: int, high: int) -> int:
        """A uniform whole number, both ends included."""
        return low + int(self._random.uniform() * (high - low + 1))

    def chance(self, chance: float) -> bool:
        """True that often."""
        return self._random.uniform() < chance

    def one(self, *items: T) -> T:
        """One of these."""
        return self._random.sample(items, 1)[0]


def draw(seed: int) -> Scenario:
    """The world of this seed; each of the rare worlds comes up once in RARE_EVERY seeds."""
    pick = Draw(f"scenario {seed}")
    rough = pick.chance(0.4)  # a hostile network in between
    machines = tuple(
        _machine(pick, number, rough=rough) for number in range(pick.whole(2, MACHINES_MAX))
    )
    shards = tuple(make_shard(seed, number) for number in range(12))
    tenants = pick.whole(1, 2)
    launches = tuple(_launch(pick, number, tenants, shards) for number in range(pick.whole(1, 6)))
    faults = [fault for _ in range(pick.whole(0, 10)) for fault in _faults(pick, len(machines))]
    rare = seed % RARE_EVERY
    if rare == 0:
        faults.append(Fault(at=pick.between(20, 150), kind=FaultKind.BLACKOUT, seconds=25 * 3600))
    if rare == 5:
        launches, faults = _desert(pick, launches, machines)
    if rare == 10:
        launches, faults = _plague(pick, launches, len(machines))
    deposits = (pick.one(50 * MICRO, 50 * MICRO, pick.whole(1_000, 40_000)) for _ in range(tenants))
    return Scenario(
        seed=seed,
        machines=machines,
        owners=pick.whole(1, 3),
        deposits_micro_usd=tuple(deposits),
        launches=launches,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        shards=shards,
        overlap_chance=pick.one(0.0, 0.05, 0.3),
        answers_lost_chance=0.2 if rough else 0.0,
    )


def _desert(
    pick: Draw, launches: tuple[Launch, ...], machines: tuple[MachineSetup, ...]
) -> tuple[tuple[Launch, ...], list[Fault]]:
    """Everybody goes for good; tenants who never give up wait until their orders expire."""
    gone = [
        Fault(at=setup.joins_at + pick.between(10, 90), kind=FaultKind.AGENT_KILLED, machine=number)
        for number, setup in enumerate(machines)
    ]
    return tuple(replace(launch, patience_seconds=None) for launch in launches), gone


def _plague(
    pick: Draw, launches: tuple[Launch, ...], machines: int
) -> tuple[tuple[Launch, ...], list[Fault]]:
    """All machines die again and again under a long run."""
    times = [pick.between(30, 40) + 50.0 * time for time in range(4)]
    deaths = [
        Fault(at=at, kind=FaultKind.AGENT_KILLED, machine=number, seconds=20.0)
        for at in times
        for number in range(machines)
    ]
    envs = {"SECONDS": "110", "EXIT": "0"}
    long = JobSpec(name="long", run="work", envs=envs, workdir=blob_name(CODE), seconds_max=300.0)
    return (*launches, Launch(at=12.0, tenant=0, spec=long)), deaths


def _machine(pick: Draw, number: int, *, rough: bool) -> MachineSetup:
    liar = pick.chance(0.25)
    others = [one for one in Behaviour if one is not Behaviour.HONEST]
    conditions = Conditions(
        delay_seconds=pick.one(0.005, 0.03, 0.2),
        jitter_seconds=pick.one(0.0, 0.02, 0.3),
        break_chance=pick.one(0.0, 0.01) if rough else 0.0,
        repeat_chance=pick.one(0.0, 0.02) if rough else 0.0,
        overtake_chance=pick.one(0.0, 0.02) if rough else 0.0,
    )
    return MachineSetup(
        name=f"machine-{number}",
        owner=pick.whole(0, 2),
        behaviour=pick.one(*others) if liar else Behaviour.HONEST,
        joins_at=0.0 if number < 2 else pick.one(0.0, 0.0, pick.between(5, 120)),
        steps_per_second=pick.between(0.5, 6.0),
        price_micro_usd_per_device_hour=pick.one(
            0, *(pick.whole(50_000, 2_000_000) for _ in range(5))
        ),
        devices=pick.one(1, 1, 2),
        conditions=conditions,
        isolation="plain" if pick.chance(0.05) else "sandbox",
    )


def _launch(pick: Draw, number: int, tenants: int, shards: tuple[bytes, ...]) -> Launch:
    names = [blob_name(shard) for shard in shards]
    spec = _training(pick, names) if pick.chance(0.55) else _batch(pick)
    return Launch(
        at=pick.between(6, 100),
        tenant=pick.whole(0, tenants - 1),
        spec=replace(
            spec,
            name=f"job-{number}",
            workdir=blob_name(CODE),
            resources=Resources(accelerators=(Accelerators(name=pick.one("", "RTX4090")),)),
            price_cap_micro_usd_per_device_hour=pick.one(None, None, 1_500_000),
        ),
        cancel_after=pick.one(None, None, None, pick.between(1, 120)),
    )


def _batch(pick: Draw) -> JobSpec:
    envs = {"SECONDS": f"{pick.between(2, 120):.1f}", "EXIT": pick.one("0", "0", "0", "0", "3")}
    if pick.chance(0.3):
        envs["OUTPUT"] = "1"
    if pick.chance(0.1):
        envs |= {"EXIT": "137", "LIMIT": "out_of_memory"}
    return JobSpec(
        name="drawn",
        num_nodes=pick.one(1, 1, 2, 3),
        run="work",
        envs=envs,
        budget_micro_usd=pick.one(None, None, pick.whole(2_000, 50_000)),
        seconds_max=130.0,
    )


def _training(pick: Draw, names: Sequence[str]) -> JobSpec:
    most = pick.whole(1, 6)
    rounds = pick.whole(1, 4)
    train = Train(
        recipe="bowl.py",
        config={"fails": True} if pick.chance(0.06) else {},
        shards=tuple(names[:-2]),
        heldout=tuple(names[-2:]),
        rounds=rounds,
        warm_rounds=pick.whole(0, min(2, rounds)),
        inner_steps=pick.whole(5, 40),
        window_seconds=float(pick.whole(5, 20)),
        islands_min=pick.whole(1, min(2, most)),
        islands_max=most,
        codec=pick.one("int4", "int4", "int8", "fp32"),
        gates=Gates(evaluate_per_round=pick.whole(0, 2)),
        seed=pick.whole(0, 1000),
        sample_chars=pick.one(0, 40),
    )
    budget = pick.one(None, None, pick.whole(5_000, 60_000))
    return JobSpec(name="drawn", train=train, budget_micro_usd=budget)


def _faults(pick: Draw, machines: int) -> list[Fault]:
    kinds = [kind for kind in FaultKind if kind is not FaultKind.BLACKOUT]
    kind = pick.one(*kinds)
    long = {FaultKind.PLANE_KILLED: 400.0, FaultKind.LINK_CUT: 120.0, FaultKind.AGENT_KILLED: 0.0}
    fault = Fault(
        at=pick.between(5, FAULTS_END_SECONDS),
        kind=kind,
        machine=pick.whole(0, machines - 1),
        seconds=pick.one(pick.between(1, 12), pick.between(5, 60), long.get(kind, 20.0)),
        count=pick.whole(1, 12),
        after_commit=pick.chance(0.5),
    )
    if kind is not FaultKind.PAUSED or pick.chance(0.5):
        return [fault]
    # Troubles do not come alone: the paused machine also drops off the network for a while.
    cut = replace(fault, at=fault.at + 2.0, kind=FaultKind.LINK_CUT, seconds=25.0)
    return [replace(fault, seconds=80.0), cut]
