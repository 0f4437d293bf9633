"""Plans on the command line: several ways, one of them chosen, a way out where nothing fits."""

import json

import pytest

from gondwana.cli.main import run
from gondwana.cli.plans import SHOWN_MAX, show_plan
from gondwana.cli.plots import scatter
from gondwana.core.errors import InvalidValue, NothingFits
from gondwana.wire.jobs import WHERE_CHARS_MAX, Accelerators, Alternative, MarketTerms, Resources
from gondwana.wire.plans import PlanOption, RelaxationView, Wanted, bound, chosen
from gondwana.wire.views import PlanView


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


def option(seconds, cost, **changes):
    given = {
        "machines": ("box",), "accelerators": "1×CPU", "price_max_micro_usd_per_device_hour": 250_000,
        "steps_per_second_min": 9.877, "where": "steps>=9.877",
        "seconds": seconds, "cost_micro_usd": cost, "price_micro_usd_per_hour": 250_000,
        "interruption_probability": 0.02,
    }  # fmt: skip
    return PlanOption(**{**given, **changes})


FRONT = (option(60.0, 9_000_000), option(3600.0, 500_000, is_default=True), option(7200.0, 100_000))


@pytest.mark.parametrize(
    ("wanted", "place"),
    [(Wanted(fastest=True), 0), (Wanted(cheapest=True), 2), (Wanted(by_seconds=3600.0), 1),
     (Wanted(by_seconds=1e9), 2), (Wanted(under_micro_usd=500_000), 1), (Wanted(under_micro_usd=10**9), 0)],
)  # fmt: skip
def test_the_plan_that_is_asked_for_is_chosen(wanted, place):
    assert chosen(FRONT, wanted) is FRONT[place]


def test_what_no_plan_does_is_refused_with_what_the_nearest_one_does():
    with pytest.raises(NothingFits, match="the fastest takes 1 min 00 s"):
        chosen(FRONT, Wanted(by_seconds=59.0))
    with pytest.raises(NothingFits, match=r"the cheapest costs \$0.10"):
        chosen(FRONT, Wanted(under_micro_usd=99_999))
    with pytest.raises(NothingFits):
        chosen((), Wanted(fastest=True))
    for both in (Wanted(), Wanted(fastest=True, cheapest=True)):
        with pytest.raises(InvalidValue):
            chosen(FRONT, both)


def test_a_chosen_plan_binds_the_job(make):
    spec = make.spec(market=MarketTerms(where="region=eu-*"))
    told = bound(spec, FRONT[0])
    assert told.price_cap_micro_usd_per_device_hour == 250_000
    assert told.market.where == "region=eu-* steps>=9.877"
    assert told.market.mechanism == "posted"
    trained = bound(
        make.train_spec(islands_min=2, islands_max=8),
        option(1.0, 1, machines=("a",), inner_steps=20, window_seconds=24.0, rounds=33, codec="int8"),
    )  # fmt: skip
    train = trained.train
    assert (train.islands_min, train.islands_max, train.rounds, train.inner_steps) == (1, 1, 33, 20)
    assert (train.window_seconds, train.codec) == (24.0, "int8")


def test_a_binding_never_makes_a_filter_that_is_too_long(make):
    long = make.spec(market=MarketTerms(where="x" * (WHERE_CHARS_MAX - 3)))
    assert bound(long, FRONT[0]).market.where == long.market.where
    assert bound(make.spec(), option(1.0, 1, where="")).market.where == ""


def shown(make, **changes):
    plan = PlanView(
        fits=True, front=FRONT, default=FRONT[1], basis="limit", notes=("so it is",), **changes
    )
    return show_plan(plan, make.spec())


def test_the_front_is_told_as_a_table_and_drawn(make):
    text = shown(make, no_comparison="no comparison: CPU is not in the table of list prices")
    assert "*  1 h 00 min  $0.5000  $0.2500    2%  1×CPU" in text
    assert text.count("o") > 2
    assert "so it is" in text
    assert text.endswith("no comparison: CPU is not in the table of list prices")


def test_a_default_that_is_beaten_stands_below_the_front(make):
    plan = PlanView(fits=True, front=FRONT[:1], default=option(9e4, 10**7, is_default=True))
    assert "* beaten" in show_plan(plan, make.spec())


def test_of_a_long_front_both_ends_and_the_default_are_shown(make):
    front = tuple(option(100.0 + n, 10**6 - n, is_default=n == 33) for n in range(100))
    text = show_plan(PlanView(fits=True, front=front, default=front[33]), make.spec())
    lines = [line for line in text.splitlines() if "1×CPU" in line]
    assert 3 <= len(lines) <= SHOWN_MAX + 1
    assert any(line.startswith("*") for line in lines)
    assert "1 min 40 s" in lines[0]
    assert "3 min 19 s" in lines[-1]


MAP = Resources(
    accelerators=(Accelerators(name="H100", count=2), Accelerators(name="A100", count=2))
)
WRITTEN = Resources(
    alternatives=tuple(Alternative(accelerators=(each,)) for each in MAP.accelerators)
)


