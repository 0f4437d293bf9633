"""Money in and out of a served network, from the command line: an owner is paid, a bank is read, a fraud is stopped."""

import csv
import io
import stat
import time

import pytest
from network import until

from gondwana.core.clock import Instant
from gondwana.core.errors import AccountFrozen
from gondwana.db.database import Database
from gondwana.db.rows import to_row
from gondwana.ledger import chain, rules
from gondwana.ledger.accounts import provider_holdback, tenant_available
from gondwana.ledger.model import Entry, Leg
from gondwana.ledger.store import post
from gondwana.policy import store as policy
from gondwana.policy.model import Principal
from gondwana.wire.jobs import JobSpec

IBAN = "DE89370400440532013000"
CONFLICT, REFUSED = 5, 1
DAY = 86_400


def with_earnings(network):
    """Books in which olga earned $60 eight days ago, of the $100 that a tenant had sent over a bank."""
    then = Instant(time.time() - 8 * DAY)
    earned = Leg(
        debit=tenant_available("pri_past"),
        credit=provider_holdback("pri_olga"),
        amount_micro_usd=60_000_000,
    )

    def write(tx):
        for name in ("past", "olga"):
            person = Principal(id=f"pri_{name}", name=name, created_at=then)
            tx.execute(policy.SQL.save_principal, to_row(person))
        post(tx, rules.deposit("csv", "pri_past", 100_000_000, key="past"), then)
        post(tx, Entry(event_id="e", kind="lease.meter", subject="lea_a", legs=(earned,)), then)

    network.data.mkdir(parents=True)
    place = network.data / "gondwana.db"
    with Database.open(place, inline=True, before_commit=chain.seal) as database:
        database.writer.call(write)


@pytest.fixture(scope="module")
def network(make_network):
    network = make_network(prepare=with_earnings)
    network.person("olga", "provider")
    network.person("ada", "tenant", usd=20)
    return network


def bank(network, name, text):
    path = network.folder / name
    path.write_text(text)
    return path


def check(network):
    network.audit()
    view = network.operator.client.treasury.balance()
    assert view.difference_micro_usd == 0
    return view


def test_an_owner_is_paid_by_a_batch_file_and_what_a_bank_refuses_comes_back(network):
    olga, operator = network.people["olga"], network.operator
    until(lambda: olga.client.account.balance().payable_micro_usd == 60_000_000, what="maturing")
    assert olga.cli("payout", "request", "all", "--yes").returncode == 4  # no destination yet
    told = olga.cli("payout", "destination", "-", "--holder", "Olga O", "--rail", "csv", input=IBAN)
    assert told.returncode == 0, told.stderr
    assert "…3000" in told.stdout
    assert olga.cli("payout", "request", "10", "--yes").returncode == 2  # not worth a transfer
    assert olga.cli("payout", "request", "30").returncode == 7  # nobody to say yes
    arrives, bounces = (olga.json("payout", "request", "30", "--yes")["id"] for _ in range(2))
    assert olga.client.account.balance().payable_micro_usd == 0

    file = network.folder / "batch.csv"
    made = operator.json("treasury", "payouts", "export", file, "--yes")
    assert (made["payouts"], made["amount_micro_usd"]) == (2, 60_000_000)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert {row["id"] for row in rows} == {arrives, bounces}
    assert {(row["name"], row["destination"]) for row in rows} == {("Olga O", IBAN)}
    assert [row["amount"] for row in rows] == ["30.00", "30.00"]
    assert operator.cli("treasury", "payouts", "export", file, "--yes").returncode == 2  # is there
    again = network.folder / "again.csv"
    assert operator.json("treasury", "payouts", "export", again, "--yes")["payouts"] == 0
    assert not again.exists()
    operator.json("treasury", "payouts", "export", again, "--batch", made["batch"])
    assert again.read_text() == file.read_text()

    lines = f"{arrives},confirmed,B1,\n{bounces},failed,,closed\n"
    results = bank(network, "results.csv", f"id,status,reference,reason\n{lines}")
    first = operator.json("treasury", "payouts", "results", results)
    second = operator.json("treasury", "payouts", "results", results)
    assert [(view["applied"], view["repeated"]) for view in (first, second)] == [(2, 0), (0, 2)]
    assert olga.client.account.balance().payable_micro_usd == 30_000_000
    states = {view["id"]: (view["state"], view["reason"]) for view in olga.json("payout", "list")}
    assert states == {arrives: ("confirmed", ""), bounces: ("failed", "closed")}
    for who, noun in ((olga, ("payout",)), (operator, ("treasury", "payouts"))):
        assert "closed" in who.cli(*noun, "show", bounces).stdout
    held = {rail.name: rail.micro_usd for rail in check(network).rails}
    assert held == {"csv": 70_000_000, "manual": 20_000_000}


