"""The control plane's process: the real code over one database and one blob store, killed and started again at will."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import msgspec

from gondwana.api.deps import Write
from gondwana.api.link import Session, refusal
from gondwana.api.plane import Plane
from gondwana.blobs.memory import MemoryStore
from gondwana.core.clock import Clock
from gondwana.core.errors import GondwanaError, Invalid, InvalidToken, StorageFull, Unavailable
from gondwana.core.ids import BlobName
from gondwana.core.random import SeededRandom
from gondwana.db.database import Database
from gondwana.db.transaction import Transaction
from gondwana.db.writer import Listener, Writer
from gondwana.jobs import traffic
from gondwana.jobs.context import Context
from gondwana.ledger.chain import seal
from gondwana.loops.run import Reconcilers
from gondwana.policy.model import Caller
from gondwana.sim.clock import Timeline
from gondwana.sim.network import Cable
from gondwana.wire import agent as wire

P = ParamSpec("P")
T = TypeVar("T")

TICK_SECONDS: Final = 1.0  # reconcilers run at least this often; news wakes them at once
IDLE_TICK_SECONDS: Final = (
    60.0  # the same while no machine is linked: nothing but time can change anything
)
NEWS_SECONDS: Final = 0.02  # from a commit to the pass it wakes
PUSH_SECONDS: Final = 0.005
PROOF_FLUSH_SECONDS: Final = 0.2
SILENCE_SECONDS_MAX: Final = 60.0
OVERLAP_SECONDS: Final = 0.25  # how far another thread may run ahead between two transactions


class Crash(BaseException):
    """The process dies here. Not an Exception: nothing in it may catch it."""


class Disk(MemoryStore):
    """Blobs on a disk that may be full for a while."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.full = False

    def put(self, content: bytes) -> BlobName:
        """See BlobStore."""
        self._check()
        return super().put(content)

    def begin(self, name: str, size: int) -> int:
        """See BlobStore."""
        self._check()
        return super().begin(name, size)

    def _check(self) -> None:
        if self.full:
            raise StorageFull()


