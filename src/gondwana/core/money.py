"""Money is a whole number of micro-USD. Nothing here rounds in a way that depends on when it is called."""

import re
from decimal import Decimal
from typing import Final, NewType

from gondwana.core.errors import InvalidValue

MicroUsd = NewType("MicroUsd", int)

_AMOUNT: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")  # no 1e9: one slip of a key is a fortune
MICRO_PER_USD: Final = 1_000_000
MICRO_USD_MAX: Final = 2**62  # sums of two amounts still fit the database's signed 64 bits


def parse_usd(text: str | int | float, *, field: str) -> MicroUsd:
    """The amount that a person typed in dollars, in micro-USD; exact, at most six decimals.

    Raises InvalidValue, naming `field`, for anything that is not a finite amount of at least zero.
    """
    written = f"{Decimal(repr(text)):f}" if isinstance(text, float) else str(text)
    amount = written.strip().removeprefix("$").strip()
    if not _AMOUNT.fullmatch(amount):
        raise InvalidValue(field=field, value=text, hint="write dollars as a number, e.g. 1.25")
    micro = Decimal(amount) * MICRO_PER_USD
    if micro < 0:
        raise InvalidValue(field=field, value=text, hint="give an amount of 0 or more, e.g. 1.25")
    if micro > MICRO_USD_MAX:
        raise InvalidValue(field=field, value=text, hint="that is more than the books can hold")
    if micro != micro.to_integral_value():
        raise InvalidValue(
            field=field, value=text, hint="at most six decimals: the smallest unit is $0.000001"
        )
    return MicroUsd(int(micro))


def format_usd(micro_usd: int, *, decimals: int = 2) -> str:
    """`$1.25`, with more decimals where the amount would otherwise show as zero."""
    sign = "-" if micro_usd < 0 else ""
    amount = Decimal(abs(micro_usd)) / MICRO_PER_USD
    if amount and amount < Decimal(1).scaleb(-decimals):
        decimals = 6
    return f"{sign}${amount:,.{decimals}f}"


def due_micro_usd(price_micro_usd_per_hour: int, proven_seconds: int) -> MicroUsd:
    """What `proven_seconds` cost in all: `floor(price · T / 3600)`.

    Callers post this minus what is already posted, so the sum never depends on how often one settles
    (telescoping; ledger reference, "meter").
    """
    assert price_micro_usd_per_hour >= 0
    assert proven_seconds >= 0
    return MicroUsd(price_micro_usd_per_hour * proven_seconds // 3600)


def split_cumulative(total: int, basis_points: int) -> int:
    """The share of `basis_points` of a running total, floored; the payee with the residual takes the rest."""
    assert 0 <= basis_points <= 10_000
    return total * basis_points // 10_000
