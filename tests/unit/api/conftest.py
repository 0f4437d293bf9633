"""A real control plane behind a real socket: uvicorn in a thread, a database in a file, no reconcilers."""

import socket
import threading
from types import SimpleNamespace

import pytest
import uvicorn

from gondwana.api.app import make_app
from gondwana.core.clock import SystemClock
from gondwana.db.database import Database
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.sdk import Client


@pytest.fixture
def served(tmp_path, make_world):
    """`served.client`: everything allowed; `served.world`: what it stands on."""
    with Database.open(tmp_path / "gondwana.db") as database, socket.socket() as listening:
        world = make_world(database, clock=SystemClock())
        _, token = world.write(
            policy.create_token, world.random, world.now, name="tenant", scopes=tuple(Scope)
        )
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # whoever comes before the server runs waits in line
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(
            uvicorn.Config(make_app(world.plane), log_level="warning", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield SimpleNamespace(client=Client(url, token), world=world, url=url, token=token)
        finally:
            server.should_exit = True
            thread.join()
