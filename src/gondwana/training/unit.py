"""The warm worker: `python -m gondwana.training.unit` does one unit per line of standard input.

A line in is a `WorkerRequest`, a line out a `WorkerReply` (wire/units.py). The worker imports PyTorch once and keeps
the parameters of the last unit, so that the next one starts within milliseconds; it never trusts what it kept: the
parameters' hash is checked for every unit. It needs no network and writes nothing but the output file (INIT: a
checkpoint; TRAIN: an upload; EVALUATE: none). Whatever a recipe prints goes to standard error.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import torch

from gondwana.core.decoding import from_json
from gondwana.core.errors import GondwanaError, InvalidBytes, InvalidValue, TooLarge
from gondwana.core.values import replace
from gondwana.training.codecs import Codec, decode_state, encode_upload
from gondwana.training.evaluation import evaluate_unit, read_data
from gondwana.training.inner import Steps, initial, train
from gondwana.training.manifest import (
    Float32Array,
    Layout,
    decode_checkpoint,
    encode_checkpoint,
    params_hash,
)
from gondwana.training.outer import apply_change
from gondwana.training.recipe import Recipe, load_recipe
from gondwana.wire.units import (
    UNIT_VERSION,
    ParamsRef,
    UnitKind,
    UnitResult,
    UnitSpec,
    WorkerReply,
    WorkerRequest,
)

REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024
ERROR_CHARS_MAX: Final = 2000
THREADS_DEFAULT: Final = 1  # the owner's other work goes first


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """Parameters that are in memory, and the blobs they were made from."""

    ref: ParamsRef
    params: Float32Array
    layout: Layout


class Worker:
    """Does units one after another; what it keeps between them only saves time."""

    def __init__(self) -> None:
        self._kept: Kept | None = None
        self._recipe: tuple[tuple[str, str, bytes], Recipe] | None = None

    def reply(self, request: WorkerRequest) -> WorkerReply:
        """The reply to one request; the unit's output file, if it has one, is written before this returns.

        Never raises for what a recipe, its data or a blob does: the reply says it as '<Class>: message'.
        """
        try:
            return WorkerReply(unit_id=request.unit.id, result=self._do(request))
        except (Exception, SystemExit) as error:
            text = error.message if isinstance(error, GondwanaError) else str(error)
            line = f"{type(error).__name__}: {text}"[:ERROR_CHARS_MAX]
            return WorkerReply(unit_id=request.unit.id, error=line)

    def _do(self, request: WorkerRequest) -> UnitResult:
        unit, inputs = request.unit, Path(request.inputs)
        if unit.version != UNIT_VERSION:
            raise InvalidValue(f"this worker does version {UNIT_VERSION}, not {unit.version}")
        started = time.monotonic()
        recipe = self._load_recipe(unit, inputs / "code")
        if unit.kind is UnitKind.EVALUATE:
            kept = self._params(unit, inputs)
            result = evaluate_unit(unit, recipe, kept.params, kept.layout, inputs)
        else:
            make = _init if unit.kind is UnitKind.INIT else self._train
            data, result = make(unit, recipe, inputs)
            _write(data, unit, Path(request.output))
        return replace(result, seconds=time.monotonic() - started)

    def _train(self, unit: UnitSpec, recipe: Recipe, inputs: Path) -> tuple[bytes, UnitResult]:
        kept = self._params(unit, inputs)
        state = None
        if unit.state is not None:
            state = decode_state((inputs / unit.state).read_bytes(), kept.layout)
        steps = Steps(
            count=unit.inner_steps, first=unit.step_first, total=unit.steps_total, seed=unit.seed
        )
        trained = train(
            recipe, kept.params, kept.layout, state=state, data=read_data(unit.shards, inputs), steps=steps
        )  # fmt: skip
        result = UnitResult(
            tokens=trained.tokens, steps=steps.count, loss_first=trained.loss_first, loss_last=trained.loss_last
        )  # fmt: skip
        return encode_upload(trained.upload, kept.layout, Codec(unit.codec)), result

    def _load_recipe(self, unit: UnitSpec, code: Path) -> Recipe:
        path = (code / unit.recipe).resolve()
        if not path.is_relative_to(code.resolve()):
            raise InvalidValue("the recipe lies outside the job's folder", field="recipe")
        key = (str(path), unit.code, msgspec.json.encode(unit.config, order="deterministic"))
        if self._recipe is None or self._recipe[0] != key:
            self._recipe = key, load_recipe(path, unit.config, folder=code)
        return self._recipe[1]

    def _params(self, unit: UnitSpec, inputs: Path) -> Kept:
        """The parameters that the unit names: kept ones with the newest changes, else from the checkpoint."""
        if unit.params is None:
            raise InvalidValue("the unit names no parameters", field="params")
        base = _usable(self._kept, unit.params) or _read_checkpoint(unit.params, inputs)
        params = base.params
        for change in unit.params.changes[len(base.ref.changes) :]:
            params = apply_change(params, (inputs / change).read_bytes(), base.layout)
        if params_hash(params) != unit.params.hash:
            raise InvalidBytes("checkpoint and changes do not give the parameters of this round")
        self._kept = Kept(ref=unit.params, params=params, layout=base.layout)
        return self._kept


def _init(unit: UnitSpec, recipe: Recipe, inputs: Path) -> tuple[bytes, UnitResult]:
    del inputs  # the seed decides everything
    params, layout = initial(recipe, unit.seed)
    return encode_checkpoint(params, layout), UnitResult()


def _usable(kept: Kept | None, ref: ParamsRef) -> Kept | None:
    """What is kept, where `ref` is that or follows from it by changes."""
    if kept is None:
        return None
    if kept.ref.hash == ref.hash:
        return replace(kept, ref=ref)
    known = kept.ref.changes
    follows = kept.ref.checkpoint == ref.checkpoint and known == ref.changes[: len(known)]
    return kept if follows else None


def _read_checkpoint(ref: ParamsRef, inputs: Path) -> Kept:
    params, layout = decode_checkpoint((inputs / ref.checkpoint).read_bytes())
    return Kept(ref=replace(ref, changes=()), params=params, layout=layout)


def _write(data: bytes, unit: UnitSpec, output: Path) -> None:
    if unit.output_bytes_max and len(data) > unit.output_bytes_max:
        raise TooLarge(f"the output has {len(data)} bytes; {unit.output_bytes_max} are allowed")
    output.write_bytes(data)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer each line of `requests` with one of `replies` until there are no more."""
    worker = Worker()
    while line := requests.readline(REQUEST_BYTES_MAX):
        try:
            request = from_json(line, WorkerRequest)
        except msgspec.MsgspecError as error:
            reply = WorkerReply(unit_id="", error=f"InvalidBytes: the request: {error}")
        else:
            reply = worker.reply(request)
        replies.write(msgspec.json.encode(reply) + b"\n")
        replies.flush()


def main() -> None:
    """Serve standard input; afterwards nothing that prints can reach the replies' standard output."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threads = int(os.environ.get("GONDWANA_THREADS", THREADS_DEFAULT))
    torch.set_num_threads(threads)
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # what cuBLAS needs to be deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
