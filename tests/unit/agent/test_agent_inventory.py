from pathlib import Path

import pytest

from gondwana.agent import inventory
from gondwana.agent.inventory import (
    accelerators,
    amd_accelerators,
    cpu_model,
    device_files,
    take_inventory,
)


def test_this_machine_has_something_of_everything(tmp_path):
    found = take_inventory(tmp_path)
    assert found.cpu_model
    assert found.cpu_count >= 1
    assert found.memory_bytes > 1 << 28
    assert found.disk_free_bytes > 0
    assert found.architecture


def test_a_machine_without_drivers_has_no_accelerators_and_no_error(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert inventory.nvidia_accelerators() == ()
    assert isinstance(accelerators(), tuple)
    assert device_files(()) == ()


def test_an_amd_card_is_named_from_what_its_driver_shows(tmp_path):
    device = tmp_path / "class" / "drm" / "card0" / "device"
    device.mkdir(parents=True)
    for name, value in (("vendor", "0x1002"), ("mem_info_vram_total", "206141652992"),
                        ("product_name", "AMD Instinct MI300X OAM"), ("unique_id", "abc")):  # fmt: skip
        (device / name).write_text(value + "\n")
    (tmp_path / "class" / "drm" / "card1" / "device").mkdir(parents=True)
    (tmp_path / "class" / "drm" / "card1" / "device" / "vendor").write_text("0x8086\n")
    (card,) = amd_accelerators(tmp_path)
    assert (card.name, card.vendor, card.memory_bytes, card.uuid) == (
        "MI300X",
        "amd",
        206141652992,
        "abc",
    )


def test_a_processor_says_its_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast CPU 9000\n")
    assert cpu_model(tmp_path / "cpuinfo") == "Fast CPU 9000"
    assert cpu_model(tmp_path / "none")


@pytest.mark.parametrize(
    "membership, files, expected",
    [
        (
            "4:memory:/a\n",
            {"memory/a/memory.stat": "cache 0\nhierarchical_memory_limit 4096\n"},
            [4096],
        ),
        (
            "4:memory:/a\n",
            {"memory/a/memory.stat": "hierarchical_memory_limit 9223372036854771712\n"},
            [],
        ),
        ("4:memory:/gone\n", {"memory/memory.stat": "hierarchical_memory_limit 8192\n"}, [8192]),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "4096\n"}, [4096]),
        ("0::/\n", {}, []),
    ],
)
def test_a_limit_on_the_agents_own_memory_is_seen(tmp_path, membership, files, expected):
    (tmp_path / "membership").write_text(membership)
    for name, content in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert inventory._group_limits(Path(tmp_path / "membership"), tmp_path / "root") == expected
