"""What people see of the books of a served network: from a deposit to an invoice, and a check that trusts nobody."""

import csv
import hashlib
import io
import json
from datetime import UTC, datetime

import pytest
import urllib3
from network import job_file, until

from gondwana.core.clock import Instant
from gondwana.db.database import Database
from gondwana.db.rows import to_row
from gondwana.ledger import chain, rules
from gondwana.ledger.accounts import lease_escrow
from gondwana.ledger.model import LeaseTerms, Shares
from gondwana.ledger.settings import change_setting
from gondwana.ledger.store import balance, post
from gondwana.policy import store as policy
from gondwana.policy.model import Principal
from gondwana.wire import proofs
from gondwana.wire.ledger import InvoiceDocument

pytestmark = pytest.mark.sandbox
TERMS = LeaseTerms(
    lease_id="lea_past", tenant_id="pri_past", provider_id="pri_owner", job_id="job_past", jurisdiction="de",
    price_micro_usd_per_hour=2_490_000, shares=Shares(tax_bps=1_900),
)  # fmt: skip
DUE = 2_490_000 * 7_201 // 3_600


def months_ago(count):
    """`2026-09`: the month so long before this one."""
    now = datetime.now(tz=UTC)
    number = now.year * 12 + now.month - 1 - count
    return f"{number // 12}-{number % 12 + 1:02d}"


def with_a_past(network):
    """Books that begin before the control plane does: a tenant who paid for 7,201 seconds two months ago."""
    deposited, worked = (
        Instant(datetime.fromisoformat(f"{months_ago(count)}-15").replace(tzinfo=UTC).timestamp())
        for count in (3, 2)
    )

    def write(tx):
        past = Principal(id="pri_past", name="past", created_at=deposited)
        tx.execute(policy.SQL.save_principal, to_row(past))
        seller = {"name": "Gondwana Ltd", "address": ["12 Kauri St", "Auckland"], "tax_id": "NZ 1"}
        change_setting(tx, deposited, "seller", seller, by="pri_founder")
        post(tx, rules.deposit("manual", "pri_past", 50_000_000, key="past"), deposited)
        post(tx, rules.open_lease(TERMS, 20_000_000), deposited)

    def meter(tx):
        escrow = balance(tx, lease_escrow("lea_past"))
        post(tx, rules.meter(TERMS, 7_201, escrow), worked)

    network.data.mkdir(parents=True)
    place = network.data / "gondwana.db"
    with Database.open(place, inline=True, before_commit=chain.seal) as database:
        database.writer.call(write)
        database.writer.call(meter)


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network(prepare=with_a_past)
    network.person("ada", "tenant", usd=5)
    network.person("past", "tenant")
    network.join("kauri", price="3.60")
    return network


@pytest.fixture(scope="module")
def ada(network):
    """A tenant whose job ran and ended."""
    ada = network.people["ada"]
    path = job_file(network.folder, "hello", "run: echo hello; sleep 4\n")
    assert ada.cli("launch", "--yes", path).returncode == 0
    until(lambda: ada.client.account.balance().escrow_micro_usd == 0, what="the escrow to be empty")
    return ada


def paid(ada):
    return 5_000_000 - ada.client.account.balance().available_micro_usd


def test_a_statement_adds_up_in_text_in_json_and_in_a_spreadsheet(ada):
    told = ada.json("account", "statement")
    lines, period = told["lines"], told["period"]
    assert (
        period["opening_micro_usd"] + sum(line["amount_micro_usd"] for line in lines)
        == period["closing_micro_usd"]
    )
    assert period["closing_micro_usd"] == 5_000_000 - paid(ada) == lines[0]["balance_micro_usd"]
    assert lines[-1]["words"].startswith("Deposit of $5.00")
    assert [line["transfer"] for line in lines] == sorted(
        (line["transfer"] for line in lines), reverse=True
    )

    text = ada.cli("account", "statement").stdout
    assert "from the start, until now, UTC" in text
    assert all(line["words"] in text for line in lines)

    sheet = list(csv.DictReader(io.StringIO(ada.cli("account", "statement", "--csv").stdout)))
    assert list(sheet[0]) == ["time", "account", "event", "words", "amount", "balance", "amount_micro_usd",
                              "balance_micro_usd", "transfer"]  # fmt: skip
    assert [int(row["amount_micro_usd"]) for row in sheet] == [
        line["amount_micro_usd"] for line in lines
    ]
    assert (sheet[-1]["amount"], sheet[-1]["balance"]) == ("5.000000", "5.000000")
    assert datetime.fromisoformat(sheet[-1]["time"]).tzinfo is not None
    assert len(ada.cli("account", "statement", "--csv", "--limit", 1).stdout.splitlines()) == 2


