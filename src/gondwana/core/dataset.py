"""Training data as bytes: a file or a folder of text becomes shards that any unit can be given a few of.

Pure bytes, no numpy: the client cuts the data, the island reads it. The same data always gives the same shards,
so a second upload of it costs nothing.
"""

from pathlib import Path
from typing import Final

from gondwana.core.errors import InvalidValue, TooLarge
from gondwana.core.units import GIB, KIB, MIB, format_bytes

DATASET_BYTES_MAX: Final = 1 * GIB  # cut in the client's memory; larger sets come with data by URL
FOLDER_FILES_MAX: Final = 10_000
SHARDS_WANTED: Final = 128  # enough to draw a different range for each island in each round
SHARD_BYTES_MIN: Final = 1 * KIB  # smaller ones would cost more in requests than in bytes
SHARD_BYTES_MAX: Final = 1 * MIB  # so that a unit can be given little data
SHARD_BYTES_STEP: Final = (
    256  # shards keep whole 2-, 4- and 8-byte tokens where the data is tokenised
)
HELDOUT_EVERY: Final = 16  # one shard in so many is never trained on
HELDOUT_SHARDS_MAX: Final = 8  # an evaluation reads all of them in each round
TEXT_SUFFIXES: Final = frozenset({".txt", ".md", ".text", ".jsonl", ".json", ".csv", ".py", ".bin"})


def shard_bytes(data: bytes) -> list[bytes]:
    """The data cut into equal pieces (the last may be shorter): about `SHARDS_WANTED` of them, of bounded size.

    Raises InvalidValue for less than two pieces' worth: one must be held out.
    """
    if len(data) < 2 * SHARD_BYTES_MIN:
        raise InvalidValue(
            f"the training data has only {len(data)} bytes",
            field="gondwana.train.data",
            value=f"{len(data)} bytes",
            hint=f"give at least {2 * SHARD_BYTES_MIN} bytes: part of it is held out for evaluation",
        )
    wanted = -(-len(data) // SHARDS_WANTED)
    size = min(SHARD_BYTES_MAX, max(SHARD_BYTES_MIN, wanted))
    size = -(-size // SHARD_BYTES_STEP) * SHARD_BYTES_STEP
    return [data[start : start + size] for start in range(0, len(data), size)]


def split_heldout(shards: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """(training shards, held-out shards); the held-out ones lie evenly over the data, at least one of them."""
    assert len(shards) >= 2, "one shard to train on and one to hold out"
    count = min(HELDOUT_SHARDS_MAX, max(1, len(shards) // HELDOUT_EVERY))
    chosen = {(2 * index + 1) * len(shards) // (2 * count) for index in range(count)}
    train = [shard for index, shard in enumerate(shards) if index not in chosen]
    heldout = [shard for index, shard in enumerate(shards) if index in chosen]
    return train, heldout


def read_dataset(path: Path, *, bytes_max: int = DATASET_BYTES_MAX) -> bytes:
    """The bytes of a file, or of a folder's text files joined by newlines in the order of their paths.

    Raises InvalidValue where there is nothing to read, TooLarge past `bytes_max` or `FOLDER_FILES_MAX`.
    """
    if path.is_file():
        _check_size(path.stat().st_size, bytes_max, path)
        return path.read_bytes()
    if not path.is_dir():
        raise InvalidValue(
            f"there is no training data at {path}",
            field="gondwana.train.data",
            value=str(path),
            hint="name a file or a folder; a relative path starts at the job file's folder",
        )
    return b"\n".join(_read_folder(path, bytes_max))


def _read_folder(folder: Path, bytes_max: int) -> list[bytes]:
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in TEXT_SUFFIXES and file.is_file() and not file.is_symlink()
    )
    if not files:
        raise InvalidValue(
            f"the folder {folder} has no text files",
            field="gondwana.train.data",
            value=str(folder),
            hint=f"files that end in {', '.join(sorted(TEXT_SUFFIXES))} are read",
        )
    if len(files) > FOLDER_FILES_MAX:
        raise TooLarge(
            f"{folder} has {len(files)} files; at most {FOLDER_FILES_MAX} are read",
            hint="join them into fewer",
        )
    _check_size(sum(file.stat().st_size for file in files), bytes_max, folder)
    return [file.read_bytes() for file in files]


def _check_size(size: int, bytes_max: int, path: Path) -> None:
    if size > bytes_max:
        raise TooLarge(
            f"{path} has {format_bytes(size)} of data; at most {format_bytes(bytes_max)} are taken",
            hint="train on a part of it",
        )
