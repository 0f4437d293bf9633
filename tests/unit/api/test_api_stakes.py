"""Stakes, cases and reports over the API: who may see and do what, and the idempotency of money."""

import json

import pytest

from gondwana.core.errors import (
    FundsTooLow,
    InvalidValue,
    NoSuchThing,
    ScopeMissing,
    WrongState,
)
from gondwana.ledger import stakes
from gondwana.ledger.accounts import provider_payable
from gondwana.ledger.cases import SlashState
from gondwana.ledger.store import balance
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.sdk import Client

USD = 1_000_000


@pytest.fixture
def people(served):
    """`people("olga")`: a client of the owner, the tenant ada, a stranger sven."""
    world, made = served.world, {}
    scopes = {"olga": Scope.PROVIDER, "ada": Scope.TENANT, "sven": Scope.PROVIDER}

    def person(name):
        if name not in made:
            _, secret = world.write(
                policy.create_token, world.random, world.now, name=name, scopes=(scopes[name],)
            )
            made[name] = Client(served.url, secret)
            if name == "ada":
                world.deposit(made[name].me().principal, 100 * USD)
        return made[name]

    return person


@pytest.fixture
def machine(served, people):
    """A machine of olga's, who has ten dollars at stake."""
    olga = people("olga").me().principal
    served.world.join("kauri", owner_id=olga, up=False)
    served.client.stakes.add(10 * USD, principal="olga", rail="manual")
    return "mac_kauri"


def accuse(served, machine, usd=4, **changes):
    given = {"reason": "made up losses", "evidence": {"unit": "unit_1"}}
    return served.client.cases.open(machine, usd * USD, **{**given, **changes})


def test_an_owner_sees_what_is_at_stake_what_it_allows_and_what_would_allow_more(people, machine):
    view = people("olga").stakes.get()
    assert (view.principal, view.staked_micro_usd, view.collateral_micro_usd) == (
        "olga",
        10 * USD,
        10 * USD,
    )
    assert view.unverified_max_micro_usd > view.allowance_micro_usd
    works = [each.work_micro_usd for each in view.more]
    costs = [each.stake_micro_usd for each in view.more]
    assert works == sorted(works)
    assert costs == sorted(costs)
    assert costs[0] > 0


def test_a_stake_is_taken_out_in_parts_that_say_when_they_are_free(people, machine):
    olga = people("olga")
    view = olga.stakes.unbond(4 * USD)
    assert view.staked_micro_usd == 6 * USD
    (part,) = view.unbonding
    assert part.free_at - part.unbonded_at == 14 * 86_400
    assert view.collateral_micro_usd == 6 * USD, "what leaves does not stand for new work"
    with pytest.raises(FundsTooLow):
        olga.stakes.unbond(7 * USD)
    with pytest.raises(FundsTooLow):
        olga.stakes.add(1)


@pytest.mark.parametrize("amount", [0, -1, 2**63, "1", True, 1.5])
def test_an_amount_that_is_none_is_refused(people, machine, amount):
    with pytest.raises(InvalidValue):
        people("olga").stakes._transport.write("POST", "/v1/stakes/unbond", {"amount_micro_usd": amount})  # fmt: skip


def test_only_an_operator_puts_down_a_stake_for_somebody_or_over_a_rail(people, machine):
    for told in ({"rail": "manual"}, {"principal": "sven"}):
        with pytest.raises(ScopeMissing):
            people("olga").stakes.add(USD, **told)
    with pytest.raises(ScopeMissing):
        people("olga").stakes.get(principal="sven")
    with pytest.raises(ScopeMissing):
        people("ada").stakes.get()


def test_a_call_that_moves_money_needs_a_key_and_happens_once_for_it(served, people, machine):
    transport = people("olga").stakes._transport
    body = b'{"amount_micro_usd":1000000}'
    headers = {"Content-Type": "application/json"}
    with pytest.raises(InvalidValue, match="idempotency key"):
        transport.request("POST", "/v1/stakes/unbond", body=body, headers=headers)
    headers["Idempotency-Key"] = "once"
    first = transport.request("POST", "/v1/stakes/unbond", body=body, headers=headers)
    again = transport.request("POST", "/v1/stakes/unbond", body=body, headers=headers)
    assert first.body == again.body
    assert people("olga").stakes.get().staked_micro_usd == 9 * USD


# -- cases


def test_the_accused_reads_the_evidence_and_the_money_and_appeals(served, people, machine):
    opened = accuse(served, machine)
    olga = people("olga")
    (listed,) = olga.cases.list()
    assert (listed.id, listed.state, listed.evidence, listed.money) == (
        opened.id,
        "proposed",
        "",
        (),
    )
    view = olga.cases.get(opened.id)
    assert json.loads(view.evidence) == {"unit": "unit_1"}
    assert [(part.words, part.amount_micro_usd) for part in view.money] == [
        ("a stake → the insurance fund", 4 * USD)
    ]
    assert view.appeal_until - view.proposed_at == 3 * 86_400
    appealed = olga.cases.appeal(opened.id, "it was a broken driver")
    assert appealed.state == "appealed"
    assert appealed.judge_until - appealed.appealed_at == 30 * 86_400
    ended = served.client.cases.decide(opened.id, "reverse", "it was")
    assert (ended.state, ended.verdict) == ("reversed", "it was")
    with pytest.raises(WrongState):
        served.client.cases.decide(opened.id, "uphold", "after all")
    assert olga.stakes.get().staked_micro_usd == 10 * USD


