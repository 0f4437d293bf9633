"""Typed identifiers: `job_01k3...`: a prefix that names the kind, then time-ordered random characters."""

import functools
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
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_TIME_CHARS: Final = 9  # 45 bits of milliseconds: until the year 3084
_RANDOM_CHARS: Final = 11  # 55 bits: no collision within one millisecond at any load we can see


def new_id(prefix: str, now: Instant, random: Random) -> str:
    """A new identifier `<prefix>_<20 characters>`; ids made later sort later."""
    return f"{prefix}_{_time(int(now * 1000))}{_encode(random.bits(55), _RANDOM_CHARS)}"


@functools.lru_cache(maxsize=16)
def _time(milliseconds: int) -> str:
    """Many are made in one moment."""
    return _encode(milliseconds, _TIME_CHARS)


def _encode(number: int, chars: int) -> str:
    """Two characters at a time, from the right; of an odd number the first stands alone."""
    shifts = range(10 * ((chars - 1) // 2), -1, -10)
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in shifts])[-chars:]
