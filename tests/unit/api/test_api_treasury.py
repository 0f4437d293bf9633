"""Money over the API: whole numbers only, a key for every request that moves it, and no destination in sight."""

import json

import pytest
import urllib3

from gondwana.core.errors import (
    AccountFrozen,
    InvalidValue,
    NoSuchThing,
    ScopeMissing,
    from_problem,
)
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.sdk import Client
from gondwana.wire.treasury import PaymentRequest, PromoRequest

USD = 1_000_000
IBAN = "DE89370400440532013000"
MONEY = {
    ("POST", "/v1/account/deposit"): {"principal": "", "amount_micro_usd": USD},
    ("POST", "/v1/payouts"): {"account": "available", "amount_micro_usd": 30 * USD},
    ("POST", "/v1/treasury/deposit"): {"rail": "manual", "amount_micro_usd": USD},
    ("POST", "/v1/treasury/withdraw"): {"rail": "manual", "amount_micro_usd": USD},
    ("POST", "/v1/treasury/sweep"): {"amount_micro_usd": USD},
    ("POST", "/v1/treasury/funds/verification/deposit"): {"amount_micro_usd": USD},
    ("POST", "/v1/treasury/taxes/de"): {"rail": "manual", "amount_micro_usd": USD},
    ("POST", "/v1/treasury/deposits"): {"principal": "tenant", "rail": "csv", "amount_micro_usd": USD},
    ("POST", "/v1/treasury/promos"): {"principal": "tenant", "amount_micro_usd": USD, "why": "hi"},
    ("POST", "/v1/treasury/corrections"): {"transfer": 1, "why": "x"},
}  # fmt: skip
KEYED = {
    **MONEY,
    ("PUT", "/v1/payouts/destination"): {"destination": IBAN, "holder": "Ann"},
    ("POST", "/v1/treasury/batches"): {"rail": "csv"},
    ("POST", "/v1/treasury/payouts/results"): {"rail": "csv", "content": "id,status\n"},
    ("POST", "/v1/treasury/deposits/statement"): {"rail": "csv", "content": "id,reference,amount,date\n"},
    ("POST", "/v1/treasury/payouts/pay_1/confirm"): {"reference": "R"},
    ("POST", "/v1/treasury/payouts/pay_1/fail"): {"reason": "x"},
    ("POST", "/v1/treasury/deposits/dep_1/confirm"): {},
    ("POST", "/v1/treasury/deposits/dep_1/void"): {},
    ("POST", "/v1/treasury/deposits/dep_1/clear"): {"principal": "tenant"},
    ("POST", "/v1/treasury/deposits/dep_1/return"): {},
    ("POST", "/v1/treasury/deposits/dep_1/chargeback"): {"reason": "x"},
    ("PUT", "/v1/treasury/frozen/tenant"): {"reason": "x"},
    ("DELETE", "/v1/treasury/frozen/tenant"): {},
    ("PUT", "/v1/settings/shares"): {"fee_bps": 100},
}  # fmt: skip


def call(served, method, path, body, key="k"):
    headers = {"Authorization": f"Bearer {served.token}", "Content-Type": "application/json"}
    if key is not None:
        headers["Idempotency-Key"] = key
    text = body if isinstance(body, str) else json.dumps(body)
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request(method, served.url + path, body=text, headers=headers)
    return answer.status, json.loads(answer.data)


def client(served, name, *scopes):
    world = served.world
    _, token = world.write(policy.create_token, world.random, world.now, name=name, scopes=scopes)
    return Client(served.url, token)


@pytest.mark.parametrize(("request_line", "body"), KEYED.items(), ids=lambda each: str(each)[:60])
def test_a_request_that_moves_money_without_an_idempotency_key_is_refused(
    served, request_line, body
):
    before = len(served.world.events())
    status, problem = call(served, *request_line, body, key=None)
    assert (status, problem["fields"]["field"]) == (422, "Idempotency-Key")
    assert problem["hint"]
    assert len(served.world.events()) == before


@pytest.mark.parametrize(("request_line", "body"), MONEY.items(), ids=lambda each: str(each)[:60])
@pytest.mark.parametrize("wrong", ['"1"', "true", "1.0", "1.5", "[1]", "{}", '"x"'])
def test_an_amount_that_is_no_whole_number_is_refused(served, request_line, body, wrong):
    field = "transfer" if "transfer" in body else "amount_micro_usd"
    text = json.dumps({**body, field: "HERE"}).replace('"HERE"', wrong)
    before = len(served.world.events())
    status, problem = call(served, *request_line, text)
    assert (status, problem["code"]) == (422, "invalid_value")
    assert problem["fields"]["field"] == field
    assert len(served.world.events()) == before


@pytest.mark.parametrize("wrong", [0, -1, 2**62 + 1, 10**30, None])
def test_an_amount_out_of_range_is_refused(served, wrong):
    for path in ("/v1/account/deposit", "/v1/treasury/deposit", "/v1/treasury/deposits"):
        status, problem = call(served, "POST", path, {**MONEY["POST", path], "amount_micro_usd": wrong})  # fmt: skip
        assert (status, problem["fields"]["field"]) == (422, "amount_micro_usd"), path


def test_a_body_that_is_no_request_is_refused(served):
    for body in ("", "null", "[]", "7", "{", '{"rail": "csv"}'):
        status, problem = call(served, "POST", "/v1/treasury/deposit", body)
        assert (status, problem["code"]) == (422, "invalid_value"), body


