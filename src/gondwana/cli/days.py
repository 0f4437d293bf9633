"""Days as people type them."""

from gondwana.core.errors import InvalidValue


def end_of_day(day: str, now: float) -> float:
    """The end of a day, UTC; raises InvalidValue for one that is over `now`."""
    from datetime import UTC, datetime, timedelta

    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        end = (start + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidValue(field="--expires", value=day, hint="write 2026-12-31") from None
    if end <= now:
        raise InvalidValue(field="--expires", value=day, hint="a day that is not over yet, UTC")
    return end
