"""The command line of a sandbox, which is a pure function; what it does: tests/flow/sandbox."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from gondwana.core.errors import InvalidValue, SandboxUnavailable
from gondwana.core.values import replace
from gondwana.engines.base import Bind, Limits, Task
from gondwana.engines.plain import Plain
from gondwana.engines.sandbox import (
    USER_ID_FIRST,
    Descriptors,
    Host,
    build_command,
    build_options,
    make_places,
    task_user_id,
)

HOST = Host(bwrap="/usr/bin/bwrap", is_root=True, folders=(Path("/opt/venv"), Path("/tmp/x/src/gondwana")),
            hidden=(Path("/home/owner"), Path("/opt/venv/state")))  # fmt: skip
FILES = Descriptors(seccomp=10, files={"/etc/passwd": 11})
TASK = Task(name="run_1", command=("python", "-m", "x"), work=Path("/home/owner/.gondwana/runs/1"))


def pairs(words, first):
    return [words[index + 1 : index + 3] for index, word in enumerate(words) if word == first]


def test_every_wall_is_up():
    options = build_options(TASK, HOST, FILES)
    for wall in ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--die-with-parent",
                 "--new-session", "--clearenv"):  # fmt: skip
        assert wall in options
    assert options[options.index("--cap-drop") + 1] == "ALL"
    assert options[options.index("--seccomp") + 1] == "10"
    assert not {"--share-net", "--dev-bind", "--as-pid-1"} & set(options)


def test_only_the_work_folder_is_writable():
    options = build_options(TASK, HOST, FILES)
    assert pairs(options, "--bind") == [("/home/owner/.gondwana/runs/1", "/job")]
    assert [options[index + 1] for index, word in enumerate(options) if word == "--remount-ro"][
        -2:
    ] == ["/dev", "/"]


def test_nothing_above_python_is_shown():
    shown = {outside for outside, _ in pairs(build_options(TASK, HOST, FILES), "--ro-bind")}
    assert shown <= {
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/opt/venv",
        "/tmp/x/src/gondwana",
    }


def test_a_python_in_tmp_lies_on_top_of_the_private_tmp():
    options = list(build_options(TASK, HOST, FILES))
    assert options.index("/tmp") < options.index("/tmp/x/src/gondwana")


def test_what_is_hidden_inside_a_shown_folder_is_covered():
    options = list(build_options(TASK, HOST, FILES))
    covered = [options[index + 1] for index, word in enumerate(options) if word == "--tmpfs"]
    assert "/opt/venv/state" in covered
    assert options.index("/opt/venv/state") > options.index("/opt/venv")
    assert "/home/owner" not in covered  # it is not shown in the first place


def test_as_root_the_task_becomes_a_user_of_its_own():
    command = build_command(TASK, HOST)
    assert command[-3:] == TASK.command
    user_id = command[command.index("--reuid") + 1]
    assert int(user_id) == task_user_id("run_1") >= USER_ID_FIRST
    assert "--unshare-user" not in build_options(TASK, HOST, FILES)


def test_as_an_ordinary_user_the_task_gets_a_user_namespace():
    user = replace(HOST, is_root=False)
    assert "--unshare-user" in build_options(TASK, user, FILES)
    assert "--cap-add" not in build_options(TASK, user, FILES)
    assert "--reuid" not in build_command(TASK, user)


def test_without_a_memory_group_a_process_limit_stands_behind_the_watch():
    words = " ".join(build_command(TASK, HOST))
    assert "--data=" in words
    assert "--data=" not in " ".join(build_command(TASK, replace(HOST, memory_held=True)))


def test_only_leased_devices_are_there():
    leased = replace(TASK, devices=(Path("/dev/nvidia1"),))
    assert pairs(build_options(leased, HOST, FILES), "--dev-bind") == [
        ("/dev/nvidia1", "/dev/nvidia1")
    ]


@pytest.mark.parametrize("outside", ["/", "/home", "/home/owner", "/opt/venv"])
def test_a_bind_that_would_show_what_is_hidden_is_refused(outside):
    bind = Bind(outside=Path(outside), inside="/inputs")
    with pytest.raises(InvalidValue):
        build_options(replace(TASK, read_only=(bind,)), HOST, FILES)


@pytest.mark.parametrize(
    "inside",
    ["/", "/usr", "/usr/bin", "/usr/bin/setpriv", "/bin", "/lib/x86_64-linux-gnu", "/etc", "/etc/ld.so.preload",
     "/proc", "/dev/shm", "/sys", "/opt", "/opt/venv/bin", "/job", "//usr/bin", "/./usr", "/usr/", "/data/../usr"],
)  # fmt: skip
def test_nothing_is_mounted_over_what_runs_before_rights_are_given_up(inside, tmp_path):
    bind = Bind(outside=tmp_path, inside=inside)
    with pytest.raises(InvalidValue):  # by the task, or by the sandbox
        build_options(replace(TASK, read_only=(bind,)), HOST, FILES)


def test_a_mount_below_the_work_folder_goes_through_no_link(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "data").symlink_to("/newroot/usr/bin")
    cases = (("/job/data", True), ("/job/data/x", True), ("/job/fresh/x", False), ("/data", False))
    for inside, refused in cases:
        bind = Bind(outside=tmp_path, inside=inside)
        task = replace(TASK, work=tmp_path / "work", read_only=(bind,))
        with pytest.raises(InvalidValue) if refused else nullcontext():
            make_places(task)
    assert (tmp_path / "work" / "fresh" / "x").is_dir()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"},
        {"name": ""},
        {"name": "a" * 65},
        {"command": ()},
        {"folder": "../x"},
        {"folder": "/etc"},
        {"read_only": (Bind(outside=Path("/x"), inside="/inputs/../etc"),)},
        {"read_only": (Bind(outside=Path("/x"), inside="inputs"),)},
    ],
)
def test_a_task_that_makes_no_sense_cannot_be_made(change):
    with pytest.raises(InvalidValue):
        replace(TASK, **change)


@pytest.mark.parametrize(
    "change", [{"memory_bytes_max": 0}, {"pids_max": -1}, {"cpus": 0.0}, {"work_bytes_max": 0}]
)
def test_a_limit_of_nothing_cannot_be_made(change):
    with pytest.raises(InvalidValue):
        Limits(**change)


def test_strangers_work_never_gets_a_plain_process():
    with pytest.raises(SandboxUnavailable):
        Plain(trusted=False)
