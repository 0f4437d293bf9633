"""Short words for what tests of the books say often."""

from gondwana.core.clock import Instant
from gondwana.ledger import rules
from gondwana.ledger.model import (
    Assignment,
    Entry,
    LeaseTerms,
    Leg,
    Shares,
    TaskTerms,
    TransferKind,
)
from gondwana.ledger.store import balance, post_all

NOW = Instant(1.0)
LEASE = LeaseTerms(
    lease_id="l",
    tenant_id="t",
    provider_id="p",
    price_micro_usd_per_hour=2_490_000,
    shares=Shares(),
)
TASK = TaskTerms(job_id="j", tenant_id="t", shares=Shares())
UNIT = Assignment(unit_id="u", provider_id="p", price_micro_usd=1_000_000)


def put(database, *entries, at=NOW):
    """Post entries in one call; what became of the last."""
    return database.writer.call(post_all, entries, at)[-1]


def has(database, account):
    """What is available in an account."""
    return balance(database.reader(), account).available_micro_usd


def fund(database, amount=10_000_000, tenant="t"):
    """Give a tenant money."""
    put(database, rules.deposit("manual", tenant, amount, key=str(amount)))


def entry(event_id, *legs, facts=()):
    """An entry of any legs."""
    return Entry(event_id=event_id, kind="correction", subject="test", legs=legs, facts=facts)


def leg(debit, credit, amount, kind=TransferKind.POST, pending_id=None):
    """One transfer."""
    return Leg(
        debit=debit, credit=credit, amount_micro_usd=amount, kind=kind, pending_id=pending_id
    )
