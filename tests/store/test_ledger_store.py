"""Posting, refusing, reading: the books on SQLite and on PostgreSQL."""

import pytest
from bookkeeping import LEASE, NOW, TASK, UNIT, entry, fund, has, leg, put

from gondwana.core.errors import Conflict, FundsTooLow, InvalidValue, NoSuchThing, WrongState
from gondwana.core.money import MICRO_USD_MAX
from gondwana.core.values import replace
from gondwana.ledger import rules
from gondwana.ledger.accounts import (
    AccountName,
    ext,
    fund_verification,
    income_fees,
    lease_escrow,
    provider_holdback,
    task_escrow,
    tenant_available,
    verifier_payable,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.model import Balance, Evaluation, TransferKind
from gondwana.ledger.statements import statement
from gondwana.ledger.store import balance, post


@pytest.fixture
def database(audited_database):
    return audited_database


def test_a_lease_from_deposit_to_close(database):
    fund(database)
    put(database, rules.open_lease(LEASE, 2_490_000))
    assert has(database, tenant_available("t")) == 7_510_000
    for seconds in (0, 17, 17, 901, 1_800):
        database.writer.call(
            lambda tx, seconds=seconds: post(
                tx, rules.meter(LEASE, seconds, balance(tx, lease_escrow("l"))), NOW
            )
        )
    assert has(database, lease_escrow("l")) == 1_245_000
    database.writer.call(
        lambda tx: post(tx, rules.close_lease(LEASE, 2_000, balance(tx, lease_escrow("l"))), NOW)
    )
    paid = 2_490_000 * 2_000 // 3_600
    assert has(database, lease_escrow("l")) == 0
    assert has(database, tenant_available("t")) == 10_000_000 - paid
    assert has(database, income_fees()) + has(database, fund_verification()) == paid * 3 // 100
    assert has(database, provider_holdback("p")) == paid - paid * 3 // 100


def test_closing_a_lease_again_and_metering_it_after_changes_nothing(database):
    fund(database)
    put(database, rules.open_lease(LEASE, 2_490_000))
    for _ in range(2):
        for rule in (rules.close_lease, rules.meter):
            database.writer.call(
                lambda tx, rule=rule: post(
                    tx, rule(LEASE, 100, balance(tx, lease_escrow("l"))), NOW
                )
            )
    assert has(database, tenant_available("t")) == 10_000_000 - 2_490_000 * 100 // 3_600


def test_a_job_whose_unit_is_rejected_then_accepted_elsewhere(database):
    fund(database)
    put(database, rules.open_task(TASK, 1_200_000))
    put(database, rules.assign_unit(TASK, UNIT))
    assert has(database, task_escrow("j")) == 200_000
    put(database, rules.reject_unit(TASK, UNIT, reason="too large"))
    assert has(database, task_escrow("j")) == 1_200_000  # still there for whoever does it next
    again = replace(UNIT, provider_id="q", attempt=2)
    put(database, rules.assign_unit(TASK, again))
    put(database, rules.accept_unit(TASK, again))
    put(
        database,
        rules.pay_evaluator(TASK, Evaluation(unit_id="e", verifier_id="v", price_micro_usd=700)),
    )
    database.writer.call(
        lambda tx: post(tx, rules.close_task(TASK, balance(tx, task_escrow("j"))), NOW)
    )
    assert has(database, provider_holdback("p")) == 0
    assert has(database, provider_holdback("q")) == 970_000
    assert has(database, verifier_payable("v")) == 700
    assert has(database, tenant_available("t")) == 10_000_000 - 1_000_700


def test_a_pending_deposit_counts_when_it_is_confirmed_and_never_when_it_is_void(database):
    for key in ("good", "bad"):
        put(database, rules.deposit("bank", "t", 5, key=key, pending=True))
    assert balance(database.reader(), tenant_available("t")) == Balance(credits_pending=10)
    put(database, rules.confirm_deposit("bank", "t", 5, key="good"))
    put(database, rules.void_deposit("bank", "t", 5, key="bad"))
    assert balance(database.reader(), tenant_available("t")) == Balance(credits_posted=5)


def test_the_same_event_posts_once(database):
    first = put(database, rules.deposit("manual", "t", 5, key="k"))
    again = put(database, rules.deposit("manual", "t", 5, key="k"))
    assert (first.repeated, again.repeated) == (False, True)
    assert first.transfer_ids == again.transfer_ids == ("deposit:t:k#0",)
    assert has(database, tenant_available("t")) == 5
    assert audit(database.reader()).entries == 1


def test_the_same_event_with_other_content_is_a_conflict(database):
    put(database, rules.deposit("manual", "t", 5, key="k"))
    for other in (rules.deposit("manual", "t", 6, key="k"), rules.deposit("card", "t", 5, key="k")):
        with pytest.raises(Conflict):
            put(database, other)
    assert has(database, tenant_available("t")) == 5


def test_an_entry_that_moves_nothing_writes_nothing(database):
    assert put(database, entry("nothing")).transfer_ids == ()
    assert audit(database.reader()).entries == 0


def test_what_is_not_there_cannot_be_spent_and_the_error_says_how_much_is(database):
    fund(database, 1_500_000)
    with pytest.raises(FundsTooLow, match=r"has \$1\.50, but task\.open needs \$2\.00") as error:
        put(database, rules.open_task(TASK, 2_000_000))
    assert error.value.fields["account"] == "tenant:t:available"
    assert has(database, tenant_available("t")) == 1_500_000


def test_what_is_held_cannot_be_spent_either(database):
    fund(database)
    put(database, rules.open_task(TASK, 1_000_000))
    put(database, rules.assign_unit(TASK, UNIT))
    for wants in (replace(UNIT, unit_id="w", price_micro_usd=1),):
        with pytest.raises(FundsTooLow):
            put(database, rules.assign_unit(TASK, wants))


def test_no_more_leaves_the_books_than_came_in(database):
    fund(database, 100)
    a, b = tenant_available("t"), tenant_available("u")
    put(database, entry("out", leg(a, ext("manual"), 100)))
    with pytest.raises(FundsTooLow):
        put(database, entry("more", leg(b, ext("bank"), 1)))
    put(database, rules.deposit("manual", "u", 5, key="1"))
    with pytest.raises(FundsTooLow):  # what came in over one rail does not leave by another
        put(database, entry("elsewhere", leg(b, ext("bank"), 1)))


def test_a_refused_leg_takes_the_legs_before_it_along_and_the_transaction_goes_on(database):
    fund(database, 100)
    tenant, holdback = tenant_available("t"), provider_holdback("p")
    bad = entry("bad", leg(tenant, holdback, 60), leg(tenant, income_fees(), 60))

    def run(tx):
        with pytest.raises(FundsTooLow, match=r"has \$0\.000040"):
            post(tx, bad, NOW)
        return post(tx, entry("good", leg(tenant, holdback, 100)), NOW)

    database.writer.call(run)
    assert has(database, holdback) == 100
    assert has(database, income_fees()) == 0
    assert audit(database.reader()).entries == 2


def test_a_hold_is_paid_or_released_once(database):
    fund(database)
    put(database, rules.open_task(TASK, 2_000_000))
    put(database, rules.assign_unit(TASK, UNIT))
    put(database, rules.accept_unit(TASK, UNIT))
    for late in (rules.reject_unit(TASK, UNIT, reason="late"), rules.expire_unit(TASK, UNIT)):
        with pytest.raises(WrongState):
            put(database, late)
    assert has(database, provider_holdback("p")) == 970_000


def test_a_hold_that_was_never_made_is_not_found(database):
    with pytest.raises(NoSuchThing):
        put(database, rules.accept_unit(TASK, UNIT))
    fund(database)
    with pytest.raises(WrongState):  # a transfer, but no hold
        put(database, entry("x", leg(ext("manual"), tenant_available("t"), 1, TransferKind.POST_PENDING,
                                     "deposit:t:10000000#0")))  # fmt: skip


@pytest.mark.parametrize("wrong", ["hold#1", "hold#2", "hold#-1", "hold#", "hold", "#0", "#"])
def test_a_hold_is_not_found_under_a_leg_that_its_entry_does_not_have(database, wrong):
    """Else the name of one hold would reach the hold of the entry after it, between the same accounts."""
    fund(database, 100)
    tenant, holdback = tenant_available("t"), provider_holdback("p")
    put(database, entry("hold", leg(tenant, holdback, 10, TransferKind.PENDING)))
    put(database, entry("next", leg(tenant, holdback, 10, TransferKind.PENDING)))
    with pytest.raises(NoSuchThing):
        put(database, entry("pay", leg(tenant, holdback, 10, TransferKind.POST_PENDING, wrong)))
    assert balance(database.reader(), tenant).held_micro_usd == 20


@pytest.mark.parametrize(
    "change",
    [
        {"price_micro_usd": 1_000_001},
        {"provider_id": "q"},
        {"price_micro_usd": 999_999, "provider_id": "q"},
    ],
)
def test_a_hold_is_paid_only_as_it_was_made(database, change):
    fund(database)
    put(database, rules.open_task(TASK, 2_000_000))
    put(database, rules.assign_unit(TASK, UNIT))
    with pytest.raises(WrongState):
        put(database, rules.accept_unit(TASK, replace(UNIT, **change)))
    put(database, rules.accept_unit(TASK, UNIT))


def test_part_of_a_hold_may_be_paid_and_the_rest_is_free_again(database):
    fund(database, 100)
    tenant, holdback = tenant_available("t"), provider_holdback("p")
    put(database, entry("hold", leg(tenant, holdback, 80, TransferKind.PENDING)))
    put(database, entry("pay", leg(tenant, holdback, 30, TransferKind.POST_PENDING, "hold#0")))
    assert balance(database.reader(), tenant) == Balance(credits_posted=100, debits_posted=30)
    with pytest.raises(WrongState):
        put(
            database,
            entry("pay the rest", leg(tenant, holdback, 50, TransferKind.POST_PENDING, "hold#0")),
        )


def test_no_account_can_hold_more_than_the_database_counts(database):
    fund(database, MICRO_USD_MAX)
    with pytest.raises(InvalidValue):
        put(database, rules.deposit("manual", "t", 1, key="too much"))
    assert has(database, tenant_available("t")) == MICRO_USD_MAX


def test_an_unused_account_is_empty_and_an_unknown_one_is_refused(database):
    assert balance(database.reader(), tenant_available("nobody")) == Balance()
    assert statement(database.reader(), tenant_available("nobody")) == []
    for read in (balance, statement):
        with pytest.raises(InvalidValue):
            read(database.reader(), AccountName("income:mine"))
