"""Requests, and the verbs they are asked with."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gondwana.core.clock import Instant
from gondwana.core.random import Random
from gondwana.db.transaction import Transaction

if TYPE_CHECKING:
    from gondwana.sim.books.people import People
    from gondwana.sim.books.shadow import Shadow

Params = dict[str, Any]  # JSON
Moves = Counter[tuple[str, str, int]]
"""(debit, credit, kind of transfer) → micro-USD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a verb runs in."""

    tx: Transaction
    now: Instant
    key: str  # of the request; names what it makes
    random: Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known just before a request is carried out."""

    shadow: "Shadow"
    now: Instant
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One thing that people ask for."""

    name: str
    draw: Callable[["People"], Params | None]  # None: there is nothing to ask it for
    run: Callable[[Call, Params], object]
    expect: Callable[[Seen, Params], Moves | None]  # None: it has to be refused
    learn: Callable[["People", Params, str], object] = lambda people, params, key: None
    weight: int = 1  # how often it is asked, beside others


@dataclass(kw_only=True)
class Request:
    """What somebody asks, until he hears an answer."""

    number: int
    verb: Verb
    params: Params
    attempts: int = 0
    heard: str | None = None
    done: list[bytes] = field(default_factory=list[bytes])  # what the bank committed for it

    @cached_property
    def body_hash(self) -> str:
        """What tells it from another request under the same key."""
        body = json.dumps([self.verb.name, self.params], sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()
