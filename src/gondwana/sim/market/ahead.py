"""What is promised ahead: tenants reserve, some cancel; owners announce when they work; and what must hold of it."""

from collections.abc import Iterator
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, Any, Final

from gondwana.api.routes import calendar, jobs
from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.market.keeping import END_SLACK_SECONDS
from gondwana.sim.market import tenants
from gondwana.sim.market.people import MODELS, TENANTS, USD, caller
from gondwana.wire.calendar import MaintenanceRequest
from gondwana.wire.jobs import Accelerators, JobSpec, MarketTerms, Resources

if TYPE_CHECKING:
    from gondwana.sim.market.world import World

AHEAD_SECONDS: Final = (130, 4_000)
WINDOW_SECONDS: Final = (600, 3_600)
MISSED_SECONDS: Final = 130.0  # more than agents have to come back after the network was away
STEP_SECONDS: Final = 9.0
SLACK_SECONDS: Final = 20.0  # after an instant, until a pass must have seen it
_BOOKED: Final = """
SELECT booking.*, machine.devices AS has FROM booking JOIN machine ON machine.id = booking.machine_id
WHERE booking.state = 'booked' ORDER BY booking.machine_id, booking.id"""
_LEASES: Final = """
SELECT lease.id, lease.order_id, lease.devices, lease.mechanism, lease.state, lease.ends_at, lease.reclaim_at,
    lease.notice_seconds, lease.reserved_at, market_order.seconds_max
FROM lease JOIN market_order ON market_order.id = lease.order_id
WHERE lease.machine_id = :machine_id AND lease.state <> 'closed'"""
_DEPOSITS: Final = """
SELECT booking.id, booking.state, booking.kept_micro_usd AS kept, booking.deposit_micro_usd AS deposit,
    coalesce(account.credits_posted - account.debits_posted, 0) AS left
FROM booking LEFT JOIN ledger_account AS account ON account.name = 'lease:' || booking.id || ':escrow'
WHERE booking.kind = 'reservation'"""
_DUE: Final = """
SELECT id, kind FROM booking WHERE state = 'booked' AND ends_at < :now"""


def reserve(world: "World") -> None:
    """A tenant reserves machines for a job."""
    dice, now = world.dice, world.now
    world.names += 1
    lasts = int(dice.between(*WINDOW_SECONDS))
    model, count = dice.pick(MODELS), dice.among({1: 5, 2: 2, 4: 1})
    spec = JobSpec(
        name=f"job{world.names}",
        run="echo hi",
        num_nodes=dice.among({1: 5, 2: 1}),
        resources=Resources(accelerators=(Accelerators(name=model, count=count),)),
        price_cap_micro_usd_per_device_hour=int(dice.between(2, 6) * USD),
        seconds_max=float(lasts),
        market=MarketTerms(starts_at=now + int(dice.between(*AHEAD_SECONDS)), lease_seconds=lasts),
    )
    tenants.send(world, dice.pick(TENANTS), spec)


def cancel(world: "World") -> None:
    """A tenant gives up what he reserved."""
    found = [row for row in world.plane.reader.all(_BOOKED) if row["job_id"]]
    if found:
        job_id = world.dice.pick(found)["job_id"]
        who = caller(world.tenant_of(job_id))
        world.say(f"{job_id} is cancelled before its start")
        world.desk.send(who, lambda api, write: jobs.cancel(job_id, who, write))


def maintain(world: "World") -> None:
    """An owner announces that he works on a machine, or takes that back."""
    boxes = [box for box in world.boxes if not box.has_left]
    if not boxes:
        return
    dice, now, box = world.dice, world.now, world.dice.pick(boxes)
    who = caller(box.owner)
    standing = [
        row
        for row in world.plane.reader.all(_BOOKED)
        if row["machine_id"] == box.id and row["kind"] == "maintenance"
    ]
    if standing:
        window = standing[0]["id"]
        world.say(f"{box.name} needs {window} no more")
        world.desk.send(who, lambda api, write: calendar.cancel(box.name, window, who, write))
        return
    start = now + dice.among({0.0: 1, dice.between(*AHEAD_SECONDS): 3})
    end = start + dice.between(*WINDOW_SECONDS)
    world.say(f"{box.name} is worked on from {start:.0f} until {end:.0f}")
    told = MaintenanceRequest(starts_at=start, ends_at=end)
    world.desk.send(who, lambda api, write: calendar.announce(box.name, told, who, api, write))


