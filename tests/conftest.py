"""Values of the domains with everything filled in, so that a test names only what it is about."""

import hashlib
import threading
import time
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gondwana.api.plane import Plane
from gondwana.blobs.memory import MemoryStore
from gondwana.core.clock import Instant, ManualClock
from gondwana.core.random import SeededRandom
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.db.events import events_after
from gondwana.jobs import admit, place
from gondwana.jobs.context import Context
from gondwana.jobs.model import (
    Island,
    Job,
    JobState,
    Phase,
    Run,
    RunState,
    Training,
    Unit,
    UnitState,
)
from gondwana.ledger import rules as ledger
from gondwana.ledger.chain import seal
from gondwana.ledger.model import Shares
from gondwana.ledger.store import post
from gondwana.loops.run import Reconcilers
from gondwana.market import store as market_store
from gondwana.market.model import Charge, Lease, LeaseState, Listing, Order, OrderState
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.supply import store as supply_store
from gondwana.supply.model import Machine, MachineState, Offer, OfferState, Supply
from gondwana.wire.jobs import JobSpec, Train
from gondwana.wire.machines import Accelerator, MachineInventory, MachineSpeed
from gondwana.wire.units import ParamsRef, UnitKind, UnitSpec

NOW = Instant(1_800_000_000.0)
GIB = 1024**3
BLOB = "ab" * 32


def inventory(*, cpus=8, memory=16 * GIB, accelerators=()):
    return MachineInventory(
        cpu_model="test", cpu_count=cpus, memory_bytes=memory, disk_free_bytes=100 * GIB, os="Linux",
        architecture="x86_64", python="3.11",
        accelerators=tuple(
            Accelerator(name=name, vendor="nvidia", memory_bytes=24 * GIB) for name in accelerators
        ),
    )  # fmt: skip


def machine(name="kauri", **changes):
    given = {
        "id": f"mac_{name}", "owner_id": "pri_owner", "name": name, "region": "home", "state": MachineState.UP,
        "public_key": f"key of {name}", "devices": 1, "inventory": inventory(), "isolation": "sandbox",
        "speed": MachineSpeed(steps_per_second=10.0), "joined_at": NOW, "proven_at": NOW,
    }  # fmt: skip
    return Machine(**{**given, **changes})


def offer(name="kauri", **changes):
    given = {
        "id": f"off_{name}", "machine_id": f"mac_{name}", "state": OfferState.OPEN,
        "price_micro_usd_per_device_hour": 1_000_000,
    }  # fmt: skip
    return Offer(**{**given, **changes})


def supply(
    name="kauri", *, price=1_000_000, free=None, epoch=0, offer_state=OfferState.OPEN, **changes
):
    sold = machine(name, **changes)
    return Supply(
        offer=offer(name, price_micro_usd_per_device_hour=price, state=offer_state),
        machine=sold,
        devices_free=sold.devices if free is None else free,
        epoch=epoch,
    )


def listing(name="kauri", *, price=1_000_000, free=None, **changes):
    given = {
        "offer_id": f"off_{name}", "machine_id": f"mac_{name}", "name": name, "owner_id": "pri_owner",
        "region": "home", "is_open": True, "isolation": "sandbox", "accelerator": "CPU", "devices": 1, "cpus": 8.0,
        "memory_bytes": 16 * GIB, "steps_per_second": 10.0, "epoch": 0, "price_micro_usd_per_device_hour": price,
        "joined_at": Instant(NOW + int.from_bytes(name[:3].encode()) / 1000),  # by name
    }  # fmt: skip
    given = {**given, **changes}
    return Listing(**given, devices_free=given["devices"] if free is None else free)


def spec(**changes):
    return JobSpec(**{"name": "job", "run": "echo hi", **changes})


def train(**changes):
    given = {"recipe": "recipe.py", "shards": (BLOB,), "heldout": (BLOB,)}
    return Train(**{**given, **changes})


def train_spec(**changes):
    return spec(run="", workdir=BLOB, train=train(**changes))


def order(name="a", **changes):
    given = {
        "id": f"ord_{name}", "job_id": f"job_{name}", "tenant_id": "pri_tenant", "state": OrderState.OPEN,
        "count_min": 1, "count_max": 1, "devices": 1, "resources": spec().resources,
        "price_cap_micro_usd_per_device_hour": None, "charge": Charge.SECOND, "created_at": NOW,
        "expires_at": Instant(NOW + 86_400),
    }  # fmt: skip
    return Order(**{**given, **changes})


def lease(name="a", **changes):
    given = {
        "id": f"lea_{name}", "order_id": "ord_a", "job_id": "job_a", "tenant_id": "pri_tenant",
        "machine_id": "mac_kauri", "offer_id": "off_kauri", "state": LeaseState.ACTIVE, "devices": 1,
        "price_micro_usd_per_device_hour": 3_600_000, "charge": Charge.SECOND, "epoch": 1, "rank": 0,
        "reserved_at": NOW, "active_at": NOW, "proven_at": NOW,
    }  # fmt: skip
    return Lease(**{**given, **changes})


def job(name="a", **changes):
    given = {
        "id": f"job_{name}", "tenant_id": "pri_tenant", "name": "job", "state": JobState.SUBMITTED, "spec": spec(),
        "shares": Shares(), "order_id": f"ord_{name}", "created_at": NOW,
    }  # fmt: skip
    return Job(**{**given, **changes})


def run(name="a", *, at=0.0, **changes):
    given = {
        "id": f"run_{name}", "job_id": "job_a", "lease_id": "lea_a", "rank": 0, "state": RunState.ASSIGNED,
        "created_at": Instant(NOW + at),
    }  # fmt: skip
    return Run(**{**given, **changes})