def test_an_operator_who_pays_by_hand_says_so_before_and_after(network):
    olga, operator = network.people["olga"], network.operator
    network.operator.client.account.deposit(100_000_000, principal="past")
    told = olga.cli("payout", "destination", IBAN, "--holder", "Olga O", "--rail", "manual")
    assert told.returncode == 0, told.stderr
    payout = olga.json("payout", "request", "all", "--yes")["id"]
    early = operator.cli("treasury", "payouts", "confirm", payout, "--reference", "R")
    assert (early.returncode, f"treasury payouts send {payout}" in early.stderr) == (CONFLICT, True)
    sent = operator.cli("treasury", "payouts", "send", payout, "--yes")
    assert IBAN in sent.stdout
    done = operator.json("treasury", "payouts", "confirm", payout, "--reference", "R")
    assert (done["state"], done["reference"], done["destination"]) == ("confirmed", "R", "…3000")
    late = operator.cli("treasury", "payouts", "fail", payout, "--reason", "no")
    assert late.returncode == CONFLICT
    check(network)


def test_a_bank_statement_finds_accounts_by_their_codes_once(network):
    ada, operator = network.people["ada"], network.operator
    code = ada.cli("deposit", "reference").stdout.strip()
    assert ada.json("deposit", "reference") == {"code": code}
    before = ada.client.account.balance().available_micro_usd
    text = f"id,reference,amount,date,sender\n1,inv 7 {code.lower()},12.50,2026-11-23,Ada\n2,rent,3,2026-11-23,Eve\n"
    path = bank(network, "statement.csv", text)
    for expected in ((2, 0), (0, 2)):
        view = operator.json("treasury", "deposits", "import", path)
        assert (view["applied"], view["repeated"]) == expected
    assert ada.client.account.balance().available_micro_usd == before + 12_500_000
    (unclear,) = operator.json("treasury", "deposits", "list", "--state", "unclear")
    assert operator.json("treasury", "deposits", "clear", unclear["id"], "ada")["state"] == "cleared"  # fmt: skip
    changed = bank(network, "changed.csv", text.replace("12.50", "1250"))
    refused = operator.cli("treasury", "deposits", "import", changed)
    assert (refused.returncode, "told something else" in refused.stdout) == (REFUSED, True)
    wrong = bank(network, "broken.csv", text + "3,x,1;5,2026-11-23,y\n")
    broken = operator.cli("treasury", "deposits", "import", wrong)
    assert (broken.returncode, "line 4, column amount" in broken.stderr) == (2, True)
    assert ada.client.account.balance().available_micro_usd == before + 15_500_000
    assert len(ada.json("deposit", "list")) == 3
    check(network)


