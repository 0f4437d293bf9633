"""How many machines one control plane can keep proven alive: signed heartbeats answered per CPU-second of the server.

    python benchmarks/control_plane.py [--agents 500] [--seconds 10] [--json]

A real control plane in a process; the agents are light clients in another, each with its own Ed25519 key, its own
WebSocket over loopback and the real handshake, and each signs the next nonce as soon as it has it. Reckoned in
processor time of the server (user + system, all threads, the database's writes included), so that a busy machine
changes little. Beside it the limits: verifying one signature, and a bare echo over the same server library and sockets.
"""

import argparse
import asyncio
import hashlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gondwana.core.errors import GondwanaError
from gondwana.sdk import Client
from gondwana.wire import agent as wire
from gondwana.wire.machines import MachineInventory, MachineSpeed
from gondwana.wire.views import MachineRegistration

HEARTBEATS_PER_CPU_SECOND_MIN = 5_000
MEMORY_KIB_PER_AGENT_MAX = 60
START_TRIES_MAX = 200
START_PAUSE_SECONDS = 0.1
CONNECTING_AT_ONCE = 20
WARM_UP_SECONDS = 2.0
VERIFY_RUNS = 5_000
ECHO_BYTES = b"x" * 96  # about a heartbeat


def key_of(number: int) -> Ed25519PrivateKey:
    """The same keys in every run."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"%d" % number).digest())


# -- the server process: `control_plane.py serve FOLDER PORT` or `control_plane.py echo FOLDER PORT`


def run_server(folder: str, port: str) -> None:
    from gondwana.server.config import ServerConfig
    from gondwana.server.serve import serve

    serve(ServerConfig(port=int(port), data=Path(folder), heartbeat_seconds=0.0))


def run_echo(folder: str, port: str) -> None:
    """The least that answers: the same server and WebSocket library, and nothing else."""
    import uvicorn

    async def app(scope, receive, send):
        if scope["type"] == "http":
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"ok":true}'})
            return
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message["bytes"]})

    uvicorn.run(
        app, port=int(port), log_level="warning", ws="websockets-sansio", ws_per_message_deflate=False,
        lifespan="off",
    )  # fmt: skip


# -- the agents' process: `control_plane.py agents URL MODE`, machine ids on standard input; it prints how many answers
#    it has had by now, on each line it reads


class Agents:
    """Many agents in one process."""

    def __init__(self, url: str, machine_ids: list[str]) -> None:
        self.url = url.replace("http", "ws", 1) + "/v1/link"
        self.machine_ids = machine_ids
        self.answers = 0
        self.connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self.connected = 0
        self.all_connected = asyncio.Event()
        self.begin = asyncio.Event()

    async def run(self, mode: str) -> None:
        talk = self.beat if mode == "serve" else self.echo
        tasks = [
            asyncio.create_task(talk(number, each)) for number, each in enumerate(self.machine_ids)
        ]
        waiter = asyncio.create_task(self.all_connected.wait())
        await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        print("connected", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            if line == "go\n":
                self.begin.set()
            print(self.answers, flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ready(self) -> None:
        self.connected += 1
        if self.connected == len(self.machine_ids):
            self.all_connected.set()
        await self.begin.wait()

    async def beat(self, number: int, machine_id: str) -> None:
        from websockets.asyncio.client import connect

        key = key_of(number)
        await self.connecting.acquire()
        async with connect(self.url, compression=None, open_timeout=60, ping_interval=None) as link:
            hello = wire.Hello(protocol=wire.PROTOCOL, machine_id=machine_id, agent_version="0")
            await link.send(wire.encode(hello))
            nonce = wire.decode_from_plane(await link.recv(decode=False)).nonce
            signature = key.sign(wire.challenge_claim(machine_id, nonce))
            await link.send(wire.encode(wire.ChallengeAnswer(signature=signature)))
            nonce = wire.decode_from_plane(await link.recv(decode=False)).nonce
            await link.send(wire.encode(facts()))
            self.connecting.release()
            await self.ready()
            while True:
                claim = wire.heartbeat_claim(machine_id, nonce, ())
                await link.send(wire.encode(wire.Heartbeat(signature=key.sign(claim))))
                while not isinstance(
                    told := wire.decode_from_plane(await link.recv(decode=False)), wire.Beat
                ):
                    assert not isinstance(told, wire.Refused), told
                nonce = told.nonce
                self.answers += 1

    async def echo(self, number: int, machine_id: str) -> None:
        from websockets.asyncio.client import connect

        async with connect(self.url, compression=None, open_timeout=60, ping_interval=None) as link:
            await self.ready()
            while True:
                await link.send(ECHO_BYTES)
                await link.recv(decode=False)
                self.answers += 1


def facts() -> wire.Facts:
    inventory = MachineInventory(
        cpu_model="benchmark", cpu_count=8, memory_bytes=2**34, disk_free_bytes=2**36, os="Linux",
        architecture="x86_64", python="3.11",
    )  # fmt: skip
    return wire.Facts(inventory=inventory, speed=MachineSpeed(steps_per_second=10.0), isolation="sandbox")  # fmt: skip


# -- measuring


@contextmanager
def process(*words: str, **pipes):
    """This file as another process, of the part named by the first word."""
    command = [sys.executable, str(Path(__file__).resolve()), *words]
    child = subprocess.Popen(command, text=True, **pipes)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def await_answer(url: str) -> None:
    pause = threading.Event()
    for _ in range(START_TRIES_MAX):
        try:
            Client(url, retries_max=0).healthy()
        except GondwanaError:
            pause.wait(START_PAUSE_SECONDS)
        else:
            return
    raise SystemExit("the server did not start")


def register(url: str, token: str, count: int) -> list[str]:
    client, ids = Client(url, token), []
    for number in range(count):
        key, name = key_of(number), f"m{number}"
        public = key.public_key().public_bytes_raw().hex()
        told = MachineRegistration(
            name=name, region="home", public_key=public, signature=key.sign(f"{name}|{public}".encode()).hex(),
            price_micro_usd_per_device_hour=1_000_000, devices=1, cpus_max=None, memory_bytes_max=None,
        )  # fmt: skip
        ids.append(client.machines.register(told).id)
    return ids


def cpu_seconds(server: psutil.Process) -> float:
    times = server.cpu_times()
    return times.user + times.system


def ask(agents: subprocess.Popen, word: str) -> int:
    agents.stdin.write(word + "\n")
    agents.stdin.flush()
    return int(agents.stdout.readline())


def measure(mode: str, folder: Path, count: int, seconds: float) -> tuple[float, float]:
    """(answers per CPU-second of the server, KiB of its memory per agent)."""
    port, pause = free_port(), threading.Event()
    url = f"http://127.0.0.1:{port}"
    quiet = {"stderr": subprocess.DEVNULL}
    with process(mode, str(folder / mode), str(port), **quiet) as child:
        await_answer(url)
        server = psutil.Process(child.pid)
        ids = [str(n) for n in range(count)]
        if mode == "serve":
            ids = register(url, (folder / mode / "founder.token").read_text().strip(), count)
        before_bytes = server.memory_info().rss
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with process("agents", url, mode, ",".join(ids), **pipes) as agents:
            assert agents.stdout.readline() == "connected\n", "an agent could not connect"
            ask(agents, "go")
            pause.wait(WARM_UP_SECONDS)
            answers, cpu = ask(agents, "count"), cpu_seconds(server)
            pause.wait(seconds)
            answers, cpu = ask(agents, "count") - answers, cpu_seconds(server) - cpu
            memory = server.memory_info().rss - before_bytes
            return answers / cpu, memory / 1024 / count


def verify_per_cpu_second() -> float:
    """Ed25519 signatures verified per CPU-second, alone."""
    key, claim = key_of(0), wire.heartbeat_claim("mac_" + "0" * 20, b"0" * 16, ())
    signature, public = key.sign(claim), key.public_key()
    start = time.process_time()
    for _ in range(VERIFY_RUNS):
        public.verify(signature, claim)
    return VERIFY_RUNS / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    verified = verify_per_cpu_second()
    with tempfile.TemporaryDirectory() as folder:
        beats, memory = measure("serve", Path(folder), arguments.agents, arguments.seconds)
        echoes, bare = measure("echo", Path(folder), arguments.agents, arguments.seconds)
    verified = (verified + verify_per_cpu_second()) / 2
    limit = 1 / (1 / verified + 1 / echoes)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"{arguments.agents} agents\n")  # fmt: skip
    print(f"{'per CPU-second of the server':44}{'measured':>10}{'target':>9}")
    name = "heartbeats answered, proven and written"
    print(f"{name:44}{beats:10,.0f}{HEARTBEATS_PER_CPU_SECOND_MIN:9,}")
    print(f"{'limit: one verification and one echo':44}{limit:10,.0f}")
    print(f"{'  Ed25519 verifications alone':44}{verified:10,.0f}")
    print(f"{'  bare echoes over the same sockets':44}{echoes:10,.0f}")
    print(f"{'memory per agent, KiB':44}{memory:10,.1f}{MEMORY_KIB_PER_AGENT_MAX:9,}")
    print(f"{'  of it with a bare echo':44}{bare:10,.1f}")
    print(f"\nAt a heartbeat every 5 s one core keeps {beats * 5:,.0f} machines proven.")
    if arguments.json:
        values = {
            "heartbeats_per_cpu_second": round(beats), "memory_kib_per_agent": round(memory, 1),
            "agents": arguments.agents, "limit_per_cpu_second": round(limit), "verify_per_cpu_second": round(verified),
            "echo_per_cpu_second": round(echoes), "echo_memory_kib_per_agent": round(bare, 1),
        }  # fmt: skip
        print(json.dumps(values))
    if beats < HEARTBEATS_PER_CPU_SECOND_MIN or memory > MEMORY_KIB_PER_AGENT_MAX:
        raise SystemExit("over the limit")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", folder, port]:
            run_server(folder, port)
        case ["echo", folder, port]:
            run_echo(folder, port)
        case ["agents", url, mode, ids]:
            asyncio.run(Agents(url, ids.split(",")).run(mode))
        case _:
            main()