def test_a_stranger_neither_sees_nor_appeals_a_case(served, people, machine):
    opened = accuse(served, machine)
    for name in ("sven", "ada"):
        assert list(people(name).cases.list()) == []
        with pytest.raises(NoSuchThing):
            people(name).cases.get(opened.id)
    with pytest.raises(NoSuchThing):
        people("sven").cases.appeal(opened.id, "let me")
    for act in (
        lambda client: client.cases.decide(opened.id, "uphold", "x"),
        lambda client: client.cases.correct(opened.id, "x"),
        lambda client: client.cases.open(machine, 1, reason="x", evidence={}),
        lambda client: list(client.cases.list(everyone=True)),
        lambda client: list(client.cases.reports(everyone=True)),
        lambda client: client.cases.decide_report("rep_1", "uphold", "x"),
    ):
        with pytest.raises(ScopeMissing):
            act(people("olga"))


def test_the_tenant_who_is_made_whole_sees_the_case_but_not_who_it_accuses(served, people, machine):
    people("ada")
    opened = accuse(served, machine, tenant="ada", made_whole_micro_usd=3 * USD)
    (view,) = people("ada").cases.list()
    whole = people("ada").cases.get(opened.id)
    assert (view.tenant, view.accused, whole.accused) == ("ada", "", "")
    assert whole.money[0].amount_micro_usd == 3 * USD
    olga = people("olga").cases.get(opened.id)
    assert (olga.tenant, olga.accused) == ("", "olga")


def test_a_report_leads_to_a_case_that_does_not_tell_the_accused_by_whom(served, people, machine):
    ada = people("ada")
    told = ada.cases.report("kauri", "the loss is made up")
    assert (told.state, told.bond_micro_usd, told.reporter) == ("open", 5 * USD, "ada")
    assert ada.account.balance().available_micro_usd == 95 * USD
    served.client.cases.decide_report(told.id, "uphold", "it is")
    assert ada.account.balance().available_micro_usd == 100 * USD
    opened = accuse(served, machine, usd=8, reports=[told.id])
    assert opened.reports == (told.id,)
    seen = people("olga").cases.get(opened.id)
    assert told.id not in repr(seen)
    assert "ada" not in repr(seen)
    assert list(people("olga").cases.reports()) == []
    assert [part.words for part in seen.money] == [
        "a stake → a reporter's earnings", "a stake → the insurance fund",
    ]  # fmt: skip
    assert ada.cases.get(opened.id).evidence == "", (
        "what the accused did elsewhere is not the reporter's"
    )
    (mine,) = ada.cases.reports()
    assert (mine.state, mine.case_id) == ("upheld", opened.id)


def test_a_report_that_is_refused_pays_the_accused(served, people, machine):
    told = people("ada").cases.report(machine, "slow", bond_micro_usd=6 * USD)
    served.client.cases.decide_report(told.id, "refuse", "it was not")
    olga = served.world.write(policy.principal_named, "olga")
    account = provider_payable(olga.id)
    assert balance(served.world.reader, account).available_micro_usd == 3 * USD
    with pytest.raises(WrongState):
        served.client.cases.decide_report(told.id, "uphold", "it was")


def test_a_machine_is_reported_by_a_name_only_where_one_owner_uses_it(served, people, machine):
    sven = people("sven").me().principal
    served.world.join("kauri2", owner_id=sven, up=False)
    with pytest.raises(NoSuchThing):
        people("ada").cases.report("nothing", "x")
    with pytest.raises(InvalidValue):
        people("ada").cases.report("kauri", "x", bond_micro_usd=1)
    with pytest.raises(InvalidValue):
        people("ada").cases.report("kauri", "x", bond_micro_usd=-5)
    with pytest.raises(NoSuchThing):
        people("ada").cases.report("kauri", "x", job="job_of_another")
    with pytest.raises(ScopeMissing):
        people("ada").cases.report("kauri", "x", from_earnings=True)
    with pytest.raises(ScopeMissing):
        people("sven").cases.report("kauri", "x")


def test_a_machine_that_is_named_like_another_s_id_is_not_accused_in_its_place(
    served, people, machine
):
    cheat = served.world.reader.one("SELECT id FROM machine WHERE name = 'kauri'")["id"]
    sven = people("sven").me().principal
    served.world.join(cheat, owner_id=sven, up=False)
    assert served.client.cases.open(cheat, USD, reason="it lied", evidence={}).accused == "olga"
    assert people("ada").cases.report(cheat, "it lied").machine_id == cheat


def test_a_verdict_that_is_none_is_refused(served, people, machine):
    opened = accuse(served, machine)
    with pytest.raises(InvalidValue):
        served.client.cases.decide(opened.id, "refuse", "x")
    for why in ("", "x" * 201):
        people("olga")
        with pytest.raises(InvalidValue):
            served.client.cases.open(machine, USD, reason=why, evidence={})


def test_an_operator_moves_back_what_silence_upheld(served, people, machine):
    opened = accuse(served, machine)
    served.world.write(_let_time_pass, opened.id)
    assert people("olga").stakes.get().staked_micro_usd == 6 * USD
    done = served.client.cases.correct(opened.id, "the checker was broken")
    assert (done.state, done.verdict) == ("corrected", "the checker was broken")
    assert people("olga").stakes.get().staked_micro_usd == 10 * USD


def _let_time_pass(tx, case_id):
    from gondwana.ledger import slashes

    later = slashes.case(tx, case_id).proposed_at + slashes.APPEAL_SECONDS
    assert slashes.settle(tx, later, case_id).state is SlashState.UPHELD
    assert stakes.unbonding(tx, "nobody") == []
