"""Owners and their machines: they join, fall silent, come back, change terms, take machines back, and bid."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from gondwana.api.routes import auctions, leases, machines
from gondwana.core.ids import MachineId, OfferId, PrincipalId
from gondwana.core.values import replace
from gondwana.db.transaction import Transaction
from gondwana.ledger.settings import change_setting
from gondwana.market import store as market
from gondwana.market.auction import store as bids
from gondwana.sim.market.people import MODELS, OWNERS, REGIONS, USD, caller
from gondwana.supply import store as supply
from gondwana.supply.model import Machine, MachineState, Offer, OfferState
from gondwana.wire.auctions import BidRequest
from gondwana.wire.machines import Accelerator, MachineInventory, MachineSpeed
from gondwana.wire.views import TermsRequest

if TYPE_CHECKING:
    from gondwana.sim.market.world import World

MACHINES_MAX: Final = 9
RESERVE_SECONDS: Final = 30 * 86_400
GIB: Final = 1024**3
CPU_COUNT: Final = 16
MEMORY_BYTES: Final = 64 * GIB


@dataclass(slots=True)
class Box:
    """One machine as its owner has it."""

    id: str
    name: str
    owner: str
    devices: int
    price: int
    floor: int | None
    idle_hands: bool = False  # wins whatever it can, and never begins to work
    is_on: bool = True
    has_left: bool = False


def thicken(world: "World") -> None:
    """Here one account on a side makes a spot price, and who runs may be outbid after five minutes."""
    now, told = world.now, {"sides_min": 1, "run_seconds_min": 300}
    world.write(lambda tx: change_setting(tx, now, "spot", told, by=OWNERS[0]))


def join(world: "World") -> None:
    """A machine more; what it measured is stored at once."""
    dice, number = world.dice, len(world.boxes)
    if number >= MACHINES_MAX:
        return
    owner, model = dice.pick(OWNERS), dice.pick(MODELS)
    devices = dice.among({1: 3, 2: 3, 4: 2, 8: 1})
    price = int(dice.between(1, 4) * USD)
    floor = int(price * dice.between(0.3, 0.9)) if dice.chance(0.6) else None
    notice = dice.among({0: 3, 3_600: 2, 7_200: 1})
    now = world.now
    box = Box(
        id=f"mac_{number}", name=f"m{number}", owner=owner, devices=devices, price=price, floor=floor,
        idle_hands=dice.chance(0.08),
    )  # fmt: skip
    machine = Machine(
        id=MachineId(box.id),
        owner_id=PrincipalId(owner),
        name=box.name,
        region=dice.pick(REGIONS),
        public_key=f"key of {box.name}",
        state=MachineState.JOINING,
        devices=devices,
        inventory=_inventory(model, devices),
        speed=MachineSpeed(steps_per_second=dice.between(5, 20)),
        site=dice.pick(("", "barn", "shed")),
        isolation="sandbox",
        joined_at=now,
    )
    offer = Offer(
        id=OfferId(f"off_{number}"),
        machine_id=machine.id,
        state=OfferState.PAUSED,
        price_micro_usd_per_device_hour=price,
        notice_seconds=notice,
        spot_floor_micro_usd_per_device_hour=floor,
        reserve_seconds_max=dice.among({0: 1, RESERVE_SECONDS: 2}),
    )

    def enter(tx: Transaction) -> None:
        entered = supply.register(tx, machine, offer, now)
        entered = supply.save(tx, replace(entered, proven_at=now))
        for state in (MachineState.PROBING, MachineState.UP):
            entered = supply.move(tx, now, entered, state)

    world.boxes.append(box)
    world.write(enter)


def _inventory(model: str, devices: int) -> MachineInventory:
    return MachineInventory(
        cpu_model="simulated",
        cpu_count=CPU_COUNT,
        memory_bytes=MEMORY_BYTES,
        disk_free_bytes=100 * GIB,
        os="Linux",
        architecture="x86_64",
        python="3.11",
        accelerators=(Accelerator(name=model, vendor="nvidia", memory_bytes=80 * GIB),) * devices,
    )


def _pick(world: "World", fits: Callable[[Box], bool] = lambda box: True) -> Box | None:
    found = [box for box in world.boxes if not box.has_left and fits(box)]
    return world.dice.pick(found) if found else None


def go_silent(world: "World") -> None:
    """A machine loses its power."""
    box = _pick(world, lambda box: box.is_on)
    if box is None:
        return
    box.is_on = False
    world.say(f"{box.name} is silent")
    if world.dice.chance(0.8):
        seconds = world.dice.among({5.0: 1, 60.0: 2, 600.0: 1, 4_000.0: 1})
        world.timeline.after(seconds, lambda: setattr(box, "is_on", True))


def verb(world: "World", which: str) -> None:
    """An owner pauses, resumes, drains or leaves with a machine."""
    box = _pick(world)
    if box is None:
        return

    def learn(view: dict[str, object]) -> None:
        box.has_left |= which == "leave"

    world.say(f"{box.name} {which}")
    who = caller(box.owner)
    world.desk.send(who, lambda api, write: machines.owner_verb(box.name, which, who, write), learn)


def change_terms(world: "World") -> None:
    """An owner asks another price, another floor, promises another notice, or sells no spot any more."""
    box = _pick(world)
    if box is None:
        return
    dice, who = world.dice, caller(box.owner)
    price = int(box.price * dice.between(0.6, 1.5)) if dice.chance(0.6) else None
    floor = int((price or box.price) * dice.between(0.3, 0.9)) if dice.chance(0.3) else None
    notice = dice.among({0: 1, 3_600: 1, 7_200: 1}) if dice.chance(0.2) else None
    no_spot = floor is None and dice.chance(0.15)
    world.say(f"{box.name} asks {price}, floor {floor}, notice {notice}, no spot {no_spot}")
    box.price = price or box.price
    box.floor = None if no_spot else floor or box.floor
    world.desk.send(
        who,
        lambda api, write: machines.set_terms(
            box.name,
            TermsRequest(
                price_micro_usd_per_device_hour=price,
                notice_seconds=notice,
                spot_floor_micro_usd_per_device_hour=floor,
                no_spot=no_spot,
            ),
            who,
            write,
        ),
    )


def take_back(world: "World") -> None:
    """An owner takes a machine, or one of its leases, back; some minutes later he may sell again."""
    box = _pick(world)
    if box is None:
        return
    dice, who = world.dice, caller(box.owner)
    live = market.live_leases_of_machine(world.plane.reader, box.id)
    if live and dice.chance(0.5):
        lease_id = dice.pick(live).id
        world.say(f"{box.name} takes {lease_id} back")
        world.desk.send(who, lambda api, write: leases.reclaim_lease(lease_id, who, write))
    else:
        world.say(f"{box.name} is taken back")
        world.desk.send(who, lambda api, write: leases.reclaim_machine(box.name, who, write))
    world.timeline.after(dice.between(100, 2_000), lambda: resume(world, box))


def resume(world: "World", box: Box) -> None:
    """He sells again."""
    who = caller(box.owner)
    world.desk.send(who, lambda api, write: machines.owner_verb(box.name, "resume", who, write))


def bid(world: "World") -> None:
    """Owners look at an auction and bid, some too much, too late by their own clock, or twice."""
    now, dice = world.now, world.dice
    found = bids.open_auctions(world.plane.reader, now, limit=20)
    if not found:
        return
    order = dice.pick(found)
    for box in world.boxes:
        if box.has_left or not dice.chance(0.7):
            continue
        ask = int(box.price * dice.among({0.5: 2, 0.8: 3, 1.0: 2, 1.2: 1}))
        told = BidRequest(machine=box.name, ask_micro_usd_per_device_hour=ask)
        skew = dice.among({0.0: 6, 8.0: 2, 25.0: 1})  # seconds that his clock is slow
        world.say(f"{box.name} bids {ask} for {order.id}, {skew:.0f} s late")

        world.timeline.after(skew, partial(_send, world, order.id, box, told))


def _send(world: "World", order_id: str, box: Box, told: BidRequest) -> None:
    who = caller(box.owner)
    world.desk.send(
        who, lambda api, write: auctions.bid(order_id, told, who, api, write), world.bid_ids.append
    )


def withdraw(world: "World") -> None:
    """An owner takes a bid back."""
    if not world.bid_ids:
        return
    view = world.dice.pick(world.bid_ids)
    owner = next(box.owner for box in world.boxes if box.name == view["machine"])
    who, bid_id = caller(owner), view["id"]
    world.say(f"{bid_id} is withdrawn")
    world.desk.send(who, lambda api, write: auctions.withdraw(bid_id, who, write))
