"""How an owner's machines are shown to him."""

import pytest

from gondwana.cli.commands.provider import machine_row
from gondwana.wire.machines import Accelerator, MachineInventory
from gondwana.wire.views import MachineView

VIEW = {
    "id": "mac_kauri", "name": "kauri", "owner": "olga", "region": "home", "devices": 3, "devices_free": 3,
    "price_micro_usd_per_device_hour": 200_000,
}  # fmt: skip


def inventory(*names):
    return MachineInventory(
        cpu_model="x", cpu_count=8, memory_bytes=1, disk_free_bytes=1, os="Linux", architecture="x86_64", python="3.11",
        accelerators=tuple(Accelerator(name=name, vendor="nvidia", memory_bytes=1) for name in names),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "has", "shown"),
    [
        ("joining", None, "unknown"),
        ("probing", None, "measuring"),
        ("up", inventory(), "CPU"),
        ("up", inventory("T4", "T4", "T4"), "T4"),
        ("probing", inventory("T4", "T4", "T4"), "T4"),
    ],
)
def test_a_machine_is_called_by_what_was_found_in_it_and_by_nothing_else(state, has, shown):
    assert shown in machine_row(MachineView(state=state, inventory=has, **VIEW))
