"""Principals and their tokens."""

from dataclasses import dataclass
from enum import StrEnum

from gondwana.core.clock import Instant
from gondwana.core.ids import PrincipalId


class Scope(StrEnum):
    """What a token allows."""

    TENANT = "tenant"  # launch jobs, spend the principal's money
    PROVIDER = "provider"  # join machines, change their terms, see what they earn
    AUDITOR = "auditor"  # sign compliance tags of others' machines
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What an account, or one of its projects, may hold at once; and how much it weighs where supply is short.

    An operator's and the tenant's own stand beside each other: the lower limit counts.
    """

    tenant_id: PrincipalId
    project: str = ""  # "": all of the tenant's jobs
    model: str = ""  # "": devices of any model
    is_operators: bool = False
    devices_max: int | None = None  # None: this quota does not limit them
    jobs_max: int | None = None  # that hold machines at once
    weight: int | None = None  # of an account an operator's word, of a project its tenant's
    set_by: PrincipalId
    set_at: Instant
