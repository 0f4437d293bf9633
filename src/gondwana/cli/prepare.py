"""From a draft to a job that can be sent: its folders packed, its data cut, everything named by hash."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gondwana.cli.shell import Shell
from gondwana.core.dataset import read_dataset, shard_bytes, split_heldout
from gondwana.core.errors import InvalidValue
from gondwana.core.units import format_bytes
from gondwana.core.values import replace
from gondwana.engines.archive import EXCLUDED, pack_folder
from gondwana.sdk.blobs import blob_name
from gondwana.sdk.jobfile import Draft
from gondwana.wire.jobs import JobSpec, Train


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A complete job, and the blobs that must be uploaded before it is submitted."""

    spec: JobSpec
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def size_bytes(self) -> int:
        """How much there is to upload at most."""
        return sum(len(data) for data in self.blobs.values())


def prepare(draft: Draft) -> Prepared:
    """Read, pack and name what the draft says; nothing is sent."""
    blobs: dict[str, bytes] = {}

    def keep(data: bytes) -> str:
        name = blob_name(data)
        blobs[name] = data
        return name

    spec = draft.spec
    if draft.workdir is not None:
        spec = replace(spec, workdir=keep(pack_folder(draft.workdir, excludes=_excluded(draft))))
    mounts = {target: keep(data) for target, data in _packed_mounts(draft.file_mounts)}
    spec = replace(spec, file_mounts=mounts)
    if spec.train is not None and draft.data is not None:
        spec = replace(spec, train=_with_data(spec.train, read_dataset(draft.data.path), keep))
    return Prepared(spec=spec, blobs=blobs)


def upload(shell: Shell, prepared: Prepared) -> None:
    """Send the blobs that the control plane lacks."""
    missing = {
        name: data for name, data in prepared.blobs.items() if not shell.client.blobs.exists(name)
    }
    if missing:
        size = format_bytes(sum(len(data) for data in missing.values()))
        shell.tell(f"uploading {size} in {len(missing)} file{'s' if len(missing) > 1 else ''}")
    for data in missing.values():
        shell.client.blobs.put(data)


def _excluded(draft: Draft) -> tuple[str, ...]:
    """What is not packed: what never is, and training data, which travels in shards of its own."""
    if draft.workdir is None or draft.data is None:
        return EXCLUDED
    data, top = draft.data.path.resolve(), draft.workdir.resolve()
    if data == top or not data.is_relative_to(top):
        return EXCLUDED
    return (*EXCLUDED, str(data.relative_to(top)))


def _packed_mounts(mounts: dict[str, Path]) -> Iterable[tuple[str, bytes]]:
    """(folder on the machine, tar of what goes into it); single files that share a folder share a tar."""
    folders: dict[str, Path] = {}
    files: dict[str, dict[str, Path]] = {}
    for target, source in mounts.items():
        place = PurePosixPath(target)
        if not source.is_dir():
            inside = place / source.name if target.endswith("/") else place
            if str(inside.parent) in {
                ".",
                "/",
                "~",
            }:  # its folder is mounted, and would hide what is there
                raise InvalidValue(
                    f"file_mounts: the single file {target} needs a folder of its own",
                    field="file_mounts", hint=f"write data/{inside.name}, or put it into workdir",
                )  # fmt: skip
            _place(files.setdefault(str(inside.parent), {}), inside.name, source)
        else:
            _place(folders, str(place), source)
    for folder, members in files.items():
        if folder in folders:
            raise _taken(folder)
        yield folder, _pack_files(members)
    for folder, source in folders.items():
        yield folder, pack_folder(source)


def _place(places: dict[str, Path], name: str, source: Path) -> None:
    if name in places:
        raise _taken(name)
    places[name] = source


def _taken(place: str) -> InvalidValue:
    return InvalidValue(
        f"file_mounts: two things go to {place}",
        field="file_mounts", hint="give each a place of its own, or mount one folder with both",
    )  # fmt: skip


def _pack_files(members: dict[str, Path]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="gondwana-pack-") as folder:
        for name, source in members.items():
            copy = Path(folder, name)
            copy.write_bytes(source.read_bytes())
            copy.chmod(source.stat().st_mode & 0o755)
        return pack_folder(Path(folder))


def _with_data(train: Train, data: bytes, keep: Callable[[bytes], str]) -> Train:
    """The training with its shards; a shard that is also held out is not trained on."""
    training, heldout = split_heldout(shard_bytes(data))
    held = dict.fromkeys(keep(shard) for shard in heldout)
    names = dict.fromkeys(blob_name(shard) for shard in training)
    kept = [name for name in names if name not in held]
    if not kept:
        raise InvalidValue(
            "the training data repeats itself: nothing is left to train on",
            field="gondwana.train.data", hint="give more, and more varied, data",
        )  # fmt: skip
    for shard in training:
        keep(shard)
    return replace(train, shards=tuple(kept), heldout=tuple(held))
