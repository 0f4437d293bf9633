"""Payouts, deposits, promotional credit, frozen accounts and settings on both databases."""

import pytest

from gondwana.core.errors import (
    AccountFrozen,
    Exhausted,
    FundsTooLow,
    InvalidValue,
    NoSuchThing,
    WrongState,
)
from gondwana.ledger import accounts as chart
from gondwana.ledger import (
    deposits,
    frozen,
    holdbacks,
    payouts,
    rules,
    settings,
    solvency,
    treasury,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.deposit_codes import shown
from gondwana.ledger.model import Entry, Leg, Shares
from gondwana.ledger.payments import DepositState, Outcome, PayoutSettings, PayoutState
from gondwana.ledger.rails import rail_named
from gondwana.ledger.store import balance, post
from gondwana.policy.model import Scope

USD = 1_000_000
IBAN = "DE89370400440532013000"
CSV = rail_named("csv")


@pytest.fixture
def money(database, make_world):
    """A world whose tenant has $1,000 over `manual`, and whose owner earned $100, with a destination each."""
    world = make_world(database)
    world.write(post, rules.treasury_deposit("csv", 500 * USD, key="seed"), world.now)
    earn(world, 100 * USD)
    for who in (world.owner, world.tenant):
        go_over(world, who, "")
    return world


def go_over(world, who, rail, destination=IBAN):
    to = {"rail": rail, "destination": destination, "holder": "Ann"}
    return world.write(payouts.set_destination, world.now, who, **to)


def earn(world, micro_usd):
    """Earnings of the owner, ready to pay out; the operator pays them."""
    leg = Leg(
        debit=chart.fund_treasury(),
        credit=chart.provider_payable(world.owner),
        amount_micro_usd=micro_usd,
    )
    entry = Entry(event_id="earned", kind="subsidy.vest", subject=world.owner, legs=(leg,))
    world.write(post, entry, world.now)


def ask(world, amount=None, *, who=None, source="payable"):
    return world.write(
        payouts.request, world.random, world.now, who or world.owner, source=source, amount_micro_usd=amount
    )  # fmt: skip


def payable(world):
    return balance(world.reader, chart.provider_payable(world.owner)).available_micro_usd


def available(world):
    return balance(world.reader, chart.tenant_available(world.tenant)).available_micro_usd


def ext(world, rail="manual"):
    return -balance(world.reader, chart.ext(rail)).posted_micro_usd


def send(world, rail="manual", ids=()):
    return world.write(payouts.send, world.random, world.now, rail, ids=ids)


def add(world, amount=50 * USD, **given):
    given = {"rail": "csv", "tenant_id": world.tenant, **given}
    return world.write(
        deposits.add_deposit, world.random, world.now, amount_micro_usd=amount, **given
    )


def results(world, text):
    return world.write(payouts.apply_results, world.now, "csv", CSV.read_results(text))


def statement(world, text):
    read = CSV.read_payments("id,reference,amount,date,sender\n" + text)
    return world.write(deposits.apply_payments, world.random, world.now, "csv", read)


def code(world, who=None):
    return shown(world.write(deposits.code_of, world.random, world.now, who or world.tenant))


def check_books(world):
    assert audit(world.reader).ok
    assert treasury.look(world.reader).difference_micro_usd == 0


def test_a_payout_holds_its_money_leaves_when_confirmed_and_is_told_at_each_step(money):
    made = ask(money, 40 * USD)
    assert (made.state, made.destination, payable(money)) == (PayoutState.REQUESTED, IBAN, 60 * USD)
    batch = send(money)
    assert payouts.batch_of(money.reader, batch.id)[1][0].state is PayoutState.SENT
    assert ext(money) == 1000 * USD
    money.write(payouts.confirm, money.now, made.id, reference="bank 7")
    found = payouts.payout(money.reader, made.id)
    assert (found.state, found.reference, found.ended_at) == (PayoutState.CONFIRMED, "bank 7", money.now)  # fmt: skip
    assert (payable(money), ext(money)) == (60 * USD, 960 * USD)
    assert money.kinds(made.id) == ["payout.requested", "payout.sent", "payout.confirmed"]
    check_books(money)


def test_a_payout_that_fails_gives_the_money_back_at_once(money):
    for sent in (False, True):
        made = ask(money)
        assert payable(money) == 0
        if sent:
            send(money)
        money.write(payouts.fail, money.now, made.id, reason="account closed")
        assert payable(money) == 100 * USD
        assert payouts.payout(money.reader, made.id).reason == "account closed"
    assert send(money) is None  # what failed before it was sent waits no more
    check_books(money)


def test_a_payout_ends_once_and_moves_only_forward(money):
    made = ask(money, 40 * USD)
    with pytest.raises(WrongState, match="requested"):
        money.write(payouts.confirm, money.now, made.id, reference="R")
    send(money)
    money.write(payouts.confirm, money.now, made.id, reference="R")
    for change in (payouts.confirm, payouts.fail):
        told = {"reference": "R"} if change is payouts.confirm else {"reason": "late"}
        with pytest.raises(WrongState):
            money.write(change, money.now, made.id, **told)
    assert payable(money) == 60 * USD
    with pytest.raises(NoSuchThing):
        money.write(payouts.confirm, money.now, "pay_none", reference="R")


@pytest.mark.parametrize(
    ("amount", "error"),
    [(24_999_999, InvalidValue), (0, InvalidValue), (-1, InvalidValue), (101 * USD, FundsTooLow)],
)
def test_a_payout_of_too_little_or_too_much_is_refused_and_holds_nothing(money, amount, error):
    with pytest.raises(error):
        ask(money, amount)
    assert payable(money) == 100 * USD
    assert payouts.payouts(money.reader) == []


def test_a_tenant_takes_out_what_is_not_spent_but_never_a_promotion(money):
    money.write(
        treasury.grant_promo, money.random, money.now, tenant_id=money.tenant, amount_micro_usd=30 * USD, why="hello"
    )  # fmt: skip
    made = ask(money, who=money.tenant, source="available")
    assert made.amount_micro_usd == 1000 * USD
    with pytest.raises(InvalidValue):
        ask(money, who=money.tenant, source="promo")
    with pytest.raises(FundsTooLow):
        ask(money, 25 * USD, who=money.tenant, source="verifier")


def test_without_a_destination_nothing_is_paid_out(money):
    other = money.principal("other", Scope.TENANT)
    money.deposit(other, 100 * USD)
    with pytest.raises(NoSuchThing, match="destination") as caught:
        ask(money, who=other, source="available")
    assert "gondwana payout destination" in caught.value.hint


def test_a_payout_goes_where_its_owner_said_when_asking(money):
    made = ask(money, 40 * USD)
    go_over(money, money.owner, "csv", "GB00 1111")
    assert IBAN in payouts.file_of(*payouts.batch_of(money.reader, send(money).id))
    assert payouts.payout(money.reader, made.id).rail == "manual"
    assert ask(money, 40 * USD).rail == "csv"


def test_no_destination_is_in_any_event_or_representation(money):
    made = ask(money, 40 * USD)
    send(money)
    assert all(IBAN not in str(event.data) for event in money.events())
    assert IBAN not in f"{made!r} {payouts.destination_of(money.reader, money.owner)!r}"


def test_a_rail_that_holds_too_little_refuses_in_words_that_its_owner_understands(money):
    go_over(money, money.tenant, "csv")
    with pytest.raises(FundsTooLow, match="csv"):
        ask(money, 600 * USD, who=money.tenant, source="available")


def test_a_rail_that_the_network_gave_up_is_refused_for_payouts_and_destinations(money):
    money.write(settings.change_setting, money.now, "payouts", {"rails": ["csv"]}, by="op")
    with pytest.raises(WrongState, match="manual"):
        ask(money)
    with pytest.raises(InvalidValue):
        go_over(money, money.owner, "manual")


def test_a_principal_has_a_bounded_number_of_payouts_under_way(money):
    money.write(settings.change_setting, money.now, "payouts", {"micro_usd_min": 1}, by="op")
    for _ in range(payouts.LIVE_MAX):
        ask(money, USD)
    with pytest.raises(Exhausted):
        ask(money, USD)


def test_a_batch_takes_what_waits_for_its_rail_once_and_its_file_stays_the_same(money):
    first, second = ask(money, 30 * USD), ask(money, 40 * USD)
    batch = send(money)
    text = payouts.file_of(*payouts.batch_of(money.reader, batch.id))
    assert sorted(line.split(",")[0] for line in text.splitlines()[1:]) == sorted([first.id, second.id])  # fmt: skip
    assert send(money) is None
    money.write(payouts.confirm, money.now, first.id, reference="R")
    assert payouts.file_of(*payouts.batch_of(money.reader, batch.id)) == text
    with pytest.raises(NoSuchThing):
        send(money, "pigeon")


def test_named_payouts_are_sent_alone_and_only_if_they_wait_for_the_rail(money):
    first, second = ask(money, 30 * USD), ask(money, 40 * USD)
    send(money, ids=(second.id, second.id))
    states = {each.id: each.state for each in payouts.payouts(money.reader)}
    assert states == {first.id: PayoutState.REQUESTED, second.id: PayoutState.SENT}
    for rail, name in (("manual", second.id), ("csv", first.id)):
        with pytest.raises(WrongState):
            send(money, rail, (name,))


def test_results_read_twice_change_nothing_the_second_time(money):
    go_over(money, money.owner, "csv")
    arrived, closed, waiting = (ask(money, 30 * USD) for _ in range(3))
    send(money, "csv", (arrived.id, closed.id))
    text = (
        "id,status,reference,reason\n"
        f"{arrived.id},confirmed,B1,\n{closed.id},failed,,no such account\n"
        f"{waiting.id},confirmed,B2,\npay_none,confirmed,B3,\n"
    )
    told = results(money, text)
    assert [line.outcome for line in told] == [Outcome.APPLIED] * 2 + [Outcome.REFUSED] * 2
    assert "not handed" in told[2].detail
    assert payable(money) == 40 * USD
    events = len(money.events())
    again = results(money, text)
    assert [line.outcome for line in again] == [Outcome.REPEATED] * 2 + [Outcome.REFUSED] * 2
    assert (payable(money), len(money.events())) == (40 * USD, events)
    send(money, "csv")  # the bank was just early: the line that was refused counts once it fits
    assert results(money, text)[2].outcome is Outcome.APPLIED
    check_books(money)


def test_a_reference_that_says_something_else_the_second_time_is_refused(money):
    go_over(money, money.owner, "csv")
    one, two = ask(money, 30 * USD), ask(money, 30 * USD)
    send(money, "csv")
    results(money, f"id,status,reference\n{one.id},confirmed,B1\n")
    (told,) = results(money, f"id,status,reference\n{two.id},confirmed,B1\n")
    assert (told.outcome, one.id in told.detail) == (Outcome.REFUSED, True)
    assert statement(money, "9,x,1,2026-11-23,y\n")[0].outcome is Outcome.APPLIED
    assert statement(money, "9,x,2,2026-11-23,y\n")[0].outcome is Outcome.REFUSED


def test_a_statement_finds_accounts_by_code_and_keeps_the_rest_in_suspense(money):
    text = f"1,thanks {code(money).lower()},12.50,2026-11-23,Ann\n2,rent,3,2026-11-23,Eve\n"
    before = available(money)
    for expected in (Outcome.APPLIED, Outcome.REPEATED):
        assert [line.outcome for line in statement(money, text)] == [expected] * 2
    assert available(money) == before + 12_500_000
    assert balance(money.reader, chart.suspense("csv")).available_micro_usd == 3 * USD
    unclear, confirmed = deposits.deposits(money.reader)
    assert (unclear.state, unclear.sender, unclear.paid_on) == (DepositState.UNCLEAR, "Eve", "2026-11-23")  # fmt: skip
    assert (confirmed.state, confirmed.tenant_id) == (DepositState.CONFIRMED, money.tenant)
    check_books(money)


def test_two_like_payments_on_one_day_are_two_deposits(money):
    before = available(money)
    statement(money, f"1,{code(money)},5,2026-11-23,Ann\n2,{code(money)},5,2026-11-23,Ann\n")
    assert available(money) == before + 10 * USD


def test_a_payment_that_names_two_accounts_is_unclear(money):
    other = money.principal("other", Scope.TENANT)
    (told,) = statement(money, f"1,{code(money)} {code(money, other)},5,2026-11-23,Ann\n")
    assert told.detail == DepositState.UNCLEAR


def test_a_code_is_one_tenants_for_ever(money):
    other = money.principal("other", Scope.TENANT)
    assert code(money) == code(money) != code(money, other)


def test_an_expected_deposit_counts_when_it_is_confirmed_and_never_when_it_is_void(money):
    before = available(money)
    came, missing = add(money, expected=True), add(money, expected=True)
    assert available(money) == before
    assert deposits.deposit(money.reader, came.id).state is DepositState.EXPECTED
    money.write(deposits.confirm_deposit, money.now, came.id)
    money.write(deposits.void_deposit, money.now, missing.id, reason="never came")
    assert available(money) == before + 50 * USD
    for change in (deposits.confirm_deposit, deposits.charge_back, deposits.clear_deposit):
        told = {
            deposits.charge_back: {"reason": "x"},
            deposits.clear_deposit: {"tenant_id": money.tenant},
        }
        with pytest.raises(WrongState):
            money.write(change, money.now, missing.id, **told.get(change, {}))
    check_books(money)


def test_a_statement_confirms_what_was_expected_instead_of_counting_it_twice(money):
    before = available(money)
    by_text = add(money, 7 * USD, expected=True, reference="INV 7")
    by_code = add(money, 8 * USD, expected=True)
    lines = ("1,INV 7,7", f"2,{code(money)},8", "3,INV 7,7")
    told = statement(money, "".join(f"{line},2026-11-23,A\n" for line in lines))
    assert [line.subject for line in told[:2]] == [by_text.id, by_code.id]
    assert told[2].detail == DepositState.UNCLEAR
    assert available(money) == before + 15 * USD
    check_books(money)


def test_an_unclear_payment_finds_its_owner_or_goes_back_and_never_both(money):
    before, rail = available(money), ext(money, "csv")
    lost, wrong = add(money, tenant_id=None), add(money, tenant_id=None)
    money.write(deposits.clear_deposit, money.now, lost.id, tenant_id=money.tenant)
    money.write(deposits.return_deposit, money.now, wrong.id, reason="not ours")
    assert (available(money), ext(money, "csv")) == (before + 50 * USD, rail + 50 * USD)
    assert deposits.deposits_of(money.reader, money.tenant)[0].state is DepositState.CLEARED
    with pytest.raises(WrongState):
        money.write(deposits.return_deposit, money.now, lost.id, reason="x")
    with pytest.raises(InvalidValue):
        add(money, tenant_id=None, expected=True)
    assert balance(money.reader, chart.suspense("csv")).posted_micro_usd == 0
    check_books(money)


def test_a_chargeback_takes_the_balance_freezes_the_account_and_takes_waiting_payouts_back(money):
    fraud = add(money, 500 * USD)
    waiting = ask(money, 900 * USD, who=money.tenant, source="available")
    money.write(deposits.charge_back, money.now, fraud.id, reason="stolen card")
    assert payouts.payout(money.reader, waiting.id).state is PayoutState.FAILED
    assert available(money) == 1000 * USD
    assert balance(money.reader, chart.expense("chargeback")).debits_posted == 0
    assert "charged back" in frozen.frozen_because(money.reader, money.tenant)
    for blocked in (lambda: ask(money, who=money.tenant, source="available"), money.submit):
        with pytest.raises(AccountFrozen):
            blocked()
    with pytest.raises(WrongState):
        money.write(deposits.charge_back, money.now, fraud.id, reason="again")
    money.write(frozen.unfreeze, money.now, money.tenant)
    ask(money, who=money.tenant, source="available")
    with pytest.raises(NoSuchThing):
        money.write(frozen.unfreeze, money.now, money.tenant)
    check_books(money)


def test_what_a_chargeback_finds_spent_is_the_operators_loss(money):
    deposit = add(money, 500 * USD)
    gone = ask(money, 1000 * USD, who=money.tenant, source="available")
    send(money)
    money.write(payouts.confirm, money.now, gone.id, reference="R")
    money.write(deposits.charge_back, money.now, deposit.id, reason="stolen card")
    assert available(money) == 0
    again = add(money, 80 * USD)
    money.write(frozen.unfreeze, money.now, money.tenant)
    go_over(money, money.tenant, "csv")
    ask(money, 60 * USD, who=money.tenant, source="available")
    send(money, "csv")
    money.write(deposits.charge_back, money.now, again.id, reason="stolen card")
    assert balance(money.reader, chart.expense("chargeback")).debits_posted == 60 * USD
    check_books(money)


def test_the_treasury_seeds_funds_and_takes_back_what_they_may_spare(money):
    def act(change, *args):
        return money.write(change, money.random, money.now, *args)

    act(treasury.deposit, "csv", 50 * USD)
    act(treasury.fund_deposit, "verification", 20 * USD)
    act(treasury.fund_withdraw, "verification", 5 * USD)
    act(treasury.fund_deposit, "insurance", 25 * USD)
    act(treasury.fund_withdraw, "insurance", 5 * USD)  # nobody has a claim on it
    exposures = {money.owner: 18 * USD}
    needed = solvency.report(money.reader, money.now, exposures=exposures, open_claims_micro_usd=0)
    money.write(solvency.publish, needed)
    with pytest.raises(WrongState):
        act(treasury.fund_withdraw, "insurance", 5 * USD)
    with pytest.raises(NoSuchThing):
        act(treasury.fund_deposit, "holiday", 5 * USD)
    with pytest.raises(FundsTooLow):
        act(treasury.withdraw, "csv", 10_000 * USD)
    with pytest.raises(InvalidValue):
        act(treasury.deposit, "csv", 0)
    held = {each.name: each.micro_usd for each in treasury.look(money.reader).operator}
    assert held["fund:insurance"] == 20 * USD
    assert held["fund:verification"] == 15 * USD
    check_books(money)


def test_fees_are_swept_whole_and_tax_is_remitted_as_far_as_it_is_owed(money):
    paid = Entry(event_id="paid", kind="lease.meter", subject="lse_1", legs=(
        Leg(debit=chart.tenant_available(money.tenant), credit=chart.income_fees(), amount_micro_usd=7 * USD),
        Leg(debit=chart.tenant_available(money.tenant), credit=chart.tax("de"), amount_micro_usd=2 * USD),
    ))  # fmt: skip
    money.write(post, paid, money.now)
    money.write(treasury.sweep, money.random, money.now, None)
    assert balance(money.reader, chart.income_fees()).posted_micro_usd == 0
    with pytest.raises(InvalidValue):
        money.write(treasury.sweep, money.random, money.now, None)  # nothing is left
    remit = {"rail": "manual", "jurisdiction": "de"}
    money.write(treasury.remit_tax, money.random, money.now, **remit, amount_micro_usd=2 * USD)
    with pytest.raises(FundsTooLow):
        money.write(treasury.remit_tax, money.random, money.now, **remit, amount_micro_usd=1)
    check_books(money)


def test_the_look_names_each_rail_with_what_is_on_its_way(money):
    ask(money, 40 * USD)
    add(money, 9 * USD, expected=True)
    rails = {each.name: each for each in treasury.look(money.reader).rails}
    assert rails["manual"].micro_usd == 1000 * USD
    assert rails["manual"].pending_out_micro_usd == 40 * USD
    assert rails["csv"].pending_in_micro_usd == 9 * USD


def test_a_named_entry_is_moved_back_once_and_said_so(money):
    seq = money.reader.one("SELECT max(seq) AS seq FROM ledger_transfer")["seq"]
    add(money, 5 * USD)
    before = available(money)
    money.write(treasury.correct, money.now, seq + 1, why="booked twice")
    assert available(money) == before - 5 * USD
    assert "ledger.corrected" in money.kinds()
    with pytest.raises(InvalidValue):
        money.write(treasury.correct, money.now, seq + 1, why="")
    repeated = money.write(treasury.correct, money.now, seq + 1, why="booked twice")
    assert (repeated.repeated, available(money)) == (True, before - 5 * USD)
    with pytest.raises(NoSuchThing):
        money.write(treasury.correct, money.now, 10**9, why="x")
    check_books(money)


def test_what_a_confirmed_hold_paid_is_moved_back_and_a_mere_hold_is_not(money):
    made = ask(money, 40 * USD)
    held = money.reader.one("SELECT max(seq) AS seq FROM ledger_transfer")["seq"]
    with pytest.raises(WrongState):
        money.write(treasury.correct, money.now, held, why="x")
    send(money)
    money.write(payouts.confirm, money.now, made.id, reference="R")
    money.write(treasury.correct, money.now, held + 1, why="the bank sent it back")
    assert payable(money) == 100 * USD
    check_books(money)


def last_transfer(world):
    return world.reader.one("SELECT max(seq) AS seq FROM ledger_transfer")["seq"]


@pytest.mark.parametrize("how", ["recorded", "expected", "cleared"])
@pytest.mark.parametrize("first", ["corrected", "charged back"])
def test_a_deposit_is_corrected_or_charged_back_but_never_both(money, how, first):
    before = available(money)
    made = add(
        money, expected=how == "expected", tenant_id=None if how == "cleared" else money.tenant
    )
    if how == "expected":
        money.write(deposits.confirm_deposit, money.now, made.id)
    if how == "cleared":
        money.write(deposits.clear_deposit, money.now, made.id, tenant_id=money.tenant)
    seq = last_transfer(money)
    steps = [
        lambda: money.write(treasury.correct, money.now, seq, why="booked twice"),
        lambda: money.write(deposits.charge_back, money.now, made.id, reason="stolen"),
    ]
    one, other = steps if first == "corrected" else reversed(steps)
    one()
    with pytest.raises(WrongState):
        other()
    assert available(money) == before
    check_books(money)


def test_earnings_are_ripe_after_the_window_and_promotions_expire_at_their_end(money):
    leg = Leg(
        debit=chart.tenant_available(money.tenant),
        credit=chart.provider_holdback(money.owner),
        amount_micro_usd=5 * USD,
    )
    entry = Entry(event_id="m", kind="lease.meter", subject="lea_a", legs=(leg,))
    money.write(post, entry, money.now)
    promo = {"tenant_id": money.tenant, "amount_micro_usd": 3 * USD, "why": "hello"}
    soon = money.now + 3600
    money.write(treasury.grant_promo, money.random, money.now, **promo, expires_at=soon)
    assert holdbacks.ripe(money.reader, money.now) == []
    assert treasury.tenants_to_expire(money.reader, money.now) == []
    money.clock.advance(7 * 86_400 + 1)
    assert holdbacks.ripe(money.reader, money.now) == [money.owner]
    assert treasury.tenants_to_expire(money.reader, money.now) == [money.tenant]
    for amounts in ((5 * USD, 3 * USD), (0, 0)):
        moved = money.write(holdbacks.mature, money.now, money.owner)
        expired = money.write(treasury.expire_promo, money.now, money.tenant)
        assert (moved, expired) == amounts
    assert holdbacks.ripe(money.reader, money.now) == []
    assert treasury.tenants_to_expire(money.reader, money.now) == []
    check_books(money)


def test_a_setting_is_changed_field_by_field_and_told_with_old_and_new(money):
    def change(name, **fields):
        return money.write(settings.change_setting, money.now, name, fields, by="pri_op")

    assert change("payouts", micro_usd_min=5).micro_usd_min == 5
    assert settings.setting(money.reader, "payouts", PayoutSettings) == PayoutSettings(micro_usd_min=5)  # fmt: skip
    change("payouts", micro_usd_min=5)  # the same again is no change
    (event,) = [each for each in money.events() if each.kind == "setting.changed"]
    assert (event.subject, event.data["by"]) == ("payouts", "pri_op")
    assert (event.data["old"]["micro_usd_min"], event.data["new"]["micro_usd_min"]) == (25 * USD, 5)
    assert settings.settings(money.reader).keys() == settings.SETTINGS.keys()


@pytest.mark.parametrize(
    ("name", "fields", "field"),
    [
        ("shares", {"fee": 1}, "shares.fee"),
        ("shares", {"fee_bps": "1"}, "shares.fee_bps"),
        ("shares", {"fee_bps": True}, "shares.fee_bps"),
        ("shares", {"fee_bps": 1.5}, "shares.fee_bps"),
        ("shares", {"fee_bps": None}, "shares.fee_bps"),
        ("shares", {"fee_bps": -1}, "shares"),
        ("shares", {"fee_bps": 10_001}, "shares"),
        ("payouts", {"micro_usd_min": 0}, "payouts.micro_usd_min"),
        ("payouts", {"rails": ["csv", 1]}, "payouts.rails[1]"),
        ("payouts", {"rails": ["No Such"]}, "payouts.rails"),
        ("holdback", {"seconds": -1}, "holdback.seconds"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_field_and_changes_nothing(money, name, fields, field):
    with pytest.raises(InvalidValue) as caught:
        money.write(settings.change_setting, money.now, name, fields, by="op")
    assert caught.value.fields["field"] == field
    assert settings.settings(money.reader)[name] == settings.SETTINGS[name]


def test_an_unknown_setting_is_refused(money):
    with pytest.raises(NoSuchThing):
        money.write(settings.change_setting, money.now, "weather", {"sun": 1}, by="op")


def test_each_share_may_be_nothing(money):
    zero = dict.fromkeys(("fee_bps", "insurance_bps", "verification_bps", "tax_bps"), 0)
    money.write(settings.change_setting, money.now, "shares", zero, by="op")
    money.join()
    assert money.submit().shares == Shares(**zero)
