"""What the same work costs at other people's list prices: a dated table with sources, which an operator may replace."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from gondwana.core.devices import canonical_device
from gondwana.core.errors import InvalidValue
from gondwana.core.money import parse_usd
from gondwana.market.plans.model import Host

FILE: Final = "list_prices.toml"
FILE_BYTES_MAX: Final = 1_000_000
PRICES_MAX: Final = 1_000  # of one table
COMPARISONS_MAX: Final = 6  # told of one plan
TEXT_CHARS_MAX: Final = 200
_HINT: Final = "compare it with docs/reference/prices.md, which is made from such a file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPrice:
    """What one provider asks for one device and hour."""

    provider: str
    kind: str  # "hyperscaler", "specialist", "market": the table's own words
    model: str  # canonical
    price_micro_usd_per_device_hour: int
    as_of: str  # a month, a year, or "undated"
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPrices:
    """A table: prices, and how fast the vendors say their devices are."""

    name: str
    prices: tuple[ListPrice, ...]
    tflops: Mapping[str, float]  # model -> dense 16-bit TFLOP/s, as its vendor states it


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The same work at one list price."""

    listed: ListPrice
    device_hours: float  # of the listed model
    per_device: (
        float  # hours of the listed model for one of the plan's devices: 1 for the same model
    )
    cost_micro_usd: int


@cache
def packaged() -> ListPrices:
    """The table that comes with Gondwana."""
    return parse(files("gondwana.market").joinpath(FILE).read_text(encoding="utf-8"), source=FILE)


def parse(text: str, *, source: str) -> ListPrices:
    """The table in `text`; raises InvalidValue that names what is wrong in it."""
    if len(text) > FILE_BYTES_MAX:
        raise _wrong(source, "is too long", value=len(text))
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(source, f"is no TOML: {error}", value=None) from None
    rows, sources, speeds = (
        table.get("price", []),
        table.get("sources", {}),
        table.get("tflops", {}),
    )
    if not isinstance(rows, list) or len(rows) > PRICES_MAX:
        raise _wrong(f"{source}: price", f"is no list of at most {PRICES_MAX}", value=None)
    if not isinstance(sources, dict) or not isinstance(speeds, dict):
        raise _wrong(source, "[sources] and [tflops] are tables", value=None)
    for model, speed in speeds.items():
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed < 1e9:
            raise _wrong(f"{source}: tflops.{model}", "is no speed", value=speed)
    return ListPrices(
        name=_text(table, "name", source, default=source),
        prices=tuple(_price(row, sources, f"{source}: price {n}") for n, row in enumerate(rows, 1)),
        tflops={canonical_device(model): float(speed) for model, speed in speeds.items()},
    )


def _price(row: Any, sources: Mapping[str, Any], place: str) -> ListPrice:
    if not isinstance(row, dict):
        raise _wrong(place, "is no table", value=row)
    unknown = row.keys() - {
        "provider",
        "kind",
        "model",
        "usd_per_device_hour",
        "as_of",
        "source",
        "note",
    }
    if unknown:
        raise _wrong(place, f"has a key that means nothing here: {sorted(unknown)[0]}", value=None)
    source = _text(row, "source", place)
    if source not in sources:
        raise _wrong(f"{place}.source", "is not one of [sources]", value=source)
    return ListPrice(
        provider=_text(row, "provider", place),
        kind=_text(row, "kind", place),
        model=canonical_device(_text(row, "model", place)),
        price_micro_usd_per_device_hour=parse_usd(
            _text(row, "usd_per_device_hour", place), field=f"{place}.usd_per_device_hour"
        ),
        as_of=_text(row, "as_of", place),
        source=str(sources[source])[:TEXT_CHARS_MAX],
        note=_text(row, "note", place, default=""),
    )


def _text(row: Mapping[str, Any], key: str, place: str, *, default: str | None = None) -> str:
    value = row.get(key, default)
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX or (not value and default is None):
        raise _wrong(
            f"{place}.{key}", f'is no text of 1 to {TEXT_CHARS_MAX} characters: "…"', value=value
        )
    return value


def _wrong(field: str, what: str, *, value: Any) -> InvalidValue:
    return InvalidValue(f"{field} {what}", field=field, value=value, hint=_HINT)


def compare(
    table: ListPrices, hosts: Sequence[Host], *, devices: int, seconds: float
) -> tuple[tuple[Comparison, ...], str]:
    """The same device-hours at list prices, the same model first, then the cheapest; or why there is none.

    An hour of another model counts by the vendors' dense 16-bit TFLOP/s, which says nothing of memory or links.
    """
    hours: dict[str, float] = {}
    for host in hosts:
        model = host.listing.accelerator
        hours[model] = hours.get(model, 0.0) + devices * seconds / 3600
    models = sorted(hours)
    found = [
        made for listed in table.prices if (made := _comparison(table, listed, hours)) is not None
    ]
    found.sort(
        key=lambda each: (
            each.listed.model not in models,
            each.cost_micro_usd,
            each.listed.provider,
        )
    )
    if not found:
        missing = _missing(table, models)
        return (), f"no comparison: {missing} is not in the table of list prices"
    return tuple(found[:COMPARISONS_MAX]), ""


def _missing(table: ListPrices, models: Iterable[str]) -> str:
    return next(
        (each for each in models if each not in table.tflops), next(iter(models), "nothing")
    )


def _comparison(
    table: ListPrices, listed: ListPrice, hours: Mapping[str, float]
) -> Comparison | None:
    """None where the table does not say how fast one of the models is."""
    needed = 0.0
    for model, spent in sorted(hours.items()):
        if model == listed.model:
            needed += spent
        elif model in table.tflops and listed.model in table.tflops:
            needed += spent * table.tflops[model] / table.tflops[listed.model]
        else:
            return None
    total = sum(hours.values())
    return Comparison(
        listed=listed,
        device_hours=needed,
        per_device=needed / total if total else 1.0,
        cost_micro_usd=round(needed * listed.price_micro_usd_per_device_hour),
    )
