"""Where this Python lives: the folders a sandboxed `python -m gondwana…` needs, and not one more."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGES: Final = ("gondwana", "gondwana_exact")
SYSTEM: Final = (Path("/usr"), Path("/bin"), Path("/lib"), Path("/lib64"))


def python_folders() -> tuple[Path, ...]:
    """The interpreter's prefix, its virtual environment's, and our packages', the system's folders aside.

    A virtual environment comes first: its `bin` is first on the path. None lies within another.
    """
    found = [Path(sys.prefix), Path(sys.base_prefix), *_package_folders()]
    kept: list[Path] = []
    for folder in found:
        if any(_within(folder, place) for place in (*SYSTEM, *kept)):
            continue
        kept.append(folder)
    return tuple(kept)


def _package_folders() -> list[Path]:
    specs = [find_spec(name) for name in PACKAGES]
    return [
        Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()
    ]


def _within(inner: Path, outer: Path) -> bool:
    return inner == outer or outer in inner.parents
