"""An agent made by hand: it says on the real link whatever a test wants, true or not."""

import threading
import time
from contextlib import ExitStack

import numpy as np
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from network import Person
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gondwana.sdk import Client
from gondwana.training.codecs import Codec, Upload, encode_upload
from gondwana.training.manifest import Layout, Tensor, encode_checkpoint
from gondwana.wire import agent as wire
from gondwana.wire.machines import MachineInventory, MachineSpeed
from gondwana.wire.units import UnitResult
from gondwana.wire.views import MachineRegistration

LAYOUT = Layout(tensors=(Tensor(name="a", shape=(16, 8)), Tensor(name="b", shape=(8,))))
BEAT_SECONDS = 0.4
RECEIVE_SECONDS_MAX = 20.0


def checkpoint():
    """First parameters as an honest machine makes them."""
    params = np.random.default_rng(1).standard_normal(LAYOUT.size).astype(np.float32)
    return encode_checkpoint(params, LAYOUT)


def upload(delta, codec):
    """An upload of this delta; small for an honest one."""
    zeros = np.zeros(LAYOUT.size, np.float32)
    second = np.zeros(LAYOUT.second_size, np.float32)
    told = Upload(delta=np.float32(delta) * np.ones_like(zeros), momentum=zeros, second=second)
    return encode_upload(told, LAYOUT, Codec(codec))


class Handmade:
    """One machine whose words are made by hand. Heartbeats go out by themselves while its link is up."""

    def __init__(self, network, name, *, owner="hanna", price=1_000_000):
        self.name, self.network = name, network
        self.key = Ed25519PrivateKey.generate()
        self.owner: Person = network.person(owner, "provider")
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        self.registration = MachineRegistration(
            name=name, region="hand", public_key=public, devices=1,
            signature=self.key.sign(f"{name}|{public}".encode()).hex(),
            price_micro_usd_per_device_hour=price,
        )  # fmt: skip
        self.id = self.owner.client.machines.register(self.registration).id
        self._links = ExitStack()
        self.socket = None
        self.leases: tuple[wire.LeaseDuty, ...] = ()
        self.alive = True
        self._number = 0
        self._news = threading.Condition()
        self._acks: set[int] = set()
        self.refused: wire.Refused | None = None
        self.closed = threading.Event()

    def handshake(self, *, machine_id=None, key=None, protocol=wire.PROTOCOL):
        """Connect and answer the challenge; the plane's last word: `Welcome` or `Refused`."""
        url = self.network.url.replace("http", "ws", 1) + "/v1/link"
        self.disconnect()
        limits = {"max_size": wire.MESSAGE_BYTES_MAX, "compression": None}
        self.socket = self._links.enter_context(connect(url, **limits))
        name = machine_id or self.id
        self.say(wire.Hello(protocol=protocol, machine_id=name, agent_version="0"))
        challenge = self._next()
        if not isinstance(challenge, wire.Challenge):
            return challenge
        claim = wire.challenge_claim(name, challenge.nonce)
        self.say(wire.ChallengeAnswer(signature=(key or self.key).sign(claim)))
        return self._next()

    def connect(self):
        """Link up, tell what the machine has, beat on; the machine is up when this returns."""
        welcome = self.handshake()
        assert isinstance(welcome, wire.Welcome), welcome
        self.nonce = welcome.nonce
        self.blobs = Client(self.network.url, welcome.blob_token).blobs
        self.blob_token = welcome.blob_token
        self.closed.clear()
        self.say(
            wire.Facts(
                inventory=MachineInventory(
                    cpu_model="hand", cpu_count=4, memory_bytes=2**33, disk_free_bytes=2**36, os="Linux",
                    architecture="x86_64", python="3.12",
                ),
                speed=MachineSpeed(steps_per_second=100.0),
                isolation="sandbox",
            )
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()
        self.network.await_machine(self.name)
        return self

    def say(self, message):
        self.socket.send(wire.encode(message))

    def signed_heartbeat(self):
        proofs = tuple(
            wire.LeaseProof(lease_id=duty.lease_id, epoch=duty.epoch, alive=self.alive)
            for duty in sorted(self.leases, key=lambda duty: duty.lease_id)
        )
        claim = wire.heartbeat_claim(self.id, self.nonce, proofs)
        return wire.Heartbeat(signature=self.key.sign(claim), leases=proofs)

    def unit(self, kind=None, *, other_than=None):
        """The next unit it is given."""

        def found():
            units = [unit for duty in self.leases for unit in duty.units]
            return [u for u in units if kind in (None, u.kind) and u.id != other_than]

        with self._news:
            assert self._news.wait_for(found, RECEIVE_SECONDS_MAX), f"no unit came: {self.leases}"
            return found()[0]

    def lease_of(self, unit):
        return next(duty for duty in self.leases if unit in duty.units)

    def report(self, unit, data=None, *, duty=None, output=None, acknowledged=True, **changes):
        """Upload `data`, report the unit, and wait for the acknowledgement; the report."""
        duty = duty or self.lease_of(unit)
        if data is not None:
            output = self.blobs.put(data)
        self._number += 1
        said = {
            "number": self._number,
            "unit_id": unit.id,
            "lease_id": duty.lease_id,
            "epoch": duty.epoch,
            "output": output,
            "result": UnitResult(tokens=10, steps=unit.inner_steps, seconds=0.1),
            **changes,
        }
        claim = wire.unit_claim(said["unit_id"], said["lease_id"], said["epoch"], said["output"])
        report = wire.UnitReport(**{"signature": self.key.sign(claim), **said})
        return self.repeat(report, acknowledged=acknowledged)

    def repeat(self, report, *, acknowledged=True):
        """Send a report (again)."""
        with self._news:
            self._acks.discard(report.number)
        self.say(report)
        if acknowledged:
            with self._news:
                done = self._news.wait_for(lambda: report.number in self._acks, RECEIVE_SECONDS_MAX)
                assert done, f"no acknowledgement; refused: {self.refused}"
        return report

    def disconnect(self):
        self._links.close()

    def _next(self):
        return wire.decode_from_plane(self.socket.recv(RECEIVE_SECONDS_MAX))

    def _listen(self):
        socket, last = self.socket, 0.0
        try:
            while True:
                if self.nonce is not None and time.monotonic() - last > BEAT_SECONDS:
                    self.say(self.signed_heartbeat())
                    self.nonce, last = None, time.monotonic()
                try:
                    message = wire.decode_from_plane(socket.recv(BEAT_SECONDS / 4))
                except TimeoutError:
                    continue
                self._heard(message)
        except ConnectionClosed:
            self.closed.set()

    def _heard(self, message):
        with self._news:
            match message:
                case wire.Beat(nonce=nonce):
                    self.nonce = nonce
                case wire.Ack(number=number):
                    self._acks.add(number)
                case wire.Desired(leases=leases):
                    self.leases = leases
                case wire.Refused():
                    self.refused = message
            self._news.notify_all()


def name_of(data):
    return blake3(data).hexdigest()
