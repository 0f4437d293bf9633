"""The files that are written, against a folder that looks like the kernel's; the kernel itself: tests/flow/sandbox."""

import os

import pytest

from gondwana.core.errors import InvalidValue
from gondwana.engines.base import Limits
from gondwana.engines.cgroups import Cgroups, Flavour, Group, find_cgroups, settings, sweep

LIMITS = Limits(memory_bytes_max=1 << 28, pids_max=64, cpus=0.5)


def written(flavour, controllers, limits=LIMITS, root="/g"):
    from pathlib import Path

    folders = {name: Path(root) / (name if flavour is Flavour.V1 else "") for name in controllers}
    return {
        str(path): value
        for path, value in settings(Group(flavour=flavour, folders=folders), limits)
    }


def test_version_1_is_told_its_limits_in_its_files():
    assert written(Flavour.V1, ["memory", "pids", "cpu"]) == {
        "/g/memory/memory.limit_in_bytes": "268435456",
        "/g/memory/memory.memsw.limit_in_bytes": "268435456",
        "/g/pids/pids.max": "64",
        "/g/cpu/cpu.cfs_period_us": "100000",
        "/g/cpu/cpu.cfs_quota_us": "50000",
    }


def test_version_2_is_told_its_limits_in_its_files():
    assert written(Flavour.V2, ["memory", "pids", "cpu"]) == {
        "/g/memory.max": "268435456",
        "/g/memory.swap.max": "0",
        "/g/memory.oom.group": "1",
        "/g/pids.max": "64",
        "/g/cpu.max": "50000 100000",
    }


def test_without_a_limit_on_processors_none_is_written():
    assert not any("cpu." in path for path in written(Flavour.V2, ["cpu"], Limits()))


def test_what_a_kernel_does_not_offer_is_not_written():
    assert list(written(Flavour.V2, ["pids"])) == ["/g/pids.max"]


@pytest.fixture
def unified(tmp_path):
    """A version 2 tree in which the agent has a group of its own, as systemd delegates it."""
    root = tmp_path / "cgroup"
    own = root / "user.slice" / "agent.scope"
    own.mkdir(parents=True)
    (own / "cgroup.controllers").write_text("cpu memory pids\n")
    (own / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (own / "cgroup.procs").write_text("")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"cgroup2 {root} cgroup2 rw,nosuid 0 0\nproc /proc proc rw 0 0\n")
    membership = tmp_path / "membership"
    membership.write_text("0::/user.slice/agent.scope\n")
    return mounts, membership, own


def test_groups_that_may_not_be_entered_are_not_used(unified):
    mounts, membership, _ = (
        unified  # folders here are no kernel's: a new one has no `cgroup.procs` to write
    )
    found = find_cgroups(mounts=mounts, membership=membership)
    assert found.flavour is Flavour.NONE
    assert found.why_not


def test_a_group_without_controllers_is_not_used(unified):
    mounts, membership, own = unified
    (own / "cgroup.controllers").write_text("hugetlb\n")
    assert "no controller" in find_cgroups(mounts=mounts, membership=membership).why_not


def test_a_system_without_control_groups_is_told_apart(tmp_path):
    assert find_cgroups(mounts=tmp_path / "none").flavour is Flavour.NONE


def test_an_owners_name_cannot_climb_out_of_its_folder():
    with pytest.raises(InvalidValue):
        find_cgroups("../../x")


def test_two_agents_on_one_machine_have_groups_of_their_own(tmp_path):
    names = [
        Cgroups(flavour=Flavour.V2, parents={"pids": tmp_path}, owner=owner)
        .group("task")
        .folders["pids"]
        .name
        for owner in ("machine_1", "machine_2")
    ]
    assert names == ["gondwana-machine_1-task", "gondwana-machine_2-task"]


def test_groups_that_dead_agents_left_are_swept_and_those_just_starting_are_not(tmp_path):
    for name in ("gondwana-me-task", "gondwana-dead-task", "gondwana-starting-task", "other"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "gondwana-dead-task", (0, 0))
    os.utime(tmp_path / "other", (0, 0))
    assert sweep(Cgroups(flavour=Flavour.V2, parents={"pids": tmp_path}, owner="me")) == 1
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [
        "gondwana-starting-task",
        "other",
    ]


def test_what_the_kernel_counted_is_read(tmp_path):
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\noom 2\noom_kill 3\n")
    (tmp_path / "pids.events").write_text("max 9\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (tmp_path / "memory.peak").write_text("4096\n")
    group = Group(flavour=Flavour.V2, folders=dict.fromkeys(("memory", "pids", "cpu"), tmp_path))
    assert (group.out_of_memory_kills(), group.forks_refused()) == (3, 9)
    assert (group.cpu_seconds(), group.memory_bytes_peak()) == (1.5, 4096)


def test_a_group_that_is_gone_counts_nothing(tmp_path):
    group = Group(
        flavour=Flavour.V2, folders={"memory": tmp_path / "gone", "pids": tmp_path / "gone"}
    )
    assert (group.out_of_memory_kills(), group.forks_refused(), group.processes()) == (0, 0, set())
    assert group.memory_bytes_peak() is None
    assert group.remove()
    assert os.path.isdir(tmp_path)