@pytest.mark.parametrize(
    ("resources", "row", "change"),
    [(MAP, "2×A100", "A100: wait"), (WRITTEN, "2×A100 (alternative 2)", "alternative 2: wait")],
    ids=["a map", "any_of"],
)
def test_a_kind_is_called_by_its_number_only_where_it_was_written_as_one_of_several(
    make, resources, row, change
):
    one = option(60.0, 10**6, is_default=True, accelerators="2×A100", alternative=2)
    spec = make.spec(resources=resources)
    told = show_plan(PlanView(fits=True, front=(one,), default=one), spec).splitlines()
    assert [line for line in told if line.endswith(f" {row}")]
    wait = RelaxationView(words="wait", changes=(), machines=(), price_micro_usd_per_hour=1,
                          added_micro_usd_per_hour=0, alternative=2)  # fmt: skip
    refused = show_plan(PlanView(fits=False, why_not="none", relaxations=(wait,)), spec)
    assert refused.endswith(f" {change}")


def test_points_are_drawn_where_they_are():
    points = [(0.0, 10.0, "a"), (4.0, 0.0, "b"), (2.0, 5.0, "c")]
    drawn = scatter(points, ("10", "0"), ("0 s", "4 s"), size=(9, 3))
    assert drawn.splitlines() == [
        "10 |a",
        "   |    c",
        " 0 |        b",
        "   +---------",
        "    0 s   4 s",
    ]
    assert scatter([(1.0, 1.0, "x")], ("1", "1"), ("1", "1"), size=(2, 1)).startswith("1 |x")


PLAN = {
    "fits": True, "hold_micro_usd": 500_000, "price_micro_usd_per_hour": 200_000,
    "machines": [{"name": "box", "region": "eu", "accelerator": "CPU", "devices": 1,
                  "price_micro_usd_per_device_hour": 200_000, "steps_per_second": 3.0}],
    "front": [{"machines": ["box"], "accelerators": "1×CPU", "price_max_micro_usd_per_device_hour": 200_000,
               "steps_per_second_min": 3.0, "where": "steps>=3.000", "seconds": 60.0, "cost_micro_usd": 1000,
               "price_micro_usd_per_hour": 200_000}],
}  # fmt: skip
JOB = {"id": "job_1", "name": "hello", "kind": "batch", "state": "admitted", "created_at": 0.0}


def test_launching_a_chosen_plan_plans_again_and_sends_the_bound_job(gondwana, plane, tmp_path):
    (tmp_path / "job.yaml").write_text("run: echo")
    for reply in (PLAN, PLAN, JOB):
        plane.reply(reply)
    code, _, err = gondwana("launch", "job.yaml", "--cheapest", "--yes", "--detach")
    assert code == 0, err
    sent = json.loads(plane.requests[-1].body)
    assert plane.requests[-1].path == "/v1/jobs"
    assert sent["price_cap_micro_usd_per_device_hour"] == 200_000
    assert sent["market"]["where"] == "steps>=3.000"


@pytest.mark.parametrize(
    "options", [("--by", "soon"), ("--by", ""), ("--under", "x"), ("--fastest", "--cheapest"), ()]
)
def test_what_is_no_choice_is_refused_before_anything_is_sent(gondwana, plane, tmp_path, options):
    (tmp_path / "job.yaml").write_text("run: echo")
    job = ("job.yaml",) if options else ()
    assert gondwana("plan", *job, *options)[0] == 2
    assert plane.requests == []


def test_a_refusal_tells_what_would_fit(gondwana, plane, tmp_path):
    (tmp_path / "job.yaml").write_text("run: echo")
    plane.reply({
        "fits": False, "why_not": "price at most $0.20", "hint": "raise it",
        "relaxations": [{"words": "raise the price cap from $0.20 to $0.35 per device-hour", "changes": [],
                         "machines": ["box"], "price_micro_usd_per_hour": 350_000,
                         "added_micro_usd_per_hour": 150_000, "seconds": 3600.0, "cost_micro_usd": 350_000}],
    })  # fmt: skip
    code, out, _ = gondwana("plan", "job.yaml")
    assert code == 6
    assert "$0.1500  $0.3500  1 h 00 min, $0.3500  raise the price cap" in out


def test_how_far_plans_were_off_is_told_per_model(gondwana, plane):
    spread = {"jobs": 4, "median": 1.05, "low": 0.9, "high": 3.0, "within_quarter": 0.75}
    told = {"bucket": "H100", "basis": "measured", "jobs": 4, "seconds": spread}
    plane.reply({"items": [told], "cursor": None})
    code, out, _ = gondwana("plan", "--accuracy")
    assert code == 0
    assert "H100   measured     4  1.05 (0.90 to 3.00)          75%" in out


def test_a_job_tells_what_was_predicted_beside_what_it_took(gondwana, plane):
    predicted = {"bucket": "CPU", "basis": "limit", "machines": 1, "seconds": 120.0, "cost_micro_usd": 2000,
                 "actual_machines": 1, "actual_seconds": 60.0, "actual_cost_micro_usd": 1000}  # fmt: skip
    plane.reply(JOB | {"predicted": predicted})
    _, out, _ = gondwana("jobs", "show", "hello")
    assert "predicted  2 min 00 s, $0.0020 on 1 (CPU, limit)" in out
    assert "took       1 min 00 s, $0.0010 on 1: 0.50 × the time, 0.50 × the cost" in out
