"""What a hostile client may not write into a job."""

import pytest

from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.policy import rules
from gondwana.wire.agent import DESIRED_BYTES_MAX
from gondwana.wire.jobs import SPEC_TEXT_BYTES_MAX, TEXT_BYTES_MAX, Accelerators, Gates, Resources


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def refuse(spec):
    with pytest.raises(InvalidValue):
        rules.check_spec(spec)


@pytest.mark.parametrize(
    "config",
    [
        {"text": "x" * 100_000}, {"deep": nested(100)}, {"n": float("nan")}, {"n": float("inf")}, {"n": 2**70},
        {"list": list(range(60_000))}, {"t": "\ud800"},
    ],
    ids=["long", "deep", "nan", "infinite", "huge", "many", "surrogate"],
)  # fmt: skip
def test_a_recipes_config_is_small_plain_data(make, config):
    refuse(make.train_spec(config=config))


def test_an_ordinary_config_is_taken(make):
    config = {"width": 64, "rate": 1e-3, "name": "gpt", "layers": [1, 2, {"a": None}], "on": True}
    rules.check_spec(make.train_spec(config=config))


@pytest.mark.parametrize(
    "gates",
    [
        {"norm_min": float("nan")}, {"norm_min": 5.0}, {"norm_max": 0.1}, {"norm_max": float("inf")},
        {"cosine_min": 0.99}, {"cosine_min": -2.0}, {"evaluate_per_round": -1}, {"evaluate_per_round": 10**6},
    ],
    ids=str,
)  # fmt: skip
def test_no_tenant_sets_gates_that_turn_all_honest_work_away(make, gates):
    refuse(make.train_spec(gates=Gates(**gates)))


def test_texts_that_are_each_allowed_are_not_together_more_than_a_link_carries(make):
    part = "x" * (TEXT_BYTES_MAX - 1)
    refuse(make.spec(envs={f"V{number}": part for number in range(200)}))
    rules.check_spec(make.spec(setup=part, envs={"A": part[:100_000]}))
    assert rules.DEVICES_MAX * SPEC_TEXT_BYTES_MAX < DESIRED_BYTES_MAX


@pytest.mark.parametrize("path", ["", "a" * 5000, "a\0b"])
def test_a_mount_has_a_path(make, path):
    refuse(make.spec(file_mounts={path: make.BLOB}))


def test_text_that_is_no_text_is_refused(make):
    refuse(make.spec(run="echo \ud800"))


@pytest.mark.parametrize("recipe", ["", "x" * 5000, "a\0b"])
def test_a_recipe_is_named_by_a_path(make, recipe):
    refuse(make.train_spec(recipe=recipe))


def test_an_accelerators_name_is_short(make):
    refuse(make.spec(resources=Resources(accelerators=(Accelerators(name="x" * 1000),))))


def test_a_job_of_another_version_is_refused(make):
    refuse(replace(make.spec(), version=99))
