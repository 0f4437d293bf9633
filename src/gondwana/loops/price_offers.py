"""Move the prices of machines whose owners have a policy; all look at the same market before any of them moves."""

from typing import Any

from gondwana.core.clock import Instant
from gondwana.jobs import pricing
from gondwana.jobs.context import Context
from gondwana.loops.each import write_each
from gondwana.supply.pricing import rules, store


def price_offers(context: Context, now: Instant) -> int:
    """Returns how many prices were looked at and moved; each in a transaction of its own."""
    reader = context.database.reader()
    policies = list(store.standing(reader))
    if not policies:
        return 0
    facts = pricing.facts_of(reader, context.shelf, policies, now)
    calls: list[tuple[Any, ...]] = []
    for each in policies:
        told = facts.get(each.machine_id)
        if told is None:
            continue
        decision = rules.decide(each.policy, told, now)
        price = told.price_micro_usd_per_device_hour
        if decision.price_micro_usd_per_device_hour != price:
            calls.append((now, each, price, decision))
    return write_each(context, store.reprice, calls)
