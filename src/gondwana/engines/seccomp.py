"""Which system calls a sandboxed task is refused: a filter for Linux's seccomp, made once per process.

Default allow, with a list of refusals: everything that changes mounts or namespaces, looks into other processes,
loads code into the kernel, or has been a common way out of it. An allow-list would be stronger; this one leaves
PyTorch, CUDA and compilers working. Calls of other ABIs (32-bit, x32) kill the process.
"""

import errno
import os
import socket
from functools import cache
from typing import Any, Final

from gondwana.core.errors import SandboxUnavailable

REFUSED: Final = (
    # mounts and namespaces
    "mount", "umount", "umount2", "pivot_root", "chroot", "setns", "unshare", "open_tree", "open_tree_attr",
    "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount",
    # handles that reach around mounts
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "quotactl", "quotactl_fd",
    # other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp",
    "pidfd_getfd", "move_pages", "migrate_pages",
    # kernel code, keys and counters
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "init_module", "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load",
    "keyctl", "add_key", "request_key", "lookup_dcookie", "uselib", "vm86", "vm86old", "modify_ldt",
    # the machine itself
    "acct", "swapon", "swapoff", "reboot", "syslog", "sethostname", "setdomainname", "vhangup", "settimeofday",
    "stime", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "iopl", "ioperm",
    "nfsservctl", "sysfs", "_sysctl", "ustat",
)  # fmt: skip
ABSENT: Final = ("clone3",)  # its flags hide behind a pointer; "no such call" makes libc use clone
NEW_USER_NAMESPACE: Final = 0x10000000  # CLONE_NEWUSER
NAMESPACE_FLAGS: Final = (NEW_USER_NAMESPACE, 0x00020000, 0x02000000, 0x04000000, 0x08000000,
                          0x20000000, 0x40000000)  # user, mount, cgroup, uts, ipc, pid, net  # fmt: skip
TERMINAL_REQUESTS: Final = (
    0x5412,
    0x541C,
)  # TIOCSTI types into the owner's terminal; TIOCLINUX pastes
SOCKET_FAMILIES: Final = (
    socket.AF_UNIX,
    socket.AF_INET,
    socket.AF_INET6,
    16,
)  # 16: netlink, for interfaces
SOCKET_FAMILIES_MAX: Final = (
    64  # Linux has 46; vsock (40) would reach the host of a virtual machine
)


@cache
def filter_program() -> bytes:
    """The filter as a BPF program for `bwrap --seccomp`; SandboxUnavailable without libseccomp."""
    library = _load_library()
    program = library.SyscallFilter(defaction=library.ALLOW)
    for name in REFUSED:
        _add(program, library.ERRNO(errno.EPERM), name)
    for name in ABSENT:
        _add(program, library.ERRNO(errno.ENOSYS), name)
    refused = library.ERRNO(errno.EPERM)
    for flag in NAMESPACE_FLAGS:
        _add(program, refused, "clone", library.Arg(0, library.MASKED_EQ, flag, flag))
    for request in TERMINAL_REQUESTS:
        _add(program, refused, "ioctl", library.Arg(1, library.MASKED_EQ, 0xFFFFFFFF, request))
    for family in set(range(SOCKET_FAMILIES_MAX)) - set(SOCKET_FAMILIES):
        _add(program, refused, "socket", library.Arg(0, library.EQ, family))
    _add(program, refused, "socket", library.Arg(0, library.GE, SOCKET_FAMILIES_MAX))
    return _export(program)


def missing_library() -> str | None:
    """Why no filter can be made here, or None when it can."""
    try:
        filter_program()
    except SandboxUnavailable as error:
        return error.message
    return None


def _load_library() -> Any:
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:  # it loads libseccomp while imported
        raise SandboxUnavailable(
            f"libseccomp cannot be loaded: {error}",
            hint="install libseccomp2 (libseccomp on Fedora, Arch)",
        ) from error
    return pyseccomp


def _add(program: Any, action: Any, name: str, *arguments: Any) -> None:
    try:
        program.add_rule(action, name, *arguments)
    except (OSError, ValueError):
        if (
            name not in REFUSED
        ):  # a call that this architecture or library does not know cannot be made by name
            raise


def _export(program: Any) -> bytes:
    descriptor = os.memfd_create("seccomp")
    with os.fdopen(descriptor, "w+b") as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()
