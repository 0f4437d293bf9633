"""What a stranger's code tries from inside, and what it gets."""

import asyncio
import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gondwana.core.errors import InvalidValue, SandboxUnavailable
from gondwana.engines import detect as detect_module
from gondwana.engines.base import INPUTS, WORK, Bind, Task
from gondwana.engines.collect import run_task
from gondwana.engines.detect import Isolation, detect, install_command
from gondwana.engines.sandbox import USER_ID_FIRST

pytestmark = pytest.mark.sandbox

SYSCALL = """
import ctypes, errno, sys, os, socket, fcntl
libc = ctypes.CDLL(None, use_errno=True)
def tried(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    print(errno.errorcode.get(ctypes.get_errno(), result) if result == -1 else "done")
"""


def number_of(name):
    import pyseccomp

    return pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("unshare", (0x10000000,)),
        ("mount", (0, 0, 0, 0, 0)),
        ("umount2", (0, 0)),
        ("pivot_root", (0, 0)),
        ("setns", (0, 0)),
        ("ptrace", (0, 0, 0, 0)),
        ("process_vm_readv", (1, 0, 0, 0, 0, 0)),
        ("io_uring_setup", (1, 0)),
        ("bpf", (0, 0, 0)),
        ("perf_event_open", (0, 0, 0, 0, 0)),
        ("keyctl", (0, 0, 0, 0, 0)),
        ("add_key", (0, 0, 0, 0, 0)),
        ("init_module", (0, 0, 0)),
        ("kexec_load", (0, 0, 0, 0)),
        ("userfaultfd", (0,)),
        ("open_by_handle_at", (0, 0, 0)),
        ("clone", (0x10000000 | 17, 0, 0, 0, 0)),
        ("clone", (0x00020000 | 17, 0, 0, 0, 0)),
        ("fsopen", (0, 0)),
        ("chroot", (0,)),
        ("reboot", (0, 0, 0, 0)),
    ],
)
def test_a_refused_system_call_gives_eperm(run, name, arguments):
    done = run(f"{SYSCALL}\ntried({number_of(name)}, {', '.join(map(str, arguments))})")
    assert done.stdout == b"EPERM\n", done.stderr


def test_clone3_does_not_exist_so_that_its_flags_cannot_hide(run):
    assert run(f"{SYSCALL}\ntried({number_of('clone3')}, 0, 0)").stdout == b"ENOSYS\n"


@pytest.mark.parametrize("family", [40, 38, 17, 31, 63, 64, 1000])
def test_no_socket_of_an_odd_family_can_be_made(run, family):
    code = f"import socket\ntry: socket.socket({family}, 1)\nexcept OSError as error: print(error.errno)"
    assert run(code).stdout == b"%d\n" % errno.EPERM


def test_nothing_can_be_typed_into_the_owners_terminal(run):
    code = "import fcntl\ntry: fcntl.ioctl(0, 0x5412, b'x')\nexcept OSError as error: print(error.errno)"
    assert run(code).stdout == b"%d\n" % errno.EPERM


