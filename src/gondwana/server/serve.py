"""Run a control plane until it is told to stop; everything it knows is on disk before it answers."""

import faulthandler
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn

from gondwana.api.app import make_app
from gondwana.api.plane import Plane
from gondwana.blobs.folder import FolderStore
from gondwana.core.clock import Clock, ContinuedClock, SystemClock
from gondwana.core.errors import InvalidValue, NotLeader
from gondwana.core.random import SecureRandom
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.db.transaction import Transaction
from gondwana.jobs.context import Context
from gondwana.jobs.leading import left_off
from gondwana.ledger.chain import seal
from gondwana.loops.run import BOOKKEEPING, SERVING, Reconcilers
from gondwana.market.plans.list_prices import ListPrices, packaged, parse
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.server.claim import FILE, claim_folder, listen, pair_folder
from gondwana.server.config import ServerConfig
from gondwana.server.passes import TICK_SECONDS, keep_books, serve_news
from gondwana.wire.agent import MESSAGE_BYTES_MAX

PROOF_FLUSH_SECONDS: Final = 0.2
FOUNDER: Final = "founder"
STOP_SECONDS_MAX: Final = 5
GARBAGE_OBJECTS_MIN: Final = 50_000  # some 10 MB; Python's 700 has it look for cycles twice a lease
OLD_PASSES: Final = 50  # of the young between two of everything
TURN_SECONDS: Final = 0.0001  # of a thread, while others wait
_log = logging.getLogger(__name__)


def run(
    host: str, port: int, data: Path, database: str | None = None, list_prices: Path | None = None
) -> None:
    """Serve on host:port with everything kept in `data`, or the books in `database`, until interrupted."""
    serve(ServerConfig(host=host, port=port, data=data, database=database, list_prices=list_prices))


def serve(config: ServerConfig) -> None:
    """Serve until interrupted; the founder's token is made, and its place shown, at the first start.

    With a database elsewhere it stands by while another control plane leads, and listens once it leads itself.
    Raises Unavailable where the address is taken, WrongState where another control plane serves the data, NotLeader
    when another took over.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    faulthandler.enable()  # a library's crash would end us without a word
    tune_interpreter()
    config.data.mkdir(parents=True, exist_ok=True)
    config.data.chmod(
        0o700
    )  # tokens, money, strangers' files; it may have been made by somebody else
    if config.database is None:
        with listen(config.host, config.port) as address, claim_folder(config.data):
            _serve(config, address, Database.open(config.data / FILE, before_commit=seal))
        return
    database = Database.open(config.database, before_commit=seal, standing_by=_stand_by)
    try:
        pair_folder(config.data, database, SecureRandom(), SystemClock().now())
        with listen(config.host, config.port) as address:
            _serve(config, address, database)
    finally:
        database.close()


def tune_interpreter() -> None:
    """Have Python look for cycles of garbage less often, and let waiting threads have their turns sooner.

    Next to all of our garbage is freed without looking for cycles: with Python's own settings that took 30 to 60 µs of
    each lease. A thread that comes back from the database would wait 5 ms for one that computes; without that
    7 % more leases a second became durable.
    """
    gc.set_threshold(GARBAGE_OBJECTS_MIN, OLD_PASSES, OLD_PASSES)
    sys.setswitchinterval(TURN_SECONDS)


def _clock(database: Database) -> Clock:
    """This machine's clock, which goes on where that of whoever led before left off."""
    clock = ContinuedClock(SystemClock(), left_off(database.reader()))
    if clock.ahead_seconds:
        told = "the clock of whoever led before was %.1f s ahead of this one: its time goes on"
        _log.warning(told, clock.ahead_seconds)
    return clock


def _stand_by() -> None:
    print("standing by: another control plane leads", file=sys.stderr, flush=True)


