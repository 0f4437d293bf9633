"""Who takes part in the demo: real processes with own keys, folders, prices and speeds."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gondwana.cli.demo.waiting import wait_for
from gondwana.core.errors import NotFound, Unavailable
from gondwana.sdk import Client

START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 20.0
DEPOSIT_MICRO_USD: Final = 5_000_000
TENANT: Final = "ada"
GONDWANA: Final = (sys.executable, "-c", "from gondwana.cli.main import main; main()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One owner and the machine that joins."""

    owner: str
    machine: str
    price_usd: str  # per device-hour
    cpus: str  # the owner's terms; they make machines differ in speed
    lies: bool = False


OWNERS: Final = (
    Owner(owner="lab", machine="atlas", price_usd="0.30", cpus="0.8"),
    Owner(owner="studio", machine="birch", price_usd="0.22", cpus="0.5"),
    Owner(owner="mallory", machine="mirage", price_usd="0.05", cpus="0.4", lies=True),
    Owner(owner="dorm", machine="cedar", price_usd="0.18", cpus="0.5"),
)
STRONGEST: Final = OWNERS[0]
KILLED: Final = OWNERS[1]
LIAR: Final = OWNERS[2]
LATE: Final = OWNERS[3]


class Cast:
    """The demo's processes. Everything lives in one folder and ends with this object."""

    def __init__(self, folder: Path, *, sandboxed: bool) -> None:
        self._folder = folder
        self._sandboxed = sandboxed
        self._port = _free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._tokens: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self._port}"
        self.operator = Client(self.url, "")
        self.tenant = Client(self.url, "")

    def start_control_plane(self) -> None:
        """Start `gondwana serve`, give the tenant money and everybody a token."""
        data = self._folder / "control-plane"
        command = ["serve", "--host", "127.0.0.1", "--port", str(self._port), "--data", str(data)]
        self._start("control-plane", [*GONDWANA, *command])
        token = data / "founder.token"
        wait_for(
            lambda: token.exists() and self._answers(),
            START_SECONDS_MAX,
            "the control plane to answer",
        )
        self.operator = Client(self.url, token.read_text().strip())
        tenant = self._token(TENANT, "tenant")
        self.operator.account.deposit(DEPOSIT_MICRO_USD, principal=TENANT)
        self.tenant = Client(self.url, tenant)
        for owner in OWNERS:
            # Without a sandbox a machine runs its owner's own jobs only, so there the tenant owns them all.
            self._tokens[owner.machine] = self._token(
                owner.owner if self._sandboxed else TENANT, "provider"
            )

    def join(self, owner: Owner) -> None:
        """Start an owner's agent."""
        state, token = self._folder / owner.machine, self._tokens[owner.machine]
        if owner.lies:
            program = [sys.executable, str(liar_program())]
            command = [
                *program,
                self.url,
                owner.machine,
                owner.price_usd,
                owner.cpus,
                str(state),
            ]
            command += [] if self._sandboxed else ["--own-jobs-without-sandbox"]
        else:
            command = [
                *GONDWANA, "provider", "join", self.url,
                "--price", owner.price_usd, "--name", owner.machine, "--region", "desk", "--max-cpu", owner.cpus,
                "--state", str(state), *([] if self._sandboxed else ["--own-jobs-without-sandbox"]),
            ]  # fmt: skip
        self._start(owner.machine, command, GONDWANA_TOKEN=token)

    def kill(self, owner: Owner) -> None:
        """SIGKILL an owner's agent: no good-bye."""
        process = self._processes[owner.machine]
        os.kill(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS_MAX)

    def owner(self, machine: str) -> Client:
        """The client of a machine's owner."""
        return Client(self.url, self._tokens[machine])

    def is_up(self, *owners: Owner) -> bool:
        """Whether these owners' machines are offered; raises Unavailable when one of their agents ended."""
        for owner in owners:
            self._check(owner.machine)
        offered = {offer.machine for offer in self.operator.offers.list()}
        return all(owner.machine in offered for owner in owners)

    def stop(self) -> None:
        """End every process."""
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in reversed(self._processes.values()):
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS_MAX)

    def _start(self, name: str, command: list[str], **variables: str) -> None:
        """Start a process; secrets go as variables, since everybody can read a command line."""
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **variables},
            )  # fmt: skip

    def _check(self, name: str) -> None:
        if self._processes[name].poll() is not None:
            log = (self._folder / f"{name}.log").read_text(errors="replace").strip()
            raise Unavailable(f"{name} ended:\n{log[-1500:]}", hint="gondwana doctor")

    def _answers(self) -> bool:
        self._check("control-plane")
        try:
            return Client(self.url, "", retries_max=0).healthy()
        except (Unavailable, NotFound):
            return False

    def _token(self, name: str, scope: str) -> str:
        made = self.operator.tokens.create(name, (scope,))
        assert made.token is not None, "a new token is shown once"
        return made.token


def repository() -> Path:
    """The clone this runs from: the demo's recipe and its liar are examples in it."""
    import gondwana

    found = Path(gondwana.__file__).resolve().parents[2]
    if not (found / "examples" / "byte_gpt.py").is_file():
        raise NotFound(
            "the demo needs the examples of a clone",
            hint="git clone the repository, then: make demo",
        )
    return found


def liar_program() -> Path:
    """The program of the owner who lies."""
    return repository() / "examples" / "adversaries" / "liar.py"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
