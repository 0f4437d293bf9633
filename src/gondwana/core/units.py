"""Sizes and times that people read and write: `16GB`, `2h`."""

import re
from datetime import UTC, datetime
from typing import Final

from gondwana.core.errors import InvalidValue

KIB: Final = 1024
MIB: Final = 1024**2
GIB: Final = 1024**3

_SIZE_FACTORS: Final = {"": 1, "B": 1, "KB": KIB, "MB": MIB, "GB": GIB, "TB": 1024**4,
                        "K": KIB, "M": MIB, "G": GIB, "T": 1024**4,
                        "KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": 1024**4}  # fmt: skip
_TIME_FACTORS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_bytes(text: str | int, *, field: str) -> int:
    """The bytes in `16GB` or `512 MiB` (powers of 1024); a bare number is bytes."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    factor = _SIZE_FACTORS.get(match.group(2).upper()) if match else None
    if match is None or factor is None:
        raise InvalidValue(field=field, value=text, hint="write a size such as 16GB or 512MB")
    return int(float(match.group(1)) * factor)


def parse_seconds(text: str | float, *, field: str) -> float:
    """The seconds in `90`, `90s`, `15m`, `2h` or `1d`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(text))
    if match is None:
        raise InvalidValue(field=field, value=text, hint="write a time such as 90s, 15m or 2h")
    return float(match.group(1)) * _TIME_FACTORS[match.group(2)]


def parse_instant(text: str, *, field: str) -> float:
    """Seconds since 1970 of `2026-12-01T08:00Z`; UTC where no zone is said."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(
            field=field, value=text, hint="write a time such as 2026-12-01T08:00Z"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def format_instant(at: float) -> str:
    """`2026-12-01 08:00`, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def format_clock(at: float) -> str:
    """`08:00:15`, in UTC: of an instant that is near."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def format_bytes(count: float) -> str:
    """`1.5 MB`, in powers of 1024."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(count) < 1024 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("the loop returns")


def format_seconds(seconds: float) -> str:
    """`42 s`, `3 min 05 s` or `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