def test_neither_this_machine_nor_any_other_is_reached(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run(
            "import socket\n"
            f"for place in (('127.0.0.1', {port}), ('192.0.2.1', 80), ('169.254.169.254', 80)):\n"
            "    try: socket.create_connection(place, timeout=3); print('reached', place)\n"
            "    except OSError as error: print('refused', error.errno)\n"
        )
    assert done.stdout.decode().split() == [
        "refused", str(errno.ECONNREFUSED), "refused", str(errno.ENETUNREACH), "refused", str(errno.ENETUNREACH),
    ]  # fmt: skip


def test_a_socket_that_the_owner_named_in_the_kernel_is_not_reached(run):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0gondwana-test-{os.getpid()}")
        server.listen()
        done = run(
            "import socket\ns = socket.socket(socket.AF_UNIX)\n"
            f"try: s.connect('\\0gondwana-test-{os.getpid()}'); print('reached')\n"
            "except OSError as error: print(error.errno)"
        )
    assert done.stdout == b"%d\n" % errno.ECONNREFUSED


def test_the_owners_home_and_the_agents_state_are_not_there(tmp_path, monkeypatch):
    home, state = tmp_path / "home", tmp_path / "state"
    for folder in (home, state):
        folder.mkdir()
        (folder / "key").write_text("secret")
    monkeypatch.setenv("HOME", str(home))
    found = detect(hidden=[state])
    if not found.available:
        pytest.skip(f"NO SANDBOX ON THIS MACHINE: {found.missing}")
    places = [str(home), str(state), str(state / "key"), "/home", "/etc/shadow", "/etc/ssh", "/var", "/run", "/mnt",
              "/proc/1/root", "/proc/1/cwd", "/proc/1/environ", "/sys/kernel", "/boot"]  # fmt: skip
    code = (
        "import os\n"
        f"for place in {places!r}:\n"
        "    try:\n"
        "        print(place, os.listdir(place) if os.path.isdir(place) else open(place, 'rb').read())\n"
        "    except (PermissionError, FileNotFoundError): pass\n"
    )
    work = state / "runs" / "one"
    task = Task(name="task", command=(sys.executable, "-c", code), work=work)
    done = asyncio.run(run_task(found.sandbox(), task))
    assert done.end.succeeded, done.stderr
    shown = [line for line in done.stdout.decode().splitlines() if not line.startswith("/proc/1/")]
    assert shown == []
    assert b"secret" not in done.stdout


def test_what_is_hidden_may_not_be_bound_either(tmp_path, report):
    (tmp_path / "state").mkdir()
    host_report = detect(hidden=[tmp_path / "state"])
    for outside in (tmp_path, tmp_path / "state", Path("/")):
        bind = Bind(outside=outside, inside=INPUTS)
        task = Task(name="task", command=("true",), work=tmp_path / "work", read_only=(bind,))
        with pytest.raises(InvalidValue):
            asyncio.run(run_task(host_report.sandbox(), task))


def test_the_root_is_read_only_and_so_are_our_own_programs(run):
    import gondwana

    places = ["/x", "/usr/x", "/etc/passwd", "/etc/x", "/dev/x", "/bin/true", str(Path(gondwana.__file__)),
              sys.executable, "/sys/devices/system/cpu/cpu0/online", "/proc/sys/kernel/core_pattern"]  # fmt: skip
    done = run(
        f"for place in {places!r}:\n"
        "    try: open(place, 'ab').close(); print('wrote', place)\n"
        "    except OSError as error: print(error.errno)\n"
    )
    codes = set(done.stdout.decode().split())
    assert codes <= {str(errno.EROFS), str(errno.EACCES), str(errno.ENOENT), str(errno.ETXTBSY)}


def test_inputs_can_be_read_and_not_changed(tmp_path, engine):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    inputs.joinpath("data").write_text("given")
    code = (
        f"print(open('{INPUTS}/data').read())\n"
        f"try: open('{INPUTS}/more', 'w')\n"
        "except OSError as error: print(error.errno)\n"
        f"open('{WORK}/out', 'w').write('made')\n"
    )
    task = Task(name="task", command=(sys.executable, "-c", code), work=tmp_path / "work",
                read_only=(Bind(outside=inputs, inside=INPUTS),))  # fmt: skip
    done = asyncio.run(run_task(engine, task))
    assert done.stdout.decode().split() == ["given", str(errno.EROFS)]
    assert (tmp_path / "work" / "out").read_text() == "made"


@pytest.mark.parametrize(
    "inside", ["/data", "/mnt/deep/data", "/job/data", "/job/deep/data", "/tmp/data"]
)
def test_a_mount_may_lie_anywhere_else(tmp_path, engine, inside):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("given")
    task = Task(name="task", command=("cat", f"{inside}/file"), work=tmp_path / "work",
                read_only=(Bind(outside=tmp_path / "data", inside=inside),))  # fmt: skip
    assert asyncio.run(run_task(engine, task)).stdout == b"given"


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_a_private_folder_that_is_full_says_so(run, folder):
    done = run(
        f"import os\nfile = open('{folder}/x', 'wb', buffering=0)\nwritten = 0\n"
        "try:\n"
        "    while True: written += file.write(bytes(65536))\n"
        "except OSError as error: print(error.errno, written)\n"
    )
    code, written = map(int, done.stdout.split())
    assert code == errno.ENOSPC
    assert written <= 4 * 1024**2


def test_no_capability_no_new_privileges_and_a_filter(run):
    done = run("print(open('/proc/self/status').read())")
    status = dict(
        line.split(":\t", 1) for line in done.stdout.decode().splitlines() if ":\t" in line
    )
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {
        "0" * 16
    }
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_a_program_that_changes_user_changes_nothing(run):
    done = run(
        "import subprocess; print(subprocess.run(['su', '-c', 'id'], stdin=-3, capture_output=True).returncode)"
    )
    assert done.stdout != b"0\n"


def test_nothing_of_the_agents_environment_or_open_files_comes_along(run, monkeypatch):
    monkeypatch.setenv("OWNERS_SECRET", "do not tell")
    done = run("import os; print(sorted(os.listdir('/proc/self/fd')), dict(os.environ))")
    text = done.stdout.decode()
    assert text.startswith("['0', '1', '2', '3']")  # 3 is the listing itself
    assert "do not tell" not in text


def test_other_processes_are_neither_seen_nor_hit(run):
    done = run(
        "import os; print([name for name in os.listdir('/proc') if name.isdigit()])\nos.kill(-1, 9)"
    )
    assert len(json.loads(done.stdout.decode().replace("'", '"'))) <= 3
    assert psutil.pid_exists(os.getpid())


def _start_and_kill_the_agent(tmp_path, seconds_max=15.0):
    """Start a sandbox from a process of its own, kill that, and return who is still alive after a while."""
    script = tmp_path / "agent.py"
    script.write_text(
        "import asyncio, sys, pathlib\n"
        "from gondwana.engines.base import Task\n"
        "from gondwana.engines.detect import detect\n"
        "async def main():\n"
        "    code = 'import os\\nfor i in range(3): os.fork()\\nos.setsid() if os.getpid() > 3 else 0\\n'\n"
        "    code += 'print(1, flush=True)\\nwhile True: os.read(0, 1) or __import__(\"signal\").pause()'\n"
        "    task = Task(name='orphan', command=(sys.executable, '-c', code), work=pathlib.Path(sys.argv[1]))\n"
        "    process = await detect(owner='orphan').sandbox().start(task)\n"
        "    await process.stdout.readexactly(16)\n"
        "    print(process.pid, flush=True)\n"
        "    await process.wait()\n"
        "asyncio.run(main())\n"
    )
    agent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "work")], stdout=subprocess.PIPE
    )
    assert agent.stdout is not None
    pid = int(agent.stdout.readline())
    inside = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert len(inside) >= 9  # bubblewrap twice, and eight of the job's
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    agent.stdout.close()
    return psutil.wait_procs(inside, timeout=seconds_max)[1]


