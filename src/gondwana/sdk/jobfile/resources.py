"""`resources:` in all of SkyPilot's spellings, as `Resources`."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gondwana.core.devices import canonical_device
from gondwana.core.errors import InvalidValue
from gondwana.core.units import GIB, parse_bytes
from gondwana.core.values import replace
from gondwana.sdk.jobfile.fields import Fields, invalid, unsupported
from gondwana.wire.jobs import WHERE_CHARS_MAX, Accelerators, Alternative, Resources

ALTERNATIVES_MAX: Final = 32
COUNT_MAX: Final = 64  # accelerators in one machine
CPUS_MAX: Final = 4096
_REGION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._*-]{0,62}")
_SPELLINGS: Final = "write H100, H100:8, {H100: 8} or a list of alternatives [H100:8, A100:8]"
_BY_MEMORY: Final = re.compile(r"(?:[A-Za-z]+:)?\d+(?:GB|MB|TB)\+?(?::\d+)?", re.IGNORECASE)


def read_resources(fields: Fields, *, may_order: bool = True) -> Resources:
    """What each machine must have.

    A list of accelerators is in order of preference, as SkyPilot has it, where `may_order`; a map of them is not.
    """
    fields.check_keys()
    own = _alternative(fields)
    if fields.has("any_of") and fields.has("ordered"):
        fields.refuse("ordered", "does not go with any_of", "take one of them out")
    key = "ordered" if fields.has("ordered") else "any_of"
    kinds = tuple(dict.fromkeys(_kinds(fields, key, own))) or (own,)
    is_list = isinstance(fields.values.get("accelerators"), list) and kinds == (own,)
    if is_list and may_order:
        kinds, key = tuple(replace(own, accelerators=(one,)) for one in own.accelerators), "ordered"
    accelerators = tuple(dict.fromkeys(one for each in kinds for one in each.accelerators))
    if max(len(accelerators), len(kinds)) > ALTERNATIVES_MAX:
        fields.refuse(
            "accelerators", f"has more than {ALTERNATIVES_MAX} alternatives", "name fewer"
        )
    is_ordered = key == "ordered" and len(kinds) > 1
    return Resources(
        accelerators=accelerators,
        cpus_min=min(each.cpus_min for each in kinds),
        memory_bytes_min=min(each.memory_bytes_min for each in kinds),
        alternatives=kinds if is_ordered or not _differ_in_name_only(kinds) else (),
        is_ordered=is_ordered,
    )


def _differ_in_name_only(kinds: Sequence[Alternative]) -> bool:
    """Whether any accelerator of any of them will do, however the others are written."""
    counts = {one.count for each in kinds for one in each.accelerators}
    others = {
        (bool(each.accelerators), each.cpus_min, each.memory_bytes_min, each.where)
        for each in kinds
    }
    alone = len(kinds) == 1 and not kinds[0].where
    return alone or (len(counts) <= 1 and len(others) == 1 and not kinds[0].where)


def _kinds(fields: Fields, key: str, own: Alternative) -> Iterator[Alternative]:
    """What is written below `any_of` or `ordered`; what one leaves out is as `own` has it."""
    entries = fields.values.get(key)
    if entries is None:
        return
    if not isinstance(entries, list) or not entries:
        fields.refuse(
            key, "is not a list of resources", "write - accelerators: H100:8 on lines below it"
        )
    for index, entry in enumerate(entries):
        path = f"{fields.at(key)}[{index}]"
        if not isinstance(entry, dict):
            raise invalid(path, entry, "is not a map", "write accelerators: H100:8")
        part = Fields({str(name): value for name, value in entry.items()}, path)
        part.check_keys("resources.any_of")
        kind = _alternative(part)
        yield Alternative(
            accelerators=kind.accelerators if part.has("accelerators") else own.accelerators,
            cpus_min=kind.cpus_min if part.has("cpus") else own.cpus_min,
            memory_bytes_min=kind.memory_bytes_min if part.has("memory") else own.memory_bytes_min,
            where=kind.where,
        )


def _alternative(fields: Fields) -> Alternative:
    accelerators = _alternatives(fields.values.get("accelerators"), fields.at("accelerators"))
    where = fields.text("where", "", hint="write a filter", chars_max=WHERE_CHARS_MAX)
    region = fields.text("region", "", hint="write eu-1, or eu-*")
    if region and not _REGION.fullmatch(region):
        fields.refuse("region", "is not the name of a region", "write eu-1, or eu-*")
    return Alternative(
        accelerators=tuple(dict.fromkeys(accelerators)),
        cpus_min=_at_least(fields, "cpus"),
        memory_bytes_min=_memory(fields),
        where=f"region={region} {where}".strip() if region else where,
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
