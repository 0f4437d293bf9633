"""Run a control plane until it is told to stop; everything it knows is on disk before it answers."""

import logging
import os
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvicorn

from gondwana.api.app import make_app
from gondwana.api.plane import Plane
from gondwana.blobs.folder import FolderStore
from gondwana.core.clock import SystemClock
from gondwana.core.random import SecureRandom
from gondwana.db.database import Database
from gondwana.db.transaction import Transaction
from gondwana.jobs.context import Context
from gondwana.loops.run import Reconcilers
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.server.claim import claim_folder, listen
from gondwana.server.config import ServerConfig
from gondwana.wire.agent import MESSAGE_BYTES_MAX

TICK_SECONDS: Final = 0.5  # reconcilers run at least this often; news wakes them at once
PROOF_FLUSH_SECONDS: Final = 0.2
FOUNDER: Final = "founder"
STOP_SECONDS_MAX: Final = 5
_log = logging.getLogger(__name__)


def run(host: str, port: int, data: Path) -> None:
    """Serve on host:port with everything kept in the folder `data`, until interrupted."""
    serve(ServerConfig(host=host, port=port, data=data))


def serve(config: ServerConfig) -> None:
    """Serve until interrupted; the founder's token is made, and its place shown, at the first start.

    Raises Unavailable where the address is taken, WrongState where another control plane serves the data.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    address = listen(config.host, config.port)
    config = replace(config, port=address.getsockname()[1])  # 0 is any free one
    config.data.mkdir(parents=True, exist_ok=True)
    config.data.chmod(
        0o700
    )  # tokens, money, strangers' files; it may have been made by somebody else
    with address, claim_folder(config.data):
        _serve(config, address)


def _serve(config: ServerConfig, address: socket.socket) -> None:
    clock, random = SystemClock(), SecureRandom()
    database = Database.open(config.data / "gondwana.db")
    context = Context(
        database=database,
        blobs=FolderStore(config.data / "blobs", clock),
        random=random,
        heartbeat_seconds=config.heartbeat_seconds,
        down_after_seconds=config.down_after_seconds,
        listening_since=clock.now(),
    )
    plane = Plane(context, clock)
    _first_token(plane, config)
    background = Background(plane)
    background.start()
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(plane),
            log_level="warning",
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=STOP_SECONDS_MAX,
        )
    )
    print(
        f"Gondwana listens on http://{config.host}:{config.port}, data in {config.data}",
        file=sys.stderr,
    )
    try:
        server.run(sockets=[address])
    finally:
        background.stop()
        database.close()


class Background:
    """The threads beside the event loop: one reconciles, one writes heartbeats."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._reconcilers = Reconcilers(plane.context)
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._reconcile, name="gondwana-reconcilers", daemon=True),
            threading.Thread(target=self._flush, name="gondwana-proofs", daemon=True),
        ]
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

    def _reconcile(self) -> None:
        while not self._stopping.is_set():
            self._news.wait(TICK_SECONDS)
            self._news.clear()
            if not self._stopping.is_set():
                self._reconcilers.run(self._plane.clock.now())

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
