"""Values of the domains with everything filled in, so that a test names only what it is about."""

from types import SimpleNamespace

import pytest

from gondwana.core.clock import Instant
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
from gondwana.ledger.model import Shares
from gondwana.market.model import Charge, Lease, LeaseState, Listing, Order, OrderState
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


def supply(name="kauri", *, price=1_000_000, free=None, offer_state=OfferState.OPEN, **changes):
    sold = machine(name, **changes)
    return Supply(
        offer=offer(name, price_micro_usd_per_device_hour=price, state=offer_state),
        machine=sold,
        devices_free=sold.devices if free is None else free,
    )


def listing(name="kauri", *, price=1_000_000, free=None, **changes):
    given = {
        "offer_id": f"off_{name}", "machine_id": f"mac_{name}", "name": name, "owner_id": "pri_owner",
        "region": "home", "is_open": True, "isolation": "sandbox", "accelerator": "CPU", "devices": 1, "cpus": 8.0,
        "memory_bytes": 16 * GIB, "steps_per_second": 10.0, "epoch": 0, "price_micro_usd_per_device_hour": price,
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
