"""The books' reconcilers: roots of the days that are over, invoices of the months that are over."""

from datetime import UTC, datetime

from gondwana.ledger import chain, invoices
from gondwana.ledger.accounts import lease_escrow
from gondwana.ledger.model import LeaseTerms, Shares
from gondwana.ledger.rules import meter, open_lease
from gondwana.ledger.settings import change_setting
from gondwana.ledger.store import balance, post
from gondwana.loops.issue_invoices import issue_invoices
from gondwana.loops.publish_roots import publish_roots

DAY = 86_400


def spend(world, tenant, lease, seconds):
    """A lease of a tenant that costs a micro-dollar a second, from now on."""
    terms = LeaseTerms(
        lease_id=lease,
        tenant_id=tenant,
        provider_id="p",
        price_micro_usd_per_hour=3_600,
        shares=Shares(),
    )
    world.write(post, open_lease(terms, 1_000_000), world.now)
    world.write(lambda tx: post(tx, meter(terms, seconds, balance(tx, lease_escrow(lease))), world.now))  # fmt: skip


def month_end(world):
    """The first instant after this month."""
    until = invoices.month_period(datetime.fromtimestamp(world.now, tz=UTC).strftime("%Y-%m")).until
    return until - world.now


def sell(world):
    world.write(change_setting, world.now, "seller", {"name": "Gondwana Ltd"}, by="o")


def test_a_root_is_published_for_each_day_that_is_over_and_once(world):
    assert publish_roots(world.context, world.now) == 0
    world.clock.advance(DAY)
    assert publish_roots(world.context, world.now) == 1
    assert publish_roots(world.context, world.now) == 0
    spend(world, world.tenant, "a", 10)
    world.clock.advance(3 * DAY)
    assert publish_roots(world.context, world.now) == 1  # a day without commits has none
    assert len(chain.roots(world.reader)) == 2
    assert world.kinds().count("ledger.root") == 2


def test_a_month_is_invoiced_an_hour_after_its_end_for_everybody_who_was_charged(world):
    sell(world)
    other = world.principal("bob", "tenant")
    world.deposit(other, 5_000_000)
    world.principal("carol", "tenant")
    spend(world, world.tenant, "a", 10)
    spend(world, other, "b", 20)
    world.clock.advance(month_end(world) + 3_599)
    assert issue_invoices(world.context, world.now) == 0
    world.clock.advance(1)
    assert issue_invoices(world.context, world.now) == 2
    assert issue_invoices(world.context, world.now) == 0
    found = invoices.invoices(world.reader, None)
    assert {(each.buyer, each.total_micro_usd) for each in found} == {("tenant", 10), ("bob", 20)}
    assert world.kinds().count("invoice.issued") == 2


def test_months_that_nobody_served_are_made_up_for_and_nothing_is_issued_without_a_seller(world):
    spend(world, world.tenant, "a", 10)
    world.clock.advance(100 * DAY)
    spend(world, world.tenant, "b", 30)
    world.clock.advance(60 * DAY)
    assert issue_invoices(world.context, world.now) == 0
    sell(world)
    assert issue_invoices(world.context, world.now) == 2
    totals = [each.total_micro_usd for each in invoices.invoices(world.reader, world.tenant)]
    assert totals == [30, 10]


def test_a_tenant_whose_invoice_fails_is_tried_again_and_the_others_have_theirs(world, monkeypatch):
    sell(world)
    other = world.principal("bob", "tenant")
    world.deposit(other, 5_000_000)
    spend(world, world.tenant, "a", 10)
    spend(world, other, "b", 20)
    world.clock.advance(month_end(world) + 3_600)
    issue = invoices.issue

    def fails(tx, now, month, buyer, job_name):
        assert buyer.id != other, "the books say another sum"
        return issue(tx, now, month, buyer, job_name)

    monkeypatch.setattr(invoices, "issue", fails)
    assert issue_invoices(world.context, world.now) == 1
    monkeypatch.undo()
    assert issue_invoices(world.context, world.now) == 2  # the first one again: the same document
    numbers = [each.number for each in invoices.invoices(world.reader, None)]
    assert len(numbers) == len(set(numbers)) == 2
