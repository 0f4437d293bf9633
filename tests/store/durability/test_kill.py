"""Whoever is killed, at whatever moment: what was answered stays, once, and every balance is right."""

import itertools
import os
from random import Random

import pytest
from backends import PostgresServer, SqliteFiles
from clients import Clients
from postgres import Cluster, binaries
from traffic import NOW, Books, open_books, traffic
from verdict import Tally, examine

from gondwana.ledger.rules import deposit
from gondwana.ledger.store import post

ROUNDS = 1_000 if os.environ.get("GONDWANA_NIGHTLY") else 100
ROUNDS_OF_POSTGRES = ROUNDS if os.environ.get("GONDWANA_NIGHTLY") else 40  # a round takes a second
ROUNDS_PER_DATABASE = 5  # an audit reads everything, so a database may not grow for ever
ROUNDS_PER_SERVER_KILL = 4  # a server takes a while to recover
SECONDS_MAX = 0.02  # several commits


@pytest.fixture
def sqlite(tmp_path):
    return SqliteFiles(tmp_path)


@pytest.fixture
def postgres():
    if binaries() is None:
        pytest.skip("NO POSTGRESQL SERVER, nobody was killed: sh tools/system-packages.sh postgres")
    cluster = Cluster(synchronous_commit="off")  # a careless server; our sessions insist
    try:
        yield PostgresServer(cluster.start())
    finally:
        cluster.remove()


def kill_again_and_again(backend, rounds, *, kills_server=lambda number: False, **job):
    """The tally of so many rounds in which a client posts until it, or the server under it, is killed."""
    random, tally = Random(1), Tally()
    with Clients() as clients:
        for number in range(rounds):
            if number % ROUNDS_PER_DATABASE == 0:
                target, books = backend.create(), Books()
            in_flight = random.choice((1, 4, 16, 64))
            clients.start(target=target, seed=number, in_flight=in_flight, **job)
            answers = random.randrange(backend.answers_max)
            clients.wait_for(answers, then_seconds=random.uniform(0, SECONDS_MAX))
            if kills_server(number):
                backend.kill()
                clients.end()
                backend.recover()
            else:
                clients.kill()
            steps = itertools.islice(traffic(number), len(clients.answered) + in_flight)
            with open_books(target) as database:
                examine(database, list(steps), clients.answered, books, tally)
                tally.wrong += backend.flaws(target)
    return tally


def judge(tally, rounds):
    print(tally)
    assert tally.crashes == rounds
    assert tally.acknowledged > 10 * rounds
    assert tally.unacknowledged > 0, "no kill came between a commit and its answer"
    assert (tally.lost, tally.wrong) == ([], [])


@pytest.mark.timeout(3_600)
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_answered(sqlite):
    judge(kill_again_and_again(sqlite, ROUNDS), ROUNDS)


@pytest.mark.timeout(3_600)
def test_a_postgres_killed_at_any_moment_or_a_writer_to_it_loses_nothing_either(postgres):
    rounds = ROUNDS_OF_POSTGRES
    tally = kill_again_and_again(
        postgres, rounds, kills_server=lambda number: number % ROUNDS_PER_SERVER_KILL == 0
    )
    judge(tally, rounds)


def test_a_writer_that_answers_before_it_commits_is_found_out(sqlite):
    assert kill_again_and_again(sqlite, 5, too_early=True).lost


def test_money_that_nobody_sent_is_found(sqlite):
    target, tally = sqlite.create(), Tally()
    steps = list(itertools.islice(traffic(1), 50))
    with open_books(target) as database:
        examine(database, steps, [], Books(), tally)
        assert not tally.wrong
        database.writer.call(post, deposit("bank", "ten_1", 1, key="from nowhere"), NOW)
        examine(database, steps, [step.entry.event_id for step in steps], Books(), tally)
    assert not tally.lost
    assert any("ten_1" in wrong for wrong in tally.wrong)
