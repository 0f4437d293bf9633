"""The values of cases: what a slash takes and who gets it, and where it stands while it can be appealed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.core.money import MICRO_USD_MAX

BOUNTY_BPS_MAX: Final = 2_500  # a cheat who reports himself loses three quarters at least
REPORTERS_MAX: Final = 16  # the share of a 17th would be 1/131072 of the bounty


class SlashState(StrEnum):
    """Where a slash stands."""

    PROPOSED = "proposed"  # the money is held; the accused may appeal
    APPEALED = "appealed"  # still held, until somebody has heard the accused
    UPHELD = "upheld"  # paid out, after an appeal or for want of one
    REVERSED = "reversed"  # the hold is released, nothing was lost


SLASH_TRANSITIONS: Final = {
    SlashState.PROPOSED: {SlashState.APPEALED, SlashState.UPHELD},
    SlashState.APPEALED: {SlashState.UPHELD, SlashState.REVERSED},
    SlashState.UPHELD: set[SlashState](),
    SlashState.REVERSED: set[SlashState](),
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
    reporters: tuple[str, ...] = ()  # the first REPORTERS_MAX, each once, in order of their reports
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
