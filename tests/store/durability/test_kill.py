"""Whoever kills a writer, at whatever moment: what was answered stays, once, and every balance is right."""

import itertools
import os
from random import Random

import pytest
from backends import SqliteFiles
from clients import Clients
from traffic import NOW, Books, traffic
from verdict import Tally, examine
from zygote import target_of

from gondwana.db.database import Database
from gondwana.ledger.rules import deposit
from gondwana.ledger.store import post

ROUNDS = 1_000 if os.environ.get("GONDWANA_NIGHTLY") else 100
ROUNDS_PER_DATABASE = 5  # an audit reads everything, so a database may not grow for ever
ANSWERS_MAX = 400  # long enough that the write-ahead log is checkpointed in some rounds
SECONDS_MAX = 0.02  # several commits


@pytest.fixture
def sqlite(tmp_path):
    return SqliteFiles(tmp_path)


def kill_again_and_again(backend, rounds, **job):
    """The tally of so many rounds in which a client posts and is killed."""
    random, tally = Random(1), Tally()
    with Clients() as clients:
        for number in range(rounds):
            if number % ROUNDS_PER_DATABASE == 0:
                target, books = backend.create(), Books()
            in_flight = random.choice((1, 4, 16, 64, 256))
            clients.start(target=target, seed=number, in_flight=in_flight, **job)
            clients.wait_for(random.randrange(ANSWERS_MAX), then_seconds=random.uniform(0, SECONDS_MAX))  # fmt: skip
            clients.kill()
            steps = itertools.islice(traffic(number), len(clients.answered) + in_flight)
            with Database.open(target_of(target)) as database:
                examine(database, list(steps), clients.answered, books, tally)
                tally.wrong += backend.flaws(target)
    return tally


@pytest.mark.timeout(3_600)
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_answered(sqlite):
    tally = kill_again_and_again(sqlite, ROUNDS)
    print(tally)
    assert tally.crashes == ROUNDS
    assert tally.acknowledged > 100 * ROUNDS
    assert tally.unacknowledged > 0, "no kill came between a commit and its answer"
    assert (tally.lost, tally.wrong) == ([], [])


def test_a_writer_that_answers_before_it_commits_is_found_out(sqlite):
    assert kill_again_and_again(sqlite, 5, too_early=True).lost


def test_money_that_nobody_sent_is_found(sqlite):
    target, tally = sqlite.create(), Tally()
    steps = list(itertools.islice(traffic(1), 50))
    with Database.open(target_of(target)) as database:
        examine(database, steps, [], Books(), tally)
        assert not tally.wrong
        database.writer.call(post, deposit("bank", "ten_1", 1, key="from nowhere"), NOW)
        examine(database, steps, [step.entry.event_id for step in steps], Books(), tally)
    assert not tally.lost
    assert any("ten_1" in wrong for wrong in tally.wrong)