def test_the_same_request_twice_moves_money_once(served):
    body = MONEY["POST", "/v1/treasury/deposit"]
    first = call(served, "POST", "/v1/treasury/deposit", body, key="same")
    assert call(served, "POST", "/v1/treasury/deposit", body, key="same") == first
    held = {each.name: each.micro_usd for each in served.client.treasury.balance().operator}
    assert held == {"fund:treasury": USD}
    other = {**body, "amount_micro_usd": 2 * USD}
    assert call(served, "POST", "/v1/treasury/deposit", other, key="same")[0] == 409


def test_a_destination_is_masked_everywhere_but_in_the_batch_that_pays_it(served):
    mine = served.client
    assert mine.payouts.set_destination(IBAN, holder="Ann").destination == "…3000"
    made = mine.payouts.request(40 * USD, account="available")
    sent = mine.treasury.payouts.send("manual")
    shown = [
        mine.payouts.destination(), made, mine.payouts.get(made.id), *mine.payouts.list(),
        *mine.treasury.payouts.list(), sent, *mine.events(),
    ]  # fmt: skip
    assert IBAN not in str(shown)
    assert IBAN in mine.treasury.payouts.batch(sent.id).file
    assert IBAN not in repr(mine.treasury.payouts.batch(sent.id))


def test_a_wrong_destination_is_not_repeated_in_the_refusal(served):
    status, problem = call(
        served, "PUT", "/v1/payouts/destination", {"destination": "=SECRET+1", "holder": "Ann"}
    )
    assert status == 422
    assert "SECRET" not in json.dumps(problem)


def test_a_token_takes_out_only_what_its_scope_is_about(served):
    buyer, seller = client(served, "ada", Scope.TENANT), client(served, "olga", Scope.PROVIDER)
    for who, account in ((buyer, "payable"), (buyer, "verifier"), (seller, "available")):
        with pytest.raises(ScopeMissing):
            who.payouts.request(account=account)
    for who in (buyer, seller):
        for ask in (who.treasury.balance, lambda who=who: list(who.settings.list())):
            with pytest.raises(ScopeMissing):
                ask()


def test_nobody_sees_the_payouts_and_deposits_of_somebody_else(served):
    served.client.payouts.set_destination(IBAN, holder="Ann")
    made = served.client.payouts.request(40 * USD, account="available")
    served.client.account.deposit(USD)
    other = client(served, "ada", Scope.TENANT)
    assert [list(other.payouts.list()), list(other.deposits.list())] == [[], []]
    with pytest.raises(NoSuchThing):
        other.payouts.get(made.id)


def test_a_deposit_that_an_operator_records_can_be_charged_back_and_freezes_the_account(served):
    mine = served.client
    mine.account.deposit(7 * USD, reference="card 1")
    (deposit,) = mine.treasury.deposits.list("confirmed")
    assert (deposit.principal, deposit.reference) == ("tenant", "card 1")
    assert mine.treasury.deposits.chargeback(deposit.id, reason="stolen").state == "charged_back"
    with pytest.raises(AccountFrozen) as caught:
        mine.payouts.request(account="available")
    assert "unfreeze" in caught.value.hint
    assert not mine.treasury.unfreeze("tenant").frozen
    assert mine.treasury.freeze("tenant", reason="again").reason == "again"


def test_the_operator_moves_promises_and_corrects_over_the_client(served):
    treasury = served.client.treasury
    treasury.deposit("manual", 100 * USD)
    treasury.fund_deposit("verification", 30 * USD)
    treasury.fund_withdraw("verification", 10 * USD)
    treasury.withdraw("manual", 5 * USD)
    told = PromoRequest(principal="tenant", amount_micro_usd=9 * USD, why="welcome")
    promo = treasury.grant_promo(told)
    assert list(treasury.promos()) == [promo]
    unclear = PaymentRequest(principal="", rail="csv", amount_micro_usd=3 * USD, reference="?")
    found = treasury.deposits.record(unclear)
    assert treasury.balance().unclear[0].micro_usd == 3 * USD
    treasury.deposits.clear(found.id, principal="tenant")
    view = treasury.balance()
    assert view.difference_micro_usd == 0
    assert {each.name: each.micro_usd for each in view.operator} == {
        "fund:verification": 20 * USD, "fund:treasury": 66 * USD,
    }  # fmt: skip
    seq = served.world.reader.one("SELECT max(seq) AS seq FROM ledger_transfer")["seq"]
    assert treasury.correct(seq, why="not hers").unclear[0].micro_usd == 3 * USD


def test_settings_are_shown_and_changed_by_name_and_field(served):
    settings = served.client.settings
    names = [view.name for view in settings.list()]
    assert {"shares", "holdback", "payouts", "risk", "stakes"} <= set(names)
    assert settings.change("shares", {"fee_bps": 0}).value["fee_bps"] == 0
    assert settings.change("payouts", {"rails": ["csv"]}).value["rails"] == ["csv"]
    with pytest.raises(InvalidValue) as caught:
        settings.change("shares", {"fee_bps": "0"})
    assert caught.value.fields["field"] == "shares.fee_bps"
    status, problem = call(served, "PUT", "/v1/settings/shares", "[1]")
    assert (status, type(from_problem(problem))) == (422, InvalidValue)
