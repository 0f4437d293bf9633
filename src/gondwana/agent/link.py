"""The agent's outbound link: connect, prove, converge; reconnect with jittered backoff and resume."""

import asyncio
import logging
import random as chance
import secrets
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

import gondwana
from gondwana.agent.core import AgentCore, Report
from gondwana.agent.identity import Identity
from gondwana.agent.peers import Peers
from gondwana.core.errors import Unavailable, WrongState
from gondwana.wire import agent as wire

BACKOFF_SECONDS_FIRST: Final = 0.5
BACKOFF_SECONDS_MAX: Final = 30.0
CONNECT_SECONDS_MAX: Final = 15.0
PROBES_MAX: Final = 16  # probes of peers that are waited for at once
SILENCE_HEARTBEATS_MAX: Final = 4  # heartbeats without an answer, after which the link is given up
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Link:
    """One agent's way to its control plane, kept up until it is closed."""

    def __init__(
        self, url: str, identity: Identity, core: AgentCore, *, on_welcome: Callable[[wire.Welcome], None],
        on_desired: Callable[[wire.Desired], None], peers: str = wire.PEERS_OFF,
    ) -> None:  # fmt: skip
        self._boot = secrets.token_hex(8)
        self._url = url.replace("http", "ws", 1).rstrip("/") + "/v1/link"
        self._identity = identity
        self._core = core
        self._on_welcome = on_welcome
        self._on_desired = on_desired
        self._facts: wire.Facts | None = None
        self._draining: wire.Draining | None = None
        self._outgoing: asyncio.Queue[wire.FromAgent] = asyncio.Queue()
        self._peers_allowed = peers
        self._peers: Peers | None = None  # while the link is up
        self._probing: set[asyncio.Task[None]] = set()
        self._nonce: bytes | None = None
        self._answered = asyncio.Event()
        self.welcomed = asyncio.Event()

    def send(
        self, message: "Report | wire.Draining | wire.Facts | wire.Listening | wire.Measured | None"
    ) -> None:
        """Send a message when the link is up; what the next link must know is said again there."""
        if isinstance(message, wire.Facts):
            self._facts = message
        if isinstance(message, wire.Draining):
            self._draining = message
        if message is not None and self.welcomed.is_set():
            self._outgoing.put_nowait(message)

    async def run(self) -> None:
        """Keep the link up; returns never, raises WrongState when the control plane refuses this machine for good."""
        wait = BACKOFF_SECONDS_FIRST
        while True:
            try:
                async with connect(
                    self._url,
                    open_timeout=CONNECT_SECONDS_MAX,
                    max_size=wire.DESIRED_BYTES_MAX,
                    compression=None,
                ) as socket:
                    await self._serve(socket)
                    wait = BACKOFF_SECONDS_FIRST
            except (
                OSError,
                WebSocketException,
                TimeoutError,
                Unavailable,
                msgspec.MsgspecError,
            ) as error:
                if self.welcomed.is_set():
                    wait = BACKOFF_SECONDS_FIRST
                _log.info("the link is down (%s); trying again", error or type(error).__name__)
            finally:
                self.welcomed.clear()
            await asyncio.sleep(
                wait * (0.5 + chance.random())
            )  # jitter: agents do not come back all at once
            wait = min(BACKOFF_SECONDS_MAX, wait * 2)

    async def _serve(self, socket: ClientConnection) -> None:
        await self._handshake(socket)
        workers = [
            asyncio.create_task(self._read(socket)),
            asyncio.create_task(self._write(socket)),
            asyncio.create_task(self._beat(socket)),
        ]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _handshake(self, socket: ClientConnection) -> None:
        machine_id = self._core.machine_id
        hello = wire.Hello(
            protocol=wire.PROTOCOL,
            machine_id=machine_id,
            agent_version=gondwana.__version__,
            boot=self._boot,
        )
        await socket.send(wire.encode(hello))
        challenge = await self._receive(socket, wire.Challenge)
        signature = self._identity.sign(wire.challenge_claim(machine_id, challenge.nonce))
        await socket.send(wire.encode(wire.ChallengeAnswer(signature=signature)))
        welcome = await self._receive(socket, wire.Welcome)
        self._nonce, self._heartbeat_seconds = welcome.nonce, welcome.heartbeat_seconds
        self._outgoing = asyncio.Queue()
        self.welcomed.set()
        self._on_welcome(welcome)
        if self._facts is not None:
            self._outgoing.put_nowait(self._facts)
        if self._draining is not None:  # after the facts, which would bring the machine up
            self._outgoing.put_nowait(self._draining)
        for report in self._core.connected():
            self._outgoing.put_nowait(report)
        self._outgoing.put_nowait(self._reach(socket))

    def _reach(self, socket: ClientConnection) -> wire.Reach:
        """Whom the owner lets this machine measure with, and the address that it has towards the network."""
        address = str(socket.local_address[0]) if socket.local_address else ""
        self._peers = Peers(address) if self._peers_allowed != wire.PEERS_OFF else None
        return wire.Reach(peers=self._peers_allowed, address=address)

    def _probe(self, message: wire.Listen | wire.Ask) -> None:
        """Measure beside all else; a machine whose owner does not allow it does nothing."""
        if self._peers is None or len(self._probing) >= PROBES_MAX:
            return
        task = asyncio.create_task(self._measure(self._peers, message))
        self._probing.add(task)
        task.add_done_callback(self._probing.discard)

    async def _measure(self, peers: Peers, message: wire.Listen | wire.Ask) -> None:
        if isinstance(message, wire.Ask):
            self.send(await peers.ask(message))
            return
        ready = asyncio.get_running_loop().create_future()
        ready.add_done_callback(lambda told: self.send(told.result()))
        await peers.listen(message, ready)

    async def _receive(self, socket: ClientConnection, kind: type[T]) -> T:
        message = wire.decode_from_plane(await _bytes(socket))
        if isinstance(message, wire.Refused):
            _refuse(message)
        if not isinstance(message, kind):
            raise Unavailable(
                f"the control plane answered {type(message).__name__} instead of {kind.__name__}"
            )
        return message

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            match wire.decode_from_plane(await _bytes(socket)):
                case wire.Beat(nonce=nonce):
                    self._nonce = nonce
                    self._answered.set()
                case wire.Ack(number=number):
                    self._core.acknowledged(number)
                case wire.Desired() as desired:
                    self._on_desired(desired)
                case wire.Echo() as echo:
                    payload = echo.payload if echo.is_returned else b""
                    answer = wire.Echoed(nonce=wire.echo_nonce(echo), payload=payload)
                    await socket.send(wire.encode(answer))
                case (wire.Listen() | wire.Ask()) as probe:
                    self._probe(probe)
                case wire.Refused() as refused:
                    _refuse(refused)
                case _:
                    pass

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            await socket.send(wire.encode(await self._outgoing.get()))

    async def _beat(self, socket: ClientConnection) -> None:
        """Prove life; a heartbeat is sent only for a fresh nonce."""
        while True:
            if self._nonce is not None:
                nonce, self._nonce = self._nonce, None
                self._answered.clear()
                await socket.send(wire.encode(self._core.heartbeat(nonce)))
                async with asyncio.timeout(self._heartbeat_seconds * SILENCE_HEARTBEATS_MAX):
                    await self._answered.wait()
            await asyncio.sleep(self._heartbeat_seconds)


async def _bytes(socket: ClientConnection) -> bytes:
    data = await socket.recv(decode=False)
    assert isinstance(data, bytes)
    return data


def _refuse(refused: wire.Refused) -> None:
    if refused.final:
        raise WrongState(refused.detail)
    raise Unavailable(refused.detail)
