"""Tenants: they launch jobs of every kind, cancel, extend and resize them, and set themselves quotas."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import Response

from gondwana.api.deps import Write
from gondwana.api.plane import Plane as ApiPlane
from gondwana.api.routes import jobs
from gondwana.core.ids import PrincipalId
from gondwana.policy import limits, quotas
from gondwana.policy.model import Quota
from gondwana.sim.market import owners
from gondwana.sim.market.people import (
    ABSENT_MODEL,
    FILTERS,
    MODELS,
    OWNERS,
    PROJECTS,
    TENANTS,
    USD,
    caller,
)
from gondwana.wire.jobs import (
    Accelerators,
    ExtendRequest,
    JobSpec,
    MarketTerms,
    ResizeRequest,
    Resources,
    Train,
)

if TYPE_CHECKING:
    from gondwana.sim.market.world import World

SECONDS_MAX: Final = 7_200  # of a run; what people extend comes on top
LEASE_SECONDS_MAX: Final = 10_800
EXTRA_SECONDS_MAX: Final = 3_600
BLOB: Final = "ab" * 32
KINDS: Final = {"posted": 9.0, "auction": 3.0, "spot": 4.0, "islands": 1.5}


def launch(world: "World", kind: str | None = None, nodes: int = 0) -> None:
    """A job of some kind; it may be one that nothing here could serve."""
    dice = world.dice
    kind = kind or dice.among(KINDS)
    send(world, dice.pick(TENANTS), draw(world, kind, nodes))
    if kind == "auction" and dice.chance(0.7):
        world.timeline.after(dice.between(1, 12), lambda: owners.bid(world))
        if dice.chance(0.3):
            world.timeline.after(13, lambda: cancel(world, last=1))


def send(world: "World", tenant: str, spec: JobSpec) -> None:
    """Launch this job."""
    who = caller(tenant)

    def ask(api: ApiPlane, write: Write) -> Response:
        return jobs.submit(spec, who, api, world.plane.reader, write)

    def learn(view: Any) -> None:
        world.jobs[view["id"]] = spec

    world.say(f"{tenant} launches {told(spec)}")
    world.launched += 1
    world.desk.send(who, ask, learn)


def told(spec: JobSpec) -> str:
    """A job in a few words."""
    wants = "/".join(each.name or "any" for each in spec.resources.accelerators) or "cpu"
    devices = max((each.count for each in spec.resources.accelerators), default=1)
    market = spec.market
    how = "islands" if spec.train else market.mechanism
    return (
        f"{spec.name}: {how} {spec.num_nodes}{'+' if spec.is_elastic else ''} x {devices} {wants}, cap "
        f"{spec.price_cap_micro_usd_per_device_hour}, {spec.seconds_max:.0f} s, lease {market.lease_seconds}, "
        f"project {spec.project!r}, priority {market.priority}, standing {market.is_standing}"
    )


def draw(world: "World", kind: str, nodes: int = 0) -> JobSpec:
    """A job of this kind, of so many nodes."""
    dice = world.dice
    model = dice.among({"A100": 6, "H100": 6, "": 2, "either": 3, "none": 1, ABSENT_MODEL: 0.3})
    count = dice.among({1: 6, 2: 3, 4: 2, 8: 0.7, 16: 0.2})
    names = {"either": MODELS, "none": ()}.get(model, (model,))
    drawn = dice.among({1: 7, 2: 2, 3: 1, 4: 0.4})
    nodes = 1 if kind == "islands" else nodes or drawn
    has_cap = kind in ("auction", "spot") or dice.chance(0.4)
    cap = int(dice.between(1.5, 6) * USD) if has_cap else None
    world.names += 1
    is_train = kind == "islands"
    return JobSpec(
        name=f"job{world.names}",
        run="" if is_train else "echo hi",
        num_nodes=nodes,
        is_elastic=not is_train and nodes > 1 and dice.chance(0.3),
        resources=Resources(accelerators=tuple(Accelerators(name=name, count=count) for name in names)),
        project=dice.among({PROJECTS[0]: 2, PROJECTS[1]: 1}),
        price_cap_micro_usd_per_device_hour=cap,
        budget_micro_usd=20 * USD if is_train else None,
        seconds_max=float(int(dice.between(600, SECONDS_MAX))),
        workdir=BLOB if is_train else None,
        train=_train(world) if is_train else None,
        market=MarketTerms(
            mechanism="posted" if is_train else kind,
            where=dice.among({each: 1 if each else 20 for each in FILTERS}),
            notice_seconds_min=dice.among({0: 8, 3_600: 1}),
            priority=dice.among({0: 3, 30: 1, 100: 1}),
            lease_seconds=int(dice.between(1_800, LEASE_SECONDS_MAX)) if is_train or dice.chance(0.3) else None,
            is_standing=(has_cap or is_train) and dice.chance(0.1),
        ),
    )  # fmt: skip


def _train(world: "World") -> Train:
    least = world.dice.among({1: 2, 2: 1})
    return Train(
        recipe="recipe.py", shards=(BLOB,), heldout=(BLOB,), rounds=2, islands_min=least,
        islands_max=least + world.dice.upto(2),
    )  # fmt: skip


def small(world: "World", tenant: str) -> None:
    """One small job more, as somebody launches them all day long."""
    world.names += 1
    wanted = Accelerators(name=world.dice.pick(MODELS), count=1)
    spec = JobSpec(
        name=f"job{world.names}",
        run="echo hi",
        resources=Resources(accelerators=(wanted,)),
        seconds_max=float(int(world.dice.between(1_200, SECONDS_MAX))),
    )
    send(world, tenant, spec)


def large(world: "World", tenant: str, model: str, devices: int) -> None:
    """A job that needs so many devices of one machine."""
    world.names += 1
    spec = JobSpec(
        name=f"job{world.names}",
        run="echo hi",
        resources=Resources(accelerators=(Accelerators(name=model, count=devices),)),
        seconds_max=float(SECONDS_MAX),
    )
    send(world, tenant, spec)


def impossible(world: "World", count: int) -> None:
    """Many orders that nothing here could ever serve; they wait until they are cancelled."""
    for _ in range(count):
        world.names += 1
        wanted = Accelerators(name=ABSENT_MODEL, count=1 + world.dice.upto(7))
        how = world.dice.pick(("posted", "posted", "auction", "spot"))
        spec = JobSpec(
            name=f"job{world.names}",
            run="echo hi",
            num_nodes=1 + world.dice.upto(3),
            resources=Resources(accelerators=(wanted,)),
            price_cap_micro_usd_per_device_hour=USD,
            market=MarketTerms(is_standing=True, priority=100, mechanism=how),
        )
        send(world, world.dice.pick(TENANTS[:3]), spec)


def _change(
    world: "World", what: str, ask: Callable[[str, Any, Write], Response], last: int = 15
) -> None:
    if not world.jobs:
        return
    job_id = world.dice.pick(sorted(world.jobs)[-last:])
    who = caller(world.tenant_of(job_id))
    world.say(f"{job_id} {what}")
    world.desk.send(who, lambda api, write: ask(job_id, who, write))


def cancel(world: "World", last: int = 15) -> None:
    """A tenant gives one of the last jobs up."""
    _change(world, "is cancelled", jobs.cancel, last)


def extend(world: "World") -> None:
    """A tenant gives a job more time."""
    seconds = 300 + world.dice.upto(EXTRA_SECONDS_MAX - 300)
    told = ExtendRequest(seconds=seconds)
    _change(
        world, f"has {seconds} s more", lambda job_id, who, write: jobs.extend(job_id, told, who, write)
    )  # fmt: skip


def resize(world: "World") -> None:
    """A tenant wants a job to have more or fewer machines."""
    nodes = 1 + world.dice.upto(4)
    told = ResizeRequest(nodes=nodes)
    _change(
        world, f"wants {nodes} nodes", lambda job_id, who, write: jobs.resize(job_id, told, who, write)
    )  # fmt: skip


def limit(world: "World") -> None:
    """A tenant, or the operator, sets or lifts a quota."""
    dice, now = world.dice, world.now
    tenant = PrincipalId(dice.pick(TENANTS))
    standing = quotas.quotas_of(world.plane.reader, [tenant]).get(tenant, [])
    if standing and dice.chance(0.5):
        lifted = dice.pick(standing)
        world.say(f"the quota of {tenant} {lifted.project!r} {lifted.model!r} is lifted")
        world.write(lambda tx: quotas.remove_quota(tx, now, lifted))
        return
    devices = dice.among({1: 1, 2: 2, 4: 2, 8: 1}) if dice.chance(0.7) else None
    jobs_max = 1 + dice.upto(3) if devices is None or dice.chance(0.3) else None
    quota = Quota(
        tenant_id=tenant,
        project=dice.pick(PROJECTS),
        model=dice.pick(("", *MODELS)) if jobs_max is None else "",
        is_operators=dice.chance(0.4),
        devices_max=devices,
        jobs_max=jobs_max,
        weight=1 + dice.upto(3),
        set_by=PrincipalId(OWNERS[0]),
        set_at=now,
    )
    limits.check_quota(devices_max=devices, jobs_max=jobs_max, weight=quota.weight)
    world.say(f"{tenant} {quota.project!r} {quota.model!r}: {devices} devices, {jobs_max} jobs")
    world.write(lambda tx: quotas.set_quota(tx, quota))
