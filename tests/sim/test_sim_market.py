"""Five hundred worlds of the market alone, each from one seed: nothing is leased twice, and nobody starves."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from gondwana.sim.market.__main__ import line
from gondwana.sim.market.world import run

SEEDS = range(50_000 if "GONDWANA_NIGHTLY" in os.environ else 500)
CHUNK = max(25, len(SEEDS) // 400)  # seeds of one test, so that several processes share the work
CHUNKS = range(0, len(SEEDS), CHUNK)
AGAIN = (3, 77)  # played again, here and elsewhere
HAPPENED = {
    "a clock was set right", "its clock was ahead", "its clock was behind",
    "a former leader wrote", "auction.opened", "booking.broken", "booking.cancelled", "booking.over", "booking.used",
    "lease.closed maintenance", "slash.proposed its machine was not there when a reservation began",
    "bid.lost outbid", "bid.withdrawn withdrawn", "bid.won leased",
    "call late", "call twice", "died", "died between reserve and lease", "failed over", "killed",
    "job.failed lease_ended", "job.failed nothing_fits", "job.succeeded done", "lease.closed manifest_untaken",
    "lease.closed machine_lost", "lease.closed reclaimed", "lease.closed reservation_lapsed", "lease.closed resized",
    "lease.extended", "machine.down machine_lost", "machine.left drained", "nobody there", "order.kept",
    "placed by an old book", "quota.removed", "quota.set", "refused: nothing_fits", "refused: quota_too_small",
    "report again", "waited for",
}  # fmt: skip


@pytest.fixture(scope="session")
def played(once):
    """`played(first)`: what became of a chunk of worlds."""

    def play(first):
        outcomes = [run(seed) for seed in SEEDS[first : first + CHUNK]]
        return {
            "digests": {str(outcome.seed): outcome.digest for outcome in outcomes},
            "broken": [line(outcome) for outcome in outcomes if outcome.violations],
            "seen": sum((outcome.seen for outcome in outcomes), Counter()),
        }

    return lambda first: once(f"market-{first}", lambda: play(first))


@pytest.mark.parametrize("first", CHUNKS)
def test_whatever_goes_wrong_the_market_is_right(played, first):
    broken = played(first)["broken"]
    assert not broken, "\n".join(broken)


def test_all_that_a_market_has_happened_somewhere(played):
    seen = Counter()
    for first in CHUNKS:
        seen.update(played(first)["seen"])
    assert sorted(what for what in HAPPENED if not seen[what]) == []


def test_different_seeds_are_different_worlds(played):
    digests = {digest for first in CHUNKS for digest in played(first)["digests"].values()}
    assert len(digests) == len(SEEDS)


def test_the_same_seed_is_the_same_world_in_any_process(played):
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    for seed in AGAIN:
        command = [sys.executable, "-m", "gondwana.sim.market", "--seed", str(seed)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        digest = played(seed // CHUNK * CHUNK)["digests"][str(seed)]
        assert digest in told.stdout
        assert run(seed).digest == digest
