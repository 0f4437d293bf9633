"""What an owner promised and what was proven of it: the facts that a service credit rests on."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gondwana.core.errors import InvalidValue

PPM: Final = 1_000_000
UNSERVED_MS_MAX: Final = 86_400_000  # after a day without a machine, a tenant has gone elsewhere
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class SlaClass(StrEnum):
    """What the owner of a machine promises about its being there."""

    DATACENTRE = "datacentre"  # 99.5 %; below it a part of the month's price, at worst all of it
    MIXED = "mixed"  # 99 %; below it a part of the month's price
    HOME = "home"  # no promise: the price of the time that was missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One lease in one calendar month (UTC)."""

    lease_id: str
    month: str  # "2026-11"
    promised_ms: int  # see `promised_ms`
    proven_ms: int  # of it, the time that heartbeats proved
    charged_micro_usd: int  # what the tenant paid for the month so far
    credited_micro_usd: int = 0  # what was credited for the month so far

    def __post_init__(self) -> None:
        if not _MONTH.fullmatch(self.month):
            raise InvalidValue(field="month", value=self.month, hint="write 2026-11")
        counts = (self.promised_ms, self.proven_ms, self.charged_micro_usd, self.credited_micro_usd)
        if any(type(count) is not int or count < 0 for count in counts):
            raise InvalidValue(field="service", value=counts, hint="whole numbers of at least zero")

    @property
    def outage_ms(self) -> int:
        """What is missing of what was promised."""
        return max(0, self.promised_ms - self.proven_ms)


def promised_ms(live_ms: int, *, unserved_ms: int) -> int:
    """The time a lease owed in a month: while it was live, and after its owner ended it without notice.

    `unserved_ms` is from such an end until the order was served again; at most UNSERVED_MS_MAX of it counts.
    """
    return live_ms + min(unserved_ms, UNSERVED_MS_MAX)


def availability_ppm(service: Service) -> int:
    """The part of the promised time that was proven, rounded down; all of it where nothing was promised."""
    if service.promised_ms == 0:
        return PPM
    return (service.promised_ms - service.outage_ms) * PPM // service.promised_ms


def availability_words(service: Service) -> str:
    """`99.41 %`, rounded down, so that it never reads as a threshold that was missed."""
    ppm = availability_ppm(service)
    return f"{ppm // 10_000}.{ppm % 10_000 // 100:02d} %"
