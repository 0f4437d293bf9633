"""Decisions about tokens, scopes and admission; pure."""

import hashlib
import re
from typing import Final

from gondwana.core.errors import BudgetTooSmall, InvalidValue, ScopeMissing
from gondwana.core.money import format_usd
from gondwana.core.random import Random
from gondwana.policy.model import Caller, Scope
from gondwana.wire.jobs import ISLANDS_MAX, NODES_MAX, TEXT_BYTES_MAX, JobSpec

TOKEN_PREFIX: Final = "gwt_"  # so that secret scanners can find a leaked one
NAME_PATTERN: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
ROUNDS_MAX: Final = 100_000
SHARDS_MAX: Final = 8192


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
    check_name(spec.name, field="name")
    _limit("num_nodes", spec.num_nodes, 1, NODES_MAX)
    for field, text in (
        ("setup", spec.setup),
        ("run", spec.run),
        *((f"envs.{k}", v) for k, v in spec.envs.items()),
    ):
        _limit(f"{field} (bytes)", len(text.encode()), 0, TEXT_BYTES_MAX)
    _limit("max_duration", spec.seconds_max, 1, 30 * 86_400)
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
    train = spec.train
    _limit("train.rounds", train.rounds, 1, ROUNDS_MAX)
    _limit("train.warm_rounds", train.warm_rounds, 0, train.rounds)
    _limit("train.inner_steps", train.inner_steps, 1, 100_000)
    _limit("train.window_seconds", train.window_seconds, 1, 86_400)
    _limit("train.islands.max", train.islands_max, 1, ISLANDS_MAX)
    _limit("train.islands.min", train.islands_min, 1, train.islands_max)
    _limit("train.data (shards)", len(train.shards), 1, SHARDS_MAX)
    _limit("train.data (held-out shards)", len(train.heldout), 1, SHARDS_MAX)
    _limit("train.sample_chars", train.sample_chars, 0, 10_000)
    if train.codec not in {"fp32", "int8", "int4"}:
        raise InvalidValue(field="train.codec", value=train.codec, hint="one of fp32, int8, int4")


def check_budget(spec: JobSpec, hold_micro_usd: int) -> None:
    """Raise BudgetTooSmall when the job's own budget is below what must be set aside at launch."""
    if spec.budget_micro_usd is not None and spec.budget_micro_usd < hold_micro_usd:
        raise BudgetTooSmall(
            f"the job needs {format_usd(hold_micro_usd)} set aside, its budget is {format_usd(spec.budget_micro_usd)}",
            hint=f"raise gondwana.budget_usd to {hold_micro_usd / 1e6:.2f}, or ask for fewer or cheaper machines",
        )


def _limit(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidValue(field=field, value=value, hint=f"between {low:g} and {high:g}")