def _serve(config: ServerConfig, address: socket.socket, database: Database) -> None:
    clock, random = _clock(database), SecureRandom()
    list_prices = _list_prices(config.list_prices)
    config = replace(config, port=address.getsockname()[1])  # 0 is any free one
    context = Context(
        database=database,
        blobs=FolderStore(config.data / "blobs", clock),
        random=random,
        heartbeat_seconds=config.heartbeat_seconds,
        down_after_seconds=config.down_after_seconds,
        listening_since=clock.now(),
        list_prices=list_prices,
    )
    plane = Plane(context, clock)
    _first_token(plane, config)
    told = f"Gondwana listens on http://{config.host}:{config.port}, data in {config.data}"
    server = _Server(
        told,
        uvicorn.Config(
            make_app(plane),
            log_level="warning",
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=STOP_SECONDS_MAX,
        ),
    )
    background = Background(plane, end=lambda: setattr(server, "should_exit", True))
    try:
        background.start()
        server.run(sockets=[address])
    finally:
        background.stop()
        database.close()
    if database.writer.lost.is_set():
        raise NotLeader(hint="start it again, and it stands by")


class _Server(uvicorn.Server):
    """Says that it listens once it does, and knows what to do on a signal."""

    def __init__(self, told: str, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn starts, then the words."""
        await super().startup(sockets)
        print(self._told, file=sys.stderr, flush=True)


def _list_prices(path: Path | None) -> ListPrices:
    """The operator's own table, or the packaged one; raises InvalidValue for a file that is no such table."""
    if path is None:
        return packaged()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(
            f"{path} cannot be read: {error}", field="--list-prices", hint="name a TOML file"
        ) from None
    return parse(text, source=str(path))


class Background:
    """The threads beside the event loop.

    One serves orders and jobs, one keeps the books, one writes heartbeats, one ends us when another leads.
    """

    def __init__(self, plane: Plane, *, end: Callable[[], None]) -> None:
        self._plane = plane
        self._end = end
        self._news = threading.Event()
        self._stopping = threading.Event()
        serving = Reconcilers(plane.context, SERVING), self._news, self._stopping, plane.clock.now
        keeping = (
            Reconcilers(plane.context, BOOKKEEPING, time.thread_time),
            self._stopping,
            plane.clock.now,
        )
        self._threads = [
            threading.Thread(target=serve_news, args=serving, name="gondwana-reconcilers", daemon=True),
            threading.Thread(target=keep_books, args=keeping, name="gondwana-bookkeeping", daemon=True),
            threading.Thread(target=self._flush, name="gondwana-proofs", daemon=True),
            threading.Thread(target=self._watch, name="gondwana-lead", daemon=True),
        ]  # fmt: skip
        plane.context.database.writer.listen(lambda events: self._news.set())

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the pass under way, then end."""
        self._stopping.set()
        self._news.set()
        for thread in self._threads:
            thread.join()

    def _watch(self) -> None:
        lost = self._plane.context.database.writer.lost
        while not self._stopping.is_set():
            if lost.wait(TICK_SECONDS):
                _log.error("another control plane leads: this one ends")
                self._end()
                return

    def _flush(self) -> None:
        while not self._stopping.wait(PROOF_FLUSH_SECONDS):
            try:
                written = self._plane.proofs.flush(self._plane.context.database.writer)
                if written is not None:
                    written.result()
            except Exception:  # heartbeats that could not be written are covered by the next ones
                _log.exception("heartbeats were not written")


def _first_token(plane: Plane, config: ServerConfig) -> None:
    """At the first start: a token for everything, kept beside the data for its owner's eyes alone."""
    now = plane.clock.now()

    def create(tx: Transaction) -> str | None:
        if policy.tokens(tx):
            return None
        return policy.create_token(
            tx, plane.context.random, now, name=FOUNDER, scopes=tuple(Scope)
        )[1]

    secret = plane.context.database.writer.call(create)
    if secret is None:
        return
    path = config.data / "founder.token"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret + "\n")
    url = f"http://{config.host}:{config.port}"
    print(
        f'first start: log in with\n  gondwana login {url} --token "$(cat {path})"', file=sys.stderr
    )
