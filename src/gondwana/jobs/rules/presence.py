"""When the network itself could not hear its machines; pure. Such time is charged to no owner.

It was deaf while the control plane did not run, and while all machines of two owners or more fell silent in the same
minute: then it is our line or our database, not they. One owner alone cannot make such a silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.jobs.rules.service import Gap
from gondwana.supply.rules import DOWN_AFTER_SECONDS, RETURN_FACTOR

PASS_SECONDS: Final = 5.0  # between two looks
MISSED_SECONDS: Final = 6 * PASS_SECONDS  # without a look nobody knows who was heard
BEFORE_SECONDS: Final = 60.0  # whoever was heard so long before the silence is part of it
OWNERS_MIN: Final = 2
STALE_SECONDS: Final = 3 * PASS_SECONDS  # what is known may be a look and a heartbeat old; no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Who was heard last."""

    at: Instant | None  # the newest proof of life of any machine
    owners: int  # whose machines were heard in the minute up to it; two are told of any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """Until when the network is known to have heard its machines; what came later is not judged yet."""

    until: Instant
    is_deaf: bool = False  # it hears nobody now


def look(
    before: Hearing | None, *, now: Instant, listening_since: Instant, heard: Heard,
    down_after_seconds: float = DOWN_AFTER_SECONDS,
) -> tuple[Hearing, Gap | None]:  # fmt: skip
    """What is known after one more look, and the gap that it ends; a gap lasts on while agents come back.

    With several owners, no more is known than what was heard: a line that is dead says nothing. One owner's silence
    is his own.
    """
    several = heard.at is not None and heard.owners >= OWNERS_MIN
    is_deaf = several and now - (heard.at or now) > down_after_seconds
    until = min(now, heard.at or now) if several else now
    if before is None:
        return Hearing(until=until, is_deaf=is_deaf), None
    until = max(until, before.until)
    was_away = listening_since > before.until or until - before.until > MISSED_SECONDS
    if is_deaf or until == before.until or not (was_away or before.is_deaf):
        return Hearing(until=until, is_deaf=is_deaf), None
    back = Instant(until + down_after_seconds * RETURN_FACTOR)
    return Hearing(until=until), Gap(since=before.until, until=back)


def hears_since(
    until: Instant, gaps: Iterable[Gap], *, since: Instant, at: Instant
) -> Instant | None:
    """From when on, `since` or later, the network is known to hear its machines as it does at `at`; None: it does not.

    `until`: as far as is known by now. A gap lasts on while agents come back, so this may be a little ahead of `at`.
    """
    if until < at - STALE_SECONDS:
        return None
    return max((gap.until for gap in gaps if gap.since <= at and gap.until > since), default=since)
