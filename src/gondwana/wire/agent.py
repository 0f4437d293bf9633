"""What an agent and the control plane say to each other over one outbound WebSocket (architecture, section 6).

State, not commands: the control plane tells what should run (`Desired`, the whole list each time), the agent tells
what became of it (`RunReport`, `UnitReport`, repeated until acknowledged), and both converge. So a message may be
lost, repeated or late without harm. Binary, msgspec MessagePack; a tag names the message.
"""

import hashlib
from typing import Final

import msgspec

from gondwana.core.decoding import learnt
from gondwana.wire.machines import MachineInventory, MachineSpeed
from gondwana.wire.units import UnitResult, UnitSpec

PROTOCOL: Final = 2
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
DESIRED_BYTES_MAX: Final = (
    64 * 1024 * 1024
)  # from the control plane: the wishes of all leases of one machine
LOG_CHUNK_BYTES_MAX: Final = 64 * 1024
SIGNATURE_DOMAIN: Final = b"gondwana/link/1"
LAST_CALL_SECONDS: Final = 120.0  # before the end of a lease: time for a program to save its work
LEASE_ENDED: Final = "lease_ended"  # the reason of a notice that was agreed before the lease began


class LeaseProof(msgspec.Struct, frozen=True, kw_only=True):
    """One lease that the agent still serves, and whether its worker is alive."""

    lease_id: str
    epoch: int
    alive: bool


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """First word of an agent: who it is."""

    protocol: int
    machine_id: str
    agent_version: str
    boot: str = ""  # another one each time the agent starts: what an earlier life ran died with it


class ChallengeAnswer(msgspec.Struct, frozen=True, kw_only=True, tag="challenge_answer"):
    """The challenge's nonce, signed with the machine's key."""

    signature: bytes


class Facts(msgspec.Struct, frozen=True, kw_only=True, tag="facts"):
    """What the machine has and what was measured of it, under its owner's terms."""

    inventory: MachineInventory
    speed: MachineSpeed
    isolation: str  # "sandbox" | "plain" (its owner's own jobs only) | "none"


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """Proof of life: the last nonce, signed together with the list of live leases."""

    signature: bytes
    leases: tuple[LeaseProof, ...] = ()


class RunReport(msgspec.Struct, frozen=True, kw_only=True, tag="run_report"):
    """How a batch run stands; repeated until acknowledged."""

    number: int
    run_id: str
    lease_id: str
    epoch: int
    state: str  # "preparing" | "running" | "exited"
    exit_code: int | None = None
    reason: str = ""  # of an end that is not the program's own exit: "out_of_memory", ...
    output: str | None = None  # blob: tar of what the run left in its output folder


class UnitReport(msgspec.Struct, frozen=True, kw_only=True, tag="unit_report"):
    """A unit's delivery or failure, signed by the machine; repeated until acknowledged."""

    number: int
    unit_id: str
    lease_id: str
    epoch: int
    output: str | None = None  # blob
    result: UnitResult | None = None
    failure: str = ""  # "<reason>: detail"
    signature: bytes = b""  # over `unit_claim`


class CheckpointReport(msgspec.Struct, frozen=True, kw_only=True, tag="checkpoint_report"):
    """What a run wants the next attempt to go on from is uploaded; repeated until acknowledged."""

    number: int
    run_id: str
    lease_id: str
    epoch: int
    checkpoint: str  # blob: tar of the run's checkpoint folder


class LogChunk(msgspec.Struct, frozen=True, kw_only=True, tag="log_chunk"):
    """A piece of a run's output; `offset` counts bytes from its start, so a repeat is recognised."""

    number: int
    run_id: str
    lease_id: str
    epoch: int
    offset: int
    data: bytes


class Draining(msgspec.Struct, frozen=True, kw_only=True, tag="draining"):
    """The owner asked the agent to stop: finish what runs, give nothing new."""


class Challenge(msgspec.Struct, frozen=True, kw_only=True, tag="challenge"):
    """Sign this to show that you hold the machine's key."""

    nonce: bytes


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """You are known; beat this often, and move blobs with this token."""

    blob_token: str
    heartbeat_seconds: float
    nonce: bytes


