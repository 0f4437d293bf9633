"""Two hundred whole networks, each from one seed: whatever goes wrong, jobs end, money adds up, lies are not paid."""

import os
import subprocess
import sys
from collections import Counter

import msgspec
import pytest

from gondwana.jobs.model import JobReason
from gondwana.sim.__main__ import line
from gondwana.sim.lies import Behaviour
from gondwana.sim.scenario import FaultKind
from gondwana.sim.world import run

SEEDS = range(200)
CHUNK = 10  # seeds of one test, so that several processes share the work
AGAIN = (3, 20, 57)  # played again, here and elsewhere
HONEST_REJECTED_MAX = 0.01  # of honest deltas; the gates' promise is "practically never"


@pytest.fixture(scope="session")
def played(once):
    """`played(seed)`: what became of a world."""

    def play(seed):
        outcome = run(seed)
        return {**msgspec.to_builtins(outcome), "line": line(outcome)}

    return lambda seed: once(f"world-{seed}", lambda: play(seed))


@pytest.mark.parametrize("first", SEEDS[::CHUNK])
def test_whatever_goes_wrong_every_invariant_holds(played, first):
    broken = [played(seed) for seed in range(first, first + CHUNK)]
    broken = [told["line"] for told in broken if told["violations"]]
    assert not broken, "\n".join(broken)


def test_the_same_seed_gives_the_same_events_in_any_process(played):
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    for seed in AGAIN:
        command = [sys.executable, "-m", "gondwana.sim", "--seed", str(seed)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert told.stdout.strip() == played(seed)["line"]
        assert run(seed).digest == played(seed)["digest"]


def test_different_seeds_give_different_worlds(played):
    digests = {played(seed)["digest"] for seed in SEEDS}
    assert len(digests) == len(SEEDS)


def total(played, what):
    counted = Counter()
    for seed in SEEDS:
        counted.update(played(seed)[what])
    return counted


def test_everything_that_can_go_wrong_went_wrong(played):
    seen = total(played, "seen")
    lies = {
        f"lie.{one}" for one in Behaviour if one not in ("honest", "miser", "broken", "numberless", "slow")
    }  # fmt: skip
    expected = {f"fault.{kind}" for kind in FaultKind} | lies | {
        "machine.slow", "network.break", "network.repeat", "network.overtake", "plane.crash", "plane.overlap",
        "plane.unavailable", "link.refused.bad_signature", "link.refused.storage_full", "tenant.impatient",
        "machine.suspended", "machine.down", "machine.left", "machine.paused", "machine.draining",
        "run.lost", "run.stopped", "run.exited", "unit.accepted", "unit.rejected", "unit.expired",
        "order.expired", "job.recovering", "lease.metered", "model.decoded",
    }  # fmt: skip
    assert sorted(what for what in expected if not seen[what]) == []


def test_jobs_came_to_every_end_there_is(played):
    ends = total(played, "ends")
    reasons = {end.split()[1] for end in ends}
    # no simulated job wants its machines for a time only
    assert reasons == {str(reason) for reason in JobReason} - {str(JobReason.LEASE_ENDED)}
    assert ends["succeeded done"] > len(SEEDS) / 2


def test_honest_machines_are_practically_never_rejected_and_liars_mostly_are(played):
    tally = Counter()
    for seed in SEEDS:
        told = played(seed)["tally"]
        tally.update({name: count for name, count in told.items() if name != "by_behaviour"})
        tally.update(told["by_behaviour"])
    assert tally["honest_judged"] > 300
    assert tally["honest_suspended"] == 0
    assert tally["honest_rejected"] <= HONEST_REJECTED_MAX * tally["honest_judged"]
    for lie in ("garbage", "wrong_size", "not_a_number"):
        assert tally[f"{lie} rejected"] > 0
        assert tally[f"{lie} accepted"] == 0
    assert tally["liars_suspended"] > 0
