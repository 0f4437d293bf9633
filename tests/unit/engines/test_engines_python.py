import sys
from pathlib import Path

import gondwana
from gondwana.engines import python
from gondwana.engines.python import python_folders, python_path


def test_this_python_and_our_package_are_shown_and_nothing_above_them():
    folders = python_folders()
    package = Path(gondwana.__file__).parent
    for needed in (Path(sys.prefix), Path(sys.base_prefix), package):
        assert any(
            folder == needed or folder in needed.parents for folder in (*folders, Path("/usr"))
        )
    assert package.parent not in folders
    assert Path.home() not in folders
    assert not any(one in other.parents for one in folders for other in folders)


def test_libraries_outside_the_interpreters_prefix_are_shown_and_imported_from(
    tmp_path, monkeypatch
):
    for name in ("gondwana", "torch"):
        (tmp_path / "own" / name).mkdir(parents=True)
    monkeypatch.setattr(
        python, "_folders_of", lambda name: [tmp_path / "own" / name] if name == "torch" else []
    )
    assert tmp_path / "own" in python_folders()
    assert python_path() == (tmp_path / "own",)
