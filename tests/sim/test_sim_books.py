"""A thousand worlds of the ledger alone, each from one seed: whatever goes wrong, every cent is where it should be."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from gondwana.ledger.events import EVENTS
from gondwana.sim.books.__main__ import line
from gondwana.sim.books.world import VERBS, run

SEEDS = range(100_000 if "GONDWANA_NIGHTLY" in os.environ else 1_000)
CHUNK = max(50, len(SEEDS) // 400)  # seeds of one test, so that several processes share the work
AGAIN = (3, 77, 500)  # played again, here and elsewhere
FAULTS = {
    "answer lost", "answered again", "died after commit", "died before commit", "failed over", "late", "lost",
    "refused: conflict", "refused: funds_too_low", "refused: invalid_value", "refused: wrong_state", "root published",
    "sent to a former leader", "twice", "wrong clock",
}  # fmt: skip


@pytest.fixture(scope="session")
def played(once):
    """`played(first)`: what became of a chunk of worlds."""

    def play(first):
        outcomes = [run(seed) for seed in SEEDS[first : first + CHUNK]]
        return {
            "digests": {str(outcome.seed): outcome.digest for outcome in outcomes},
            "broken": [line(outcome) for outcome in outcomes if outcome.violations],
            "kinds": sum((outcome.kinds for outcome in outcomes), Counter()),
            "seen": sum((outcome.seen for outcome in outcomes), Counter()),
        }

    return lambda first: once(f"books-{first}", lambda: play(first))


CHUNKS = range(0, len(SEEDS), CHUNK)


@pytest.mark.parametrize("first", CHUNKS)
def test_whatever_goes_wrong_the_books_are_right(played, first):
    broken = played(first)["broken"]
    assert not broken, "\n".join(broken)


def total(played, what):
    counted = Counter()
    for first in CHUNKS:
        counted.update(played(first)[what])
    return counted


def test_every_kind_of_event_was_posted_in_many_worlds(played):
    kinds = total(played, "kinds")
    assert set(kinds) == {event.kind for event in EVENTS}
    assert min(kinds.values()) >= 20, kinds.most_common()[::-1][:3]


def test_all_that_can_go_wrong_between_people_and_the_bank_went_wrong(played):
    seen = total(played, "seen")
    assert sorted(what for what in FAULTS if not seen[what]) == []


def test_different_seeds_are_different_worlds(played):
    digests = {digest for first in CHUNKS for digest in played(first)["digests"].values()}
    assert len(digests) == len(SEEDS)


def test_the_same_seed_is_the_same_world_in_any_process(played):
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    for seed in AGAIN:
        command = [sys.executable, "-m", "gondwana.sim.books", "--seed", str(seed)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        digest = played(seed // CHUNK * CHUNK)["digests"][str(seed)]
        assert digest in told.stdout
        assert run(seed).digest == digest


def test_every_verb_has_a_name_of_its_own():
    names = [verb.name for verb in VERBS]
    assert sorted(set(names)) == sorted(names)
