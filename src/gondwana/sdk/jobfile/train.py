"""`gondwana.train:` as `Train`, and the data it names."""

from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gondwana.core.errors import InvalidValue
from gondwana.sdk.jobfile.fields import Fields, invalid
from gondwana.wire.jobs import ISLANDS_MAX, PARAMETERS_MAX, TOKENS_PER_STEP_MAX, Gates, Train

CODECS: Final = ("int4", "int8", "fp32")
ROUNDS_MAX: Final = 100_000
INNER_STEPS_MAX: Final = 100_000
WINDOW_SECONDS_MAX: Final = 86_400.0
SAMPLE_CHARS_MAX: Final = 10_000
CONFIG_VALUES_MAX: Final = 1000
_RECIPE_HINT: Final = "see docs/howto/write-a-recipe.md, and examples/ for one to copy"


def read_train(fields: Fields, workdir: Path) -> Train:
    """The training asked for, its shards still to come; raises where the recipe is not below `workdir`."""
    fields.check_keys()
    least, most = _islands(fields.mapping("islands"))
    rounds = fields.integer("rounds", 10, least=1, most=ROUNDS_MAX)
    return Train(
        recipe=_recipe(fields, workdir),
        config=_config(fields),
        rounds=rounds,
        warm_rounds=fields.integer("warm_rounds", min(1, rounds - 1), least=0, most=rounds),
        inner_steps=fields.integer("inner_steps", 50, least=1, most=INNER_STEPS_MAX),
        window_seconds=fields.number("window_seconds", 60.0, least=0.1, most=WINDOW_SECONDS_MAX),
        islands_min=least,
        islands_max=most,
        codec=_codec(fields),
        gates=_gates(fields.mapping("gates")),
        seed=fields.integer("seed", 0, least=0, most=2**63 - 1),
        sample_chars=fields.integer("sample_chars", 400, least=0, most=SAMPLE_CHARS_MAX),
        parameters=fields.integer("parameters", 0, least=0, most=PARAMETERS_MAX),
        tokens_per_step=fields.integer("tokens_per_step", 0, least=0, most=TOKENS_PER_STEP_MAX),
    )


def _recipe(fields: Fields, workdir: Path) -> str:
    recipe = fields.text("recipe", "", hint="name the recipe's file, e.g. recipe.py")
    if not recipe:
        raise InvalidValue(
            "gondwana.train.recipe is missing", field="gondwana.train.recipe", hint=_RECIPE_HINT
        )
    path = PurePosixPath(recipe)
    if path.is_absolute() or ".." in path.parts or path.suffix != ".py":
        fields.refuse(
            "recipe",
            "is not a Python file below workdir",
            "write it relative to workdir, e.g. recipe.py",
        )
    if not (workdir / path).is_file():
        raise InvalidValue(
            f"gondwana.train.recipe: there is no file {workdir / path}",
            field="gondwana.train.recipe", value=recipe, hint=_RECIPE_HINT,
        )  # fmt: skip
    return str(path)


def _islands(fields: Fields) -> tuple[int, int]:
    fields.check_keys()
    least = fields.integer("min", 1, least=1, most=ISLANDS_MAX)
    most = fields.integer("max", max(8, least), least=1, most=ISLANDS_MAX)
    if most < least:
        fields.refuse(
            "max", f"is less than {fields.at('min')}, which is {least}", f"write {least} or more"
        )
    return least, most


def _gates(fields: Fields) -> Gates:
    fields.check_keys()
    usual = Gates()
    least = fields.number("norm_min", usual.norm_min, least=0.0, most=1.0)
    most = fields.number("norm_max", usual.norm_max, least=1.0, most=1e6)
    return Gates(
        norm_min=least,
        norm_max=most,
        cosine_min=fields.number("cosine_min", usual.cosine_min, least=-1.0, most=1.0),
        evaluate_per_round=fields.integer(
            "evaluate_per_round", usual.evaluate_per_round, least=0, most=ISLANDS_MAX
        ),
    )


def _codec(fields: Fields) -> str:
    codec = fields.text("codec", "int4")
    if codec not in CODECS:
        fields.refuse("codec", "is not a codec", f"write one of {', '.join(CODECS)}")
    return codec


def _config(fields: Fields) -> dict[str, Any]:
    values = fields.mapping("config")
    _check_plain(dict(values.values), values.path, [0])
    return dict(values.values)


def _check_plain(value: Any, path: str, count: list[int]) -> None:
    """Refuse what JSON cannot carry (dates, sets, keys that are not words), and configurations without end."""
    count[0] += 1
    if count[0] > CONFIG_VALUES_MAX:
        raise invalid(
            path, "…", f"is one value too many: at most {CONFIG_VALUES_MAX}", "put data into a file"
        )
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise invalid(path, key, "is not a word", f'write it with quotes: "{key}"')
            _check_plain(item, f"{path}.{key}", count)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_plain(item, f"{path}[{index}]", count)
    elif isinstance(value, float) and not isfinite(value):
        raise invalid(path, value, "is not a finite number", "write a number")
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise invalid(
            path, str(value), "is not a number or a word", f'write it with quotes: "{value}"'
        )
