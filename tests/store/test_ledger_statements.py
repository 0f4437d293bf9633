"""Statements: every transfer in words with the balance after it, whole, by page and by period."""

import itertools

import pytest
from bookkeeping import NOW, TASK, UNIT, entry, fund, has, leg, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gondwana.core.clock import Instant
from gondwana.core.errors import FundsTooLow
from gondwana.core.values import replace
from gondwana.ledger import rules
from gondwana.ledger.accounts import ext, provider_holdback, task_escrow, tenant_available
from gondwana.ledger.model import TransferKind
from gondwana.ledger.statements import balance_at, statement
from gondwana.ledger.store import credited_before, first_seq_at

TENANT, HOLDBACK = tenant_available("t"), provider_holdback("p")
NUMBERS = itertools.count()


@pytest.fixture
def database(audited_database):
    return audited_database


def test_a_statement_says_in_words_what_happened_newest_first(database):
    fund(database)
    put(database, rules.open_task(TASK, 2_000_000))
    put(database, rules.assign_unit(TASK, UNIT))
    put(database, rules.reject_unit(TASK, UNIT, reason="too large"))
    texts = [line.text for line in statement(database.reader(), TENANT)]
    assert texts == [
        "Budget set aside for job j (to the job's escrow)",
        "Deposit of $10.00 by manual (from the outside world)",
    ]
    texts = [line.text for line in statement(database.reader(), HOLDBACK)]
    assert texts == [
        "Unit u rejected: too large (hold released)",
        "Price of unit u (expected from the job's escrow)",
    ]


def test_a_statement_in_pages_is_the_statement(database):
    fund(database)
    put(database, rules.open_task(TASK, 9_000_000))
    for number in range(5):
        unit = replace(UNIT, unit_id=f"u{number}")
        put(database, rules.assign_unit(TASK, unit))
        put(database, [rules.accept_unit, rules.expire_unit][number % 2](TASK, unit))
    whole = statement(database.reader(), task_escrow("j"))
    pages, before = [], 2**62
    while page := statement(database.reader(), task_escrow("j"), before=before, limit=4):
        pages += page
        before = page[-1].seq
    assert pages == whole
    assert len(whole) == 1 + 5 * 6


DAYS = (0.0, 86_400.0, 86_400.0, 3 * 86_400.0, 3 * 86_400.0 + 0.001, 9 * 86_400.0)


@pytest.fixture
def nine_days(database):
    """A transfer of 1, 2, 3, … at each of DAYS."""
    fund(database, 100)
    for number, at in enumerate(DAYS):
        each = entry(f"e{number}", leg(TENANT, HOLDBACK, number + 1))
        put(database, each, at=Instant(1_000_000_000.0 + at))
    return lambda day: Instant(1_000_000_000.0 + day * 86_400.0)


@pytest.mark.parametrize(
    "since, until, amounts",
    [
        (0, 10, [6, 5, 4, 3, 2, 1]),
        (0, 9, [5, 4, 3, 2, 1]),
        (1, 3, [3, 2]),
        (1, 1, []),
        (3, 9, [5, 4]),
        (4, 8, []),
        (9, 10, [6]),
        (10, 11, []),
        (-5, 0, []),
        (-5, 1, [1]),
        (3, 1, []),
    ],
)
def test_a_period_has_what_was_made_from_its_beginning_up_to_its_end(
    database, nine_days, since, until, amounts
):
    period = {"since": nine_days(since), "until": nine_days(until)}
    lines = statement(database.reader(), HOLDBACK, **period)
    assert [line.amount_micro_usd for line in lines] == amounts
    pages, before = [], 2**62
    while page := statement(database.reader(), HOLDBACK, before=before, limit=1, **period):
        pages += page
        before = page[-1].seq
    assert pages == lines
    if lines:
        first, last = lines[-1], lines[0]
        opening = first.available_micro_usd - first.change_micro_usd
        assert balance_at(database.reader(), HOLDBACK, nine_days(since)) == opening
        assert balance_at(database.reader(), HOLDBACK, nine_days(until)) == last.available_micro_usd


def test_the_balance_at_an_instant_is_that_before_what_was_made_then(database, nine_days):
    reader = database.reader()
    at = [balance_at(reader, HOLDBACK, nine_days(day)) for day in (-1, 0, 0.5, 1, 2, 3, 9, 10)]
    assert at == [0, 0, 1, 1, 6, 6, 15, 21]
    at = [credited_before(reader, HOLDBACK, nine_days(day)) for day in (-1, 0, 0.5, 1, 2, 3, 9, 10)]
    assert at == [0, 0, 1, 1, 6, 6, 15, 21]


