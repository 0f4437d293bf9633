import pytest

from gondwana.core.errors import BudgetTooSmall, InvalidValue, ScopeMissing
from gondwana.core.random import SecureRandom, SeededRandom
from gondwana.core.values import replace
from gondwana.policy import rules
from gondwana.policy.model import Caller, Principal, Scope
from gondwana.wire.jobs import (
    ISLANDS_MAX,
    NODES_MAX,
    TEXT_BYTES_MAX,
    Accelerators,
    MarketTerms,
    Resources,
)


def caller(make, *scopes):
    principal = Principal(id="pri_a", name="ann", created_at=make.NOW)
    return Caller(principal=principal, scopes=scopes)


def test_a_token_has_256_bits_a_known_prefix_and_is_stored_as_its_hash_alone():
    first, second = rules.make_token(SecureRandom()), rules.make_token(SecureRandom())
    assert first != second
    assert first.startswith("gwt_")
    assert len(bytes.fromhex(first.removeprefix("gwt_"))) == 32
    assert rules.hash_token(first) == rules.hash_token(first)
    assert rules.hash_token(first) != rules.hash_token(second)
    assert first.removeprefix("gwt_") not in rules.hash_token(first)


def test_one_seed_makes_one_token():
    assert rules.make_token(SeededRandom(1)) == rules.make_token(SeededRandom(1))


@pytest.mark.parametrize("wanted", list(Scope))
def test_a_caller_needs_the_very_scope_and_an_operator_has_every_one(make, wanted):
    rules.require(caller(make, wanted), wanted)
    rules.require(caller(make, Scope.OPERATOR), wanted)
    others = [scope for scope in Scope if scope not in (wanted, Scope.OPERATOR)]
    with pytest.raises(ScopeMissing) as refused:
        rules.require(caller(make, *others), wanted)
    assert f"--scope {wanted}" in refused.value.hint


@pytest.mark.parametrize("name", ["a", "7", "my-job_2.x", "a" * 63])
def test_a_name_of_plain_characters_is_taken(name):
    assert rules.check_name(name, field="name") == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "-a", "a-", ".a", "a b", "a/b", "..", "a\n", "ä", "a" * 64, "gondwana;rm", "a\x00b"],
)
def test_a_name_that_could_mean_something_else_somewhere_is_refused(name):
    with pytest.raises(InvalidValue) as refused:
        rules.check_name(name, field="name")
    assert refused.value.fields["field"] == "name"


@pytest.mark.parametrize(
    "field, low, high",
    [("num_nodes", 1, NODES_MAX), ("seconds_max", 1, 30 * 86_400)],
)
def test_a_job_keeps_to_its_limits(make, field, low, high):
    rules.check_spec(make.spec(**{field: low}))
    rules.check_spec(make.spec(**{field: high}))
    for value in (low - 1, high + 1, float("nan")):
        with pytest.raises(InvalidValue):
            rules.check_spec(make.spec(**{field: value}))


@pytest.mark.parametrize(
    "field, low, high",
    [
        ("rounds", 1, rules.ROUNDS_MAX),
        ("inner_steps", 1, 100_000),
        ("window_seconds", 1, 86_400),
        ("islands_max", 1, ISLANDS_MAX),
        ("sample_chars", 0, 10_000),
    ],
)
def test_training_keeps_to_its_limits(make, field, low, high):
    given = {"warm_rounds": 0}
    rules.check_spec(make.train_spec(**given, **{field: low}))
    rules.check_spec(make.train_spec(**given, **{field: high}))
    for value in (low - 1, high + 1, float("nan")):
        with pytest.raises(InvalidValue) as refused:
            rules.check_spec(make.train_spec(**given, **{field: value}))
        assert refused.value.fields["field"].startswith("train.")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds": 3, "warm_rounds": 4},
        {"warm_rounds": -1},
        {"islands_min": 0},
        {"islands_min": 3, "islands_max": 2},
        {"shards": ()},
        {"heldout": ()},
        {"shards": ("ab" * 32,) * (rules.SHARDS_MAX + 1)},
        {"heldout": ("ab" * 32,) * (rules.SHARDS_MAX + 1)},
        {"codec": "int3"},
        {"shards": ("../../etc/passwd",)},
        {"heldout": ("",)},
    ],
)
def test_training_that_cannot_be_is_refused(make, wrong):
    with pytest.raises(InvalidValue):
        rules.check_spec(make.train_spec(**wrong))


@pytest.mark.parametrize("seconds", [-1, 1, 1_800, 3_599, 2_592_001])
def test_who_skips_the_job_file_can_ask_for_no_other_notice_than_one_that_can_be_promised(
    make, seconds
):
    with pytest.raises(InvalidValue) as refused:
        rules.check_spec(make.spec(market=MarketTerms(notice_seconds_min=seconds)))
    assert refused.value.fields == {
        "field": "gondwana.notice_hours_min (seconds)",
        "value": seconds,
    }
    assert refused.value.hint == "0 for none, or from 3600 to 2592000"


