"""Compliance tags as the API takes and gives them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRequest:
    """What an auditor signs of a machine."""

    machine: str  # its id, or its name where only one is called so
    name: str
    expires_at: float
    evidence: str = ""  # the hash of what was seen, or where it is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTagView:
    """What an auditor signed of a machine, and how long it stands."""

    id: str
    machine: str
    machine_id: str
    name: str
    signer: str
    signed_at: float
    expires_at: float
    revoked_at: float | None
    evidence: str
    stands: bool
