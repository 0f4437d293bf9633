"""Worlds are played once in a run, whichever process asks first."""

import os

import msgspec
import pytest


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """`once(key, make)`: what `make()` gave, as JSON has it; made once for all processes of this run."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")
    folder = tmp_path_factory.getbasetemp().parent / "gondwana-worlds" / run_id
    folder.mkdir(parents=True, exist_ok=True)

    def get(key, make):
        path = folder / f"{key}.json"
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(msgspec.json.encode(make()))
            part.replace(path)
        return msgspec.json.decode(path.read_bytes())

    return get
