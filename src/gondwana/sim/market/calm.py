"""The end of a world: nothing fails any more, and whoever waits has to be served within a bound.

First under pressure: two tenants launch small jobs as fast as they are served, so that whatever gets free is wanted
at once. An order is next at the latest when it is AGED_SECONDS old and all older ones are served; then the machines it
needs are kept, and are free when the longest lease that is in its way is over. So it waits at most AGED_SECONDS, and
for itself, each older order and what is reserved as long as the longest job may take, with what a lease may outlast
its job. Then without
pressure: all jobs come to their ends, nobody waits while machines that fit are free, and what nothing fitted expires.
"""

from typing import TYPE_CHECKING, Any, Final

from gondwana.market import store as market
from gondwana.policy import quotas
from gondwana.sim.market import checks, tenants, waiting
from gondwana.sim.market.ahead import booked_machines
from gondwana.sim.market.owners import resume
from gondwana.sim.market.people import TENANTS

if TYPE_CHECKING:
    from gondwana.sim.market.world import World

STEP_SECONDS: Final = 900.0
AGED_SECONDS: Final = 3_600.0
SLACK_SECONDS: Final = (
    300.0 + 2 * STEP_SECONDS
)  # a lease outlasts its job, and we look only now and then
PRESSING: Final = TENANTS[:2]
PATIENT: Final = TENANTS[2]
CROWD_DEVICES_MAX: Final = 24
PRESSURE: Final = 3  # small jobs of each of them that wait at any time
DAY: Final = 86_400.0
DRAIN_STEPS_MAX: Final = 60
_LONGEST: Final = """
SELECT max(json_extract(spec, '$.seconds_max')) AS run, max(json_extract(spec, '$.market.lease_seconds')) AS lease
FROM job"""


def play(world: "World") -> None:
    """Calm, pressure, and the end."""
    _calm_down(world)
    _press(world)
    _drain(world)
    if not world.violations:
        _expire(world)


def _calm_down(world: "World") -> None:
    world.say("from now on nothing fails")
    world.is_calm = world.desk.is_calm = True
    world.plane.failures = 0
    if world.plane.life is None:
        world.plane.start()
    world.plane.undoom()
    for box in world.boxes:
        box.is_on, box.idle_hands = True, False
        resume(world, box)
    for each in quotas.all_quotas(world.plane.reader):
        now = world.now
        world.write(lambda tx, each=each, now=now: quotas.remove_quota(tx, now, each))
    for seconds in (70.0, 10.0, 130.0):
        world.step(seconds)  # silences are judged, late calls arrive


def _press(world: "World") -> None:
    """Nobody is passed by for ever by those who need less."""
    if world.dice.chance(0.15):
        _crowd(world)
    begun, reader = world.now, world.plane.reader
    longest, reserved = _longest(reader), len(booked_machines(reader))
    wait = {
        order["id"]: max(0.0, AGED_SECONDS - (begun - order["created_at"]))
        + (older + 1 + reserved) * (longest + SLACK_SECONDS)
        for older, order in enumerate(waiting.waiting(reader, begun))
    }
    left = set(wait)
    world.seen["waited for"] += len(left)
    while left and not world.violations:
        _launch_small(world)
        world.step(STEP_SECONDS)
        passed = world.now - begun
        could = {order["id"] for order in waiting.waiting(reader, world.now)}
        left &= could
        for order_id in sorted(left):
            if passed > wait[order_id]:
                world.broke(
                    f"{order_id} waits for {passed:.0f} s, at most {wait[order_id]:.0f} were to be expected"
                )
                left.discard(order_id)


def _crowd(world: "World") -> None:
    """Small jobs on every device, and one job more that needs a large machine whole."""
    machines = waiting.Market.read(world.plane.reader, world.now).machines
    largest = max(machines, key=lambda each: each["devices"], default=None)
    total = sum(each["devices"] for each in machines)
    if largest is None or not largest["devices"] > 3 or total > CROWD_DEVICES_MAX:
        return
    world.seen["crowded"] += 1
    for _ in range(total):
        tenants.small(world, world.dice.pick(PRESSING))
    world.step(60.0)
    tenants.large(world, PATIENT, largest["model"], largest["devices"])
    world.step(5.0)


def _longest(reader: Any) -> float:
    row = reader.one(_LONGEST)
    return max(row["run"] or 0.0, row["lease"] or 0.0)


def _launch_small(world: "World") -> None:
    for tenant in PRESSING:
        open_orders = market.orders(
            world.plane.reader, market.open_orders(world.plane.reader, world.now)
        )
        mine = sum(order.tenant_id == tenant for order in open_orders.values())
        for _ in range(max(0, PRESSURE - mine)):
            tenants.small(world, tenant)


def _drain(world: "World") -> None:
    """All that runs comes to its end, and all that can be served is."""
    reader = world.plane.reader
    for _ in range(DRAIN_STEPS_MAX):
        world.step(2 * STEP_SECONDS)
        ahead = booked_machines(reader)  # what waits for them is served only after that
        if world.violations or not (ahead or any(True for _ in market.live_holdings(reader))):
            break
    else:
        for lease in list(market.live_holdings(reader))[:3]:
            world.broke(f"{lease.id} of {lease.job_id} never ends")
    for seconds in (
        310.0,
        3_700.0,
        310.0,
    ):  # every auction has its window, and old spot prices are forgotten
        world.step(seconds)
    found = waiting.overlooked(reader, world.now, ("posted", "auction", "spot"))
    for what in found:
        world.broke(what)
    for what in checks.the_money(reader):
        world.broke(what)


def _expire(world: "World") -> None:
    """A day later only those wait who said that they would."""
    world.step(DAY + 100.0)
    world.step(60.0)
    left = market.orders(world.plane.reader, [row["id"] for row in world.plane.reader.all(
        "SELECT id FROM market_order WHERE state IN ('open', 'matched') AND is_standing = 0")])  # fmt: skip
    for order in left.values():
        world.broke(f"{order.id} is {order.state} after a day in which nothing fitted it")
