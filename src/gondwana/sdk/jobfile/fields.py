"""Reading typed values out of a mapping; every refusal names the key's full path, the value, and what to write."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn, cast

from gondwana.core.errors import InvalidValue, UnknownKey, UnsupportedKey
from gondwana.core.meant import did_you_mean
from gondwana.sdk.jobfile.keys import INSTEAD, SKYPILOT, TABLES

VALUE_CHARS_SHOWN_MAX: Final = 60


class Fields:
    """One mapping of the file, at `path`."""

    def __init__(self, values: Mapping[str, Any], path: str) -> None:
        self.values = values
        self.path = path

    def at(self, key: str) -> str:
        """The full path of one of its keys."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """True when the key is there with a value."""
        return self.values.get(key) is not None

    def check_keys(self, table: str | None = None) -> None:
        """Raise UnsupportedKey for a key that only SkyPilot knows, UnknownKey for any other that is not ours."""
        table = self.path if table is None else table
        known, skypilot = TABLES[table], SKYPILOT.get(table, frozenset[str]())
        for key in self.values:
            if str(key) in skypilot:
                raise unsupported(self.at(key), INSTEAD.get(f"{table}.{key}" if table else key))
            if str(key) not in known:
                hint = did_you_mean(str(key), known, at=self.at(""), foreign=skypilot)
                raise UnknownKey(
                    f"there is no key {self.at(str(key))}", key=self.at(str(key)), hint=hint
                )

    def mapping(self, key: str) -> "Fields":
        """The mapping under `key`; an absent one is empty."""
        value = self.values.get(key)
        if value is None:
            return Fields({}, self.at(key))
        if not isinstance(value, dict):
            self.refuse(key, "is not a map of keys to values", "write its keys below it, indented")
        return Fields(cast("dict[str, Any]", value), self.at(key))

    def text(
        self, key: str, default: str, *, hint: str = "write words", chars_max: int = 4096
    ) -> str:
        """The string under `key`."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.refuse(
                key, "is not text", f'{hint}; with quotes if it looks like a number: "{value}"'
            )
        if len(value.encode()) > chars_max:
            self.refuse(key, f"is longer than {chars_max} bytes", "put it into a file in workdir")
        if "\0" in value:
            self.refuse(key, "holds a zero byte", hint)
        return value

    def integer(self, key: str, default: int, *, least: int, most: int) -> int:
        """The whole number under `key`."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.refuse(
                key,
                "is not a whole number in range",
                f"write a whole number from {least} to {most}",
            )
        return value

    def number(self, key: str, default: float, *, least: float, most: float) -> float:
        """The number under `key`."""
        value = self.values.get(key)
        if value is None:
            return default
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not least <= value <= most
        ):
            self.refuse(
                key, "is not a number in range", f"write a number from {least:g} to {most:g}"
            )
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false; false when it is missing."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.refuse(key, "is neither true nor false", "write true or false")
        return value

    def refuse(self, key: str, what: str, hint: str) -> NoReturn:
        """Raise InvalidValue for the value under `key`."""
        raise invalid(self.at(key), self.values.get(key), what, hint)


def invalid(path: str, value: object, what: str, hint: str) -> InvalidValue:
    """The refusal of one value."""
    shown = repr(value)
    if len(shown) > VALUE_CHARS_SHOWN_MAX:
        shown = shown[: VALUE_CHARS_SHOWN_MAX - 1] + "…"
    return InvalidValue(f"{path}: {shown} {what}", field=path, value=shown, hint=hint)


def unsupported(path: str, instead: str | None = None) -> UnsupportedKey:
    """The refusal of something that SkyPilot has and we have not yet."""
    return UnsupportedKey(
        f"{path} exists in SkyPilot, but is not supported yet",
        key=path,
        hint=instead or f"take {path.split('.')[-1].split('[')[0]} out of the file",
    )