class Beat(msgspec.Struct, frozen=True, kw_only=True, tag="beat"):
    """The heartbeat counted; sign this one next."""

    nonce: bytes


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The link ends here; `code` is from the error tree. `final` means that trying again is of no use."""

    code: str
    detail: str
    final: bool


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag="ack"):
    """The report with this number is stored, or is of no use any more; forget it."""

    number: int


class RunDuty(msgspec.Struct, frozen=True, kw_only=True):
    """A batch run that this machine should execute."""

    run_id: str
    setup: str
    run: str
    environment: dict[str, str]
    workdir: str | None
    file_mounts: dict[str, str]
    seconds_max: float
    checkpoint: str | None = None  # blob: what an earlier attempt left to go on from
    envs: dict[str, str] = {}  # the job's own; `environment` is what the control plane adds


class LeaseNotice(msgspec.Struct, frozen=True, kw_only=True):
    """How a lease ends, as far as it is known. Its run is told at once, or when it is near (LEASE_ENDED)."""

    reason: str  # as the lease's end will be told: "reclaimed", "maintenance", ...; "funds" while money runs out
    ends_at: float | None  # by the control plane's clock; None: any moment


class LeaseDuty(msgspec.Struct, frozen=True, kw_only=True):
    """What one lease asks of this machine now."""

    lease_id: str
    epoch: int
    job_id: str
    own: bool  # the tenant is the machine's owner: a plain process will do where that was allowed
    run: RunDuty | None = None
    units: tuple[UnitSpec, ...] = ()
    code: str | None = (
        None  # training: blob with the recipe's folder, for warming the worker up early
    )
    notice: LeaseNotice | None = None
    manifest_hash: str = ""  # of what was ordered (wire.manifests): what does not match is refused


class Desired(msgspec.Struct, frozen=True, kw_only=True, tag="desired"):
    """Everything that should run on this machine; what is not here should stop."""

    number: int  # grows; an older one is ignored
    leases: tuple[LeaseDuty, ...] = ()
    now: float = 0.0  # the control plane's clock: an agent's own may be wrong


class Echo(msgspec.Struct, frozen=True, kw_only=True, tag="echo"):
    """Answer at once: the control plane measures the way to you. With `echo_nonce`, since bytes are to come first."""

    nonce: bytes
    payload: bytes = b""  # random bytes, so that nothing on the way makes them fewer
    is_returned: bool = False  # send the payload back as well


class Listen(msgspec.Struct, frozen=True, kw_only=True, tag="listen"):
    """Open a port for one of your peers, who will show this token; close it after it, or after so long."""

    probe_id: str
    token: bytes
    seconds_max: float


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Measure the way to a peer, who listens there and knows this token."""

    probe_id: str
    address: str
    port: int
    token: bytes


PEERS_OFF, PEERS_OWN, PEERS_ALL = PEERS = ("off", "own", "all")


class Reach(msgspec.Struct, frozen=True, kw_only=True, tag="reach"):
    """With whom the owner lets this machine measure, and its address in its own network."""

    peers: str  # of PEERS
    address: str


class Echoed(msgspec.Struct, frozen=True, kw_only=True, tag="echoed"):
    """The answer to an echo: `echo_nonce` of it, which nobody knows before all of it has come."""

    nonce: bytes
    payload: bytes = b""


class Listening(msgspec.Struct, frozen=True, kw_only=True, tag="listening"):
    """The port is open."""

    probe_id: str
    port: int


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag="measured"):
    """What a peer's measurement came to."""

    probe_id: str
    round_trip_seconds: float | None  # None: it was not reached
    up_bits_per_second: float = 0.0  # to the peer
    down_bits_per_second: float = 0.0


FromAgent = (
    Hello
    | ChallengeAnswer
    | Facts
    | Heartbeat
    | RunReport
    | UnitReport
    | CheckpointReport
    | LogChunk
    | Draining
    | Reach
    | Echoed
    | Listening
    | Measured
)
FromPlane = Challenge | Welcome | Beat | Refused | Ack | Desired | Echo | Listen | Ask

_encoder = msgspec.msgpack.Encoder()
_from_agent = msgspec.msgpack.Decoder(learnt(FromAgent))
_from_plane = msgspec.msgpack.Decoder(learnt(FromPlane))


def encode(message: FromAgent | FromPlane) -> bytes:
    """The bytes of one WebSocket message."""
    return _encoder.encode(message)


def decode_from_agent(data: bytes) -> FromAgent:
    """The agent's message; raises msgspec.ValidationError or DecodeError, naming the field."""
    return _from_agent.decode(data)


def decode_from_plane(data: bytes) -> FromPlane:
    """The control plane's message; raises msgspec.ValidationError or DecodeError, naming the field."""
    return _from_plane.decode(data)


def echo_nonce(echo: Echo) -> bytes:
    """What answers an echo: its nonce, or a hash over all that it carries."""
    if not echo.payload:
        return echo.nonce
    return hashlib.blake2b(echo.nonce + echo.payload, digest_size=16).digest()


def challenge_claim(machine_id: str, nonce: bytes) -> bytes:
    """The bytes that a machine signs to connect."""
    return b"|".join((SIGNATURE_DOMAIN, b"challenge", machine_id.encode(), nonce))


def heartbeat_claim(machine_id: str, nonce: bytes, leases: tuple[LeaseProof, ...]) -> bytes:
    """The bytes that a machine signs to prove one heartbeat over its live leases."""
    listed = ";".join(f"{lease.lease_id},{lease.epoch},{int(lease.alive)}" for lease in leases)
    return b"|".join((SIGNATURE_DOMAIN, b"heartbeat", machine_id.encode(), nonce, listed.encode()))


def unit_claim(unit_id: str, lease_id: str, epoch: int, output: str | None) -> bytes:
    """The bytes that a machine signs to commit to what it delivers for a unit."""
    text = f"{unit_id}|{lease_id}|{epoch}|{output or '-'}"
    return b"|".join((SIGNATURE_DOMAIN, b"unit", text.encode()))