def test_a_month_has_its_own_opening_and_closing_balance(network):
    past = network.people["past"]
    deposited = past.json("account", "statement", "--month", months_ago(3))
    assert [line["event"] for line in deposited["lines"]] == ["lease.open", "deposit"]
    assert (deposited["period"]["opening_micro_usd"], deposited["period"]["closing_micro_usd"]) == (
        0,
        30_000_000,
    )
    worked = past.json(
        "account", "statement", "--since", f"{months_ago(2)}-01", "--account", "available"
    )
    assert worked["lines"] == []
    assert (
        worked["period"]["opening_micro_usd"] == worked["period"]["closing_micro_usd"] == 30_000_000
    )
    for words, hint in (
        (("--month", "2026-13"), "2026-11"),
        (("--since", "soon"), "2026-11-25"),
        (("--account", "x"), "--help"),
        (("--since", "2026-02-02", "--until", "2026-02-01"), "a day after"),
    ):
        done = past.cli("account", "statement", *words)
        assert done.returncode == 2
        assert hint in done.stderr, done.stderr


def test_an_owner_sees_what_is_held_back_and_until_when(network, ada):
    olga = network.people["olga"]
    view = olga.json("provider", "earnings")
    assert view["holdback_micro_usd"] == paid(ada) - paid(ada) * 3 // 100
    assert sum(day["amount_micro_usd"] for day in view["maturing"]) == view["holdback_micro_usd"]
    assert view["maturing"][0]["at"] > datetime.now(tz=UTC).timestamp() + 6.9 * 86_400
    assert (view["accrued_micro_usd"], view["paid_out_micro_usd"]) == (0, 0)
    (machine,) = view["machines"]
    assert machine["machine"] == "kauri"
    assert abs(machine["earned_micro_usd"] - view["holdback_micro_usd"]) <= 1
    text = olga.cli("provider", "earnings").stdout
    assert f"the next is free on {view['maturing'][0]['day']}" in text
    assert "PAYABLE FROM" in text


def test_the_audit_is_whole_and_the_chain_that_leads_to_it_is_checked_here(network, ada):
    told = ada.json("ledger", "audit")
    assert told["ok"]
    assert told["sums_micro"] == {"USD": 0, "BUDGET": 0}
    assert told["unclear_micro_usd"] == 0
    assert "unclear payments" in ada.cli("ledger", "audit").stdout
    roots = until(lambda: ada.json("ledger", "roots"), what="a root of the past")
    days = [f"{months_ago(3)}-15", f"{months_ago(2)}-15"]
    assert [root["day"] for root in roots] == days
    for since in ((), ("--since", roots[0]["hash"]), ("--since", roots[-1]["hash"])):
        done = ada.cli("ledger", "verify", *since)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "(the audit's)" in done.stdout
        assert roots[-1]["hash"] in done.stdout
    other = ada.cli("ledger", "verify", "--since", "ab" * 32)
    assert other.returncode == 1
    assert "no root of these books" in other.stdout
    assert ada.cli("ledger", "verify", "--since", "x").returncode == 2
    for path in ("roots", "chain", "batches"):  # hashes and totals are for everybody
        assert urllib3.request("GET", f"{network.url}/v1/ledger/{path}").status == 200, path


def test_a_proof_is_checked_without_any_server(network, ada):
    past = network.people["past"]
    transfer = past.json("account", "statement")["lines"][-1]["transfer"]
    root = past.json("ledger", "roots")[0]["hash"]
    saved = past.cli("ledger", "proof", transfer, "--out", "proof.json")
    assert saved.returncode == 0, saved.stderr
    nowhere = {"GONDWANA_URL": "http://127.0.0.1:9"}
    done = past.cli("ledger", "check", "proof.json", "--root", root, **nowhere)
    assert done.returncode == 0, done.stderr
    assert "ext:manual → tenant:pri_past:available: $50.000000" in done.stdout
    path = network.folder / "proof.json"
    path.write_text(path.read_text().replace("50000000", "50000001"))
    forged = past.cli("ledger", "check", "proof.json", "--root", root, **nowhere)
    assert forged.returncode == 1
    assert "the entry is not in its batch" in forged.stdout
    assert past.cli("ledger", "check", "proof.json", "--root", "00", **nowhere).returncode == 2
    assert ada.cli("ledger", "proof", transfer).returncode == 4  # somebody else's
    assert network.operator.cli("ledger", "proof", transfer).returncode == 0


