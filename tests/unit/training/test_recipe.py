"""The user's contract: what is missing or wrong is named, with file, member and line."""

from pathlib import Path

import pytest

from gondwana.core.errors import InvalidValue, RecipeError
from gondwana.training.recipe import OptimizerKind, OptimizerSpec, load_recipe

GOOD = """
from dataclasses import dataclass
from gondwana.training.recipe import OptimizerSpec

@dataclass(frozen=True)
class Config:
    width: int = 4
    rate: float = 0.5

def model(config): ...
def batches(data, seed, config): ...
def loss(model, batch): ...
def optimizer(config): return OptimizerSpec(kind="adamw", lr=config.rate)
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "recipe.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_recipe_gets_its_config_from_the_job(write):
    recipe = load_recipe(write(GOOD), {"rate": 0.25})
    assert (recipe.config.width, recipe.config.rate) == (4, 0.25)
    assert recipe.optimizer == OptimizerSpec(kind=OptimizerKind.ADAMW, lr=0.25)
    assert recipe.sample is None


def test_without_a_word_about_it_matrices_are_moved_by_muon(write):
    recipe = load_recipe(write(GOOD.replace("def optimizer", "def other")), {})
    assert recipe.optimizer.kind == OptimizerKind.MUON


@pytest.mark.parametrize("member", ["Config", "model", "batches", "loss"])
def test_a_missing_member_is_named(write, member):
    text = GOOD.replace(f"def {member}(", "def other(").replace(f"class {member}:", "class Other:")
    with pytest.raises(InvalidValue, match=rf"recipe.py does not define {member}") as caught:
        load_recipe(write(text), {})
    assert caught.value.fields["field"] == member


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"widht": 3}, "recipe.py has no config 'widht'"),
        ({"width": "wide"}, r"Expected `int`, got `str` - at `\$.width`"),
        ({"width": 1.5}, "Expected `int`"),
    ],
)
def test_a_wrong_config_is_named(write, overrides, words):
    with pytest.raises(InvalidValue, match=words):
        load_recipe(write(GOOD), overrides)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\nraise ValueError('no\\nreally')", "recipe.py:2: ValueError: no$"),
        ("def f(:\n", "recipe.py:1: SyntaxError"),
        ("import nothing_like_this", "recipe.py:1: ModuleNotFoundError: No module"),
        ("import sys\nsys.exit(3)", "recipe.py:2: SystemExit: 3"),
        ("import json\njson.loads('{')", "recipe.py:2: JSONDecodeError"),
        (GOOD.replace("return Opt", "return 1 / 0 or Opt"), "recipe.py:13: ZeroDivisionError"),
    ],
)
def test_a_file_that_raises_is_a_recipe_error_with_its_own_line(write, text, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe(write(text), {})


@pytest.mark.parametrize("given", ["3", "OptimizerSpec(kind='sgd')"])
def test_an_optimizer_we_do_not_have_is_refused(write, given):
    text = GOOD.replace('OptimizerSpec(kind="adamw", lr=config.rate)', given)
    with pytest.raises(InvalidValue, match="OptimizerSpec of kind adamw or muon"):
        load_recipe(write(text), {})


def test_what_should_be_a_function_and_is_not_is_named(write):
    with pytest.raises(InvalidValue, match=r"sample in recipe.py is not a function"):
        load_recipe(write(GOOD + "sample = 3\n"), {})


def test_a_config_that_is_no_dataclass_is_refused(write):
    with pytest.raises(InvalidValue, match="not a dataclass"):
        load_recipe(write(GOOD.replace("@dataclass(frozen=True)", "")), {})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidValue, match=r"no recipe at none.py"):
        load_recipe(tmp_path / "none.py", {})


def test_each_job_imports_its_own_modules_even_by_the_same_name(tmp_path):
    widths = []
    for job, width in (("one", 1), ("two", 2)):
        (tmp_path / job).mkdir()
        (tmp_path / job / "shared_sizes.py").write_text(f"WIDTH = {width}\n")
        path = tmp_path / job / "recipe.py"
        path.write_text("from shared_sizes import WIDTH\n" + GOOD.replace("= 4", "= WIDTH"))
        widths.append(load_recipe(path, {}).config.width)
    assert widths == [1, 2]
