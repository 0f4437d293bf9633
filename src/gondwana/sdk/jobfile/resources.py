"""`resources:` in all of SkyPilot's spellings, as `Resources`."""

import re
from typing import Any, Final

from gondwana.core.devices import canonical_device
from gondwana.core.errors import InvalidValue
from gondwana.core.units import GIB, parse_bytes
from gondwana.sdk.jobfile.fields import Fields, invalid, unsupported
from gondwana.wire.jobs import Accelerators, Resources

ALTERNATIVES_MAX: Final = 32
COUNT_MAX: Final = 64  # accelerators in one machine
CPUS_MAX: Final = 4096
_SPELLINGS: Final = "write H100, H100:8, {H100: 8} or a list of alternatives [H100:8, A100:8]"
_BY_MEMORY: Final = re.compile(r"(?:[A-Za-z]+:)?\d+(?:GB|MB|TB)\+?(?::\d+)?", re.IGNORECASE)


def read_resources(fields: Fields) -> Resources:
    """What each machine must have."""
    fields.check_keys()
    accelerators = list(_alternatives(fields.values.get("accelerators"), fields.at("accelerators")))
    for key in ("any_of", "ordered"):
        accelerators += _from_list_of_resources(fields, key)
    if len(accelerators) > ALTERNATIVES_MAX:
        fields.refuse(
            "accelerators", f"has more than {ALTERNATIVES_MAX} alternatives", "name fewer"
        )
    return Resources(
        accelerators=tuple(dict.fromkeys(accelerators)),
        cpus_min=_at_least(fields, "cpus"),
        memory_bytes_min=_memory(fields),
    )


def _alternatives(value: Any, path: str) -> list[Accelerators]:
    match value:
        case None:
            return []
        case str():
            return [_one(value, path)]
        case dict():
            return [_named(name, count, path) for name, count in value.items()]
        case list() | set() | tuple():
            return [_one(item, f"{path}[{index}]") for index, item in enumerate(value)]
        case _:
            raise _refusal(value, path)


def _one(text: Any, path: str) -> Accelerators:
    if isinstance(text, dict) and len(text) == 1:
        ((name, count),) = text.items()
        return _named(name, count, path)
    if not isinstance(text, str) or not text.strip():
        raise _refusal(text, path)
    if _BY_MEMORY.fullmatch(text.strip()):
        raise unsupported(
            f"{path} by memory ({text})", "name those that will do, e.g. [H100, L40S]"
        )
    name, colon, count = text.partition(":")
    return _named(name, count if colon else 1, path)


def _named(name: Any, count: Any, path: str) -> Accelerators:
    if (
        isinstance(name, str) and count is None
    ):  # {H100:8, A100:8} is a map with empty values in YAML
        return _one(name, path)
    if isinstance(count, str) and count.strip().isdecimal():
        count = int(count)
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    if (
        not isinstance(name, str)
        or not name.strip()
        or isinstance(count, bool)
        or not isinstance(count, int)
    ):
        raise _refusal(f"{name}:{count}", path)
    if not 1 <= count <= COUNT_MAX:
        hint = f"ask for 1 to {COUNT_MAX}; more machines are num_nodes"
        raise invalid(path, f"{name}:{count}", "is not a count one machine can have", hint)
    return Accelerators(name=canonical_device(name.strip()), count=count)


def _refusal(value: object, path: str) -> InvalidValue:
    return invalid(path, value, "is not an accelerator and a count", _SPELLINGS)


def _from_list_of_resources(fields: Fields, key: str) -> list[Accelerators]:
    entries = fields.values.get(key)
    if entries is None:
        return []
    if not isinstance(entries, list) or not entries:
        fields.refuse(
            key, "is not a list of resources", "write - accelerators: H100:8 on lines below it"
        )
    found: list[Accelerators] = []
    for index, entry in enumerate(entries):
        path = f"{fields.at(key)}[{index}]"
        if not isinstance(entry, dict):
            raise invalid(path, entry, "is not a map", "write accelerators: H100:8")
        part = Fields({str(name): value for name, value in entry.items()}, path)
        part.check_keys("resources")
        other = next((name for name in part.values if name != "accelerators"), None)
        if other is not None:
            raise unsupported(part.at(other), f"write {other} once, under resources")
        found += _alternatives(part.values.get("accelerators"), part.at("accelerators"))
    return found


def _at_least(fields: Fields, key: str) -> float:
    """`4`, `"4"` and `4+`, all as a least number."""
    value = fields.values.get(key)
    if value is None:
        return 0.0
    match = (
        None
        if isinstance(value, bool)
        else re.fullmatch(r"\s*(\d{1,6}(?:\.\d+)?)\+?\s*", str(value))
    )
    number = float(match.group(1)) if match else -1.0
    if not 0 <= number <= CPUS_MAX:
        fields.refuse(key, "is not a number of processors", "write 4 or 4+")
    return number


def _memory(fields: Fields) -> int:
    value = fields.values.get("memory")
    if value is None:
        return 0
    text = str(value).strip().removesuffix("+")
    if (
        isinstance(value, bool)
        or re.fullmatch(r"\d{1,7}(?:\.\d+)?\s*(?:[KMGT]i?B)?", text, re.IGNORECASE) is None
    ):
        fields.refuse(
            "memory", "is not an amount of memory", "write 16 or 16+ (gigabytes), or 512MB"
        )
    bare = re.fullmatch(r"[\d.]+", text) is not None
    return int(float(text) * GIB) if bare else parse_bytes(text, field=fields.at("memory"))