def test_everybody_exports_the_entries_that_touch_their_accounts(network, ada):
    everything = [
        json.loads(line) for line in network.operator.cli("ledger", "export").stdout.splitlines()
    ]
    own = [json.loads(line) for line in ada.cli("ledger", "export", "--jsonl").stdout.splitlines()]
    numbers = [entry["number"] for entry in everything]
    assert numbers == sorted(numbers)
    assert (
        sum(len(entry["legs"]) for entry in everything) == ada.json("ledger", "audit")["transfers"]
    )
    assert {entry["event"] for entry in own} == {
        "deposit",
        "lease.open",
        "lease.meter",
        "lease.close",
    } - ({"lease.meter"} - {entry["event"] for entry in own})
    assert all(entry in everything for entry in own)
    assert not any("pri_past" in json.dumps(entry) for entry in own)
    later = ada.json("ledger", "export", "--since", own[0]["number"])
    assert later == own[1:]
    sheet = list(csv.DictReader(io.StringIO(ada.cli("ledger", "export", "--csv").stdout)))
    assert [int(row["number"]) for row in sheet] == [entry["number"] for entry in own]
    assert (sheet[0]["words"], sheet[0]["amount"]) == (own[0]["words"], "5.000000")
    assert len(json.loads(sheet[-1]["legs"])) == len(own[-1]["legs"])


def test_a_month_that_is_over_has_an_invoice_that_nobody_else_reads(network, ada):
    past = network.people["past"]
    (invoice,) = until(lambda: past.json("account", "invoices"), what="the invoice")
    assert (invoice["month"], invoice["total_micro_usd"]) == (months_ago(2), DUE)
    number = invoice["number"]
    document = past.cli("account", "invoice", number, "--json").stdout.rstrip("\n")
    assert hashlib.sha256(document.encode()).hexdigest() == invoice["sha256"]
    assert isinstance(past.client.invoices.get(number), InvoiceDocument)
    text = past.cli("account", "invoice", number).stdout
    for words in (
        number,
        "Gondwana Ltd, 12 Kauri St, Auckland",
        "7,201 s",
        "$2.490000",
        f"${DUE / 1e6:.6f}",
        "tax de",
    ):
        assert words in text, text
    done = past.cli("account", "invoice", number, "--pdf", "a.pdf", "--html", "a.html")
    assert done.returncode == 0, done.stderr
    assert (network.folder / "a.pdf").read_bytes().startswith(b"%PDF-")
    assert past.client.invoices.file(number, "pdf") == (network.folder / "a.pdf").read_bytes()
    assert number in (network.folder / "a.html").read_text()
    url, asked = (
        f"{past.client.url}/v1/invoices/{number}",
        {"Authorization": f"Bearer {past.token}"},
    )
    for accept, media in (
        ("text/html,*/*", "text/html"),
        ("application/pdf", "application/pdf"),
        ("*/*", "application/json"),
    ):
        answer = urllib3.request("GET", url, headers={**asked, "Accept": accept})
        assert answer.headers["content-type"].startswith(media)
        assert answer.headers["etag"] == f'"{invoice["sha256"]}"'
    assert urllib3.request("GET", f"{url}?format=doc", headers=asked).status == 422
    assert ada.json("account", "invoices") == []
    assert ada.cli("account", "invoice", number).returncode == 4
    assert [each["number"] for each in network.operator.json("account", "invoices")] == [number]


def test_a_client_that_keeps_a_root_notices_a_server_with_another_past(network, ada):
    proof = ada.client.ledger.chain()
    assert proofs.check_chain(proof) is None
    assert proof.batches[-1].number == ada.client.ledger.audit().batches
    told = ada.client.ledger.verify()
    assert (told.ok, told.newest_root) == (True, proof.roots[-1].hash)
