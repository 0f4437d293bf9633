"""Decisions about tokens, scopes and admission; pure."""

import hashlib
import re
from collections.abc import Iterable
from math import isfinite
from typing import Final

from gondwana.core.errors import BudgetTooSmall, InvalidValue, ScopeMissing
from gondwana.core.money import MICRO_USD_MAX, format_usd
from gondwana.core.random import Random
from gondwana.policy.model import Caller, Scope
from gondwana.wire.jobs import (
    ISLANDS_MAX,
    JOB_VERSION,
    LEASE_SECONDS_MAX,
    NODES_MAX,
    NOTICE_SECONDS_MAX,
    NOTICE_SECONDS_MIN,
    PARAMETERS_MAX,
    PRIORITY_MAX,
    SPEC_TEXT_BYTES_MAX,
    TEXT_BYTES_MAX,
    TOKENS_PER_STEP_MAX,
    WHERE_CHARS_MAX,
    JobSpec,
    Train,
    is_notice,
)

TOKEN_PREFIX: Final = "gwt_"  # so that secret scanners can find a leaked one
NAME_PATTERN: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
ROUNDS_MAX: Final = 100_000
SHARDS_MAX: Final = 8192
HELDOUT_MAX: Final = 256  # an evaluation reads all of them in each round
CONFIG_SIZE_MAX: Final = 64 * 1024  # it is part of every unit
CONFIG_DEPTH_MAX: Final = 16
PATH_CHARS_MAX: Final = 1024
NAME_CHARS_MAX: Final = 64
ENTRIES_MAX: Final = 256  # variables, mounts, alternatives: far more than a person writes
DEVICES_MAX: Final = 64  # of one machine
CPUS_MAX: Final = 4096
ALTERNATIVES_MAX: Final = 32  # kinds of machines: each is looked for by itself
BLOB_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
VARIABLE_PATTERN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def make_token(random: Random) -> str:
    """A new token with 256 random bits."""
    return TOKEN_PREFIX + random.token(32).hex()


