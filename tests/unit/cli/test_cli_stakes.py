"""What the commands of stakes and cases show and ask."""

import json

import pytest

from gondwana.cli.main import run

USD = 1_000_000
STAKE = {
    "principal": "olga", "staked_micro_usd": 10 * USD, "holdback_micro_usd": 0, "payable_micro_usd": 3 * USD,
    "held_by_cases_micro_usd": 0, "collateral_micro_usd": 10 * USD, "unverified_micro_usd": USD,
    "unverified_max_micro_usd": 28 * USD, "allowance_micro_usd": 25 * USD,
    "more": [{"work_micro_usd": 56 * USD, "stake_micro_usd": 90 * USD}],
}  # fmt: skip
CASE = {
    "id": "case_1", "state": "proposed", "accused": "olga", "reason": "made up losses", "amount_micro_usd": 9 * USD,
    "held_micro_usd": 4 * USD, "made_whole_micro_usd": 0, "evidence_hash": "ab", "proposed_at": 1.8e9,
    "appeal_until": 1.8e9 + 3 * 86_400,
    "money": [{"words": "a stake → the insurance fund", "amount_micro_usd": 4 * USD}],
}  # fmt: skip


@pytest.fixture
def shown(plane, monkeypatch, capfd):
    """`shown(answer, *words)`: what the command prints when the control plane answers so."""
    monkeypatch.setenv("GONDWANA_URL", plane.url)
    monkeypatch.setenv("GONDWANA_TOKEN", "secret")

    def shown(answer, *words, code=0):
        plane.reply(answer)
        assert run(list(words)) == code
        return capfd.readouterr()

    return shown


def test_a_stake_says_what_it_allows_why_and_what_more_would_cost(shown):
    out = shown(STAKE, "stake", "show").out
    assert "$1.00 now, at most $28.00" in out
    assert "$25.00 for everybody, $3.00 for the $10.00 that a cheat would lose" in out
    assert "$56.00    $90.00" in out
    assert "held by cases" not in out


def test_where_checks_alone_deter_it_says_that_there_is_no_limit(shown):
    out = shown({**STAKE, "unverified_max_micro_usd": None, "more": []}, "stake", "show").out
    assert "there is no limit" in out
    assert "More work" not in out


@pytest.mark.parametrize("words", [
    ("stake", "add", "5"), ("stake", "unbond", "5"), ("case", "report", "kauri", "wrong"),
    ("case", "correct", "case_1", "--why", "x"),
])  # fmt: skip
def test_nothing_moves_before_somebody_said_yes(shown, plane, words):
    assert "--yes" in shown(STAKE, *words, code=7).err
    assert plane.requests == []


@pytest.mark.parametrize("state, told", [
    ({"state": "proposed"}, "upheld, if it is not appealed by then"),
    ({"state": "appealed", "appealed_at": 1.8e9, "judge_until": 1.9e9}, "reversed, if nobody has judged"),
    ({"state": "upheld", "ended_at": 1.9e9, "verdict": "nobody appealed in time"}, "upheld: nobody appealed in time"),
])  # fmt: skip
def test_a_case_is_a_timeline_that_ends_with_what_comes_next(shown, state, told):
    out = shown({**CASE, **state}, "case", "show", "case_1").out
    assert told in out
    assert "$4.00  a stake → the insurance fund" in out


def test_a_verdict_goes_to_the_report_or_to_the_case_by_its_id(shown, plane):
    report = {"id": "rep_1", "state": "upheld", "reporter": "ada", "machine_id": "mac_1", "claim": "no",
              "bond_micro_usd": 5 * USD, "at": 1.8e9}  # fmt: skip
    shown(report, "case", "decide", "rep_1", "uphold", "--why", "yes")
    shown(CASE, "case", "decide", "case_1", "reverse", "--why", "no")
    assert [request.path for request in plane.requests] == [
        "/v1/reports/rep_1/decide",
        "/v1/cases/case_1/decide",
    ]
    assert all(request.headers["Idempotency-Key"] for request in plane.requests)


@pytest.mark.parametrize("evidence", ["[1]", "{", "\ud800".encode("utf-8", "surrogatepass")])
def test_evidence_that_is_no_json_object_is_refused_before_anything_is_sent(
    shown, plane, tmp_path, evidence
):
    path = tmp_path / "evidence.json"
    path.write_bytes(evidence if isinstance(evidence, bytes) else evidence.encode())
    words = ("case", "open", "mac_1", "5", "--reason", "x", "--evidence", str(path), "--yes")
    shown(CASE, *words, code=2)
    path.write_text(json.dumps({"x": "y" * 70_000}))
    shown(CASE, *words, code=2)
    assert plane.requests == []
