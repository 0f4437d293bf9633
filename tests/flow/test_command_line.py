"""Every command of the command line against `gondwana serve` as people start it: --json parses, exit codes hold."""

import json
import sys
from datetime import date, timedelta
from importlib import import_module

import click
import pytest
from network import GONDWANA, job_file, training_job, until

from gondwana.cli.main import COMMANDS
from gondwana.core.errors import all_errors

pytestmark = pytest.mark.sandbox
INVALID, UNAUTHORISED, NOT_FOUND, CONFLICT, EXHAUSTED, UNAVAILABLE = range(2, 8)

SOON = (date.today() + timedelta(days=300)).isoformat()


@pytest.fixture(scope="module")
def network(sandboxed, make_network):
    network = make_network(served=True)
    network.person("ada", "tenant", usd=20)
    network.person("olga", "provider")
    network.join("atlas")
    job = job_file(network.folder, "done", 'run: echo hello; echo kept > "$GONDWANA_OUTPUT/file"\n')
    assert network.people["ada"].cli("launch", "--yes", job).returncode == 0
    return network


def every_command():
    """The words of every command there is."""
    found = []
    for name in COMMANDS:
        found += _below((name,), import_module(f"gondwana.cli.commands.{name}").command)
    return found


def _below(words, command):
    if not isinstance(command, click.Group):
        return [words]
    return [found for name, below in command.commands.items() for found in _below((*words, name), below)]  # fmt: skip


def calls(network):
    """Command -> (who, words after it): a call that succeeds."""
    path = job_file(network.folder, "json", "run: echo as json\n")
    made = network.operator.client.tokens.create("gone", ("tenant",))
    return {
        ("launch",): ("ada", [path, "--yes"]),
        ("plan",): ("ada", [path]),
        ("jobs", "list"): ("ada", []),
        ("jobs", "show"): ("ada", ["done"]),
        ("jobs", "logs"): ("ada", ["done"]),
        ("jobs", "cancel"): ("ada", ["done"]),
        ("jobs", "wait"): ("ada", ["done"]),
        ("jobs", "download"): ("ada", ["done", "--to", network.folder / "downloaded"]),
        ("offers",): ("ada", ["model=CPU price<=9", "--sort", "-steps"]),
        ("prices",): ("ada", ["model=CPU"]),
        ("orders",): ("olga", []),
        ("provider", "bids"): ("olga", []),
        ("provider", "list"): ("olga", []),
        ("provider", "show"): ("olga", ["atlas"]),
        ("provider", "pause"): ("olga", ["atlas"]),
        ("provider", "resume"): ("olga", ["atlas"]),
        ("provider", "price"): ("olga", ["atlas", "0.15"]),
        ("provider", "leases"): ("olga", ["atlas"]),
        ("provider", "maintenance"): ("olga", ["atlas"]),
        ("provider", "earnings"): ("olga", []),
        ("provider", "test"): ("olga", []),
        ("account", "balance"): ("ada", []),
        ("account", "statement"): ("ada", []),
        ("account", "deposit"): ("founder", ["1.50", "--to", "ada"]),
        ("account", "invoices"): ("ada", []),
        ("budget", "set"): ("ada", ["500", "--project", "vision"]),
        ("budget", "list"): ("ada", []),
        ("quota", "set"): ("ada", ["--devices-max", "500", "--project", "vision"]),
        ("quota", "list"): ("ada", []),
        ("queue",): ("ada", []),
        ("provider", "sla"): ("olga", ["atlas", "mixed"]),
        ("stake", "show"): ("olga", []),
        ("case", "list"): ("olga", []),
        ("case", "reports"): ("ada", []),
        ("subsidy", "list"): ("founder", []),
        ("solvency",): ("ada", []),
        ("ledger", "audit"): ("ada", []),
        ("ledger", "roots"): ("ada", []),
        ("ledger", "verify"): ("ada", []),
        ("ledger", "export"): ("ada", []),
        ("deposit", "reference"): ("ada", []),
        ("deposit", "list"): ("ada", []),
        ("payout", "destination"): ("ada", ["DE89 3704 0044", "--holder", "Ada L"]),
        ("payout", "list"): ("ada", []),
        ("treasury", "balance"): ("founder", []),
        ("treasury", "deposit"): ("founder", ["5"]),
        ("treasury", "promo", "list"): ("founder", []),
        ("treasury", "payouts", "list"): ("founder", []),
        ("treasury", "deposits", "list"): ("founder", ["--state", "confirmed"]),
        ("settings", "show"): ("founder", []),
        ("settings", "set"): ("founder", ["holdback", "seconds=604800"]),
        ("tag", "sign"): ("founder", ["atlas", "gdpr", "--expires", SOON]),
        ("tag", "list"): ("ada", []),
        ("token", "create"): ("founder", ["eve", "--scope", "tenant"]),
        ("token", "list"): ("founder", []),
        ("token", "revoke"): ("founder", [made.id]),
        ("login",): ("ada", [network.url, "--token", network.people["ada"].token]),
        ("doctor",): ("ada", []),
    }


