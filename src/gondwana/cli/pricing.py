"""An owner's pricing policy: from options or a file, and in words."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gondwana.cli.output import facts, moment, price
from gondwana.core.errors import InvalidValue
from gondwana.core.money import parse_usd
from gondwana.core.units import format_seconds, parse_seconds
from gondwana.wire.pricing import SCRIPT_CHARS_MAX, PolicyKind, PricePolicy, PricingView, Window

FILE_BYTES_MAX: Final = 65_536
POLICIES: Final = tuple(each.value for each in PolicyKind)
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KEYS: Final = {
    "policy",
    "floor",
    "ceiling",
    "price",
    "target",
    "under",
    "step",
    "every",
    "timezone",
    "script",
    "window",
}
PERCENTS: Final = {
    "target": "target_basis_points",
    "under": "under_basis_points",
    "step": "move_basis_points_max",
}
WINDOW_KEYS: Final = {"days", "from", "to", "price"}
_HINT: Final = "see docs/howto/price-your-machine.md"


def read_policy_file(path: Path) -> dict[str, Any]:
    """The values of a policy file; raises InvalidValue for what is none."""
    text = _text(path, FILE_BYTES_MAX, "--policy-file")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidValue(
            f"{path} is no TOML: {error}", field="--policy-file", hint=_HINT
        ) from None
    unknown = sorted(values.keys() - KEYS)
    if unknown:
        raise InvalidValue(
            f"{path} has a key that means nothing here: {unknown[0]}",
            field=unknown[0],
            hint=f"one of {', '.join(sorted(KEYS))}",
        )
    if isinstance(values.get("script"), str):
        values["script"] = path.parent / values["script"]
    return values


def make_policy(values: Mapping[str, Any]) -> PricePolicy:
    """The policy that these values state; raises InvalidValue that names the one that does not."""
    kind = str(values.get("policy", ""))
    if kind not in list(PolicyKind):
        raise InvalidValue(field="--policy", value=kind, hint=f"one of {', '.join(PolicyKind)}")
    for name in ("floor", "ceiling"):
        if name not in values:
            raise InvalidValue(
                f"a policy needs a {name}", field=f"--{name}", hint="--floor 0.10 --ceiling 0.50"
            )
    given: dict[str, Any] = {}
    if "price" in values:
        given["price_micro_usd_per_device_hour"] = _usd(values["price"], "price")
    for name, field in PERCENTS.items():
        if name in values:
            given[field] = _basis_points(values[name], f"--{name}")
    if "every" in values:
        given["interval_seconds"] = round(parse_seconds(values["every"], field="--every"))
    if "script" in values:
        given["script"] = _text(Path(values["script"]), SCRIPT_CHARS_MAX, "--script")
    if "timezone" in values:
        given["timezone"] = str(values["timezone"])
    windows = values.get("window", [])
    if not isinstance(windows, list):
        raise InvalidValue(field="window", hint="write [[window]] once for each")
    return PricePolicy(
        kind=PolicyKind(kind),
        floor_micro_usd_per_device_hour=_usd(values["floor"], "--floor"),
        ceiling_micro_usd_per_device_hour=_usd(values["ceiling"], "--ceiling"),
        windows=tuple(_window(each) for each in windows),
        **given,
    )


def _window(values: Any) -> Window:
    if not isinstance(values, dict) or values.keys() != WINDOW_KEYS:
        raise InvalidValue(
            field="window", hint='days = "mon-fri", from = "18:00", to = "23:00", price = "0.40"'
        )
    return Window(
        days=_days(str(values["days"])),
        from_minute=_minute(values["from"], "window.from"),
        to_minute=_minute(values["to"], "window.to"),
        price_micro_usd_per_device_hour=_usd(values["price"], "window.price"),
    )


def _days(text: str) -> tuple[int, ...]:
    """`mon-fri,sun` -> (0, 1, 2, 3, 4, 6)."""
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise InvalidValue(field="window.days", value=text, hint="like mon-fri, or sat,sun")
        start, end = DAYS.index(first), DAYS.index(last or first)
        if end < start:
            raise InvalidValue(field="window.days", value=text, hint="a week begins with mon")
        found |= set(range(start, end + 1))
    return tuple(sorted(found))


def _minute(value: Any, field: str) -> int:
    hours, _, minutes = str(value).partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(minutes) < 60 and int(hours) <= 24):
        raise InvalidValue(
            field=field, value=value, hint="a time of the day such as 18:00, up to 24:00"
        )
    return int(hours) * 60 + int(minutes)


def _basis_points(value: Any, field: str) -> int:
    text = str(value).strip().removesuffix("%").strip()
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 100:
        raise InvalidValue(field=field, value=value, hint="a part of a hundred, e.g. 70%")
    return round(found * 100)


def _usd(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidValue(field=field, value=value, hint="dollars, e.g. 0.25")
    return parse_usd(value, field=field)


def _text(path: Path, chars_max: int, field: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(chars_max + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{path} cannot be read: {error}", field=field, hint=_HINT) from None
    if len(text) > chars_max:
        raise InvalidValue(f"{path} is longer than {chars_max} characters", field=field, hint=_HINT)
    return text


def show_pricing(view: PricingView) -> str:
    """Why a machine's price is what it is."""
    policy, told = view.policy, view.facts
    pairs = [
        ("machine", view.machine),
        ("price", f"{price(view.price_micro_usd_per_device_hour)} per hour"),
    ]
    if policy is None:
        return facts([*pairs, ("set by", "its owner: gondwana provider price MACHINE USD")])
    low, high = policy.floor_micro_usd_per_device_hour, policy.ceiling_micro_usd_per_device_hour
    pairs += [
        ("set by", f"policy {policy.kind}, from {price(low)} to {price(high)}"),
        ("because", view.reason or "not moved by the policy yet"),
        ("since", moment(view.changed_at)),
        ("now", view.next_reason),
    ]
    if told is not None:
        lowest = told.lowest_competing_micro_usd_per_device_hour
        used = f"{told.utilisation_basis_points / 100:g} %"
        others = f"{told.competing_devices} {told.model} in {told.region}"
        pairs += [
            ("leased", f"{used} of the last {format_seconds(policy.interval_seconds)}"),
            ("others", "offer none" if lowest is None else f"{others}, from {price(lowest)}"),
        ]
    return facts(pairs)