def test_a_chargeback_freezes_the_account_until_the_operator_says_otherwise(network):
    eve, operator = network.person("eve", "tenant"), network.operator
    deposit = operator.json("treasury", "deposits", "record", "eve", "40", "--rail", "csv")["id"]
    assert eve.cli("payout", "destination", IBAN, "--holder", "Eve E", "--rail", "csv").returncode == 0  # fmt: skip
    payout = eve.json("payout", "request", "30", "--from", "available", "--yes")["id"]
    back = operator.json("treasury", "deposits", "chargeback", deposit, "--reason", "stolen card", "--yes")  # fmt: skip
    assert back["state"] == "charged_back"
    assert eve.json("payout", "show", payout)["reason"] == "the account was frozen"
    assert eve.client.account.balance().available_micro_usd == 0
    with pytest.raises(AccountFrozen, match=deposit):
        eve.client.jobs.submit(JobSpec(name="job", run="echo"))
    refused = eve.cli("payout", "request", "all", "--from", "available", "--yes")
    assert (refused.returncode, "treasury unfreeze" in refused.stderr) == (CONFLICT, True)
    assert operator.cli("treasury", "unfreeze", "eve").returncode == 0
    assert eve.cli("payout", "request", "all", "--from", "available", "--yes").returncode == 2
    check(network)


def test_the_treasury_pays_for_promotions_and_funds_and_keeps_what_was_swept(network):
    operator = network.operator
    for words in (
        ("deposit", "50"), ("fund", "deposit", "verification", "20"), ("fund", "withdraw", "verification", "5"),
        ("promo", "grant", "ada", "10", "--why", "welcome", "--expires", "2099-12-31"), ("promo", "list"),
        ("withdraw", "1", "--yes"), ("balance",), ("freeze", "eve", "--reason", "asked for"), ("unfreeze", "eve"),
        ("deposits", "unclear", "2", "--reference", "?", "--sender", "Bob"), ("payouts", "list", "--state", "sent"),
    ):  # fmt: skip
        done = operator.cli("treasury", *words)
        assert (done.returncode, bool(done.stdout.strip())) == (0, True), (words, done.stderr)
    expected = operator.json("treasury", "deposits", "expect", "ada", "5")["id"]
    assert operator.json("treasury", "deposits", "void", expected)["state"] == "void"
    expected = operator.json("treasury", "deposits", "expect", "ada", "5")["id"]
    assert operator.json("treasury", "deposits", "confirm", expected)["state"] == "confirmed"
    (unclear,) = operator.json("treasury", "deposits", "list", "--state", "unclear")
    assert operator.json("treasury", "deposits", "return", unclear["id"], "--yes")["state"] == "returned"  # fmt: skip
    assert operator.cli("treasury", "sweep").returncode == 2  # no fees yet
    assert operator.cli("treasury", "tax", "de", "1", "--yes").returncode == 6
    (row,) = network.rows("SELECT max(seq) AS seq FROM ledger_transfer")
    corrected = operator.cli("treasury", "correct", row["seq"], "--why", "not returned", "--yes")
    assert corrected.returncode == 0, corrected.stderr
    view = check(network)
    assert {each.name: each.micro_usd for each in view.operator}["fund:treasury"] == 24_000_000


def test_settings_are_changed_by_name_and_a_wrong_one_is_refused_by_its_field(network):
    operator = network.operator
    changed = operator.json("settings", "set", "shares", "fee_bps=0", "verification_bps=50")
    assert (changed["value"]["fee_bps"], changed["value"]["verification_bps"]) == (0, 50)
    changed = operator.json("settings", "set", "payouts", "rails=csv,manual")
    assert changed["value"]["rails"] == ["csv", "manual"]
    for wrong in (("shares", "fee=1"), ("shares", "fee_bps=lots"), ("shares", "fee_bps=20000")):
        done = operator.cli("settings", "set", *wrong)
        assert (done.returncode, "shares" in done.stderr) == (2, True), done.stderr
    assert operator.cli("settings", "set", "weather", "sun=1").returncode == 4
    assert "fee_bps" in operator.cli("settings", "show", "shares").stdout


def test_all_of_it_is_there_after_a_kill_and_no_destination_was_ever_logged(network):
    before = check(network)
    network.plane.kill()
    network.start()
    assert check(network) == before
    assert IBAN not in network.plane.log_path.read_text()
    assert IBAN not in str(network.rows("SELECT data FROM event"))
    assert IBAN not in str(network.rows("SELECT response FROM idempotency"))