def unit_spec(name="a", **changes):
    given = {
        "id": f"unit_{name}", "job_id": "job_a", "kind": UnitKind.TRAIN, "round": 0, "code": BLOB,
        "recipe": "recipe.py", "seed": 1, "inner_steps": 10,
    }  # fmt: skip
    return UnitSpec(**{**given, **changes})


def unit(name="a", *, candidates=(), **changes):
    kind = changes.get("kind", UnitKind.TRAIN)
    given = {
        "id": f"unit_{name}", "job_id": "job_a", "kind": kind, "round": 0, "state": UnitState.ASSIGNED,
        "lease_id": "lea_a", "machine_id": "mac_kauri", "price_micro_usd": 1_000, "assigned_at": NOW,
        "spec": unit_spec(name, kind=kind, candidates=tuple(candidates)), "expires_at": Instant(NOW + 100),
    }  # fmt: skip
    return Unit(**{**given, **changes})


def island(name="a", **changes):
    given = {
        "lease_id": f"lea_{name}", "job_id": "job_a", "machine_id": f"mac_{name}", "epoch": 1,
        "price_micro_usd_per_hour": 3_600_000, "reference_steps_per_second": 10.0,
    }  # fmt: skip
    return Island(**{**given, **changes})


def training(**changes):
    params = ParamsRef(hash="cd" * 32, checkpoint=BLOB)
    given = {"job_id": "job_a", "phase": Phase.TRAIN, "params": params, "started_at": NOW}
    return Training(**{**given, **changes})


@pytest.fixture(scope="session")
def make():
    """Builders of domain values: `make.machine("kauri", devices=4)`."""
    return SimpleNamespace(
        NOW=NOW, BLOB=BLOB, inventory=inventory, machine=machine, offer=offer, supply=supply, listing=listing,
        spec=spec, train=train, train_spec=train_spec, order=order, lease=lease, job=job, run=run, unit_spec=unit_spec,
        unit=unit, island=island, training=training,
    )  # fmt: skip


class World:
    """A control plane over a real database, with its clock in the test's hand; no threads, no network."""

    def __init__(self, database, *, clock=None):
        self.clock, self.random = clock or ManualClock(NOW), SeededRandom(1)
        self.database = database
        self.blobs = MemoryStore(self.clock)
        self.context = Context(database=database, blobs=self.blobs, random=self.random)
        self.plane = Plane(self.context, self.clock)
        self.reconcilers = Reconcilers(self.context)
        self.owner = self.principal("owner", Scope.PROVIDER)
        self.tenant = self.principal("tenant", Scope.TENANT)
        self.deposit(self.tenant, 1_000_000_000)

    @property
    def now(self):
        return self.clock.now()

    @property
    def reader(self):
        return self.database.reader()

    def write(self, run, *args, **kwargs):
        return self.database.writer.call(run, *args, **kwargs)

    def events(self, after=0):
        return [each.event for each in events_after(self.reader, after)]

    def kinds(self, subject=None):
        return [e.kind for e in self.events() if subject is None or e.subject == subject]

    def principal(self, name, *scopes):
        token, _ = self.write(policy.create_token, self.random, self.now, name=name, scopes=scopes)
        return token.principal_id

    def deposit(self, principal_id, micro_usd):
        self.write(
            post,
            ledger.deposit("manual", principal_id, micro_usd, key=self.random.token(8).hex()),
            self.now,
        )

    def key(self, name):
        return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())

    def join(self, name="kauri", *, price=3_600_000, up=True, **changes):
        new = machine(
            name, public_key=self.key(name).public_key().public_bytes_raw().hex(), state=MachineState.JOINING,
            joined_at=self.now, proven_at=None, **{"owner_id": self.owner, **changes},
        )  # fmt: skip
        sold = offer(name, price_micro_usd_per_device_hour=price, state=OfferState.PAUSED)
        joined = self.write(supply_store.register, new, sold, self.now)
        if up:
            joined = self.write(supply_store.save, replace(joined, proven_at=self.now))
            for state in (MachineState.PROBING, MachineState.UP):
                joined = self.write(supply_store.move, self.now, joined, state)
        return joined

    def machine(self, name="kauri"):
        return supply_store.machine(self.reader, f"mac_{name}")

    def epoch(self, name="kauri"):
        """Of the machine's newest lease."""
        return supply_store.held(self.reader, [f"mac_{name}"])[f"mac_{name}"][0]

    def submit(self, spec_of_job=None):
        wanted = spec_of_job or spec()
        seen = admit.look(self.reader, self.context.shelf, self.tenant, wanted, self.now)
        return self.write(admit.submit, self.random, self.now, self.tenant, wanted, seen)

    def reserve(self, job, *machine_ids):
        """Reserve of these machines what the job's order lacks; its new reservations."""
        order = market_store.order(self.reader, job.order_id)
        proposed = [place.Proposal(order=order, machine_ids=machine_ids)]
        return self.write(place.reserve, self.random, self.now, proposed).reserved

    def until_followed(self, job_id, *, by=1):
        """Wait until so many requests wait for news of the job."""
        deadline, pause = time.monotonic() + 30, threading.Event()
        while self.plane.followers(job_id) < by:
            assert time.monotonic() < deadline, f"{self.plane.followers(job_id)} of {by} followers"
            pause.wait(0.005)

    def reconcile(self, seconds=0.0):
        self.clock.advance(seconds)
        self.reconcilers.run(self.now)


@pytest.fixture
def world():
    """A control plane in memory."""
    with Database.in_memory(before_commit=seal) as database:
        yield World(database)


@pytest.fixture
def make_world():
    """A control plane over a database that the test brings: `make_world(database, clock=…)`."""
    return World
