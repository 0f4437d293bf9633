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


def new_id(prefix: str, now: Instant, random: Random) -> str:
    """A new identifier `<prefix>_<20 characters>`; ids made later sort later."""
    return f"{prefix}_{_time(int(now * 1000))}{_random(random.bits(55))}"


@functools.lru_cache(maxsize=16)
def _time(milliseconds: int) -> str:
    """Many are made in one moment."""
    shifts = range(5 * (_TIME_CHARS - 1), -1, -5)
    return "".join([_ALPHABET[(milliseconds >> shift) & 31] for shift in shifts])


def _random(bits: int) -> str:
    """11 characters of 55 bits: no collision within one millisecond at any load we can see."""
    pairs = _PAIRS
    return (
        f"{_ALPHABET[bits >> 50]}{pairs[bits >> 40 & 1023]}{pairs[bits >> 30 & 1023]}{pairs[bits >> 20 & 1023]}"
        f"{pairs[bits >> 10 & 1023]}{pairs[bits & 1023]}"
    )
