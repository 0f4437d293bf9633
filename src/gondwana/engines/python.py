"""Where this Python lives: the folders a sandboxed `python -m gondwana…` needs, and not one more."""

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "gondwana",
    "gondwana_exact",
)  # shown by themselves: a checkout holds more than them
LIBRARIES: Final = ("msgspec", "blake3", "numpy", "safetensors", "torch")  # what a worker imports
SYSTEM: Final = (Path("/usr"), Path("/bin"), Path("/lib"), Path("/lib64"))


def python_folders() -> tuple[Path, ...]:
    """What to show: the environment's prefix, the interpreter's, our packages, libraries that lie elsewhere.

    A virtual environment comes first: its `bin` is first on the path. None lies within another or in the system.
    """
    packages = [folder for name in PACKAGES for folder in _folders_of(name)]
    libraries = [folder.parent for name in LIBRARIES for folder in _folders_of(name)]
    return _apart([Path(sys.prefix), Path(sys.base_prefix), *packages, *libraries])


def python_path() -> tuple[Path, ...]:
    """What to import from, beside what the interpreter finds by itself: a checkout, a user's own libraries."""
    found = [folder.parent for name in (*PACKAGES, *LIBRARIES) for folder in _folders_of(name)]
    return tuple(dict.fromkeys(folder for folder in found if not _within(folder, Path(sys.prefix))))


def _folders_of(package: str) -> list[Path]:
    spec = find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations if spec else None) or ()]


def _apart(folders: Iterable[Path]) -> tuple[Path, ...]:
    kept: list[Path] = []
    for folder in folders:
        if not any(_within(folder, place) for place in (*SYSTEM, *kept)):
            kept.append(folder)
    return tuple(kept)


def _within(inner: Path, outer: Path) -> bool:
    return inner == outer or outer in inner.parents
