"""A subsidy program as a person writes it: dollars, hours, days and percent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gondwana.core.errors import InvalidJobFile, InvalidValue, UnknownKey
from gondwana.core.meant import did_you_mean
from gondwana.core.money import parse_usd
from gondwana.sdk.jobfile.reader import read_yaml
from gondwana.wire.subsidies import SubsidyClass, SubsidyRequest

EXAMPLE: Final = "one to copy is in docs/howto/start-a-network-with-subsidies.md"
PPM_PER_PERCENT: Final = 10_000
KEYS: Final = (
    "name", "budget_usd", "stake_usd_min", "classes", "epoch_hours", "decay_percent", "fees_percent_max",
    "vest_now_percent", "vest_days",
)  # fmt: skip
CLASS_KEYS: Final = (
    "floor_usd_per_hour", "electricity_usd_per_hour", "market_price_usd_per_hour", "devices_target",
)  # fmt: skip


def read_program(path: Path) -> SubsidyRequest:
    """The program in a file; raises UnknownKey and InvalidValue, naming the key."""
    try:
        told = read_yaml(path.read_bytes(), source=str(path))
    except InvalidJobFile as error:
        error.hint = EXAMPLE
        raise
    _check(told, KEYS, "")
    classes = told.get("classes")
    if not isinstance(classes, dict) or not classes:
        raise InvalidValue(
            field="classes", hint="classes: {RTX4090: {floor_usd_per_hour: 0.08, …}}"
        )
    most = told.get("fees_percent_max")
    return SubsidyRequest(
        id=str(told.get("name", path.stem)),
        budget_micro_usd=_usd(told, "budget_usd"),
        classes=tuple(_class(str(name), each) for name, each in classes.items()),
        stake_micro_usd_min=_usd(told, "stake_usd_min"),
        epoch_seconds=_whole(told, "epoch_hours", 24, 3_600),
        decay_ppm=_whole(told, "decay_percent", 0, PPM_PER_PERCENT),
        alpha_ppm=None if most is None else _whole(told, "fees_percent_max", 0, PPM_PER_PERCENT),
        vest_now_ppm=_whole(told, "vest_now_percent", 25, PPM_PER_PERCENT),
        vest_seconds=_whole(told, "vest_days", 90, 86_400),
    )


def _class(name: str, told: Any) -> SubsidyClass:
    where = f"classes.{name}"
    if not isinstance(told, dict):
        raise InvalidValue(field=where, hint=f"a mapping of {', '.join(CLASS_KEYS)}")
    _check(told, CLASS_KEYS, f"{where}.")
    target = told.get("devices_target")
    if type(target) is not int:
        raise InvalidValue(field=f"{where}.devices_target", value=target, hint="a whole number")
    return SubsidyClass(
        name=name,
        floor_micro_usd_per_hour=_usd(told, "floor_usd_per_hour", where),
        electricity_micro_usd_per_hour=_usd(told, "electricity_usd_per_hour", where),
        market_price_micro_usd_per_hour=_usd(told, "market_price_usd_per_hour", where),
        devices_target=target,
    )


def _check(told: Mapping[Any, Any], keys: tuple[str, ...], where: str) -> None:
    for key in told:
        if key not in keys:
            raise UnknownKey(key=f"{where}{key}", hint=did_you_mean(str(key), keys))


def _usd(told: Mapping[str, Any], key: str, where: str = "") -> int:
    field = f"{where}.{key}" if where else key
    if key not in told:
        raise InvalidValue(field=field, hint="it has to be said, in dollars")
    return parse_usd(told[key], field=field)


def _whole(told: Mapping[str, Any], key: str, default: float, times: int) -> int:
    """A number of hours, days or percent, in seconds or parts of a million."""
    value = told.get(key, default)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value * times < 2**53
    ):
        raise InvalidValue(field=key, value=value, hint="a number of at least 0")
    return round(value * times)
