"""Promotional credit: money of the operator that a tenant may spend and nobody may withdraw."""

from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import fund_treasury, tenant_promo
from gondwana.ledger.model import Entry, Leg


def grant_promo(tenant_id: str, amount_micro_usd: int, *, key: str, why: str) -> Entry:
    """Credit given to a tenant out of the operator's money; `why` is what the tenant's statement says."""
    if not why:
        raise InvalidValue(field="why", value=why, hint="say what the credit is for")
    leg = Leg(
        debit=fund_treasury(), credit=tenant_promo(tenant_id), amount_micro_usd=amount_micro_usd
    )
    return Entry(
        event_id=f"promo.grant:{tenant_id}:{key}",
        kind="promo.grant",
        subject=tenant_id,
        legs=(leg,),
        facts=(why,),
    )


def expire_promo(tenant_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """What is left unspent of the grant of this key goes back; a grant expires once."""
    leg = Leg(
        debit=tenant_promo(tenant_id), credit=fund_treasury(), amount_micro_usd=amount_micro_usd
    )
    return Entry(
        event_id=f"promo.expire:{tenant_id}:{key}",
        kind="promo.expire",
        subject=tenant_id,
        legs=(leg,),
    )