def hash_token(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def require(caller: Caller, scope: Scope) -> None:
    """Raise ScopeMissing unless the caller has `scope`; an operator has every scope."""
    if scope not in caller.scopes and Scope.OPERATOR not in caller.scopes:
        raise ScopeMissing(
            f"this needs the scope '{scope}', the token has: {', '.join(caller.scopes)}",
            hint=f"ask the operator for a token: gondwana token create NAME --scope {scope}",
        )


def check_name(name: str, *, field: str) -> str:
    """The name, if it is one: lower-case letters, digits, dots, dashes, underscores; at most 63."""
    if not NAME_PATTERN.fullmatch(name):
        raise InvalidValue(
            field=field, value=name, hint="use a-z, 0-9, '.', '_' and '-', at most 63 characters"
        )
    return name


def check_spec(spec: JobSpec) -> None:
    """Raise InvalidValue for a job that no machine could run as written; clients are not trusted to have checked."""
    _limit("version", spec.version, JOB_VERSION, JOB_VERSION)
    check_name(spec.name, field="name")
    _limit("num_nodes", spec.num_nodes, 1, NODES_MAX)
    texts = {"setup": spec.setup, "run": spec.run, **{f"envs.{k}": v for k, v in spec.envs.items()}}
    sizes = {field: _text_bytes(field, text) for field, text in texts.items()}
    for field, size in sizes.items():
        _limit(f"{field} (bytes)", size, 0, TEXT_BYTES_MAX)
    _limit("setup, run and envs together (bytes)", sum(sizes.values()), 0, SPEC_TEXT_BYTES_MAX)
    _limit("max_duration", spec.seconds_max, 1, 30 * 86_400)
    _check_entries(spec)
    _check_resources(spec)
    _check_market(spec)
    if spec.market.mechanism == "auction" and spec.price_cap_micro_usd_per_device_hour is None:
        raise InvalidValue(
            "An auction needs a price cap: without one a lone bidder would name the price.",
            field="gondwana.mechanism", value="auction", hint="add gondwana.price_cap_usd_per_gpu_hour",
        )  # fmt: skip
    if (spec.train is None) == (not spec.run.strip()):
        raise InvalidValue(
            "a job has either `run` or `gondwana: train:`",
            hint="add a `run:` command, or remove one of the two",
        )
    if spec.train is None:
        return
    if spec.workdir is None:
        raise InvalidValue(
            "training needs the recipe's folder", hint="add `workdir: .` to the job file"
        )
    _check_train(spec.train)


MECHANISMS: Final = ("", "posted", "auction", "spot")


def _check_market(spec: JobSpec) -> None:
    terms = spec.market
    if terms.mechanism not in MECHANISMS:
        known = ", ".join(each for each in MECHANISMS if each)
        raise InvalidValue(
            field="gondwana.mechanism", value=terms.mechanism[:80], hint=f"write one of {known}"
        )
    if terms.mechanism == "spot" and spec.price_cap_micro_usd_per_device_hour is None:
        raise InvalidValue(
            "on spot the price changes, and the job's cap is its bid: it has none",
            field="gondwana.price_cap_usd_per_gpu_hour", value=None,
            hint="write the most that a device-hour is worth to you, e.g. 0.25",
        )  # fmt: skip
    _limit("gondwana.where (characters)", len(terms.where), 0, WHERE_CHARS_MAX)
    if not is_notice(terms.notice_seconds_min):
        raise InvalidValue(
            field="gondwana.notice_hours_min (seconds)", value=terms.notice_seconds_min,
            hint=f"0 for none, or from {NOTICE_SECONDS_MIN} to {NOTICE_SECONDS_MAX}",
        )  # fmt: skip
    _limit("gondwana.priority", terms.priority, 0, PRIORITY_MAX)
    _limit("gondwana.lease_hours (seconds)", terms.lease_seconds or 1, 1, LEASE_SECONDS_MAX)
    _limit("gondwana.starts_at", terms.starts_at or 0.0, 0, 2**40)
    if terms.starts_at is not None:
        _check_ahead(spec)


def _check_ahead(spec: JobSpec) -> None:
    """Raise InvalidValue for a reservation that lacks its length or its cap, or wants what goes with none."""
    terms = spec.market
    if terms.lease_seconds is None:
        told, field, hint = "a reservation needs its length", "lease_hours", "gondwana: {lease_hours: 8}"  # fmt: skip
    elif spec.price_cap_micro_usd_per_device_hour is None:
        told, field = "a reservation needs a price cap", "price_cap_usd_per_gpu_hour"
        hint = "write the most that a device-hour is worth to you, e.g. 0.25"
    elif terms.mechanism not in ("", "posted"):
        told, field, hint = "a reservation is made at posted prices", "mechanism", "take it out"
    elif terms.is_standing:
        told, field, hint = "a reservation does not wait", "standing", "take it out"
    else:
        return
    raise InvalidValue(told, field=f"gondwana.{field}", value=None, hint=hint)


def _check_entries(spec: JobSpec) -> None:
    _limit("envs (variables)", len(spec.envs), 0, ENTRIES_MAX)
    for name, value in spec.envs.items():
        if not VARIABLE_PATTERN.fullmatch(name) or "\0" in value:
            hint = "a name has letters, digits and '_'; a value has no zero byte"
            raise InvalidValue(field="envs", value=name[:80], hint=hint)
    _limit("file_mounts (entries)", len(spec.file_mounts), 0, ENTRIES_MAX)
    for path in spec.file_mounts:
        _check_path("file_mounts", path)
    _check_blobs("file_mounts", spec.file_mounts.values())
    if spec.workdir is not None:
        _check_blobs("workdir", [spec.workdir])


def _check_resources(spec: JobSpec) -> None:
    wanted = spec.resources
    _limit("resources.accelerators (alternatives)", len(wanted.accelerators), 0, ENTRIES_MAX)
    for each in wanted.accelerators:
        _limit("resources.accelerators (characters)", len(each.name), 0, NAME_CHARS_MAX)
        _limit(f"resources.accelerators.{each.name}", each.count, 1, DEVICES_MAX)
    _limit("resources.any_of (alternatives)", len(wanted.alternatives), 0, ALTERNATIVES_MAX)
    for each in wanted.alternatives:
        if not set(each.accelerators) <= set(wanted.accelerators):
            hint = "name each accelerator under resources.accelerators too"
            raise InvalidValue(
                field="resources.alternatives", value=len(each.accelerators), hint=hint
            )
        _limit("resources.any_of.cpus", each.cpus_min, 0, CPUS_MAX)
        _limit("resources.any_of.memory (bytes)", each.memory_bytes_min, 0, 2**62)
        _limit("resources.any_of.where (characters)", len(each.where), 0, WHERE_CHARS_MAX)
    _limit("resources.cpus", wanted.cpus_min, 0, CPUS_MAX)
    _limit("resources.memory (bytes)", wanted.memory_bytes_min, 0, 2**62)
    _limit("budget_usd", spec.budget_micro_usd or 0, 0, MICRO_USD_MAX)
    if spec.project:
        check_name(spec.project, field="project")
    cap = spec.price_cap_micro_usd_per_device_hour or 0
    _limit("price_cap_usd_per_gpu_hour", cap, 0, MICRO_USD_MAX)


def _check_train(train: Train) -> None:
    _limit("train.rounds", train.rounds, 1, ROUNDS_MAX)
    _limit("train.warm_rounds", train.warm_rounds, 0, train.rounds)
    _limit("train.inner_steps", train.inner_steps, 1, 100_000)
    _limit("train.window_seconds", train.window_seconds, 1, 86_400)
    _limit("train.islands.max", train.islands_max, 1, ISLANDS_MAX)
    _limit("train.islands.min", train.islands_min, 1, train.islands_max)
    _limit("train.data (shards)", len(train.shards), 1, SHARDS_MAX)
    _limit("train.data (held-out shards)", len(train.heldout), 1, HELDOUT_MAX)
    _check_blobs("train.data", (*train.shards, *train.heldout))
    _limit("train.sample_chars", train.sample_chars, 0, 10_000)
    _limit("train.seed", train.seed, 0, 2**62)
    _limit("train.parameters", train.parameters, 0, PARAMETERS_MAX)
    _limit("train.tokens_per_step", train.tokens_per_step, 0, TOKENS_PER_STEP_MAX)
    _limit("train.gates.norm_min", train.gates.norm_min, 0, 0.5)
    _limit("train.gates.norm_max", train.gates.norm_max, 2, 1000)
    _limit("train.gates.cosine_min", train.gates.cosine_min, -1, 0.1)
    _limit("train.gates.evaluate_per_round", train.gates.evaluate_per_round, 0, ISLANDS_MAX)
    _check_path("train.recipe", train.recipe)
    if _plain_size(train.config, CONFIG_DEPTH_MAX) > CONFIG_SIZE_MAX:
        hint = f"plain finite values, at most {CONFIG_DEPTH_MAX} deep, {CONFIG_SIZE_MAX} characters in all"
        raise InvalidValue("the recipe's config is too much", field="train.config", hint=hint)
    if train.codec not in {"fp32", "int8", "int4"}:
        raise InvalidValue(field="train.codec", value=train.codec, hint="one of fp32, int8, int4")


def check_budget(spec: JobSpec, hold_micro_usd: int) -> None:
    """Raise BudgetTooSmall when the job's own budget is below what must be set aside at launch."""
    if spec.budget_micro_usd is not None and spec.budget_micro_usd < hold_micro_usd:
        raise BudgetTooSmall(
            f"the job needs {format_usd(hold_micro_usd)} set aside, its budget is {format_usd(spec.budget_micro_usd)}",
            hint=f"raise gondwana.budget_usd to {hold_micro_usd / 1e6:.2f}, or ask for fewer or cheaper machines",
        )


def _check_blobs(field: str, names: Iterable[str]) -> None:
    for name in names:
        if not BLOB_PATTERN.fullmatch(name):
            raise InvalidValue(
                field=field,
                value=name[:80],
                hint="upload the file first; a blob is named by its hash",
            )


def _check_path(field: str, path: str) -> None:
    if not 0 < len(path) <= PATH_CHARS_MAX or "\0" in path:
        raise InvalidValue(field=field, value=path[:80], hint="a path, without zero bytes")
    _text_bytes(field, path)


def _text_bytes(field: str, text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidValue("this is no text", field=field, hint="write it in UTF-8") from None


def _plain_size(value: object, depth_max: int) -> int:
    """About how many characters a value takes as JSON; CONFIG_SIZE_MAX + 1 for what is too deep, or no plain value."""
    match value:
        case None | bool():
            return 5
        case str():
            return len(value) + 2 if value.isascii() else 2 + 4 * _text_bytes("train.config", value)
        case int() if abs(value) < 2**63:
            return 20
        case float() if isfinite(value):
            return 25
        case dict() if depth_max > 0:
            parts = (*value.keys(), *value.values())
        case list() | tuple() if depth_max > 0:
            parts = tuple(value)
        case _:
            return CONFIG_SIZE_MAX + 1
    return 2 + sum(1 + _plain_size(part, depth_max - 1) for part in parts)


def _limit(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidValue(field=field, value=value, hint=f"between {low:g} and {high:g}")
