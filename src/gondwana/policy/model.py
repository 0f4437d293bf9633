"""Principals and their tokens."""

from dataclasses import dataclass
from enum import StrEnum

from gondwana.core.clock import Instant
from gondwana.core.ids import PrincipalId


class Scope(StrEnum):
    """What a token allows."""

    TENANT = "tenant"  # launch jobs, spend the principal's money
    PROVIDER = "provider"  # join machines, change their terms, see what they earn
    OPERATOR = "operator"  # make tokens, record deposits, see everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who buys, sells or operates."""

    id: PrincipalId
    name: str  # unique
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A key to the API; only its hash is kept."""

    id: str
    hash: str  # SHA-256 of the token: enough, since the token holds 256 random bits
    principal_id: PrincipalId
    scopes: tuple[Scope, ...]
    created_at: Instant
    revoked_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes this request, and what it may do."""

    principal: Principal
    scopes: tuple[Scope, ...]
