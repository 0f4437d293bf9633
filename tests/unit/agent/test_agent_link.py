"""The agent's link against a small control plane that a test plays: it breaks, refuses, answers."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from websockets.asyncio.server import serve

from gondwana.agent import link as links
from gondwana.agent.core import AgentCore
from gondwana.agent.identity import Identity
from gondwana.agent.link import Link
from gondwana.core.errors import WrongState
from gondwana.wire import agent as wire
from gondwana.wire.machines import MachineSpeed

SECONDS_MAX = 20


class Plane:
    """Takes links, welcomes them, and hands each to the test."""

    def __init__(self, identity):
        self.key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(identity.public_key))
        self.links = asyncio.Queue()
        self.refusal = None

    async def serve(self, socket):
        hello = wire.decode_from_agent(await socket.recv())
        if self.refusal is not None:
            await socket.send(wire.encode(self.refusal))
            return
        await socket.send(wire.encode(wire.Challenge(nonce=b"challenge")))
        answer = wire.decode_from_agent(await socket.recv())
        self.key.verify(answer.signature, wire.challenge_claim(hello.machine_id, b"challenge"))
        welcome = wire.Welcome(blob_token="token", heartbeat_seconds=0.02, nonce=b"0")
        await socket.send(wire.encode(welcome))
        self.links.put_nowait(socket)
        await socket.wait_closed()

    async def next_link(self):
        async with asyncio.timeout(SECONDS_MAX):
            return await self.links.get()


async def heard(socket, *, beats=False):
    """The next message; heartbeats, and how fast the machine reaches us, are passed over."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            message = wire.decode_from_agent(await socket.recv())
            if isinstance(message, wire.Reach):
                continue
            if beats or not isinstance(message, wire.Heartbeat):
                return message


def play(tmp_path, monkeypatch, story):
    """Run `story(plane, link, core)` with a link that is kept up meanwhile."""
    monkeypatch.setattr(links, "BACKOFF_SECONDS_FIRST", 0.01)
    identity = Identity.open(tmp_path)

    async def run():
        plane, core = Plane(identity), AgentCore("mac_a", identity.sign)
        async with serve(plane.serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            link = Link(url, identity, core, on_welcome=lambda _: None, on_desired=core.desired)
            running = asyncio.create_task(link.run())
            telling = asyncio.create_task(story(plane, link, core))
            await asyncio.wait([running, telling], return_when=asyncio.FIRST_COMPLETED)
            for task in (running, telling):
                task.cancel()
            told, ran = await asyncio.gather(telling, running, return_exceptions=True)
            for error in (told, ran):
                if isinstance(error, Exception):
                    raise error

    try:
        asyncio.run(run())
    finally:
        identity.close()


def facts(make):
    return wire.Facts(inventory=make.inventory(), speed=MachineSpeed(), isolation="sandbox")


def test_what_was_not_acknowledged_is_said_again_in_order_on_the_next_link(
    tmp_path, monkeypatch, make
):
    async def story(plane, link, core):
        socket = await plane.next_link()
        link.send(facts(make))
        assert isinstance(await heard(socket), wire.Facts)
        lease = wire.LeaseDuty(lease_id="lea_a", epoch=1, job_id="job_a", own=False)
        await socket.send(wire.encode(wire.Desired(number=1, leases=(lease,))))
        while not core.serving:
            await asyncio.sleep(0)
        for data in (b"one", b"two", b"three"):
            link.send(core.report_log("lea_a", "run_a", 0, data))
        assert [(await heard(socket)).data for _ in range(3)] == [b"one", b"two", b"three"]
        await socket.send(wire.encode(wire.Ack(number=2)))
        while core.unreported == 3:
            await asyncio.sleep(0)
        await socket.close()
        again = await plane.next_link()
        assert isinstance(await heard(again), wire.Facts)
        assert [(await heard(again)).data for _ in range(2)] == [b"one", b"three"]

    play(tmp_path, monkeypatch, story)


def test_an_owner_who_wants_the_machine_back_is_heard_even_when_the_link_was_down(
    tmp_path, monkeypatch, make
):
    async def story(plane, link, core):
        socket = await plane.next_link()
        link.send(facts(make))
        await heard(socket)
        await socket.close()
        while link.welcomed.is_set():
            await asyncio.sleep(0)
        link.send(wire.Draining())
        for _ in range(2):
            again = await plane.next_link()
            assert isinstance(await heard(again), wire.Facts)
            assert isinstance(await heard(again), wire.Draining)
            await again.close()

    play(tmp_path, monkeypatch, story)


def test_a_heartbeat_signs_each_nonce_once_and_waits_for_the_next(tmp_path, monkeypatch):
    async def story(plane, link, core):
        socket = await plane.next_link()
        for nonce, following in ((b"0", b"1"), (b"1", b"2"), (b"2", b"3")):
            beat = await heard(socket, beats=True)
            plane.key.verify(beat.signature, wire.heartbeat_claim("mac_a", nonce, ()))
            await socket.send(wire.encode(wire.Beat(nonce=following)))

    play(tmp_path, monkeypatch, story)


def test_a_control_plane_that_does_not_answer_is_left_and_tried_again(tmp_path, monkeypatch):
    async def story(plane, link, core):
        first = await plane.next_link()
        second = await plane.next_link()
        assert first is not second

    play(tmp_path, monkeypatch, story)


def test_a_final_refusal_ends_the_agent_with_what_to_do(tmp_path, monkeypatch):
    async def story(plane, link, core):
        plane.refusal = wire.Refused(code="wrong_state", detail="left for good", final=True)
        await asyncio.Event().wait()

    with pytest.raises(WrongState, match="left for good"):
        play(tmp_path, monkeypatch, story)


def test_another_refusal_is_tried_again(tmp_path, monkeypatch):
    async def story(plane, link, core):
        plane.refusal = wire.Refused(code="unavailable", detail="busy", final=False)
        while link.welcomed.is_set():
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.1, lambda: setattr(plane, "refusal", None))
        await plane.next_link()

    play(tmp_path, monkeypatch, story)
