"""The world that the market is measured in (field notes, market, §4.1): a million devices, and orders for them.

Machines sell 1, 2, 4 or 8 free devices (3.4 on average) of 40 models in 30 regions, both by Zipf; an owner has ten
devices. Orders want 1 to 256 devices, 60 % of them one; 70 % name 1 to 3 models, 50 % name 1 to 5 regions; most ask
for memory, some for a tag, most have a price cap. An order of more than 8 devices wants whole machines of 8.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.core.ids import JobId, MachineId, OfferId, OrderId, PrincipalId
from gondwana.db.database import Database
from gondwana.db.many import insert_values
from gondwana.db.transaction import Transaction
from gondwana.jobs.admit import order_for
from gondwana.jobs.model import Job, JobState
from gondwana.ledger import rules as ledger
from gondwana.ledger.model import Shares
from gondwana.ledger.store import post_all
from gondwana.market.book import Row
from gondwana.market.rules import cost_of
from gondwana.market.search import Want
from gondwana.supply.model import Machine, MachineState, Offer, OfferState
from gondwana.wire.jobs import Accelerators, JobSpec, Resources
from gondwana.wire.machines import Accelerator, MachineInventory, MachineSpeed

MODELS, REGIONS = 40, 30
DEVICES = (1, 2, 4, 8)
DEVICES_CHANCE = (0.33, 0.25, 0.2, 0.22)  # 3.4 on average
DEVICES_OF_OWNER = 10
TAGS = 62
GANGS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
GANGS_CHANCE = (0.6, 0.135, 0.1, 0.1, 0.023, 0.018, 0.012, 0.0075, 0.0045)  # 5.9 on average
GIB = 2**30
BORN = Instant(1_800_000_000.0)
TENANTS = 500
TENANT_MICRO_USD = 10**12
INSERTED_AT_ONCE = 20_000


def zipf(random: np.random.Generator, kinds: int, count: int) -> Any:
    """Numbers below `kinds`, the first ones most often."""
    weights = 1 / np.arange(1, kinds + 1)
    return random.choice(kinds, count, p=weights / weights.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Machines as plain columns."""

    model: Any
    region: Any
    devices: Any
    price: Any
    speed: Any
    cpus: Any
    memory_gib: Any
    tags: Any

    @classmethod
    def of(cls, devices: int, seed: int = 1) -> "World":
        """So many devices."""
        random = np.random.default_rng(seed)
        sold = random.choice(DEVICES, devices, p=DEVICES_CHANCE)
        count = int(np.searchsorted(np.cumsum(sold), devices)) + 1
        bits = random.random((count, TAGS)) < random.choice([0.02, 0.3], TAGS, p=[0.5, 0.5])
        return cls(
            model=zipf(random, MODELS, count), region=zipf(random, REGIONS, count), devices=sold[:count],
            price=(random.lognormal(0.0, 0.5, count) * 1_000_000).astype(int),
            speed=random.lognormal(2.0, 0.3, count), cpus=random.choice([8, 16, 32, 64], count),
            memory_gib=random.choice([32, 64, 128, 256], count),
            tags=(bits * (1 << np.arange(TAGS, dtype=np.int64))).sum(axis=1),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.model)

    def rows(self) -> Iterator[Row]:
        """As the book holds them."""
        owner, devices = self._owners(), 0
        for n in range(len(self)):
            devices = int(self.devices[n])
            price, speed = int(self.price[n]), float(self.speed[n])
            yield Row(
                machine_id=f"mac_{n:020d}", model=f"M{self.model[n]}", region=f"r{self.region[n]}",
                cost=cost_of(price, speed), price=price, free=devices, devices=devices,
                cpu_milli=int(self.cpus[n]) * 1_000, memory_bytes=int(self.memory_gib[n]) * GIB,
                tags=int(self.tags[n]), owner=f"pri_{owner[n]:020d}", serial=n,
            )  # fmt: skip

    def _owners(self) -> Any:
        return (np.cumsum(self.devices) // DEVICES_OF_OWNER).astype(int)

    def stored(self) -> Iterator[tuple[list[PrincipalId], list[Machine], list[Offer]]]:
        """(owners, machines, offers) as the database holds them, in parts."""
        owner = self._owners()
        for start in range(0, len(self), INSERTED_AT_ONCE):
            part = range(start, min(len(self), start + INSERTED_AT_ONCE))
            machines = [self._machine(n, PrincipalId(f"pri_{owner[n]:020d}")) for n in part]
            first = owner[start - 1] + 1 if start else 0
            owners = [PrincipalId(f"pri_{n:020d}") for n in range(first, owner[part[-1]] + 1)]
            offers = [
                Offer(id=OfferId(f"off_{n:020d}"), machine_id=each.id, state=OfferState.OPEN,
                      price_micro_usd_per_device_hour=int(self.price[n]))
                for n, each in zip(part, machines, strict=True)
            ]  # fmt: skip
            yield owners, machines, offers

    def _machine(self, n: int, owner: PrincipalId) -> Machine:
        accelerators = (
            Accelerator(name=f"M{self.model[n]}", vendor="nvidia", memory_bytes=24 * GIB),
        )
        inventory = MachineInventory(
            cpu_model="benchmark", cpu_count=int(self.cpus[n]), memory_bytes=int(self.memory_gib[n]) * GIB,
            disk_free_bytes=2**40, os="Linux", architecture="x86_64", python="3.11",
            accelerators=accelerators * int(self.devices[n]),
        )  # fmt: skip
        return Machine(
            id=MachineId(f"mac_{n:020d}"), owner_id=owner, name=f"m{n}", region=f"r{self.region[n]}",
            public_key=f"{n:064x}", state=MachineState.UP, devices=int(self.devices[n]), inventory=inventory,
            isolation="sandbox",
            speed=MachineSpeed(steps_per_second=float(self.speed[n])), joined_at=Instant(BORN + n / 1_000),
            proven_at=BORN,
        )  # fmt: skip


def wants(count: int, seed: int = 2) -> Iterator[tuple[Want, int]]:
    """(what an order asks of each machine, how many machines)."""
    random = np.random.default_rng(seed)
    gangs = random.choice(GANGS, count, p=GANGS_CHANCE)
    names, places = zipf(random, MODELS, count * 3), zipf(random, REGIONS, count * 5)
    for n in range(count):
        dice = random.random(6)
        models = names[n * 3 : n * 3 + 1 + int(dice[0] * 3)] if dice[1] < 0.7 else ()
        regions = places[n * 5 : n * 5 + 1 + int(dice[2] * 5)] if dice[3] < 0.5 else ()
        want = Want(
            models=tuple(sorted({f"M{each}" for each in models})),
            regions=tuple(sorted({f"r{each}" for each in regions})),
            devices=min(8, int(gangs[n])),
            price_max=int(1_000_000 * (0.7 + 2 * dice[4])),
            cpu_milli=8_000 if dice[5] < 0.5 else 16_000,
            memory_bytes=(32 << int(dice[0] * 3)) * GIB,
            tags=1 << int(dice[2] * TAGS) if dice[4] < 0.3 else 0,
        )
        yield want, max(1, int(gangs[n]) // 8)


def store_supply(database: Database, world: World) -> None:
    """All machines and their offers, in bulk."""
    for part in world.stored():
        database.writer.call(_store_part, *part)


def _store_part(
    tx: Transaction, owners: list[PrincipalId], machines: list[Machine], offers: list[Offer]
) -> None:
    tx.insert_rows(
        "principal", ("id", "name", "created_at"), [(each, each, BORN) for each in owners]
    )
    insert_values(tx, "machine", machines)
    insert_values(tx, "offer", offers)


def store_tenants(database: Database, tag: str) -> list[str]:
    """Tenants with money."""
    tenants = [f"pri_{tag}{n:018d}" for n in range(TENANTS)]
    deposits = [ledger.deposit("bank", each, TENANT_MICRO_USD, key=each) for each in tenants]

    def run(tx: Transaction) -> None:
        tx.insert_rows(
            "principal", ("id", "name", "created_at"), [(each, each, BORN) for each in tenants]
        )
        post_all(tx, deposits, BORN)

    database.writer.call(run)
    return tenants


def jobs(tenants: list[str], first: int, count: int, now: Instant) -> list[Job]:
    """Batch jobs for one machine each, at the posted price: 1 to 8 devices of a model that is named, or any."""
    random = np.random.default_rng(first)
    devices = random.choice(GANGS[:4], count, p=np.array(GANGS_CHANCE[:4]) / sum(GANGS_CHANCE[:4]))
    models = zipf(random, MODELS, count)
    named = random.random(count) < 0.7
    made: list[Job] = []
    for n in range(count):
        name = f"M{models[n]}" if named[n] else ""
        wanted = Accelerators(name=name, count=int(devices[n]))
        spec = JobSpec(
            name=f"job {first + n}", run="true", resources=Resources(accelerators=(wanted,))
        )
        made.append(
            Job(id=JobId(f"job_{first + n:020d}"), tenant_id=PrincipalId(tenants[(first + n) % len(tenants)]),
                name=spec.name, state=JobState.ADMITTED, spec=spec, shares=Shares(),
                order_id=OrderId(f"ord_{first + n:020d}"), created_at=now)
        )  # fmt: skip
    return made


def store_jobs(tx: Transaction, made: list[Job]) -> None:
    """Jobs that were admitted, and their open orders: what `admit.submit` leaves behind, in bulk."""
    insert_values(tx, "job", made)
    orders = [
        order_for(job.spec, job.tenant_id, job.id, job.order_id or OrderId(""), job.created_at) for job in made
    ]  # fmt: skip
    insert_values(tx, "market_order", orders)
    tx.emit_many([
        Event(at=order.created_at, kind="order.opened", subject=order.id, job_id=order.job_id) for order in orders
    ])  # fmt: skip
