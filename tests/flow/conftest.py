"""Fixtures of the flow tests: real processes, one network per module where possible."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # flow tests share network.py

from network import Network

from gondwana.engines.detect import detect

LONGEST = (
    "test_pricing_script.py", "test_leases.py", "test_faults.py", "test_market_view.py", "test_bad_recipes.py",
    "test_command_line.py", "test_full_disks.py", "test_provider.py", "test_plans.py",
)  # fmt: skip
"""Files that take longest, mostly waiting: they begin first, so that none of them is alone at the end."""


def pytest_collection_modifyitems(items):
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def sandboxed():
    """Skips, loudly, where strangers' work cannot be run."""
    found = detect(owner=f"flow-{os.getpid()}")  # two runs at once leave each other alone
    if not found.available:
        pytest.skip(
            f"NO SANDBOX ON THIS MACHINE, its tests did not run: {found.missing}; {found.hint}"
        )
    return found


@pytest.fixture(scope="module")
def make_network(tmp_path_factory):
    """Makes networks that end with the module."""
    made = []

    def make(*, prepare=lambda network: None, **settings):
        made.append(Network(tmp_path_factory.mktemp("network"), **settings))
        prepare(made[-1])
        return made[-1].start()

    yield make
    for network in made:
        network.stop()
