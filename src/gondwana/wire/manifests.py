"""What a job runs, as one hash: it stands on the order, goes with the work, and is computed again where it runs."""

from collections.abc import Mapping
from typing import Any

import msgspec
from blake3 import blake3

from gondwana.wire.jobs import JobSpec


def batch_manifest(
    *, setup: str, run: str, envs: Mapping[str, str], workdir: str | None, file_mounts: Mapping[str, str]
) -> str:  # fmt: skip
    """The hash of a batch job's commands, its own variables, and its files by their hashes."""
    parts = {"setup": setup, "run": run, "envs": envs, "workdir": workdir}
    return _hash({**parts, "file_mounts": file_mounts})


def training_manifest(*, code: str | None, recipe: str) -> str:
    """The hash of a training's code: the recipe, and the folder that it lies in by its hash."""
    return _hash({"code": code, "recipe": recipe})


def manifest_hash(spec: JobSpec) -> str:
    """The hash of what a job runs, whatever it asks of machines or pays for them: BLAKE3, hexadecimal."""
    if spec.train is not None:
        return training_manifest(code=spec.workdir, recipe=spec.train.recipe)
    return batch_manifest(
        setup=spec.setup, run=spec.run, envs=spec.envs, workdir=spec.workdir, file_mounts=spec.file_mounts
    )  # fmt: skip


def _hash(parts: Mapping[str, Any]) -> str:
    return blake3(msgspec.json.encode(parts, order="sorted")).hexdigest()