ELSEWHERE = {
    ("serve",), ("provider", "join"), ("demo",),  # run until they are stopped, or for minutes
    ("provider", "bid"), ("provider", "withdraw"),  # test_auction
    ("provider", "reclaim"), ("jobs", "extend"), ("jobs", "resize"),  # test_leases
    ("provider", "drain"), ("provider", "leave"), ("provider", "reinstate"),  # test_provider, test_training
    ("tag", "revoke"),  # once: test_where
    ("budget", "remove"), ("quota", "remove"),  # once: test_budgets, test_quotas
    ("stake", "add"), ("stake", "unbond"),  # once: test_stakes
    *(("case", verb) for verb in ("show", "appeal", "report", "open", "decide", "correct")),
    *(("subsidy", verb) for verb in ("create", "show", "stop", "clawback")),  # test_subsidies
    ("account", "invoice"), ("ledger", "proof"), ("ledger", "check"),  # test_books
    ("payout", "request"), ("payout", "show"),  # test_payments, as what follows
    *(("treasury", verb) for verb in ("withdraw", "sweep", "tax", "correct", "freeze", "unfreeze")),
    ("treasury", "promo", "grant"), ("treasury", "fund", "deposit"), ("treasury", "fund", "withdraw"),
    *(("treasury", "payouts", verb) for verb in ("show", "export", "send", "confirm", "fail", "results")),
    *(("treasury", "deposits", verb) for verb in (
        "record", "expect", "unclear", "confirm", "void", "import", "clear", "return", "chargeback")),
}  # fmt: skip


def test_every_command_prints_json_that_parses_and_text_that_is_not_empty(network):
    table = calls(network)
    assert set(every_command()) - ELSEWHERE <= set(table), "a new command: add a call to the table"
    for command, (who, words) in table.items():
        person = network.operator if who == "founder" else network.people[who]
        home = network.folder / "home-of-login"
        home.mkdir(exist_ok=True)
        done = person.cli(*command, *words, "--json", XDG_CONFIG_HOME=str(home))
        assert done.returncode == 0, (command, done.stderr)
        json.loads(done.stdout)
        if command in {("jobs", "download"), ("token", "revoke"), ("provider", "resume")}:
            continue  # not twice
        spoken = person.cli(*command, *words, XDG_CONFIG_HOME=str(home))
        assert spoken.returncode == 0, (command, spoken.stderr)
        assert spoken.stdout.strip(), command


def test_every_command_has_help_that_names_its_options(network):
    for command in every_command():
        done = network.cli(*command, "--help")
        assert done.returncode == 0, command
        assert "--json" in done.stdout, command


