"""Many entries in one call: what comes of them is what came of them one by one, and all or none."""

import itertools

import pytest
from bookkeeping import LEASE, NOW, TASK, UNIT, entry, fund, has, leg, put

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict, FundsTooLow, InvalidValue, NoSuchThing, WrongState
from gondwana.core.money import MICRO_USD_MAX
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.db.many import KEYS_AT_ONCE
from gondwana.ledger import rules
from gondwana.ledger.accounts import (
    ext,
    income_fees,
    lease_escrow,
    provider_holdback,
    provider_payable,
    task_escrow,
    tenant_available,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.chain import seal
from gondwana.ledger.model import Balance, TransferKind
from gondwana.ledger.store import balance, post, post_all

TENANT, HOLDBACK, PAYABLE = tenant_available("t"), provider_holdback("p"), provider_payable("p")
SEQS = (
    "SELECT seq, leg, amount, kind, pending FROM ledger_transfer ORDER BY seq",
    "SELECT seq, event, legs, at_ms, facts FROM ledger_entry ORDER BY seq",
    "SELECT name, code, limit_side, asset, debits_posted, credits_posted, debits_pending, credits_pending"
    " FROM ledger_account ORDER BY name",
)


@pytest.fixture
def database(audited_database):
    return audited_database


def rows(database):
    reader = database.reader()
    return [[tuple(dict(row).values()) for row in reader.all(sql)] for sql in SEQS]


def a_week():
    """Entries of every shape: many legs, holds paid and released, facts, jobs, a job's end."""
    units = [replace(UNIT, unit_id=f"u{n}", price_micro_usd=100_003) for n in range(6)]
    endings = itertools.cycle((rules.accept_unit, rules.expire_unit))
    return [
        rules.deposit("bank", "t", 9_000_000, key="1", pending=True),
        rules.confirm_deposit("bank", "t", 9_000_000, key="1"),
        rules.open_lease(LEASE, 2_490_000),
        rules.meter(LEASE, 1_801, Balance(credits_posted=2_490_000)),
        rules.open_task(TASK, 1_000_000),
        *(rules.assign_unit(TASK, unit) for unit in units),
        *(end(TASK, unit) for end, unit in zip(endings, units, strict=False)),
        entry("é", leg(TENANT, income_fees(), 7), facts=("naïve ☃", 3)),
    ]


def test_a_batch_leaves_the_same_rows_as_its_entries_one_by_one(database):
    put(database, *a_week())
    with Database.in_memory(before_commit=seal) as one_by_one:
        for each in a_week():
            put(one_by_one, each)
        assert rows(database) == rows(one_by_one)


def test_a_batch_is_sealed_as_one(database):
    put(database, *a_week())
    assert audit(database.reader()).batches == 1


def test_a_refused_entry_takes_the_whole_batch_along_and_the_transaction_goes_on(database):
    fund(database, 100)
    refused = [
        ([leg(TENANT, HOLDBACK, 101)], FundsTooLow),
        ([leg(TENANT, HOLDBACK, 1, TransferKind.VOID_PENDING, "no such#0")], NoSuchThing),
        ([leg(ext("manual"), TENANT, 1, TransferKind.VOID_PENDING, "deposit:t:100#0")], WrongState),
        ([leg(ext("manual"), TENANT, MICRO_USD_MAX)], InvalidValue),
    ]
    good = entry("good", leg(TENANT, HOLDBACK, 60))
    before = rows(database)

    def run(tx, wrong, error):
        with pytest.raises(error):
            post_all(
                tx, [good, entry("wrong", *wrong), entry("more", leg(TENANT, HOLDBACK, 1))], NOW
            )
        return post(tx, entry("after", leg(TENANT, HOLDBACK, 1)), NOW)

    for wrong, error in refused:
        failing = database.writer.submit(lambda tx, w=wrong, e=error: run(tx, w, e) and 1 / 0)
        assert isinstance(failing.exception(), ZeroDivisionError)
        assert rows(database) == before
    assert not database.writer.call(run, *refused[0]).repeated
    assert has(database, HOLDBACK) == 1


def test_what_was_posted_before_and_what_is_twice_in_a_batch_is_posted_once(database):
    fund(database, 100)
    old, new = entry("old", leg(TENANT, HOLDBACK, 1)), entry("new", leg(TENANT, HOLDBACK, 2))
    put(database, old)
    twin = entry("new", leg(TENANT, HOLDBACK, 2))
    results = database.writer.call(post_all, [old, new, twin, new, entry("none")], NOW)
    assert [each.repeated for each in results] == [True, False, True, True, False]
    assert [each.event_id for each in results] == ["old", "new", "new", "new", "none"]
    assert has(database, HOLDBACK) == 3


def test_the_very_same_entry_twice_in_a_batch_is_new_the_first_time(database):
    fund(database, 100)
    new = entry("new", leg(TENANT, HOLDBACK, 2))
    results = database.writer.call(post_all, [new, new], NOW)
    assert [each.repeated for each in results] == [False, True]


@pytest.mark.parametrize("where", ["earlier in the batch", "long ago"])
def test_an_event_with_other_content_refuses_the_whole_batch(database, where):
    fund(database, 100)
    first, other = entry("e", leg(TENANT, HOLDBACK, 1)), entry("e", leg(TENANT, HOLDBACK, 2))
    batch = [entry("new", leg(TENANT, HOLDBACK, 3)), other]
    if where == "long ago":
        put(database, first)
    else:
        batch.insert(0, first)
    before = rows(database)

    def run(tx):
        with pytest.raises(Conflict):
            post_all(tx, batch, NOW)

    database.writer.call(run)
    assert rows(database) == before


def test_a_hold_is_paid_or_released_within_its_own_batch(database):
    fund(database)
    paid, released = UNIT, replace(UNIT, unit_id="w")
    put(
        database,
        rules.open_task(TASK, 1_500_000),
        rules.assign_unit(TASK, paid),
        rules.accept_unit(TASK, paid),
        rules.assign_unit(TASK, replace(released, price_micro_usd=500_000)),
        rules.expire_unit(TASK, replace(released, price_micro_usd=500_000)),
    )
    assert balance(database.reader(), task_escrow("j")) == Balance(
        credits_posted=1_500_000, debits_posted=1_000_000
    )
    assert has(database, HOLDBACK) == 970_000


def test_one_entry_may_hold_and_pay_what_it_holds(database):
    fund(database, 100)
    hold = leg(TENANT, HOLDBACK, 60, TransferKind.PENDING)
    put(
        database,
        entry("both", hold, leg(TENANT, HOLDBACK, 20, TransferKind.POST_PENDING, "both#0")),
    )
    assert balance(database.reader(), TENANT) == Balance(credits_posted=100, debits_posted=20)


def test_a_hold_that_comes_later_in_the_batch_is_not_there_yet(database):
    fund(database, 100)
    hold = entry("hold", leg(TENANT, HOLDBACK, 60, TransferKind.PENDING))
    pay = entry("pay", leg(TENANT, HOLDBACK, 60, TransferKind.POST_PENDING, "hold#0"))
    with pytest.raises((NoSuchThing, WrongState)):
        put(database, pay, hold)
    assert has(database, TENANT) == 100


def test_a_hold_is_resolved_once_within_a_batch_too(database):
    fund(database, 100)
    hold = entry("hold", leg(TENANT, HOLDBACK, 60, TransferKind.PENDING))
    pay = entry("pay", leg(TENANT, HOLDBACK, 60, TransferKind.POST_PENDING, "hold#0"))
    void = entry("void", leg(TENANT, HOLDBACK, 60, TransferKind.VOID_PENDING, "hold#0"))
    for batch in ([hold, pay, void], [hold, void, pay]):
        with pytest.raises(WrongState):
            put(database, *batch)
    assert has(database, TENANT) == 100


HOLD_ALL = leg(TENANT, HOLDBACK, 100, TransferKind.PENDING)
OVERDRAWN_ON_THE_WAY = {
    "spent before it comes": [leg(TENANT, HOLDBACK, 101), leg(ext("manual"), TENANT, 50)],
    "held before it comes": [replace(HOLD_ALL, amount_micro_usd=101), leg(ext("manual"), TENANT, 50)],
    "spent while it is held": [
        HOLD_ALL,
        leg(TENANT, HOLDBACK, 1),
        leg(TENANT, HOLDBACK, 100, TransferKind.VOID_PENDING, "e0#0"),
    ],
    "sent out before it comes in": [leg(TENANT, ext("bank"), 10), leg(ext("bank"), TENANT, 10)],
    "out and back": [leg(TENANT, HOLDBACK, 101), leg(HOLDBACK, TENANT, 101)],
    "round in a ring": [leg(PAYABLE, HOLDBACK, 5), leg(HOLDBACK, PAYABLE, 5)],
    "a hold that money on its way would pay": [
        leg(HOLDBACK, PAYABLE, 5, TransferKind.PENDING),
        leg(TENANT, HOLDBACK, 5),
        leg(HOLDBACK, PAYABLE, 5, TransferKind.POST_PENDING, "e0#0"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("together", [False, True], ids=["an entry per leg", "one entry"])
@pytest.mark.parametrize("wrong", OVERDRAWN_ON_THE_WAY)
def test_what_overdraws_on_the_way_is_refused_though_the_end_would_be_fine(
    database, wrong, together
):
    fund(database, 100)
    legs = OVERDRAWN_ON_THE_WAY[wrong]
    singly = [entry(f"e{number}", each) for number, each in enumerate(legs)]
    batch = [entry("e0", *legs)] if together else singly
    before = rows(database)
    with pytest.raises(FundsTooLow):
        put(database, *batch)
    assert rows(database) == before


def test_a_batch_may_spend_what_came_earlier_in_it(database):
    put(
        database,
        entry("in", leg(ext("manual"), TENANT, 100)),
        entry("on", leg(TENANT, HOLDBACK, 100)),
        entry("out", leg(HOLDBACK, ext("manual"), 100)),
    )
    assert balance(database.reader(), HOLDBACK) == Balance(credits_posted=100, debits_posted=100)


def test_the_refusal_of_a_batch_names_the_account_that_has_too_little(database):
    fund(database, 100)
    batch = [
        entry("on", leg(TENANT, HOLDBACK, 100)),
        entry("expected", leg(HOLDBACK, PAYABLE, 100, TransferKind.PENDING)),
        entry("too early", leg(PAYABLE, ext("manual"), 100)),
    ]
    with pytest.raises(FundsTooLow) as error:
        put(database, *batch)
    assert error.value.fields["account"] == PAYABLE


def test_a_hold_that_is_paid_can_be_spent_later_in_the_batch_and_the_refusal_knows(database):
    fund(database, 100)
    batch = [
        entry("hold", leg(TENANT, HOLDBACK, 100, TransferKind.PENDING)),
        entry("pay", leg(TENANT, HOLDBACK, 100, TransferKind.POST_PENDING, "hold#0")),
        entry("on", leg(HOLDBACK, PAYABLE, 100)),
        entry("too much", leg(HOLDBACK, PAYABLE, 1)),
    ]
    with pytest.raises(FundsTooLow) as error:
        put(database, *batch)
    assert error.value.fields["account"] == HOLDBACK
    put(database, *batch[:3])
    assert has(database, PAYABLE) == 100


def test_a_batch_larger_than_any_statement_s_parameters_is_posted_whole(database):
    count = KEYS_AT_ONCE[database.reader().dialect] + 1
    fund(database, count)
    entries = [
        entry(f"e{n}", leg(TENANT, provider_holdback(f"p{n}"), 1), leg(provider_holdback(f"p{n}"), PAYABLE, 1))
        for n in range(count)
    ]  # fmt: skip
    put(database, *entries)
    assert has(database, PAYABLE) == count
    assert has(database, TENANT) == 0
    results = database.writer.call(post_all, entries, NOW)
    assert all(each.repeated for each in results)


def test_an_entry_has_at_most_as_many_legs_as_the_database_numbers(database):
    fund(database, 64)
    put(database, entry("gang", *(leg(TENANT, provider_holdback(f"p{n}"), 1) for n in range(64))))
    assert has(database, TENANT) == 0
    with pytest.raises(InvalidValue):
        entry("larger", *(leg(TENANT, HOLDBACK, 1) for _ in range(65)))


def test_no_entries_at_all_are_posted_as_nothing(database):
    assert database.writer.call(post_all, [], NOW) == []
    assert database.writer.call(post_all, [entry("nothing")], NOW)[0].transfer_ids == ()


def test_several_calls_of_one_commit_see_each_other_and_fail_alone(database):
    """Metering reads the escrow that the call before it in the same commit has just paid from."""
    fund(database)
    put(database, rules.open_lease(LEASE, 2_490_000))

    def settle(tx, seconds):
        return post(tx, rules.meter(LEASE, seconds, balance(tx, lease_escrow("l"))), Instant(2.0))

    def both(tx):
        return settle(tx, 100), settle(tx, 100), settle(tx, 3_600)

    first, again, last = database.writer.call(both)
    assert (bool(first.transfer_ids), again.transfer_ids) == (True, ())
    assert not last.repeated
    assert has(database, lease_escrow("l")) == 0
