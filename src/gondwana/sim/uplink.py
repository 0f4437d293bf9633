"""The agent's end of the link in virtual time: what `agent/link.py` does, without sockets and tasks."""

from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gondwana.agent.core import AgentCore, Report
from gondwana.agent.link import (
    BACKOFF_SECONDS_FIRST,
    BACKOFF_SECONDS_MAX,
    CONNECT_SECONDS_MAX,
    SILENCE_HEARTBEATS_MAX,
)
from gondwana.core.random import SeededRandom
from gondwana.sim.network import Cable, Route
from gondwana.sim.plane import ControlPlane
from gondwana.wire import agent as wire


class Uplink:
    """Keeps one agent connected until the agent dies or is refused for good."""

    def __init__(
        self, control: ControlPlane, route: Route, core: AgentCore, key: Ed25519PrivateKey, random: SeededRandom,
        *, on_desired: Callable[[wire.Desired], None],
    ) -> None:  # fmt: skip
        self._control = control
        self._timeline = control.timeline
        self._boot = random.token(8).hex()
        self._route = route
        self._core = core
        self._key = key
        self._random = random
        self._on_desired = on_desired
        self._cable: Cable | None = None
        self._facts: wire.Facts | None = None
        self._wait = BACKOFF_SECONDS_FIRST
        self._heartbeat_seconds = 5.0
        self._answered = (
            0  # beats so far; a heartbeat without a later one means that the link is dead
        )
        self.welcomed = False
        self.over = False  # no more attempts
        self.refused = ""  # why the control plane does not want this machine ever again
        self.blob_token = ""
        self.recorded: list[bytes] = []  # what an eavesdropper has of this link

    def start(self) -> None:
        """Connect, and again whenever the link is lost."""
        if self.over:
            return
        if not self._route.is_up or not self._control.is_up:
            self._again()
            return
        cable = self._cable = Cable(self._route)
        cable.on_down = lambda data: self._heard(cable, data)
        cable.on_closed.append(lambda: self._lost(cable))
        self._control.accept(cable)
        self._send_on(cable, self._hello())
        self._timeline.after(CONNECT_SECONDS_MAX, lambda: self._expect_welcome(cable))

    def send(self, message: "Report | wire.Draining | wire.Facts | None") -> None:
        """Send when the link is up; reports are sent again on the next one until acknowledged."""
        if isinstance(message, wire.Facts):
            self._facts = message
        if message is not None and self.welcomed and self._cable is not None:
            self._send_on(self._cable, message)

    def stop(self) -> None:
        """The process ends."""
        self.over = True
        if self._cable is not None:
            self._cable.tear()

    def _hello(self) -> wire.Hello:
        return wire.Hello(
            protocol=wire.PROTOCOL,
            machine_id=self._core.machine_id,
            agent_version="simulated",
            boot=self._boot,
        )

    def _heard(self, cable: Cable, data: bytes) -> None:
        if self.over or cable is not self._cable:
            return
        try:
            message = wire.decode_from_plane(data)
        except msgspec.MsgspecError:
            cable.close()
            return
        match message:
            case wire.Challenge(nonce=nonce) if not self.welcomed:
                claim = wire.challenge_claim(self._core.machine_id, nonce)
                self._send_on(cable, wire.ChallengeAnswer(signature=self._key.sign(claim)))
            case wire.Welcome() if not self.welcomed:
                self._welcome(cable, message)
            case wire.Beat(nonce=nonce):
                self._answered += 1
                self._timeline.after(self._heartbeat_seconds, lambda: self._beat(cable, nonce))
            case wire.Ack(number=number):
                self._core.acknowledged(number)
            case wire.Desired():
                self._on_desired(message)
            case wire.Refused(final=final, detail=detail):
                self.over = final
                self.refused = detail if final else ""
                cable.close()
            case _:
                pass

    def _welcome(self, cable: Cable, welcome: wire.Welcome) -> None:
        self.welcomed = True
        self.blob_token = welcome.blob_token
        self._heartbeat_seconds = welcome.heartbeat_seconds
        if self._facts is not None:
            self._send_on(cable, self._facts)
        for report in self._core.connected():
            self._send_on(cable, report)
        self._beat(cable, welcome.nonce)

    def _beat(self, cable: Cable, nonce: bytes) -> None:
        if self.over or cable is not self._cable or cable.closed:
            return
        self._send_on(cable, self._core.heartbeat(nonce))
        answered = self._answered

        def check() -> None:
            if self._answered == answered:
                cable.close()

        self._timeline.after(self._heartbeat_seconds * SILENCE_HEARTBEATS_MAX, check)

    def _expect_welcome(self, cable: Cable) -> None:
        if cable is self._cable and not self.welcomed:
            cable.close()

    def _lost(self, cable: Cable) -> None:
        if cable is not self._cable:
            return
        if self.welcomed:
            self._wait = BACKOFF_SECONDS_FIRST
        self._cable, self.welcomed = None, False
        self._again()

    def _again(self) -> None:
        if self.over:
            return
        self._timeline.after(self._wait * (0.5 + self._random.uniform()), self.start)
        self._wait = min(BACKOFF_SECONDS_MAX, self._wait * 2)

    def _send_on(self, cable: Cable, message: wire.FromAgent) -> None:
        data = wire.encode(message)
        if not isinstance(message, wire.Facts):
            self.recorded = [*self.recorded[-7:], data]
        cable.up(data)