def miss(world: "World") -> None:
    """A machine loses its power two minutes before it is reserved; the network hears all others meanwhile."""
    now = world.now
    found = [
        row
        for row in world.plane.reader.all(_BOOKED)
        if row["kind"] == "reservation" and row["starts_at"] > now + MISSED_SECONDS
    ]
    if not found:
        return
    booked = min(found, key=lambda row: row["starts_at"])
    box = next(box for box in world.boxes if box.id == booked["machine_id"])
    world.step(booked["starts_at"] - now - MISSED_SECONDS)
    box.is_on = False
    world.say(f"{box.name} is silent before {booked['id']} begins")
    for _ in range(int(MISSED_SECONDS / STEP_SECONDS) + 1):
        world.step(STEP_SECONDS)
    box.is_on = True


def after_step(reader: Reader) -> Iterator[str]:
    """At no instant ahead more is promised than there is; each deposit is where it has to be."""
    for machine_id, found in groupby(reader.all(_BOOKED), key=lambda row: row["machine_id"]):
        bookings, leases = list(found), reader.all(_LEASES, {"machine_id": machine_id})
        for each in bookings:
            promised = sum(
                _devices(other) for other in bookings if _covers(other, each["starts_at"])
            )
            if each["kind"] == "reservation":
                promised += sum(
                    lease["devices"] for lease in leases if _until(lease) > each["starts_at"]
                )
            if promised > each["has"]:
                yield f"{machine_id} promises {promised} of {each['has']} devices when {each['id']} begins"
    for row in reader.all(_DEPOSITS):
        expected = row["deposit"] if row["state"] == "booked" else 0
        if row["left"] != expected:
            yield f"{row['id']} is {row['state']}, of its deposit {row['left']} is there, not {expected}"
        if row["kept"] and row["state"] not in ("cancelled", "unused"):
            yield f"{row['id']} is {row['state']}, its owner was paid {row['kept']}"


def after_pass(reader: Reader, now: Instant) -> Iterator[str]:
    """Who is in the way of what has begun was told to go; and nothing stays booked that is over."""
    for row in reader.all(_DUE, {"now": now - SLACK_SECONDS}):
        yield f"the {row['kind']} {row['id']} should have ended"
    for machine_id, found in groupby(reader.all(_BOOKED), key=lambda row: row["machine_id"]):
        begun = [each for each in found if _covers(each, now - SLACK_SECONDS)]
        if not begun:
            continue
        leases = reader.all(_LEASES, {"machine_id": machine_id})
        staying = [each for each in leases if each["state"] != "reclaiming"]
        taken = sum(each["devices"] for each in (*staying, *begun))
        if taken > begun[0]["has"]:
            yield f"{machine_id}: {[each['id'] for each in staying]} stay where {begun[0]['id']} has begun"


def booked_machines(reader: Reader) -> set[str]:
    """Machines of which anything is promised ahead."""
    return {row["machine_id"] for row in reader.all(_BOOKED)}


def _devices(booking: Any) -> int:
    return booking["has"] if booking["kind"] == "maintenance" else booking["devices"]


def _covers(booking: Any, at: float) -> bool:
    return booking["starts_at"] <= at < booking["ends_at"]


def _until(lease: Any) -> float:
    """Until when a lease stays that nobody may send away; one that may be sent away does not count."""
    is_spot, limit = lease["mechanism"] == "spot", lease["seconds_max"]
    agreed = None if is_spot else lease["ends_at"]
    if agreed is None and (is_spot or lease["notice_seconds"]):
        return -inf
    over = limit and lease["reserved_at"] + limit + END_SLACK_SECONDS
    return min((each for each in (agreed, lease["reclaim_at"], over) if each), default=inf)