def test_the_exit_codes_are_those_of_the_error_tree(network):
    ada, olga = network.people["ada"], network.people["olga"]
    path = job_file(network.folder, "dear", "run: echo\ngondwana: {price_cap_usd_per_gpu_hour: 0.01}\n")  # fmt: skip
    bad = job_file(network.folder, "bad", "runn: echo\n")
    expected = [
        (INVALID, ada, ["launch", bad]), (INVALID, ada, ["launch", "no-such-file.yaml"]),
        (INVALID, ada, ["jobs", "wait", "done", "--timeout", "soon"]), (INVALID, ada, ["frobnicate"]),
        (INVALID, olga, ["provider", "price", "atlas", "much"]),
        (INVALID, network.operator, ["account", "deposit", "0"]),
        (UNAUTHORISED, ada, ["token", "list"]), (UNAUTHORISED, olga, ["jobs", "list"]),
        (UNAUTHORISED, ada, ["jobs", "list", "--token", "gwt_wrong"]),
        (NOT_FOUND, ada, ["jobs", "show", "none"]), (NOT_FOUND, olga, ["provider", "show", "none"]),
        (NOT_FOUND, network.operator, ["token", "revoke", "none"]),
        (CONFLICT, olga, ["provider", "resume", "atlas"]), (EXHAUSTED, ada, ["launch", path, "--yes"]),
        (EXHAUSTED, ada, ["plan", path]), (UNAVAILABLE, ada, ["jobs", "list", "--url", "http://127.0.0.1:9"]),
        (UNAVAILABLE, ada, ["launch", job_file(network.folder, "asked", "run: echo\n")]),  # nobody to say yes
    ]  # fmt: skip
    for code, person, words in expected:
        done = person.cli(*words)
        assert done.returncode == code, (words, done.returncode, done.stderr)
        said = "error: " in done.stderr
        assert said or words[0] == "plan", words  # a plan that does not fit is a result
        assert "Traceback" not in done.stderr
    assert {error.exit_code for error in all_errors()} >= set(range(1, 8))


def test_following_a_training_with_json_keeps_standard_output_to_one_line(network):
    path = training_job(network.folder, "json-train", rounds=2)
    done = network.people["ada"].cli("launch", "--yes", path, "--json")
    assert done.returncode == 0, done.stderr + network.logs()
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["training"]["history"][1]["round"] == 1
    told = network.people["ada"].json("jobs", "logs", "json-train")
    assert len(told) == 2


def test_a_port_that_is_taken_is_told_in_a_line(network):
    other = network.run("second-plane", [*GONDWANA, "serve", "--port", str(network.port), "--data",
                                         str(network.folder / "second")])  # fmt: skip
    assert other.process.wait(30) == UNAVAILABLE, other.log
    assert "error: " in other.log
    assert str(network.port) in other.log
    assert "Traceback" not in other.log


def test_two_control_planes_never_share_their_data(network):
    other = network.run("same-data", [*GONDWANA, "serve", "--port", "0", "--data", str(network.data)])  # fmt: skip
    assert other.process.wait(30) == CONFLICT, other.log
    assert "Traceback" not in other.log
    network.audit()


def test_the_founders_token_is_for_the_founders_eyes_alone(network):
    path = network.data / "founder.token"
    assert path.stat().st_mode & 0o077 == 0
    token = path.read_text().strip()
    assert token not in "".join(program.log for program in network.programs)


def test_ctrl_c_ends_the_control_plane_well_and_it_starts_again(network):
    assert network.plane.interrupt() in (0, 130), network.plane.log
    assert "Traceback" not in network.plane.log
    network.start()
    assert network.people["ada"].cli("jobs", "show", "done").returncode == 0
    until(lambda: network.machine("atlas").state == "up", 30, note=network.logs)


def test_the_light_client_needs_no_server_packages_and_no_torch(network):
    look = (
        "import sys; from gondwana.cli.main import run; run(['jobs', 'list'])\n"
        "print(sorted({'torch', 'numpy', 'fastapi', 'pydantic', 'uvicorn'} & set(sys.modules)), file=sys.stderr)"
    )
    token = network.people["ada"].token
    program = network.run("light", [sys.executable, "-c", look], token)
    assert program.process.wait(30) == 0
    assert program.log.strip().endswith("[]")
