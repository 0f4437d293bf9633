"""For how long a machine was proven to be there; pure. Presence proves nothing: a heartbeat costs nothing to send."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from gondwana.core.clock import Instant

CHECK_GAP_SECONDS_MAX: Final = (
    3_600.0  # between two passed checks; a card can be rented out for longer than that
)

Span = tuple[Instant, Instant]


def spans_between_checks(checks: Sequence[tuple[Instant, set[str]]], machine_id: str) -> list[Span]:
    """The times between two checks in a row that a machine passed; `checks` are all of its class, oldest first."""
    return [
        (first, second)
        for (first, passed), (second, passed_too) in pairwise(checks)
        if machine_id in passed
        and machine_id in passed_too
        and second - first <= CHECK_GAP_SECONDS_MAX
    ]


def length_ms(spans: Iterable[Span], since: Instant, until: Instant) -> int:
    """How much of [since, until) the spans cover, each instant once, in whole milliseconds."""
    total, at = 0.0, since
    for begins, ends in sorted(spans):
        first, last = max(begins, at), min(ends, until)
        if last > first:
            total, at = total + last - first, Instant(last)
    return int(total * 1000)


def is_checked(maker: str, tenant: str, evaluators: Iterable[str]) -> bool:
    """Whether an accepted unit proves its machine: judged by somebody who neither made nor bought it.

    `maker`, `tenant`, `evaluators` are owners. Who buys from himself proves nothing.
    """
    return maker != tenant and any(judge not in (maker, tenant) for judge in evaluators)