@pytest.mark.parametrize("seconds", [0, 3_600, 2_592_000])
def test_a_notice_that_can_be_promised_can_be_asked_for(make, seconds):
    rules.check_spec(make.spec(market=MarketTerms(notice_seconds_min=seconds)))


@pytest.mark.parametrize("codec", ["fp32", "int8", "int4"])
def test_the_codecs_that_exist_are_taken(make, codec):
    rules.check_spec(make.train_spec(codec=codec))


@pytest.mark.parametrize("field", ["setup", "run"])
def test_text_is_limited_in_bytes_not_in_characters(make, field):
    fits = {"run": "true", field: "x" * TEXT_BYTES_MAX}
    rules.check_spec(make.spec(**fits))
    with pytest.raises(InvalidValue):
        rules.check_spec(make.spec(**{**fits, field: "ä" * (TEXT_BYTES_MAX // 2 + 1)}))


def test_an_environment_value_is_limited_and_named(make):
    with pytest.raises(InvalidValue) as refused:
        rules.check_spec(make.spec(envs={"BIG": "x" * (TEXT_BYTES_MAX + 1)}))
    assert "envs.BIG" in refused.value.fields["field"]


@pytest.mark.parametrize("name", ["", "1A", "A B", "A=B", "A\x00", "x" * 300])
def test_a_variable_that_no_shell_could_name_is_refused(make, name):
    with pytest.raises(InvalidValue):
        rules.check_spec(make.spec(envs={name: "1"}))


def test_a_value_with_a_zero_byte_is_refused_since_no_process_could_start_with_it(make):
    with pytest.raises(InvalidValue):
        rules.check_spec(make.spec(envs={"A": "x\x00y"}))


def test_there_are_only_so_many_variables_and_mounts(make):
    rules.check_spec(make.spec(envs={f"A{n}": "" for n in range(rules.ENTRIES_MAX)}))
    with pytest.raises(InvalidValue):
        rules.check_spec(make.spec(envs={f"A{n}": "" for n in range(rules.ENTRIES_MAX + 1)}))
    mounts = {f"/data/{n}": make.BLOB for n in range(rules.ENTRIES_MAX + 1)}
    with pytest.raises(InvalidValue):
        rules.check_spec(make.spec(file_mounts=mounts))


def test_a_job_has_either_a_command_or_training(make):
    for wrong in (
        make.spec(run=""),
        make.spec(run=" \n"),
        replace(make.train_spec(), run="echo hi"),
    ):
        with pytest.raises(InvalidValue):
            rules.check_spec(wrong)


def test_training_needs_the_folder_of_its_recipe(make):
    with pytest.raises(InvalidValue) as refused:
        rules.check_spec(replace(make.train_spec(), workdir=None))
    assert "workdir" in refused.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        Resources(accelerators=(Accelerators(name="H100", count=0),)),
        Resources(accelerators=(Accelerators(name="H100", count=-1),)),
        Resources(accelerators=(Accelerators(name="H100", count=65),)),
        Resources(accelerators=(Accelerators(name="H100"),) * (rules.ENTRIES_MAX + 1)),
        Resources(cpus_min=-1.0),
        Resources(cpus_min=float("inf")),
        Resources(memory_bytes_min=-1),
        Resources(memory_bytes_min=2**63),
    ],
)
def test_resources_that_no_machine_could_have_are_refused(make, wrong):
    with pytest.raises(InvalidValue):
        rules.check_spec(make.spec(resources=wrong))


@pytest.mark.parametrize("field", ["budget_micro_usd", "price_cap_micro_usd_per_device_hour"])
def test_money_is_an_amount_that_the_books_can_hold(make, field):
    for fine in (None, 0, 2**62):
        rules.check_spec(make.spec(**{field: fine}))
    for wrong in (-1, 2**62 + 1):
        with pytest.raises(InvalidValue):
            rules.check_spec(make.spec(**{field: wrong}))


@pytest.mark.parametrize("name", ["", "workdir", "../x", "AB" * 32, "ab" * 31])
def test_files_are_named_by_their_hash_and_nothing_else(make, name):
    with pytest.raises(InvalidValue):
        rules.check_spec(make.spec(workdir=name))
    with pytest.raises(InvalidValue):
        rules.check_spec(make.spec(file_mounts={"/data": name}))


def test_a_budget_must_reach_for_what_is_set_aside(make):
    rules.check_budget(make.spec(), 10**12)
    rules.check_budget(make.spec(budget_micro_usd=5_000_000), 5_000_000)
    with pytest.raises(BudgetTooSmall) as refused:
        rules.check_budget(make.spec(budget_micro_usd=4_999_999), 5_000_000)
    assert "5.00" in refused.value.hint
