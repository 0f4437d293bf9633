"""Stakes, reports and slashes on a real database: each step with its money, its event, and nothing twice."""

import hashlib
import json

import pytest

from gondwana.core.errors import (
    Conflict,
    Exhausted,
    FundsTooLow,
    InvalidValue,
    NoSuchThing,
    WrongState,
)
from gondwana.db.settings import write_setting
from gondwana.ledger import reports, rules, slashes, stakes, treasury
from gondwana.ledger import store as ledger
from gondwana.ledger.accounts import (
    bond,
    expense,
    fund_insurance,
    fund_verification,
    provider_holdback,
    provider_payable,
    reporter_payable,
    stake,
    stake_unbonding,
    tenant_available,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.cases import (
    REPORTERS_MAX,
    Report,
    ReportState,
    SlashState,
    SlashTerms,
    StakeSettings,
)
from gondwana.ledger.model import Balance, Entry, Leg
from gondwana.ledger.rules import APPEAL_SECONDS, DECIDE_SECONDS, UNBONDING_SECONDS
from gondwana.ledger.statements import statement
from gondwana.policy.model import Scope

USD = 1_000_000


class Books:
    """A world with an owner who has money in every place, and what one asks of it."""

    def __init__(self, world):
        self.world = world
        self.owner, self.tenant = world.owner, world.tenant
        self.numbers = iter(range(10_000))

    def give(self, account, micro_usd):
        """Money out of nothing but an expense of the operator's."""
        leg = Leg(debit=expense("test"), credit=account, amount_micro_usd=micro_usd)
        event = f"test:{next(self.numbers)}"
        entry = Entry(
            event_id=event, kind="deposit", subject="test", legs=(leg,), facts=(micro_usd, "test")
        )
        self.world.write(ledger.post, entry, self.world.now)

    def has(self, account):
        return ledger.balance(self.world.reader, account).available_micro_usd

    def owned(self):
        """What the owner has, wherever it is."""
        places = provider_holdback, stake, stake_unbonding, provider_payable
        return sum(self.has(place(self.owner)) for place in places)

    def stake(self, usd=10):
        self.give(provider_payable(self.owner), usd * USD)
        key = str(next(self.numbers))
        self.world.write(stakes.add_stake, self.world.now, self.owner, usd * USD, key=key)

    def unbond(self, usd):
        return self.world.write(
            stakes.unbond, self.world.random, self.world.now, self.owner, usd * USD
        )

    def release(self):
        return self.world.write(stakes.release_due, self.world.now, self.owner)

    def slash(self, usd=4, *, name="case_1", evidence=None, **changes):
        given = {"case_id": name, "provider_id": self.owner, "amount_micro_usd": usd * USD, "reason": "no"}  # fmt: skip
        terms = SlashTerms(**{**given, **changes})
        return self.world.write(
            slashes.open_slash, self.world.now, terms, evidence=evidence or {"unit": "unit_1"}
        )

    def appeal(self, name="case_1", who=None):
        return self.world.write(
            slashes.appeal, self.world.now, name, who or self.owner, "it was right"
        )

    def decide(self, verdict, name="case_1"):
        return self.world.write(slashes.decide, self.world.now, name, verdict, "we looked")

    def settle(self, seconds=0.0, name="case_1"):
        self.world.clock.advance(seconds)
        return self.world.write(slashes.settle, self.world.now, name)

    def report(self, reporter=None, *, usd=5, payer=None, **changes):
        reporter = reporter or self.tenant
        number = next(self.numbers)
        new = Report(
            **{"id": f"rep_{number:05}", "reporter_id": reporter, "accused_id": self.owner, "machine_id": None,
               "job_id": None, "claim": "the loss is made up", "bond_micro_usd": usd * USD,
               "payer": payer or tenant_available(reporter), "state": ReportState.OPEN, "at": self.world.now, **changes}
        )  # fmt: skip
        return self.world.write(reports.post_report, self.world.now, new)

    def uphold(self, report):
        return self.world.write(reports.uphold_report, self.world.now, report.id, "true")

    def check(self):
        assert audit(self.world.reader).ok


@pytest.fixture
def books(database, make_world):
    found = Books(make_world(database))
    yield found
    found.check()


# -- stakes


def test_a_stake_comes_from_earnings_or_over_a_rail_and_never_from_nothing(books):
    with pytest.raises(FundsTooLow):
        books.world.write(stakes.add_stake, books.world.now, books.owner, USD, key="1")
    books.stake(10)
    books.world.write(stakes.add_stake, books.world.now, books.owner, USD, key="2", rail="manual")
    assert books.has(stake(books.owner)) == 11 * USD
    assert books.world.kinds(books.owner) == ["stake.added"] * 2
    for wrong in (0, -1):
        with pytest.raises(InvalidValue):
            books.world.write(stakes.add_stake, books.world.now, books.owner, wrong, key="3")


def test_what_is_unbonded_is_free_after_two_weeks_and_not_a_second_before(books):
    books.stake(10)
    part = books.unbond(4)
    assert stakes.unbonding(books.world.reader, books.owner) == [part]
    books.world.clock.advance(UNBONDING_SECONDS - 1)
    assert books.release() == 0
    assert stakes.owners_due(books.world.reader, books.world.now) == []
    books.world.clock.advance(1)
    assert stakes.owners_due(books.world.reader, books.world.now) == [books.owner]
    assert books.release() == 1
    assert books.has(provider_payable(books.owner)) == 4 * USD
    assert books.release() == 0
    assert stakes.unbonding(books.world.reader, books.owner) == []


def test_nobody_unbonds_more_than_he_has_or_in_more_parts_than_somebody_can_look_at(
    books, monkeypatch
):
    books.stake(10)
    with pytest.raises(FundsTooLow):
        books.unbond(11)
    monkeypatch.setattr(stakes, "UNBONDINGS_MAX", 2)
    books.unbond(1)
    books.unbond(1)
    with pytest.raises(Exhausted):
        books.unbond(1)


def test_a_slash_reaches_what_is_on_its_way_out_and_the_rest_waits_for_its_end(books):
    books.stake(10)
    books.unbond(10)
    assert books.slash(4).held_micro_usd == 4 * USD
    books.appeal()
    books.world.clock.advance(UNBONDING_SECONDS)
    assert books.release() == 0, "what is left is not known yet"
    books.decide(SlashState.UPHELD)
    assert books.release() == 1
    assert books.has(provider_payable(books.owner)) == 6 * USD
    assert books.has(stake_unbonding(books.owner)) == 0


def test_a_reversed_slash_leaves_all_of_what_was_on_its_way_out(books):
    books.stake(10)
    books.unbond(10)
    books.slash(4)
    books.appeal()
    books.decide(SlashState.REVERSED)
    books.world.clock.advance(UNBONDING_SECONDS)
    assert books.release() == 1
    assert books.has(provider_payable(books.owner)) == 10 * USD


def test_later_parts_are_not_released_in_the_place_of_what_was_slashed(books):
    books.stake(10)
    books.unbond(6)
    books.slash(10)  # four of the stake, six of what is on its way out
    books.settle(APPEAL_SECONDS)
    books.stake(5)
    books.unbond(5)
    books.world.clock.advance(UNBONDING_SECONDS - APPEAL_SECONDS)
    assert books.release() == 1, "the first part, of which nothing is left"
    assert books.has(provider_payable(books.owner)) == 0
    books.world.clock.advance(APPEAL_SECONDS)
    assert books.release() == 1
    assert books.has(provider_payable(books.owner)) == 5 * USD


# -- slashes


def test_a_slash_keeps_its_evidence_word_for_word_under_its_hash(books):
    evidence = {"units": [{"id": "unit_1", "verdict": "norm", "what": "é\ud800"}], "n": 3}
    books.stake(10)
    opened = books.slash(evidence=evidence)
    kept = slashes.case(books.world.reader, opened.id)
    assert kept == opened
    assert json.loads(kept.evidence) == evidence
    assert kept.evidence_hash == hashlib.sha256(kept.evidence.encode()).hexdigest()
    assert books.world.kinds("case_1") == ["slash.proposed"]
    with pytest.raises(InvalidValue):
        books.slash(name="case_2", evidence={"n": float("nan")})
    with pytest.raises(InvalidValue):
        books.slash(name="case_2", evidence={"x": "x" * 100_000})


def test_a_slash_of_more_than_there_is_takes_all_there_is(books):
    books.give(provider_holdback(books.owner), 2 * USD)
    books.stake(3)
    opened = books.slash(100)
    assert (opened.amount_micro_usd, opened.held_micro_usd) == (100 * USD, 5 * USD)
    assert books.owned() == 0
    assert books.settle(APPEAL_SECONDS).state is SlashState.UPHELD
    assert books.has(fund_insurance()) == 5 * USD


def test_a_slash_of_an_owner_who_has_nothing_is_on_record_and_moves_nothing(books):
    opened = books.slash(4)
    assert opened.held_micro_usd == 0
    transfers = ledger.SQL.counts
    before = books.world.reader.one(transfers)["transfers"]
    assert books.settle(APPEAL_SECONDS).state is SlashState.UPHELD
    assert books.world.reader.one(transfers)["transfers"] == before


def test_two_slashes_at_once_do_not_take_the_same_money(books):
    books.stake(10)
    assert books.slash(7).held_micro_usd == 7 * USD
    assert books.slash(7, name="case_2").held_micro_usd == 3 * USD
    books.settle(APPEAL_SECONDS)
    books.settle(name="case_2")
    assert books.has(fund_insurance()) == 10 * USD


def test_silence_upholds_after_the_window_and_not_a_second_before(books):
    books.stake(10)
    books.slash()
    assert slashes.to_settle(books.world.reader, books.world.now) == []
    assert books.settle(APPEAL_SECONDS - 1).state is SlashState.PROPOSED
    books.world.clock.advance(1)
    assert slashes.to_settle(books.world.reader, books.world.now) == ["case_1"]
    ended = books.settle()
    assert (ended.state, ended.verdict) == (SlashState.UPHELD, slashes.NOBODY_APPEALED)
    assert books.settle() == ended
    assert books.world.kinds("case_1") == ["slash.proposed", "slash.upheld"]


def test_an_appeal_that_nobody_judges_in_thirty_days_reverses_the_slash(books):
    books.stake(10)
    books.slash()
    books.world.clock.advance(APPEAL_SECONDS - 1)
    books.appeal()
    assert books.settle(DECIDE_SECONDS - 1).state is SlashState.APPEALED
    books.world.clock.advance(1)
    assert slashes.to_settle(books.world.reader, books.world.now) == ["case_1"]
    assert books.settle().state is SlashState.REVERSED
    assert books.has(stake(books.owner)) == 10 * USD


def test_only_the_accused_appeals_once_and_in_time(books):
    books.stake(10)
    books.slash()
    with pytest.raises(NoSuchThing):
        books.appeal(who=books.tenant)
    books.appeal()
    with pytest.raises(WrongState):
        books.appeal()
    books.slash(name="case_2")
    books.world.clock.advance(APPEAL_SECONDS)
    with pytest.raises(WrongState, match="72 hours"):
        books.appeal("case_2")
    assert slashes.case(books.world.reader, "case_2").state is SlashState.PROPOSED


@pytest.mark.parametrize("verdict", [SlashState.UPHELD, SlashState.REVERSED])
def test_a_case_is_decided_once_and_only_on_its_appeal(books, verdict):
    books.stake(10)
    books.slash()
    with pytest.raises(WrongState):
        books.decide(verdict)
    books.appeal()
    books.decide(verdict)
    left = books.owned()
    assert left == (6 if verdict is SlashState.UPHELD else 10) * USD
    for again in (SlashState.UPHELD, SlashState.REVERSED):
        with pytest.raises(WrongState):
            books.decide(again)
    assert books.owned() == left
    assert books.settle(DECIDE_SECONDS).state is verdict


def test_the_tenant_is_made_whole_first_and_the_insurance_fund_adds_what_is_missing(books):
    books.stake(3)
    books.give(fund_insurance(), 1 * USD)
    before = books.has(tenant_available(books.tenant))
    books.slash(10, tenant_id=books.tenant, made_whole_micro_usd=6 * USD)
    books.settle(APPEAL_SECONDS)
    assert books.has(tenant_available(books.tenant)) - before == 4 * USD, "as far as the fund goes"
    assert books.has(fund_insurance()) == 0


def test_a_reversed_slash_costs_the_insurance_fund_nothing(books):
    books.give(fund_insurance(), 9 * USD)
    books.slash(10, tenant_id=books.tenant, made_whole_micro_usd=6 * USD)
    books.appeal()
    books.decide(SlashState.REVERSED)
    assert books.has(fund_insurance()) == 9 * USD


def test_a_correction_puts_everything_back_where_it_came_from(books):
    books.give(provider_holdback(books.owner), 2 * USD)
    books.stake(6)
    books.unbond(3)
    books.give(fund_insurance(), 5 * USD)
    reporter = books.report()
    books.uphold(reporter)
    watched = [
        provider_holdback(books.owner), stake(books.owner), stake_unbonding(books.owner), fund_insurance(),
        fund_verification(), tenant_available(books.tenant), reporter_payable(reporter.id),
    ]  # fmt: skip
    before = [books.has(account) for account in watched]
    books.slash(20, tenant_id=books.tenant, made_whole_micro_usd=10 * USD, reporters=(reporter.id,))
    books.settle(APPEAL_SECONDS)
    assert books.has(tenant_available(books.tenant)) == before[5] + 10 * USD
    assert [books.has(account) for account in watched] != before
    books.world.write(slashes.correct_case, books.world.now, "case_1", "the checker was broken")
    assert [books.has(account) for account in watched] == before
    assert slashes.case(books.world.reader, "case_1").state is SlashState.CORRECTED
    with pytest.raises(WrongState):
        books.world.write(slashes.correct_case, books.world.now, "case_1", "again")
    books.world.clock.advance(UNBONDING_SECONDS)
    assert books.release() == 2, "the old part with nothing left, and what came back"
    assert books.has(provider_payable(books.owner)) == 3 * USD


@pytest.mark.parametrize("first", ["case", "transfer"])
def test_a_case_is_undone_once_as_a_case_or_transfer_by_transfer(books, first):
    books.stake(10)
    books.give(fund_insurance(), 50 * USD)
    books.slash()
    books.settle(APPEAL_SECONDS)
    seq = books.world.reader.one("SELECT max(seq) AS seq FROM ledger_transfer")["seq"]
    steps = [
        lambda: books.world.write(slashes.correct_case, books.world.now, "case_1", "wrong"),
        lambda: books.world.write(treasury.correct, books.world.now, seq, why="also wrong"),
    ]
    one, other = steps if first == "case" else reversed(steps)
    one()
    assert books.has(stake(books.owner)) == 10 * USD
    with pytest.raises(Conflict):
        other()
    assert books.has(stake(books.owner)) == 10 * USD


def test_a_correction_that_somebody_has_spent_already_is_refused_whole(books):
    books.stake(10)
    books.slash()
    books.settle(APPEAL_SECONDS)
    take = Leg(debit=fund_insurance(), credit=expense("test"), amount_micro_usd=4 * USD)
    books.world.write(
        ledger.post, Entry(event_id="spend", kind="fund.withdraw", subject="x", legs=(take,)), books.world.now
    )  # fmt: skip
    with pytest.raises(FundsTooLow):
        books.world.write(slashes.correct_case, books.world.now, "case_1", "wrong")
    assert slashes.case(books.world.reader, "case_1").state is SlashState.UPHELD


def test_only_an_upheld_case_is_corrected_and_a_proposed_one_is_not(books):
    books.stake(10)
    books.slash()
    with pytest.raises(WrongState):
        books.world.write(slashes.correct_case, books.world.now, "case_1", "wrong")


# -- reports


def test_a_report_that_was_right_gets_its_bond_back_and_a_share_of_the_slash(books):
    before = books.has(tenant_available(books.tenant))
    report = books.report()
    assert books.has(tenant_available(books.tenant)) == before - 5 * USD
    assert books.has(bond(report.id)) == 5 * USD
    books.uphold(report)
    assert books.has(tenant_available(books.tenant)) == before
    books.stake(10)
    books.slash(8, reporters=reports.in_order(books.world.reader, books.owner, [report.id]))
    assert reports.report(books.world.reader, report.id).case_id == "case_1"
    assert books.has(tenant_available(books.tenant)) == before, "nothing before the verdict"
    books.settle(APPEAL_SECONDS)
    assert books.has(tenant_available(books.tenant)) == before + 2 * USD
    assert books.has(reporter_payable(report.id)) == 0
    assert books.world.kinds(report.id) == ["report.open", "report.upheld"]


def test_a_report_that_was_wrong_pays_the_accused_and_the_next_check(books):
    report = books.report(usd=7)
    books.world.write(reports.refuse_report, books.world.now, report.id, "false")
    assert books.has(provider_payable(books.owner)) == 3_500_000
    assert books.has(fund_verification()) == 3_500_000
    for judge in (reports.uphold_report, reports.refuse_report):
        with pytest.raises(WrongState):
            books.world.write(judge, books.world.now, report.id, "again")


def test_a_report_that_nobody_judges_in_thirty_days_lapses_and_its_bond_goes_back(books):
    before = books.has(tenant_available(books.tenant))
    report = books.report()
    books.world.clock.advance(reports.REPORT_SECONDS - 1)
    assert reports.to_lapse(books.world.reader, books.world.now) == []
    books.world.clock.advance(1)
    for report_id in reports.to_lapse(books.world.reader, books.world.now) * 2:
        books.world.write(reports.lapse, books.world.now, report_id)
    assert reports.report(books.world.reader, report.id).state is ReportState.LAPSED
    assert books.has(tenant_available(books.tenant)) == before
    with pytest.raises(WrongState):
        books.uphold(report)


def test_a_bond_has_a_least_size_and_has_to_be_there(books):
    with pytest.raises(InvalidValue):
        books.report(usd=4)
    books.world.write(
        write_setting, "stakes", StakeSettings(bond_micro_usd_min=1), at=books.world.now
    )
    books.report(usd=4)
    with pytest.raises(FundsTooLow):
        books.report(usd=100_000)
    with pytest.raises(InvalidValue):
        books.report(claim=" ")
    with pytest.raises(InvalidValue):
        books.report(claim="zero \0 byte")


def test_nobody_reports_himself_or_more_than_people_can_read(books, monkeypatch):
    with pytest.raises(InvalidValue):
        books.report(accused_id=books.tenant)
    monkeypatch.setattr(reports, "OPEN_MAX", 1)
    first = books.report()
    with pytest.raises(Exhausted):
        books.report()
    books.uphold(first)
    books.report()


def test_an_owner_pays_his_bond_out_of_his_earnings_and_gets_it_back_there(books):
    rival = books.world.principal("rival", Scope.PROVIDER)
    books.give(provider_payable(rival), 5 * USD)
    report = books.report(rival, payer=provider_payable(rival))
    assert books.has(provider_payable(rival)) == 0
    books.uphold(report)
    assert books.has(provider_payable(rival)) == 5 * USD


def test_a_slash_names_each_reporter_once_in_the_order_of_time_and_no_more_than_sixteen(books):
    people = [books.world.principal(f"p{n}", Scope.TENANT) for n in range(REPORTERS_MAX + 1)]
    for person in people:
        books.world.deposit(person, 10 * USD)
    made = [books.report(person) for person in people]
    twice = books.report(people[0])
    for each in (*made, twice):
        books.uphold(each)
    ids = [each.id for each in reversed([*made, twice])]
    assert reports.in_order(books.world.reader, books.owner, ids) == tuple(
        each.id for each in made[:16]
    )


def test_a_slash_is_not_shared_with_reports_that_are_open_or_of_another_owner_or_of_another_slash(
    books,
):
    other = books.world.principal("other", Scope.PROVIDER)
    waiting = books.report()
    about_other = books.report(accused_id=other)
    books.uphold(about_other)
    used = books.report()
    books.uphold(used)
    books.stake(10)
    books.slash(reporters=(used.id,))
    for wrong in (waiting, about_other, used):
        with pytest.raises(WrongState):
            reports.in_order(books.world.reader, books.owner, [wrong.id])


def test_no_event_of_a_report_or_a_slash_names_who_reported(books):
    report = books.report()
    books.uphold(report)
    books.stake(10)
    books.slash(reporters=(report.id,), tenant_id=None)
    books.settle(APPEAL_SECONDS)
    told = [
        event for event in books.world.events() if event.kind.split(".")[0] in ("report", "slash")
    ]
    assert len(told) == 4
    assert not any(books.tenant in repr(event) for event in told)
    assert all(event.job_id is None for event in told)


def test_no_statement_of_the_accused_names_who_reported_him(books):
    report = books.report()
    books.uphold(report)
    books.stake(10)
    books.slash(8, reporters=(report.id,))
    books.settle(APPEAL_SECONDS)
    places = provider_holdback, stake, stake_unbonding, provider_payable
    lines = [line for place in places for line in statement(books.world.reader, place(books.owner))]
    assert len([line for line in lines if line.entry_kind.startswith("slash")]) == 4
    assert not any(books.tenant in repr(line) for line in lines)


def test_an_entry_is_read_back_as_it_was_posted_and_none_where_nothing_was(books):
    books.stake(10)
    case = books.slash(4, reporters=())
    hold = slashes.hold_of(books.world.reader, case)
    assert ledger.entry_of(books.world.reader, hold.event_id) == hold
    assert (hold.facts, hold.kind) == ((case.reason,), "slash")
    assert ledger.entry_of(books.world.reader, "slash:case_2") is None
    books.settle(APPEAL_SECONDS)
    with pytest.raises(AssertionError):
        ledger.entry_of(books.world.reader, "slash.uphold:case_1")


# -- restarts


def test_a_case_goes_on_after_a_restart_from_where_it_stood(make_database, make_world):
    first = Books(make_world(make_database()))
    first.stake(10)
    first.unbond(5)
    first.slash(7, tenant_id=first.tenant, made_whole_micro_usd=3 * USD)
    first.appeal()
    case, owner, tenant = slashes.case(first.world.reader, "case_1"), first.owner, first.tenant
    before, now = first.has(tenant_available(tenant)), first.world.now
    first.world.database.close()
    database = make_database()
    assert slashes.case(database.reader(), "case_1") == case
    hold = slashes.hold_of(database.reader(), case)
    assert hold == rules.slash(
        case.terms, holdback=holding(0), stake=holding(5), unbonding=holding(5)
    )
    database.writer.call(slashes.decide, now, "case_1", SlashState.UPHELD, "we looked")
    left = ledger.balance(database.reader(), stake_unbonding(owner)).available_micro_usd
    got = ledger.balance(database.reader(), tenant_available(tenant)).available_micro_usd
    assert (left, got - before) == (3 * USD, 3 * USD)
    assert audit(database.reader()).ok


def holding(usd):
    return Balance(credits_posted=usd * USD)