def test_there_is_a_balance_at_any_time_of_an_account_nobody_used(database):
    assert balance_at(database.reader(), TENANT, NOW) == 0
    assert credited_before(database.reader(), TENANT, NOW) == 0
    assert first_seq_at(database.reader(), NOW) == 1


def test_entries_are_numbered_in_time_s_order_even_when_the_clock_steps_back(database):
    fund(database, 100)
    for number, at in enumerate((1_000.0, 500.0, 999.999, 1_000.001, 0.0, 2_000.0)):
        put(database, entry(f"e{number}", leg(TENANT, HOLDBACK, 1)), at=Instant(at))
    lines = statement(database.reader(), HOLDBACK)
    assert [line.at for line in lines] == [2_000.0, 1_000.001, 1_000.001, 1_000.0, 1_000.0, 1_000.0]
    assert [line.seq for line in lines] == [7, 6, 5, 4, 3, 2]
    assert len(statement(database.reader(), HOLDBACK, until=Instant(1_000.001))) == 3


def test_a_day_that_is_over_does_not_change_by_what_comes_late(database):
    fund(database, 100)
    for number, at in enumerate((10.0, 90_000.0)):
        put(database, entry(f"e{number}", leg(TENANT, HOLDBACK, 1)), at=Instant(at))
    period = {"until": Instant(86_400.0)}
    before = statement(database.reader(), HOLDBACK, **period)
    put(database, entry("late", leg(TENANT, HOLDBACK, 1)), at=Instant(11.0))
    assert statement(database.reader(), HOLDBACK, **period) == before
    assert len(before) == 1


def test_a_seq_is_found_by_time_among_entries_of_many_legs(database):
    """The search by halves meets entries whose first transfer is below the one it looks at."""
    fund(database, 10_000)
    starts, seq = {}, 2
    for number in range(40):
        size = 1 + number * 7 % 13
        each = entry(f"e{number}", *(leg(TENANT, HOLDBACK, 1) for _ in range(size)))
        put(database, each, at=Instant(100.0 + number))
        starts[number] = seq
        seq += size
    for number, first in starts.items():
        assert first_seq_at(database.reader(), Instant(100.0 + number)) == first
        assert first_seq_at(database.reader(), Instant(99.5 + number)) == first
    assert first_seq_at(database.reader(), Instant(139.001)) == seq


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "hold", "pay", "part", "void"]),
        st.integers(1, 60),
        st.integers(-2, 5),
    ),
    max_size=20,
)
ANY_DATABASE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


@ANY_DATABASE
@given(steps=STEPS)
def test_the_lines_of_a_statement_lead_from_nothing_to_the_balance(database, steps):
    """Accounts of its own for each example, in one database."""
    example = next(NUMBERS)
    name = f"x{example}"
    tenant, holdback, rail = tenant_available(name), provider_holdback(name), ext(name)
    open_holds, now = [], 1_000 * (example + 1)
    for number, (what, amount, later) in enumerate(steps):
        event, now = f"{name}.{number}", now + later
        resolve = what in ("pay", "part", "void") and bool(open_holds)
        held = open_holds.pop() if resolve else ("", 0)
        made = {
            "in": leg(rail, tenant, amount),
            "out": leg(tenant, holdback, amount),
            "hold": leg(tenant, holdback, amount, TransferKind.PENDING),
        }.get(what)
        if resolve:
            kind = TransferKind.VOID_PENDING if what == "void" else TransferKind.POST_PENDING
            part = max(1, held[1] // 2) if what == "part" else held[1]
            put(database, entry(event, leg(tenant, holdback, part, kind, held[0])), at=Instant(now))
        elif made is not None:
            try:
                put(database, entry(event, made), at=Instant(now))
            except FundsTooLow:
                continue
            open_holds += [(f"{event}#0", amount)] if what == "hold" else []
    for account in (tenant, holdback):
        _check_lines(database, account)


def _check_lines(database, account):
    reader, running = database.reader(), 0
    lines = statement(reader, account)
    for line in reversed(lines):
        running += line.change_micro_usd
        assert line.available_micro_usd == running
    assert running == has(database, account)
    times = [line.at for line in reversed(lines)]
    assert times == sorted(times)
    for at in set(times):
        before = [line for line in lines if line.at < at]
        assert statement(reader, account, until=at) == before
        assert balance_at(reader, account, at) == (before[0].available_micro_usd if before else 0)
