"""Typed identifiers: `job_01k3...`: a prefix that names the kind, then time-ordered random characters."""

from typing import Final, NewType

from gondwana.core.clock import Instant
from gondwana.core.random import Random

PrincipalId = NewType("PrincipalId", str)
MachineId = NewType("MachineId", str)
OfferId = NewType("OfferId", str)
OrderId = NewType("OrderId", str)
LeaseId = NewType("LeaseId", str)
JobId = NewType("JobId", str)
RunId = NewType("RunId", str)
UnitId = NewType("UnitId", str)
BlobName = NewType("BlobName", str)
"""64 hexadecimal characters: the BLAKE3 hash of the blob's bytes."""

ID_CHARS_MAX: Final = 64
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u to misread
_TIME_CHARS: Final = 9  # 45 bits of milliseconds: until the year 3084
_RANDOM_CHARS: Final = 11  # 55 bits: no collision within one millisecond at any load we can see


def new_id(prefix: str, now: Instant, random: Random) -> str:
    """A new identifier `<prefix>_<20 characters>`; ids made later sort later."""
    return (
        f"{prefix}_{_encode(int(now * 1000), _TIME_CHARS)}{_encode(random.bits(55), _RANDOM_CHARS)}"
    )


def _encode(number: int, chars: int) -> str:
    digits = [_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(chars))]
    return "".join(digits)
