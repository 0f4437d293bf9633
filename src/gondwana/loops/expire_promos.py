"""Promotional credit that was not spent in time goes back to the treasury."""

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.ledger.payments import promo_to_expire
from gondwana.ledger.store import accounts_of_code
from gondwana.ledger.treasury import expire_promo, grants_of
from gondwana.loops.each import write_each


def expire_promos(context: Context, now: Instant) -> int:
    """Returns how many tenants lost what they had not spent."""
    reader = context.database.reader()
    due: list[tuple[Instant, str]] = []
    for account, promo in accounts_of_code(reader, 2010):
        tenant_id = account.split(":")[1]
        if promo_to_expire(promo.available_micro_usd, grants_of(reader, tenant_id), now):
            due.append((now, tenant_id))
    return write_each(context, expire_promo, due)
