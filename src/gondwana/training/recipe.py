"""What a user writes to train over islands: one Python file, the recipe.

    @dataclass(frozen=True)
    class Config:                                   # the job file's `config:` overrides these defaults
        width: int = 128

    def model(config) -> torch.nn.Module: ...       # all trainable parameters fp32
    def batches(data, seed, config): ...            # endless iterator; data: uint8 array; data and seed decide all
    def loss(model, batch) -> torch.Tensor: ...     # mean over the batch; in nats per token, to compare
    def optimizer(config) -> OptimizerSpec: ...     # optional; Muon for matrices, AdamW for the rest
    def sample(model, config, *, chars, seed) -> str: ...   # optional: what the model writes, for people to see
    def evaluate(model, data, config) -> float: ...         # optional: held-out loss; else the mean of `loss`

A batch is a tensor, or a tuple, list or dict of tensors; the numbers in its first tensor count as tokens. Whatever
is not a trainable parameter must follow from the config alone, for a unit may run on any machine.
"""

import importlib.util
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

import msgspec

from gondwana.core.decoding import convert
from gondwana.core.errors import GondwanaError, InvalidValue, RecipeError

REQUIRED: Final = ("Config", "model", "batches", "loss")
MESSAGE_CHARS_MAX: Final = 500  # of a recipe's own error text, in a reply


class OptimizerKind(StrEnum):
    """Which inner optimiser an island uses."""

    ADAMW = "adamw"  # for every parameter
    MUON = "muon"  # for matrices; AdamW for embeddings, the head, vectors and what `adamw_names` matches


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """The inner optimiser of a recipe; the product schedules the learning rate (cosine to 0) and clips gradients."""

    kind: str = OptimizerKind.MUON
    lr: float = 3e-3  # the peak; a Muon step is scaled to the size of an AdamW step
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    momentum: float = 0.95  # of Muon
    adamw_names: tuple[str, ...] = ("embed", "head")  # parts of names that Muon leaves to AdamW
    clip_norm: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A loaded recipe with its config."""

    path: Path
    folder: Path  # the job's
    config: Any
    model: Callable[..., Any]
    batches: Callable[..., Iterator[Any]]
    loss: Callable[..., Any]
    optimizer: OptimizerSpec
    sample: Callable[..., str] | None = None
    evaluate: Callable[..., float] | None = None


def load_recipe(path: Path, overrides: dict[str, Any], *, folder: Path | None = None) -> Recipe:
    """The recipe in the file `path`, its `Config` with `overrides`; `folder` is the job's, for its own imports.

    Raises InvalidValue that names the file and the member or key, RecipeError where the file itself raises.
    """
    if not path.is_file():
        raise InvalidValue(f"there is no recipe at {path.name}", field="recipe", value=path.name)
    folder = folder or path.parent
    module = _import(path, folder)
    for name in REQUIRED:
        if not callable(getattr(module, name, None)):
            raise InvalidValue(
                f"{path.name} does not define {name}",
                field=name,
                hint="see gondwana.training.recipe",
            )
    config = _config(module, overrides, path)
    return Recipe(
        path=path, folder=folder, config=config, model=module.model, batches=module.batches, loss=module.loss,
        optimizer=_optimizer(module, config, path, folder),
        sample=_optional(module, "sample", path), evaluate=_optional(module, "evaluate", path),
    )  # fmt: skip


@contextmanager
def recipe_code(folder: Path) -> Generator[None, None, None]:
    """A context in which whatever the user's code raises becomes a RecipeError with its own file and line."""
    try:
        yield
    except GondwanaError:
        raise
    except (Exception, SystemExit) as error:
        where = _own_line(error, folder)
        message = str(error).strip().splitlines()
        text = f"{type(error).__name__}: {message[0] if message else ''}"[:MESSAGE_CHARS_MAX]
        raise RecipeError(f"{where}{text}") from error


def _own_line(error: BaseException, folder: Path) -> str:
    """'byte_gpt.py:41: ' of the innermost frame in the user's folder, or nothing."""
    root = folder.resolve()
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}: "
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename).resolve()
        if file.is_relative_to(root):
            return f"{file.relative_to(root)}:{frame.lineno}: "
    return ""


_search: list[str] = []  # what the present recipe added to sys.path


def _import(path: Path, folder: Path) -> ModuleType:
    """The recipe as a fresh module; modules that an earlier job's folder brought are forgotten."""
    name = "gondwana_recipe"
    for known, module in list(sys.modules.items()):
        if known == name or getattr(module, "__gondwana_folder__", None) is not None:
            del sys.modules[known]
    before = set(sys.modules)
    for entry in _search:
        sys.path.remove(entry)
    _search[:] = dict.fromkeys([str(path.parent), str(folder)])
    sys.path[:0] = _search  # stays: a recipe may import inside its functions
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with recipe_code(folder):
            spec.loader.exec_module(module)
    finally:
        _mark_own(before, folder)
    return module


def _mark_own(before: set[str], folder: Path) -> None:
    root = folder.resolve()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).resolve().is_relative_to(root):
            sys.modules[name].__dict__["__gondwana_folder__"] = str(root)


def _config(module: ModuleType, overrides: dict[str, Any], path: Path) -> Any:
    if not is_dataclass(module.Config):
        raise InvalidValue(f"Config in {path.name} is not a dataclass", field="Config")
    known = getattr(module.Config, "__dataclass_fields__", {})
    for key in overrides:
        if key not in known:
            raise InvalidValue(
                f"{path.name} has no config {key!r}", field=key, hint=f"it has {', '.join(known)}"
            )
    try:
        return convert(overrides, cast("type[Any]", module.Config))
    except msgspec.ValidationError as error:
        raise InvalidValue(f"the config of {path.name}: {error}", field="config") from None


def _optimizer(module: ModuleType, config: Any, path: Path, folder: Path) -> OptimizerSpec:
    define = _optional(module, "optimizer", path)
    if define is None:
        return OptimizerSpec()
    with recipe_code(folder):
        spec = define(config)
    if not isinstance(spec, OptimizerSpec) or spec.kind not in set(OptimizerKind):
        raise InvalidValue(
            f"optimizer in {path.name} must give an OptimizerSpec of kind {' or '.join(OptimizerKind)}",
            field="optimizer",
        )
    return spec


def _optional(module: ModuleType, name: str, path: Path) -> Callable[..., Any] | None:
    member = getattr(module, name, None)
    if member is not None and not callable(member):
        raise InvalidValue(f"{name} in {path.name} is not a function", field=name)
    return member
