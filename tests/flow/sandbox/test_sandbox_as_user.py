"""Everything that holds when root runs the agent holds when an ordinary user does."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from gondwana.engines.trees import remove_tree

pytestmark = pytest.mark.sandbox
USER_ID = 61_234


AS_USER = ["setpriv", "--reuid", str(USER_ID), "--regid", str(USER_ID), "--clear-groups", "env"]


def _python_that_others_may_run(environment):
    """An interpreter of our version that an ordinary user can reach, with our packages; root's are often hidden."""
    for place in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [*AS_USER, place, "-c", "import ctypes, gondwana, pytest"]
        tried = subprocess.run(command, capture_output=True, env=environment, check=False)
        if tried.returncode == 0:
            return place
    return None


@pytest.mark.slow
def test_an_ordinary_user_gets_the_same_walls_and_limits(report):
    if os.geteuid() != 0:
        pytest.skip("this run is by an ordinary user already")
    specs = [find_spec(name) for name in ("gondwana", "pytest")]
    paths = [str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": ":".join(paths)}
    python = _python_that_others_may_run(environment)
    if (
        python is None
    ):  # in a folder of root's own, as mktemp makes it, another user finds nothing to run
        pytest.skip(
            "NO PYTHON AND PACKAGES HERE THAT AN ORDINARY USER MAY READ, its walls were not tried"
        )
    here = Path(__file__).parent
    basetemp = f"/tmp/gondwana-as-user-{os.getpid()}"
    try:
        done = subprocess.run(
            [*AS_USER, python, "-m", "pytest", "-p", "no:cacheprovider", "--deselect", __file__,
             f"--basetemp={basetemp}", "-k", "not control", str(here)],
            env=environment, cwd=here.parents[2], capture_output=True, text=True, check=False, timeout=280,
        )  # fmt: skip
    finally:
        remove_tree(Path(basetemp))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
