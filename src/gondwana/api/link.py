"""The control plane's end of an agent's link, without I/O: messages in, messages out (wire/agent.py).

A machine is known by its key alone: it signs a nonce to connect, and each heartbeat signs the nonce that came with
the one before, so a recorded heartbeat proves nothing a second time.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gondwana.api.plane import Plane
from gondwana.core.clock import Instant
from gondwana.core.errors import (
    BadSignature,
    GondwanaError,
    Invalid,
    NotFound,
    StaleEpoch,
    WrongState,
)
from gondwana.core.events import Event
from gondwana.core.values import replace
from gondwana.db.transaction import Transaction
from gondwana.jobs import end, network, report
from gondwana.jobs.duty import duty
from gondwana.jobs.proofs import Proof
from gondwana.jobs.rules.reach import Reached
from gondwana.supply import rules as supply_rules
from gondwana.supply import store as supply
from gondwana.supply.model import Machine, MachineState
from gondwana.supply.network import save_network
from gondwana.wire import agent as wire

T = TypeVar("T")
NONCE_BYTES: Final = 16
BOOT_CHARS_MAX: Final = 64
ADDRESS_CHARS_MAX: Final = 45  # an IPv6 address at its longest
DROPPED: Final = (StaleEpoch, NotFound, Invalid, WrongState)
"""Refusals after which sending the report again is of no use, so it is acknowledged."""


class Session:
    """One connection of one agent. `handle` may write; `heartbeat` never does, so it may run on an event loop."""

    def __init__(self, plane: Plane, address: str) -> None:
        self._plane = plane
        self._address = address
        self._nonce = plane.context.random.token(NONCE_BYTES)
        self._desired_number = 0
        self._last_duty: tuple[wire.LeaseDuty, ...] | None = None
        self._key: Ed25519PublicKey | None = None
        self._claimed = ""
        self._boot = ""
        self.machine_id: str | None = None  # set once the machine has shown that it holds its key

    def hello(self, message: wire.FromAgent) -> list[wire.FromPlane]:
        """Answer the first word of an agent with a challenge; raises GondwanaError for what cannot be served."""
        if not isinstance(message, wire.Hello):
            raise Invalid("a link begins with hello")
        if message.protocol != wire.PROTOCOL:
            raise Invalid(
                f"the agent speaks protocol {message.protocol}, this control plane {wire.PROTOCOL}",
                hint="pip install --upgrade gondwana",
            )
        machine = supply.machine(self._plane.context.database.reader(), message.machine_id)
        if machine.state is MachineState.LEFT:
            raise WrongState(
                f"machine '{machine.name}' left for good",
                hint="join again with another --state folder",
            )
        self._claimed = machine.id
        self._boot = message.boot[:BOOT_CHARS_MAX]
        self._key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(machine.public_key))
        return [wire.Challenge(nonce=self._nonce)]

    def answer(self, message: wire.FromAgent) -> list[wire.FromPlane]:
        """Welcome a machine that has signed the challenge; raises BadSignature."""
        if not isinstance(message, wire.ChallengeAnswer):
            raise Invalid("the challenge must be answered first")
        self._verify(message.signature, wire.challenge_claim(self._claimed, self._nonce))
        self.machine_id = self._claimed
        self._nonce = self._plane.context.random.token(NONCE_BYTES)
        writer = self._plane.context.database.writer
        now = self._plane.clock.now()
        writer.call(_connected, now, self.machine_id, address=self._address, boot=self._boot)
        return [
            wire.Welcome(
                blob_token=self._plane.issue_blob_token(self.machine_id),
                heartbeat_seconds=self._plane.context.heartbeat_seconds,
                nonce=self._nonce,
            )
        ]

    def heartbeat(self, message: wire.Heartbeat) -> wire.Beat:
        """Count a heartbeat that signs the last nonce, and give the next one; raises BadSignature."""
        machine_id = self._known()
        self._verify(
            message.signature, wire.heartbeat_claim(machine_id, self._nonce, message.leases)
        )
        self._nonce = self._plane.context.random.token(NONCE_BYTES)
        self._plane.proofs.add(
            Proof(machine_id=machine_id, at=self._plane.clock.now(), leases=message.leases)
        )
        return wire.Beat(nonce=self._nonce)

    def handle(self, message: wire.FromAgent) -> list[wire.FromPlane]:
        """Store what the agent tells; the answers to send."""
        machine_id, now = self._known(), self._plane.clock.now()
        writer, blobs = self._plane.context.database.writer, self._plane.context.blobs
        match message:
            case wire.Heartbeat():
                return [self.heartbeat(message)]
            case wire.Facts():
                writer.call(_facts, now, machine_id, message)
                return []
            case wire.Draining():
                writer.call(_drain, now, machine_id)
                return []
            case wire.RunReport():
                self._store(lambda tx: report.run_report(tx, now, machine_id, message))
                return [wire.Ack(number=message.number)]
            case wire.CheckpointReport():
                self._store(
                    lambda tx: report.checkpoint_report(tx, blobs, now, machine_id, message)
                )
                return [wire.Ack(number=message.number)]
            case wire.LogChunk():
                job_id = self._store(lambda tx: report.log_chunk(tx, machine_id, message))
                if job_id is not None:
                    self._plane.output_came(job_id)
                return [wire.Ack(number=message.number)]
            case wire.UnitReport():
                claim = wire.unit_claim(
                    message.unit_id, message.lease_id, message.epoch, message.output
                )
                self._verify(message.signature, claim)
                self._store(lambda tx: report.unit_report(tx, blobs, now, machine_id, message))
                return [wire.Ack(number=message.number)]
            case wire.Reach():
                self._reach(message)
                return []
            case wire.Listening():
                self._plane.context.probes.listening(machine_id, message)
                return []
            case wire.Measured():
                probe = self._plane.context.probes.measured(machine_id, message)
                if probe is not None:
                    writer.call(network.pair_measured, now, probe, message)
                return []
            case wire.Echoed():
                return []
            case wire.Hello() | wire.ChallengeAnswer():
                raise Invalid("the link has begun already")

    def desired(self) -> list[wire.FromPlane]:
        """What the machine should do, if that is news to it."""
        now_due = duty(self._plane.context.database.reader(), self._known())
        if now_due == self._last_duty:
            return []
        self._last_duty = now_due
        self._desired_number += 1
        now = self._plane.clock.now()
        return [wire.Desired(number=self._desired_number, leases=now_due, now=now)]

    def probes(self) -> list[wire.FromPlane]:
        """What the machine should measure; told once."""
        return self._plane.context.probes.take(self._known())

    def measured(self, round_trip_seconds: float) -> None:
        """The way to this machine, as it was measured."""
        writer, now = self._plane.context.database.writer, self._plane.clock.now()
        writer.call(network.link_measured, now, self._known(), round_trip_seconds)

    def bandwidth(self, up_bits_per_second: float, down_bits_per_second: float) -> None:
        """How fast this machine sends and receives, as it was measured."""
        writer, now, machine_id = (
            self._plane.context.database.writer,
            self._plane.clock.now(),
            self._known(),
        )
        writer.call(
            network.bandwidth_measured, now, machine_id, up_bits_per_second=up_bits_per_second,
            down_bits_per_second=down_bits_per_second,
        )  # fmt: skip

    def close(self) -> None:
        """The link is gone."""
        if self.machine_id is not None:
            self._plane.context.probes.unlinked(self.machine_id)

    def _reach(self, message: wire.Reach) -> None:
        machine_id = self._known()
        if message.peers not in wire.PEERS:
            raise Invalid(f"peers are one of {', '.join(wire.PEERS)}")
        owner = supply.machine(self._plane.context.database.reader(), machine_id).owner_id
        reached = Reached(
            owner_id=owner,
            peers=message.peers,
            own_address=message.address[:ADDRESS_CHARS_MAX],
            seen_address=self._address,
        )
        self._plane.context.probes.linked(machine_id, reached)

    def _store(self, run: Callable[[Transaction], T]) -> T | None:
        """What `run` returns; None where it was late, repeated or foreign: it need not come again."""
        with suppress(*DROPPED):
            return self._plane.context.database.writer.call(run)
        return None

    def _known(self) -> str:
        if self.machine_id is None:
            raise BadSignature("the machine has not shown its key yet")
        return self.machine_id

    def _verify(self, signature: bytes, claim: bytes) -> None:
        assert self._key is not None, "hello comes first"
        try:
            self._key.verify(signature, claim)
        except InvalidSignature:
            raise BadSignature() from None


def refusal(error: GondwanaError) -> wire.Refused:
    """What an agent is told before its link is closed."""
    final = not isinstance(error, BadSignature) and error.status < 500
    return wire.Refused(
        code=error.code, detail=f"{error.message} {error.hint or ''}".strip(), final=final
    )


def _connected(tx: Transaction, now: Instant, machine_id: str, *, address: str, boot: str) -> None:
    known = supply.machine(tx, machine_id)
    machine = supply.save(tx, replace(known, address=address, boot=boot))
    if known.boot not in ("", boot):
        end.lose_begun_runs(tx, now, machine_id)
    if machine.state in (MachineState.JOINING, MachineState.DOWN):
        supply.move(tx, now, machine, MachineState.PROBING)
    names = {"machine": machine.name, "machine_id": machine.id}
    tx.emit(Event(at=now, kind="machine.connected", subject=machine.id, data=names))


def _facts(tx: Transaction, now: float, machine_id: str, facts: wire.Facts) -> None:
    instant = supply.Instant(now)
    machine = replace(
        supply.machine(tx, machine_id),
        inventory=supply_rules.bounded_inventory(facts.inventory),
        speed=supply_rules.measured(facts.speed),
        isolation=supply_rules.bounded_isolation(facts.isolation),
        proven_at=instant,
    )
    machine = save_network(tx, instant, machine)
    supply.move(tx, instant, machine, supply_rules.state_on_facts(machine))


def _drain(tx: Transaction, now: float, machine_id: str) -> None:
    machine: Machine = supply.machine(tx, machine_id)
    if MachineState.DRAINING in supply_rules.TRANSITIONS[machine.state]:
        supply.move(
            tx, supply.Instant(now), machine, MachineState.DRAINING, reason=supply_rules.STOPPED
        )