class ProcessWriter:
    """The writer as one life of the process has it; `before` and `after` each call may end that life."""

    def __init__(
        self, inner: Writer, before: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self._inner = inner
        self._before = before
        self._after = after
        self.listeners: list[Listener] = []

    def submit(
        self, run: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """See Writer."""
        self._before()
        future = self._inner.submit(run, *args, **kwargs)
        self._after()
        return future

    def call(
        self, run: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See Writer."""
        return self.submit(run, *args, **kwargs).result()

    @property
    def lost(self) -> threading.Event:
        """See Writer."""
        return self._inner.lost

    def give_way(self) -> None:
        """See Writer."""
        self._inner.give_way()

    def listen(self, listener: Listener) -> None:
        """See Writer."""
        self.listeners.append(listener)

    def close(self) -> None:
        """See Writer."""
        self._inner.close()


class ControlPlane:
    """One database, one disk, and one life of the process after another."""

    def __init__(self, timeline: Timeline, random: SeededRandom, seen: Counter[str]) -> None:
        self.timeline = timeline
        self.seen = seen
        self.database = Database.in_memory(before_commit=seal)
        self.disk = Disk(timeline.clock)
        self._random = random
        self.stored = self.database.writer  # what survives every crash
        self.stored.listen(self._tell)
        self._chance = SeededRandom(f"plane {random.bits(64)}")
        self.unexpected: list[str] = []  # what no message may ever cause
        self.on_heartbeat: Callable[[str, wire.Heartbeat], None] = _ignore  # each one that counted
        self.database_full = False
        self.overlap_chance = 0.0
        self.plane: Plane | None = None
        self._cables: list[Cable] = []
        self._life = 0
        self._calls_to_live: int | None = None
        self._crash_after_commit = False
        self._nested = False
        self._woken = False
        self._flushing = False

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.plane is not None

    @property
    def is_doomed(self) -> bool:
        """Whether it is to die at one of its next transactions."""
        return self._calls_to_live is not None

    def start(self) -> None:
        """Begin a life: all that is known is what was stored."""
        assert self.plane is None, "it runs already"
        self._life += 1
        self._calls_to_live = None
        self._writer = ProcessWriter(self.stored, self._before_call, self._after_call)
        self.database.writer = self._writer
        context = Context(
            database=self.database,
            blobs=self.disk,
            random=self._random,
            listening_since=self.timeline.clock.now(),
        )
        self.plane = Plane(context, self.timeline.clock)
        self._reconcilers = Reconcilers(context)
        self._writer.listen(lambda events: self._wake())
        self._woken = self._flushing = self._nested = False
        self._tick(self._life)

    def kill(self) -> None:
        """End the life: memory, links and waiting proofs are lost."""
        self.plane = None
        cables, self._cables = self._cables, []
        for cable in cables:
            cable.tear()

    def crash_in(self, calls: int, *, after_commit: bool) -> None:
        """Die at the transaction number `calls` from now: before it begins, or just after it was committed."""
        self._calls_to_live, self._crash_after_commit = calls, after_commit

    def run(self, work: Callable[[Plane], T]) -> T:
        """What `work` returns; raises Unavailable when the process is not there, or dies over it."""
        if self.plane is None:
            raise Unavailable("the control plane is down")
        try:
            return work(self.plane)
        except Crash:
            self._died()
            raise Unavailable("the control plane died") from None

    def write(self, caller: Caller, key: str) -> Write:
        """A write call of the API under an idempotency key."""
        assert self.plane is not None, "called inside `run`"
        return Write(self.plane, caller, key, key)

    def fetch(self, token: str, names: list[str]) -> dict[str, bytes]:
        """A machine's downloads; raises Unavailable, InvalidToken, NoSuchThing."""

        def get(plane: Plane) -> dict[str, bytes]:
            machine_id = self._mover(plane, token)
            found = {name: self.disk.read(name) for name in names}
            self.database.writer.submit(
                traffic.count_down, machine_id, sum(map(len, found.values()))
            )
            return found

        return self.run(get)

    def upload(self, token: str, content: bytes) -> str:
        """A machine's upload; raises Unavailable, InvalidToken, StorageFull."""

        def put(plane: Plane) -> str:
            self._mover(plane, token)
            return self.disk.put(content)

        return self.run(put)

    def accept(self, cable: Cable) -> None:
        """Serve an agent's link."""
        assert self.plane is not None, "nobody connects to a process that is not there"
        self._cables.append(cable)
        _Served(self, self.plane, cable)

    def flush_soon(self) -> None:
        """Write the waiting proofs a moment later."""
        if self._flushing:
            return
        self._flushing, life = True, self._life
        self.timeline.after(PROOF_FLUSH_SECONDS, lambda: self._flush(life))

    def forget(self, cable: Cable) -> None:
        """The link is closed."""
        if cable in self._cables:
            self._cables.remove(cable)

    def _died(self) -> None:
        if self.plane is not None:
            self.seen["plane.crash"] += 1
            self.kill()

    def _mover(self, plane: Plane, token: str) -> str:
        machine_id = plane.machine_of_blob_token(token)
        if machine_id is None:
            raise InvalidToken("this blob token is of an older link")
        return machine_id

    def _flush(self, life: int) -> None:
        if life != self._life or self.plane is None:
            return
        self._flushing = False
        self._survive(lambda plane: plane.proofs.flush(self._writer))

    def _tick(self, life: int) -> None:
        if life != self._life or self.plane is None:
            return
        self._reconcile(life)
        pause = TICK_SECONDS if self._cables else IDLE_TICK_SECONDS
        self.timeline.after(pause, lambda: self._tick(life))

    def _wake(self) -> None:
        if not self._woken:
            self._woken, life = True, self._life
            self.timeline.after(NEWS_SECONDS, lambda: self._reconcile(life))

    def _reconcile(self, life: int) -> None:
        self._woken = False
        if life == self._life and self.plane is not None:
            self._survive(lambda plane: self._reconcilers.run(plane.clock.now()))

    def _survive(self, work: Callable[[Plane], Any]) -> None:
        try:
            self.run(work)
        except GondwanaError:
            self.seen["plane.unavailable"] += 1

    def _tell(self, events: Any) -> None:
        for listener in list(self._writer.listeners) if self.plane is not None else ():
            listener(events)

    def _before_call(self) -> None:
        if not self._nested and self._chance.uniform() < self.overlap_chance:
            self._nested = True
            if self.timeline.step_concurrent(OVERLAP_SECONDS):
                self.seen["plane.overlap"] += 1
            self._nested = False
        if self._calls_to_live is not None:
            self._calls_to_live -= 1
        if self.plane is None or (self._calls_to_live == 0 and not self._crash_after_commit):
            raise Crash
        if self.database_full:
            raise StorageFull()

    def _after_call(self) -> None:
        if self._calls_to_live == 0:
            raise Crash


class _Served:
    """The control plane's end of one link: what `api/socket.py` does around a session, without sockets."""

    def __init__(self, control: ControlPlane, plane: Plane, cable: Cable) -> None:
        self._control = control
        self._plane = plane
        self._cable = cable
        self._session = Session(plane, "10.0.0.1")
        self._stage = 0
        self._pushing = False
        self._heard_at = control.timeline.clock.now()
        cable.on_up = self._heard
        cable.on_closed.append(self._closed)
        self._watch()

    def _heard(self, data: bytes) -> None:
        if self._control.plane is not self._plane:
            return
        self._heard_at = self._control.timeline.clock.now()
        try:
            self._control.run(lambda plane: self._answer(data))
        except GondwanaError as error:
            self._refuse(error)
        except Exception as error:  # whatever an agent sends, this must not happen
            self._control.unexpected.append(f"link: {type(error).__name__}: {error}")
            self._cable.close()

    def _answer(self, data: bytes) -> None:
        try:
            message = wire.decode_from_agent(data)
        except msgspec.MsgspecError as error:
            raise Invalid(f"a message cannot be read: {error}") from None
        if self._stage == 0:
            self._send(self._session.hello(message))
            self._stage = 1
        elif self._stage == 1:
            self._send(self._session.answer(message))
            self._stage = 2
            self._cable.begun = True
            self._plane.connect(self._session.machine_id or "", self._wake)
            self._wake()
        else:
            self._send(self._session.handle(message))
            if isinstance(message, wire.Heartbeat):
                self._control.flush_soon()
                self._control.on_heartbeat(self._session.machine_id or "", message)

    def _refuse(self, error: GondwanaError) -> None:
        told = refusal(error)
        self._control.seen[f"link.refused.{told.code}"] += 1
        self._send([told])
        self._cable.close()

    def _wake(self) -> None:
        if not self._pushing:
            self._pushing = True
            self._control.timeline.after(PUSH_SECONDS, self._push)

    def _push(self) -> None:
        self._pushing = False
        if self._control.plane is not self._plane or self._cable.closed:
            return
        try:
            self._send(self._control.run(lambda plane: self._session.desired()))
        except GondwanaError as error:
            self._refuse(error)

    def _send(self, messages: "list[wire.FromPlane]") -> None:
        for message in messages:
            self._cable.down(wire.encode(message))

    def _watch(self) -> None:
        """Close a link that has said nothing for too long."""
        silent = self._control.timeline.clock.now() - self._heard_at
        if self._cable.closed or self._control.plane is not self._plane:
            return
        if silent >= SILENCE_SECONDS_MAX:
            self._cable.close()
            return
        self._control.timeline.after(SILENCE_SECONDS_MAX - silent, self._watch)

    def _closed(self) -> None:
        self._control.forget(self._cable)
        if self._session.machine_id is not None:
            self._plane.disconnect(self._session.machine_id, self._wake)


def _ignore(machine_id: str, heartbeat: wire.Heartbeat) -> None:
    """Nobody watches."""
