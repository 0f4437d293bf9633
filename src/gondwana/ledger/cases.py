"""The values of cases: reports with their bonds; what a slash takes, who gets it, and where it stands."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.money import MICRO_USD_MAX
from gondwana.ledger.accounts import AccountName
from gondwana.ledger.model import FACT_CHARS_MAX

BOUNTY_BPS_MAX: Final = 2_500  # a cheat who reports himself loses three quarters at least
REPORTERS_MAX: Final = 16  # the share of a 17th would be 1/131072 of the bounty
TEXT_CHARS_MAX: Final = 4_000  # of a claim or an appeal: two pages that somebody has to read
EVIDENCE_BYTES_MAX: Final = 64 * 1024  # of JSON; what is larger is a blob, named by its hash


class SlashState(StrEnum):
    """Where a slash stands."""

    PROPOSED = "proposed"  # the money is held; the accused may appeal
    APPEALED = "appealed"  # still held, until somebody has heard the accused
    UPHELD = "upheld"  # paid out, after an appeal or for want of one
    REVERSED = "reversed"  # the hold is released, nothing was lost
    CORRECTED = "corrected"  # it was paid out in error; the mirror of all that it moved is posted


SLASH_TRANSITIONS: Final = {
    SlashState.PROPOSED: {SlashState.APPEALED, SlashState.UPHELD},
    SlashState.APPEALED: {SlashState.UPHELD, SlashState.REVERSED},
    SlashState.UPHELD: {SlashState.CORRECTED},
    SlashState.REVERSED: set[SlashState](),
    SlashState.CORRECTED: set[SlashState](),
}


class ReportState(StrEnum):
    """Where a report stands."""

    OPEN = "open"  # its bond is down; nobody has judged it yet
    UPHELD = "upheld"  # it was right: the bond went back, and a slash may name it
    REFUSED = "refused"  # it was wrong: the bond is lost
    LAPSED = "lapsed"  # nobody judged it in time: the bond went back


REPORT_TRANSITIONS: Final = {
    ReportState.OPEN: {ReportState.UPHELD, ReportState.REFUSED, ReportState.LAPSED},
    ReportState.UPHELD: set[ReportState](),
    ReportState.REFUSED: set[ReportState](),
    ReportState.LAPSED: set[ReportState](),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashTerms:
    """What a slash is to take from one owner, and who is to get it; fixed when it is proposed."""

    case_id: str
    provider_id: str
    amount_micro_usd: int  # to take; what the owner does not have is not taken
    reason: str
    tenant_id: str | None = None  # none where nobody lost anything, as with a planted unit
    made_whole_micro_usd: int = 0  # owed to the tenant, before anybody else gets anything
    reporters: tuple[str, ...] = ()  # each once, by the ids of their reports, in their order
    bounty_bps: int = BOUNTY_BPS_MAX  # of what is collected, for all reporters together
    verification_cost_micro_usd: int = 0  # what the checks of this case cost the fund
    job_id: str | None = None

    def __post_init__(self) -> None:
        for field in ("amount_micro_usd", "made_whole_micro_usd", "verification_cost_micro_usd"):
            amount = getattr(self, field)
            if type(amount) is not int or not 0 <= amount <= MICRO_USD_MAX:
                raise InvalidValue(field=field, value=amount, hint="whole micro-USD, 0 or more")
        if type(self.bounty_bps) is not int or not 0 <= self.bounty_bps <= BOUNTY_BPS_MAX:
            raise InvalidValue(
                field="bounty_bps", value=self.bounty_bps, hint=f"0 to {BOUNTY_BPS_MAX}"
            )
        if self.tenant_id is None and self.made_whole_micro_usd:
            raise InvalidValue(field="tenant_id", value=None, hint="say who is made whole")
        if len(set(self.reporters)) < len(self.reporters) or len(self.reporters) > REPORTERS_MAX:
            raise InvalidValue(
                field="reporters", value=len(self.reporters), hint=f"{REPORTERS_MAX}, each once"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One slash, from its proposal to its end."""

    id: str
    provider_id: str  # the accused
    tenant_id: str | None
    machine_id: str | None  # what the evidence is about
    job_id: str | None
    unit_id: str | None
    amount_micro_usd: int
    held_micro_usd: int  # what there was of it
    made_whole_micro_usd: int
    verification_cost_micro_usd: int
    reports: tuple[str, ...]
    bounty_bps: int
    reason: str
    evidence: str  # JSON, as it is hashed
    evidence_hash: str  # SHA-256, hexadecimal
    state: SlashState
    proposed_at: Instant
    appeal: str = ""
    appealed_at: Instant | None = None
    verdict: str = ""
    ended_at: Instant | None = None

    @property
    def terms(self) -> SlashTerms:
        """What it was to take, and for whom."""
        return SlashTerms(
            case_id=self.id,
            provider_id=self.provider_id,
            amount_micro_usd=self.amount_micro_usd,
            reason=self.reason,
            tenant_id=self.tenant_id,
            made_whole_micro_usd=self.made_whole_micro_usd,
            reporters=self.reports,
            bounty_bps=self.bounty_bps,
            verification_cost_micro_usd=self.verification_cost_micro_usd,
            job_id=self.job_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What somebody says of an owner's work, with a bond for its being true."""

    id: str
    reporter_id: str
    accused_id: str
    machine_id: str | None
    job_id: str | None
    claim: str
    bond_micro_usd: int
    payer: AccountName  # where the bond came from, and where bond and bounty go
    state: ReportState
    at: Instant
    case_id: str | None = None  # the slash that shares its bounty with it
    verdict: str = ""
    decided_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StakeSettings:
    """What a network asks for a report, and takes for rejected work."""

    bond_micro_usd_min: int = 5_000_000  # of a report: somebody has to look into it
    slash_micro_usd_per_rejection: int = 0  # in a row, when a machine is suspended; 0: no slash

    def __post_init__(self) -> None:
        for field in ("bond_micro_usd_min", "slash_micro_usd_per_rejection"):
            amount = getattr(self, field)
            least = 1 if field == "bond_micro_usd_min" else 0  # a report for free is noise
            if type(amount) is not int or not least <= amount <= MICRO_USD_MAX:
                raise InvalidValue(
                    field=field, value=amount, hint=f"whole micro-USD, {least} or more"
                )


def evidence_text(evidence: Mapping[str, Any]) -> str:
    """The evidence as the JSON that is kept and hashed: sorted keys, no spaces, ASCII. Raises InvalidValue."""
    try:
        text = json.dumps(evidence, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InvalidValue(field="evidence", hint="a JSON object; numbers are finite") from None
    if len(text) > EVIDENCE_BYTES_MAX:
        raise InvalidValue(
            field="evidence", value=len(text), hint=f"at most {EVIDENCE_BYTES_MAX} bytes of JSON"
        )
    return text


def evidence_hash(text: str) -> str:
    """The SHA-256 of the kept text, in hexadecimal: `sha256sum` of it gives the same."""
    return hashlib.sha256(text.encode()).hexdigest()


def check_text(field: str, text: str, *, chars_max: int = FACT_CHARS_MAX) -> str:
    """The text without spaces around it; raises InvalidValue where nothing is said, or too much."""
    said = text.strip()
    if not 0 < len(said) <= chars_max or "\0" in said:  # PostgreSQL keeps no zero bytes
        raise InvalidValue(
            field=field, value=text[:80], hint=f"say it in 1 to {chars_max} characters"
        )
    return said
