"""Owners and their machines: who joins when, kills what, pauses, drains, leaves, and how each behaves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gondwana.agent.core import AgentCore
from gondwana.api.routes import machines as routes
from gondwana.core.errors import GondwanaError, Unavailable
from gondwana.core.random import SeededRandom
from gondwana.core.units import GIB
from gondwana.policy.model import Caller
from gondwana.sim import lies
from gondwana.sim.hardware import Hardware
from gondwana.sim.lies import Behaviour
from gondwana.sim.network import Conditions, Route
from gondwana.sim.plane import ControlPlane
from gondwana.sim.uplink import Uplink
from gondwana.wire import agent as wire
from gondwana.wire.machines import Accelerator, MachineInventory, MachineSpeed
from gondwana.wire.views import MachineRegistration

RETRY_SECONDS: Final = 3.0
DRAIN_POLL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSetup:
    """One machine as the seed drew it."""

    name: str
    owner: int  # which of the owners
    behaviour: Behaviour
    joins_at: float
    steps_per_second: float
    price_micro_usd_per_device_hour: int
    devices: int
    conditions: Conditions
    isolation: str = "sandbox"


class Machine:
    """A machine for all of the run; its agent lives, dies, and is started again."""

    def __init__(
        self, control: ControlPlane, setup: MachineSetup, owner: Caller, random: SeededRandom
    ) -> None:
        self.setup = setup
        self.owner = owner
        self.id = ""  # known once it has joined
        self._control = control
        self._timeline = control.timeline
        self._random = random
        self._key = Ed25519PrivateKey.from_private_bytes(random.token(32))
        self.route = Route(control.timeline, random, setup.conditions, control.seen)
        self._cache: dict[str, bytes] = {}
        self._uplink: Uplink | None = None
        self._hardware: Hardware | None = None
        self._core: AgentCore | None = None

    @property
    def is_running(self) -> bool:
        """Whether its agent lives."""
        return self._uplink is not None and not self._uplink.over

    @property
    def refused(self) -> str:
        """Why the control plane sent its agent away for good; empty where it did not."""
        return self._uplink.refused if self._uplink else ""

    @property
    def recorded(self) -> list[bytes]:
        """What an eavesdropper has of its last link."""
        return self._uplink.recorded if self._uplink else []

    def join(self) -> None:
        """Register, as often as it takes, then start the agent."""
        told = self._registration()
        key = f"join {self.setup.name}"

        def register() -> dict[str, Any]:
            control = self._control
            return control.run(
                lambda plane: msgspec.json.decode(
                    routes.register(told, self.owner, plane, control.write(self.owner, key)).body
                )
            )

        def joined(view: dict[str, Any]) -> None:
            self.id = view["id"]
            self._control.seen["machine.joined"] += 1
            self.start()

        self._persist(register, joined)

    def start(self) -> None:
        """Start the agent with nothing in its memory but its key and its cache of blobs."""
        if self.is_running or not self.id:
            return
        core = AgentCore(self.id, self._key.sign)
        uplink = Uplink(
            self._control, self.route, core, self._key, self._random, on_desired=self._desired
        )
        self._core, self._uplink = core, uplink
        self._hardware = Hardware(
            self._control, self.route, core, self.setup.behaviour, self.setup.steps_per_second, self._random,
            send=uplink.send, token=lambda: uplink.blob_token, cache=self._cache,
        )  # fmt: skip
        uplink.send(self._facts())
        uplink.start()

    def kill(self) -> None:
        """The agent dies; what it was doing is lost."""
        if self._uplink is not None and self._hardware is not None:
            self._hardware.dead = True
            self._uplink.stop()

    def stop(self) -> None:
        """The owner asks the agent to finish what runs and end."""
        core, uplink, hardware = self._core, self._uplink, self._hardware
        if core is None or uplink is None or hardware is None or uplink.over:
            return
        uplink.send(wire.Draining())

        def finished() -> None:
            if uplink.over:
                return
            if core.serving or core.unreported:
                self._timeline.after(DRAIN_POLL_SECONDS, finished)
            else:
                hardware.dead = True
                uplink.stop()

        self._timeline.after(DRAIN_POLL_SECONDS, finished)

    def verb(self, verb: str, then: Callable[[], None] = lambda: None) -> None:
        """The owner says pause, resume, drain or leave; a machine in the wrong state stays as it is."""
        key = f"{verb} {self.setup.name} {self._timeline.elapsed_seconds}"
        control = self._control

        def ask() -> Any:
            return control.run(
                lambda plane: routes.owner_verb(
                    self.id, verb, self.owner, control.write(self.owner, key)
                )
            )

        def done(answer: Any) -> None:
            control.seen[f"owner.{verb}"] += 1
            then()

        self._persist(ask, done)

    def _persist(self, ask: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Ask until the control plane answers; what it refuses is over."""

        def attempt() -> None:
            try:
                answer = ask()
            except Unavailable:
                self._timeline.after(RETRY_SECONDS, attempt, concurrent=True)
            except GondwanaError as error:
                self._control.seen[f"owner.refused.{error.code}"] += 1
            else:
                then(answer)

        attempt()

    def _desired(self, message: wire.Desired) -> None:
        assert self._core is not None
        assert self._hardware is not None
        for action in self._core.desired(message):
            self._hardware.act(action)

    def _facts(self) -> wire.Facts:
        setup = self.setup
        accelerators = tuple(
            Accelerator(name="RTX4090", vendor="nvidia", memory_bytes=24 * GIB)
            for _ in range(setup.devices)
        )
        inventory = MachineInventory(
            cpu_model="simulated", cpu_count=16, memory_bytes=64 * GIB, disk_free_bytes=500 * GIB, os="linux",
            architecture="x86_64", python="3.12", accelerators=accelerators,
        )  # fmt: skip
        speed = lies.claimed_speed(setup.behaviour, setup.steps_per_second, self._random)
        return wire.Facts(
            inventory=inventory,
            speed=MachineSpeed(steps_per_second=speed),
            isolation=setup.isolation,
        )

    def _registration(self) -> MachineRegistration:
        setup, public_key = self.setup, self._key.public_key().public_bytes_raw().hex()
        return MachineRegistration(
            name=setup.name,
            region="home",
            public_key=public_key,
            signature=self._key.sign(f"{setup.name}|{public_key}".encode()).hex(),
            price_micro_usd_per_device_hour=setup.price_micro_usd_per_device_hour,
            devices=setup.devices,
        )
