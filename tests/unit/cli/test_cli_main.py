import json
import sys

import click
import pytest

from gondwana.cli.main import COMMANDS, cli, run
from gondwana.core import errors

JOB = {"id": "job_1", "name": "hello", "kind": "batch", "state": "running", "created_at": 1.0}
ME = {"principal": "pri_1", "name": "ann", "scopes": ["tenant"]}
OFFER = {"id": "off_1", "machine": "box", "region": "eu", "accelerator": "RTX4090", "devices": 2, "devices_free": 1,
         "cpus": 8.0, "memory_bytes": 2**34, "steps_per_second": 1234.5,
         "price_micro_usd_per_device_hour": 200_000}  # fmt: skip
ACCOUNT = {"principal": "ann", "available_micro_usd": 1, "escrow_micro_usd": 12_000_000,
           "holdback_micro_usd": 0, "payable_micro_usd": 0}  # fmt: skip


@pytest.fixture
def gondwana(plane, monkeypatch, tmp_path, capfd):
    """Runs one command line against the test's server: (exit code, standard output, standard error)."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GONDWANA_URL", plane.url)
    monkeypatch.setenv("GONDWANA_TOKEN", "secret")
    monkeypatch.chdir(tmp_path)

    def gondwana(*arguments):
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return gondwana


def every_command(group=cli, path=()):
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if isinstance(command, click.Group):
                yield from every_command(command, (*path, name))
            else:
                yield (*path, name), command


def test_every_command_can_answer_in_json_and_has_a_line_of_help():
    found = dict(every_command())
    assert len(found) > 25
    for path, command in found.items():
        names = {name for parameter in command.params for name in parameter.opts}
        assert "--json" in names, path
        assert "--traceback" in names, path
        assert command.get_short_help_str(), path


def test_the_list_of_commands_is_the_list_of_files():
    assert set(COMMANDS) == set(cli.list_commands(click.Context(cli)))


def test_a_result_goes_to_standard_output_alone(gondwana, plane):
    plane.reply({"items": [OFFER], "cursor": None})
    code, out, err = gondwana("offers", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)[0]["machine"] == "box"


def test_a_table_aligns_its_numbers_to_the_right(gondwana, plane):
    second = OFFER | {
        "machine": "a-longer-name",
        "price_micro_usd_per_device_hour": 12_345_600,
        "cpus": 128.0,
    }
    plane.reply({"items": [OFFER, second], "cursor": None})  # in the order asked for
    _, out, _ = gondwana("offers")
    head, first, last = out.splitlines()
    assert first.startswith("box ")
    assert last.startswith("a-longer-name ")
    end = head.index("$/HOUR") + len("$/HOUR")
    assert first[:end].endswith(" $0.2000")
    assert last[:end].endswith("$12.3456")


def test_offers_say_what_of_a_machine_is_booked_and_keep_quiet_where_nothing_is(gondwana, plane):
    start = 1_796_112_000.0  # 2026-12-01 08:00

    def booked(*spans):
        return [{"starts_at": start + 3_600 * begin, "ends_at": start + 3_600 * end, "devices": devices}
                for begin, end, devices in spans]  # fmt: skip

    whole = OFFER | {"booked": booked((0, 8, 2))}
    part = OFFER | {"booked": booked((0, 24, 1), (30, 31, 2))}
    plane.reply({"items": [OFFER, whole, part], "cursor": None})
    _, out, _ = gondwana("offers")
    head, first, *others = out.splitlines()
    at = head.index("BOOKED (UTC)")
    assert len(first) <= at
    assert [line[at:] for line in others] == [
        "12-01 08:00 to 16:00",
        "1 of 2: 12-01 08:00 to 12-02 08:00, then 1 more",
    ]
    plane.reply({"items": [OFFER], "cursor": None})
    assert "BOOKED" not in gondwana("offers")[1]


def test_nothing_on_offer_is_said_in_words(gondwana, plane):
    plane.reply({"items": [], "cursor": None})
    assert gondwana("offers")[1] == "nothing is on offer right now\n"


def test_control_characters_in_somebody_elses_names_do_not_reach_the_terminal(gondwana, plane):
    plane.reply({"items": [OFFER | {"machine": "\x1b]52;c;evil\x07"}], "cursor": None})
    _, out, _ = gondwana("offers")
    assert "\x1b" not in out
    assert "\x07" not in out


@pytest.mark.parametrize(
    ("error", "code"),
    [(errors.InvalidValue, 2), (errors.InvalidToken, 3), (errors.ScopeMissing, 3), (errors.NoSuchThing, 4),
     (errors.WrongState, 5), (errors.FundsTooLow, 6), (errors.StorageFull, 7)],
)  # fmt: skip
def test_the_exit_code_and_the_two_lines_come_from_the_error(gondwana, plane, error, code):
    plane.problem(error.status, error.code, "it went wrong", hint="do this")
    assert gondwana("jobs", "show", "x") == (code, "", "error: it went wrong\nhint: do this\n")


def test_a_mistake_of_ours_is_called_that_and_shows_its_place_only_on_request(
    gondwana, plane, monkeypatch
):
    def broken(*arguments):
        raise KeyError("oops")

    monkeypatch.setattr("gondwana.cli.commands.offers.table", broken)
    plane.reply({"items": [OFFER], "cursor": None})
    code, _, err = gondwana("offers")
    assert code == 70
    assert "Traceback" not in err
    plane.reply({"items": [OFFER], "cursor": None})
    assert "Traceback" in gondwana("offers", "--traceback")[2]


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [(("ofers",), "offers"), (("jobs", "shw"), "show"), (("offers", "--jsn"), "--json")],
)
def test_a_misspelt_word_is_answered_with_the_right_one(gondwana, line, suggestion):
    code, out, err = gondwana(*line)
    assert (code, out) == (2, "")
    assert suggestion in err
    assert err.startswith("error: ")


def test_a_job_file_runs_only_after_a_yes(gondwana, plane, tmp_path):
    (tmp_path / "job.yaml").write_text("run: echo")
    plan = {"fits": True, "hold_micro_usd": 500_000, "price_micro_usd_per_hour": 200_000,
            "machines": [{"name": "box", "region": "eu", "accelerator": "CPU", "devices": 1,
                          "price_micro_usd_per_device_hour": 200_000, "steps_per_second": 3.0}]}  # fmt: skip
    plane.reply(plan)
    code, out, err = gondwana("launch", "job.yaml")
    assert (code, out) == (7, "")
    assert "$0.50 set aside" in err
    assert "--yes" in err
    assert [request.path for request in plane.requests] == ["/v1/plans"]
    plane.reply(plan)
    plane.reply(JOB)
    code, out, err = gondwana("launch", "job.yaml", "--yes", "--detach")
    assert (code, out) == (0, "job_1\n")
    assert "gondwana jobs logs -f hello" in err


def test_a_plan_that_does_not_fit_says_why_and_what_to_try(gondwana, plane, tmp_path):
    (tmp_path / "job.yaml").write_text("run: echo")
    nothing = {"fits": False, "why_not": "no machine has an H100", "hint": "ask for RTX4090"}
    plane.reply(nothing)
    assert gondwana("launch", "job.yaml", "--yes")[0::2] == (
        6,
        "error: no machine has an H100\nhint: ask for RTX4090\n",
    )
    plane.reply(nothing)
    code, out, _ = gondwana("plan", "job.yaml")
    assert code == 6
    assert "no machine has an H100" in out


@pytest.mark.parametrize(
    ("state", "job_code", "code"),
    [("succeeded", 0, 0), ("failed", 3, 3), ("failed", None, 1), ("failed", 0, 1),
     ("cancelled", None, 1), ("failed", 300, 1)],
)  # fmt: skip
def test_following_and_waiting_end_with_the_jobs_own_code(gondwana, plane, state, job_code, code):
    ended = JOB | {"state": state, "exit_code": job_code}
    plane.reply(ended)
    assert gondwana("jobs", "wait", "hello")[0] == code
    plane.reply(JOB)
    plane.reply(body=b"hi\n", X_Log_Next="3", X_Log_End="1")
    plane.reply(ended)
    followed, out, err = gondwana("jobs", "logs", "-f", "hello")
    assert (followed, out) == (code, "hi\n")
    assert f"hello {state}" in err


def test_following_a_training_shows_each_round_once(gondwana, plane):
    rounds = [
        {"round": number, "heldout_loss": 4.0 - number, "islands": 2, "accepted": 2, "rejected": 0, "expired": 0,
         "tokens": 1000, "seconds": 2.0, "bytes_up": 1024, "bytes_down": 0, "bytes_data_parallel": 99999}
        for number in (1, 2)
    ]  # fmt: skip
    training = {"phase": "training", "round": 1, "rounds": 2, "parameters": 9, "tokens": 1, "bytes_up": 1,
                "bytes_down": 1, "bytes_data_parallel": 9, "sample": "To be"}  # fmt: skip
    view = JOB | {"kind": "train"}
    plane.reply(view | {"training": training | {"history": []}})
    plane.reply(view | {"training": training | {"history": rounds[:1]}})
    plane.reply({"items": [], "cursor": None})
    plane.reply(view | {"state": "succeeded", "training": training | {"history": rounds}})
    code, out, _ = gondwana("jobs", "logs", "-f", "hello")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines[:3]] == ["ROUND", "1", "2"]
    assert lines[-1] == "To be"
    assert len({len(line) for line in lines[:3]}) == 1


def test_a_login_is_tried_before_it_is_saved(gondwana, plane, tmp_path):
    plane.problem(401, "invalid_token", "not known")
    assert gondwana("login", plane.url, "--token", "wrong")[0] == 3
    assert not (tmp_path / "config").exists()
    plane.reply(ME)
    code, out, _ = gondwana("login", plane.url, "--token", "right")
    assert (code, out) == (0, "you are ann (tenant)\n")
    assert 'token = "right"' in (tmp_path / "config" / "gondwana" / "config.toml").read_text()


def test_money_lines_up_under_each_other(gondwana, plane):
    plane.reply(ACCOUNT)
    _, out, _ = gondwana("account", "balance")
    lines = out.splitlines()
    assert lines[1].endswith(" $0.000001")
    assert len(lines[1]) == len(lines[3])  # the line between has a note behind it


def test_books_that_differ_end_with_one(gondwana, plane):
    plane.reply({
        "ok": False, "accounts": 3, "entries": 4, "transfers": 9, "batches": 2, "roots": 1, "head": "ab" * 32,
        "root": "", "root_day": "", "held_micro_usd": 5, "unclear_micro_usd": 7, "sums_micro": {"USD": 0, "BUDGET": 0},
        "differences": ["tenant:x is off by 1"],
    })  # fmt: skip
    code, out, _ = gondwana("ledger", "audit")
    assert code == 1
    assert "DO NOT BALANCE" in out
    assert "tenant:x is off by 1" in out
    assert "$0.000007 (nobody knows yet whose they are)" in out


def test_an_amount_that_is_no_money_never_leaves_the_machine(gondwana, plane):
    assert gondwana("account", "deposit", "1.0000001")[0] == 2
    assert plane.requests == []


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--price", "much"], 2, "--price"),
        (["--price", "0.2", "--devices", "0,x"], 2, "write 0 or 0,1"),
        (["--price", "0.2", "--max-memory", "lots"], 2, "--max-memory"),
        ([], 2, "--price"),
        (["--price", "0.2", "--url", "x"], 2, "--url"),
    ],
)
def test_an_owners_wrong_terms_are_named_before_anything_starts(
    gondwana, plane, options, code, words
):
    found, out, err = gondwana("provider", "join", plane.url, *options)
    assert (found, out) == (code, "")
    assert words in err
    assert plane.requests == []


def test_a_machine_does_not_join_without_a_token(gondwana, plane, monkeypatch):
    monkeypatch.delenv("GONDWANA_TOKEN")
    code, _, err = gondwana("provider", "join", plane.url, "--price", "0.2")
    assert code == 3
    assert "GONDWANA_TOKEN" in err


def test_a_doctor_without_a_control_plane_says_what_mends_it(gondwana, monkeypatch):
    monkeypatch.setenv("GONDWANA_URL", "http://127.0.0.1:9")
    code, out, _ = gondwana("doctor")
    assert code == 1
    assert "WRONG  control plane" in out
    assert "gondwana serve" in out


def test_a_closed_pipe_ends_quietly(gondwana, plane, monkeypatch):
    class Closed:
        def isatty(self):
            return False

        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    plane.reply({"items": [OFFER], "cursor": None})
    before = sys.stdout
    monkeypatch.setattr(sys, "stdout", Closed())
    assert run(["offers"]) == 0
    sys.stdout.close()
    monkeypatch.setattr(sys, "stdout", before)
