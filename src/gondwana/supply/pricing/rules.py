"""What a pricing policy makes of the facts; pure, in whole micro-USD. A reason in words comes with every price."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.money import format_usd
from gondwana.core.units import format_seconds
from gondwana.supply.rules import PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR
from gondwana.wire.pricing import (
    INTERVAL_SECONDS_MAX,
    INTERVAL_SECONDS_MIN,
    MOVE_BASIS_POINTS_MAX,
    SCRIPT_CHARS_MAX,
    WINDOWS_MAX,
    PolicyKind,
    PriceFacts,
    PricePolicy,
)

WHOLE: Final = 10_000  # basis points
BAND_BASIS_POINTS: Final = 500  # so near its target utilisation moves nothing
ANSWER_INTERVALS_MAX: Final = 3  # a script's answer that is older counts no more
MINUTES_PER_DAY: Final = 1_440
SLOW: Final = frozenset({PolicyKind.UTILISATION, PolicyKind.UNDERCUT, PolicyKind.SCRIPT})
"""Kinds whose moves are bounded; the others are prices that the owner typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The price to ask from now on, and why."""

    price_micro_usd_per_device_hour: int
    reason: str


def decide(policy: PricePolicy, facts: PriceFacts, now: Instant) -> Decision:
    """The price to ask: within floor and ceiling always, and of a slow kind one bounded move per interval."""
    price = facts.price_micro_usd_per_device_hour
    low, high = policy.floor_micro_usd_per_device_hour, policy.ceiling_micro_usd_per_device_hour
    if not low <= price <= high:
        edge = low if price < low else high
        return Decision(
            price_micro_usd_per_device_hour=edge,
            reason=f"brought to your {'floor' if edge == low else 'ceiling'} of {_usd(edge)}",
        )
    wanted, reason = _WANTED[policy.kind](policy, facts, now)
    if policy.kind in SLOW and wanted != price:
        rest = facts.changed_at + policy.interval_seconds - now
        if rest > 0:
            return Decision(
                price_micro_usd_per_device_hour=price,
                reason=f"{reason}; the next move may come in {format_seconds(rest)}",
            )
        most = max(1, price * policy.move_basis_points_max // WHOLE)
        bounded = min(max(wanted, price - most), price + most)
        if bounded != wanted:
            reason += f", at most {_percent(policy.move_basis_points_max)} at once"
        wanted = bounded
    within = min(max(wanted, low), high)
    if within != wanted:
        reason += f", held at your {'floor' if within == low else 'ceiling'} of {_usd(within)}"
    return Decision(price_micro_usd_per_device_hour=within, reason=reason)


_Wanted = tuple[int, str]


def _fixed(policy: PricePolicy, facts: PriceFacts, now: Instant) -> _Wanted:
    price = policy.price_micro_usd_per_device_hour
    wanted = facts.price_micro_usd_per_device_hour if price is None else price
    return wanted, f"fixed at {_usd(wanted)}"


def _by_utilisation(policy: PricePolicy, facts: PriceFacts, now: Instant) -> _Wanted:
    used, target = facts.utilisation_basis_points, policy.target_basis_points
    price = facts.price_micro_usd_per_device_hour
    step = max(1, price * policy.move_basis_points_max // WHOLE)
    told = (
        f"{_percent(used)} leased in the last {format_seconds(policy.interval_seconds)}, "
        f"target {_percent(target)}"
    )
    if used > target + BAND_BASIS_POINTS or (used == WHOLE and target < WHOLE):
        return price + step, f"raised: {told}"
    if used < target - BAND_BASIS_POINTS:
        return price - step, f"lowered: {told}"
    return price, f"kept: {told}"


def _by_schedule(policy: PricePolicy, facts: PriceFacts, now: Instant) -> _Wanted:
    local = datetime.fromtimestamp(now, tz=ZoneInfo(policy.timezone))
    minute = local.hour * 60 + local.minute
    for window in policy.windows:
        if local.weekday() in window.days and window.from_minute <= minute < window.to_minute:
            hours = f"{_clock(window.from_minute)} to {_clock(window.to_minute)}"
            return window.price_micro_usd_per_device_hour, f"{local:%A} {hours} {policy.timezone}"
    price = policy.price_micro_usd_per_device_hour
    wanted = facts.price_micro_usd_per_device_hour if price is None else price
    return wanted, f"outside the hours of the schedule ({local:%A %H:%M} {policy.timezone})"


def _by_undercut(policy: PricePolicy, facts: PriceFacts, now: Instant) -> _Wanted:
    lowest = facts.lowest_competing_micro_usd_per_device_hour
    if lowest is None:
        return policy.ceiling_micro_usd_per_device_hour, (
            f"no other owner offers {facts.model or 'this'} here: towards your ceiling"
        )
    under = lowest * (WHOLE - policy.under_basis_points) // WHOLE
    return under, f"undercut {_percent(policy.under_basis_points)} of {_usd(lowest)}"


def _by_script(policy: PricePolicy, facts: PriceFacts, now: Instant) -> _Wanted:
    price, answer = facts.price_micro_usd_per_device_hour, facts.answer_micro_usd_per_device_hour
    if facts.answer_error:
        return price, f"kept: your script failed: {facts.answer_error}"
    if answer is None or facts.answered_at is None:
        return price, "kept: your script has not answered yet"
    age = now - facts.answered_at
    if age > ANSWER_INTERVALS_MAX * policy.interval_seconds:
        return price, f"kept: your script last answered {format_seconds(age)} ago"
    return answer, f"your script said {_usd(answer)}"


_WANTED: Final[dict[PolicyKind, Callable[[PricePolicy, PriceFacts, Instant], _Wanted]]] = {
    PolicyKind.FIXED: _fixed,
    PolicyKind.UTILISATION: _by_utilisation,
    PolicyKind.SCHEDULE: _by_schedule,
    PolicyKind.UNDERCUT: _by_undercut,
    PolicyKind.SCRIPT: _by_script,
}


def check_policy(policy: PricePolicy) -> PricePolicy:
    """The policy, if it can be kept; raises InvalidValue that names what cannot."""
    _limit("floor", policy.floor_micro_usd_per_device_hour, 0, PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR)
    _limit(
        "ceiling",
        policy.ceiling_micro_usd_per_device_hour,
        policy.floor_micro_usd_per_device_hour,
        PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR,
    )
    if policy.price_micro_usd_per_device_hour is not None:
        _limit(
            "price", policy.price_micro_usd_per_device_hour, 0, PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR
        )
    _limit("interval", policy.interval_seconds, INTERVAL_SECONDS_MIN, INTERVAL_SECONDS_MAX)
    _limit("step", policy.move_basis_points_max, 1, MOVE_BASIS_POINTS_MAX)
    _limit("target", policy.target_basis_points, 0, WHOLE)
    _limit("under", policy.under_basis_points, 0, WHOLE)
    _check_schedule(policy)
    if len(policy.script) > SCRIPT_CHARS_MAX:
        raise InvalidValue(field="script", hint=f"at most {SCRIPT_CHARS_MAX} characters")
    if (policy.kind is PolicyKind.SCRIPT) != bool(policy.script.strip()):
        hint = (
            "--policy script --script FILE"
            if not policy.script
            else "a script needs --policy script"
        )
        raise InvalidValue(field="script", hint=hint)
    return policy


def _check_schedule(policy: PricePolicy) -> None:
    if (policy.kind is PolicyKind.SCHEDULE) != bool(policy.windows):
        raise InvalidValue(
            field="windows", hint="a schedule has windows, nothing else has: --policy-file FILE"
        )
    if len(policy.windows) > WINDOWS_MAX:
        raise InvalidValue(
            field="windows", value=len(policy.windows), hint=f"at most {WINDOWS_MAX}"
        )
    for window in policy.windows:
        _limit("window.from", window.from_minute, 0, MINUTES_PER_DAY - 1)
        _limit("window.to", window.to_minute, window.from_minute + 1, MINUTES_PER_DAY)
        _limit(
            "window.price",
            window.price_micro_usd_per_device_hour,
            0,
            PRICE_MAX_MICRO_USD_PER_DEVICE_HOUR,
        )
        if not window.days or not set(window.days) <= set(range(7)):
            raise InvalidValue(
                field="window.days", value=str(window.days)[:80], hint="like mon-fri, or sat,sun"
            )
    try:
        ZoneInfo(policy.timezone)
    except (ValueError, OSError, KeyError):
        raise InvalidValue(
            field="timezone", value=policy.timezone[:80], hint="like Europe/Berlin, or UTC"
        ) from None


def _limit(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidValue(field=field, value=value, hint=f"from {low} to {high}")


def utilisation_basis_points(
    devices: int, served: list[tuple[int, float, float]], *, since: float, now: float
) -> int:
    """How much of the devices' time since then was leased; `served` holds (devices, from, to) of each lease."""
    span = max(0.0, now - since) * devices
    if span <= 0:
        return 0
    used = sum(count * max(0.0, min(to, now) - max(start, since)) for count, start, to in served)
    return min(WHOLE, max(0, round(used / span * WHOLE)))


def _usd(micro_usd: int) -> str:
    return format_usd(micro_usd, decimals=2 if micro_usd % 10_000 == 0 else 6)


def _percent(basis_points: int) -> str:
    return f"{basis_points / 100:g} %"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
