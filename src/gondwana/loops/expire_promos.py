"""Promotional credit that was not spent in time goes back to the treasury."""

from gondwana.core.clock import Instant
from gondwana.jobs.context import Context
from gondwana.ledger.treasury import expire_promo, tenants_to_expire
from gondwana.loops.each import write_each


def expire_promos(context: Context, now: Instant) -> int:
    """Returns how many tenants lost what they had not spent."""
    tenants = tenants_to_expire(context.database.reader(), now)
    return write_each(context, expire_promo, [(now, tenant_id) for tenant_id in tenants])