def test_everything_inside_dies_when_the_agent_is_killed(report, tmp_path):
    assert _start_and_kill_the_agent(tmp_path) == []
    assert detect(owner="orphan").sandbox().sweep() == (1 if report.cgroups.holds else 0)
    assert detect(owner="orphan").sandbox().sweep() == 0


def test_on_the_machine_the_task_is_nobody_known_and_its_secrets_are_in_no_command_line(
    report, tmp_path
):
    async def look():
        task = Task(name="task", command=("/bin/sh", "-c", "echo up; read line"), work=tmp_path / "work",
                    environment={"TOKEN": "tenants-secret"})  # fmt: skip
        process = await report.sandbox().start(task)
        await process.stdout.readline()
        outer = psutil.Process(process.pid)
        everybody = [outer, *outer.children(recursive=True)]
        seen = [(one.uids().real, " ".join(one.cmdline())) for one in everybody]
        process.stdin.close()
        await process.wait()
        return seen

    seen = asyncio.run(look())
    assert not any("tenants-secret" in line for _, line in seen)
    user_id = seen[-1][0]
    if report.isolation is Isolation.OWN_USER:
        assert user_id >= USER_ID_FIRST
    else:
        assert user_id == os.getuid() != 0


def test_a_machine_without_bubblewrap_says_what_to_install(monkeypatch):
    monkeypatch.setattr(detect_module.shutil, "which", lambda name, path=None: None)
    found = detect()
    assert not found.available
    assert "bubblewrap" in found.missing
    with pytest.raises(SandboxUnavailable) as caught:
        found.sandbox()
    assert caught.value.hint == install_command()


def test_a_mac_is_told_that_strangers_work_needs_linux(monkeypatch):
    monkeypatch.setattr(detect_module.sys, "platform", "darwin")
    assert "Linux" in detect().missing


def test_a_system_that_forbids_user_namespaces_is_told_how_to_allow_them(report):
    hint = detect_module._start_hint("bwrap: setting up uid map: Permission denied")
    assert "--privileged" in hint if os.geteuid() == 0 else "sysctl" in hint


def test_starting_takes_less_than_a_second(run):
    began = time.monotonic()
    assert run("pass").end.succeeded
    assert time.monotonic() - began < 3  # three times what a busy machine needs
    assert ctypes.sizeof(ctypes.c_long) == 8
