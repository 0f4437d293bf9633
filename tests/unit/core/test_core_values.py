"""Ids, money, units, clocks, randomness, events, copies."""

import os
import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.clock import Instant, ManualClock, SystemClock
from gondwana.core.errors import InvalidValue
from gondwana.core.events import Event
from gondwana.core.ids import ID_CHARS_MAX, new_id
from gondwana.core.money import (
    MICRO_USD_MAX,
    due_micro_usd,
    format_usd,
    parse_usd,
    split_cumulative,
)
from gondwana.core.random import SecureRandom, SeededRandom
from gondwana.core.units import format_bytes, format_seconds, parse_bytes, parse_seconds
from gondwana.core.values import replace

MILLISECONDS = st.integers(0, 2**45 - 1)


@given(MILLISECONDS, MILLISECONDS, st.integers())
def test_ids_made_later_sort_later(first, second, seed):
    random = SeededRandom(seed)
    made = [new_id("job", Instant(ms / 1000), random) for ms in (first, second)]
    if abs(first - second) > 1:  # a float of seconds is exact to less than two milliseconds
        assert (made[0] < made[1]) == (first < second)


def test_an_id_says_its_kind_and_is_short():
    made = new_id("job", Instant(1_800_000_000.0), SeededRandom(1))
    assert made.startswith("job_")
    assert len(made) == 24 <= ID_CHARS_MAX
    assert not set(made[4:]) & set("ilou")


def test_many_ids_of_one_moment_differ():
    random = SeededRandom(7)
    assert len({new_id("x", Instant(1.0), random) for _ in range(10_000)}) == 10_000


@given(st.integers(0, MICRO_USD_MAX))
def test_an_amount_that_is_written_is_read_again(micro):
    text = f"{micro // 1_000_000}.{micro % 1_000_000:06d}"
    assert parse_usd(text, field="budget") == micro
    assert parse_usd(f"${text}", field="budget") == micro


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("1.25", 1_250_000),
        (3, 3_000_000),
        ("0", 0),
        (0.1, 100_000),
        ("$2", 2_000_000),
        (1e-6, 1),
        (" $ 2.5 ", 2_500_000),
    ],
)
def test_dollars_are_read_exactly(text, micro):
    assert parse_usd(text, field="budget") == micro


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "-1",
        "nan",
        "inf",
        "1e30",
        "1e9",
        float("nan"),
        1e300,
        "0.0000001",
        "1,5",
        "$",
        "--1",
    ],
)
def test_what_is_no_amount_is_refused_by_the_name_of_its_field(text):
    with pytest.raises(InvalidValue) as error:
        parse_usd(text, field="budget")
    assert error.value.fields["field"] == "budget"
    assert error.value.hint


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (1_250_000, "$1.25"),
        (0, "$0.00"),
        (7, "$0.000007"),
        (-2_500_000, "-$2.50"),
        (1_234_567_890_000, "$1,234,567.89"),
    ],
)
def test_amounts_are_shown_so_that_small_ones_are_not_zero(micro, text):
    assert format_usd(micro) == text


@given(price=st.integers(0, 10**12), cuts=st.lists(st.integers(0, 10**6), min_size=1))
def test_what_is_due_in_steps_is_what_is_due_at_once(price, cuts):
    paid = 0
    for seconds in sorted(cuts):
        paid += due_micro_usd(price, seconds) - paid
    assert paid == due_micro_usd(price, max(cuts))
    assert 0 <= price * max(cuts) - paid * 3600 < 3600


@given(st.integers(0, 10**15), st.integers(0, 10_000))
def test_a_share_is_never_above_its_part_and_less_than_one_below(total, points):
    assert 0 <= total * points - split_cumulative(total, points) * 10_000 < 10_000


@pytest.mark.parametrize(
    ("text", "count"),
    [("16GB", 16 * 2**30), ("512 MiB", 512 * 2**20), (7, 7), ("1.5k", 1536), ("2tb", 2 * 2**40)],
)
def test_sizes_are_read(text, count):
    assert parse_bytes(text, field="memory") == count


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), (1.5, 1.5)],
)
def test_times_are_read(text, seconds):
    assert parse_seconds(text, field="notice") == seconds


@pytest.mark.parametrize("text", ["", "GB", "-1", "1XB", "1 2", "١GB x"])
def test_what_is_no_size_or_time_is_refused(text):
    with pytest.raises(InvalidValue):
        parse_bytes(text, field="memory")
    with pytest.raises(InvalidValue):
        parse_seconds(text, field="notice")


def test_sizes_and_times_are_shown_short():
    assert [format_bytes(n) for n in (7, 1536, 3 * 2**30, 5000 * 2**40)] == [
        "7 B",
        "1.5 KB",
        "3.0 GB",
        "5000.0 TB",
    ]
    assert [format_seconds(n) for n in (42, 185, 7800)] == ["42 s", "3 min 05 s", "2 h 10 min"]


def test_a_manual_clock_stands_until_it_is_moved_and_only_forward():
    clock = ManualClock(10.0)
    assert clock.now() == clock.now() == 10.0
    clock.advance(2.5)
    assert clock.now() == 12.5
    with pytest.raises(AssertionError):
        clock.advance(-1)


def test_the_system_clock_never_steps_back():
    clock = SystemClock()
    seen = [clock.now() for _ in range(1000)]
    assert seen == sorted(seen)


def test_one_seed_gives_the_same_numbers_and_another_gives_others():
    def draw(seed):
        random = SeededRandom(seed)
        return random.bits(64), random.uniform(), random.token(8), random.sample(range(100), 5)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("random", [SecureRandom(), SeededRandom(0)])
def test_random_numbers_are_of_the_size_asked_for(random):
    assert all(0 <= random.bits(7) < 128 for _ in range(200))
    assert all(0 <= random.uniform() < 1 for _ in range(200))
    assert len(random.token(9)) == 9
    assert len(set(random.sample(range(10), 10))) == 10


def test_the_bytes_of_an_event_do_not_depend_on_how_its_data_was_built():
    one = Event(at=Instant(1.0), kind="a.b", subject="s", data={"x": 1, "y": 2})
    other = Event(at=Instant(1.0), kind="a.b", subject="s", data={"y": 2, "x": 1})
    assert one.canonical() == other.canonical()
    assert (
        one.canonical()
        != Event(at=Instant(2.0), kind="a.b", subject="s", data={"x": 1, "y": 2}).canonical()
    )


@dataclass(frozen=True)
class Pair:
    left: int
    right: int = 0


def test_a_copy_of_a_struct_or_a_dataclass_differs_in_what_was_named_alone():
    event = Event(at=Instant(1.0), kind="lease.closed", subject="lea_1", data={"a": 1})
    copy = replace(event, subject="lea_2")
    assert (copy.subject, copy.kind, copy.data) == ("lea_2", "lease.closed", {"a": 1})
    assert event.subject == "lea_1"
    assert replace(Pair(1, 2), right=3) == Pair(1, 3)


@pytest.mark.parametrize("value", [Pair(1), Event(at=Instant(1.0), kind="a.b", subject="c")])
def test_a_copy_with_a_field_that_there_is_not_is_refused(value):
    with pytest.raises(TypeError):
        replace(value, colour="red")


@given(st.integers(0, 2**45 - 1), st.integers(0, 2**55 - 1))
def test_ids_sort_by_their_time_and_have_a_character_for_five_bits(milliseconds, bits):
    class Fixed(SeededRandom):
        def bits(self, count):
            return bits

    made = new_id("job", Instant(milliseconds / 1000), Fixed(1)).removeprefix("job_")
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    numbers = [alphabet.index(each) for each in made]
    assert len(numbers) == 20
    assert sum(number << (5 * place) for place, number in enumerate(reversed(numbers[9:]))) == bits
    assert sum(number << (5 * place) for place, number in enumerate(reversed(numbers[:9]))) == int(
        Instant(milliseconds / 1000) * 1000
    )


def test_random_bits_are_given_once_whoever_asks_and_are_evenly_one():
    random = SecureRandom()
    found: list[list[int]] = [[] for _ in range(4)]

    def ask(mine):
        mine += [random.bits(55) for _ in range(5_000)]

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in found]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    made = [number for mine in found for number in mine]
    assert len(set(made)) == len(made) == 20_000
    assert max(made) < 2**55
    ones = [sum(number >> bit & 1 for number in made) for bit in range(55)]
    assert all(9_500 < count < 10_500 for count in ones)  # seven standard deviations
    assert random.bits(100_000).bit_length() > 99_900  # more than a pool


def test_a_forked_process_makes_other_random_bits():
    random = SecureRandom()
    random.bits(8)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, random.bits(64).to_bytes(8, "big"))
        os._exit(0)
    os.waitpid(child, 0)
    assert int.from_bytes(os.read(reads, 8), "big") != random.bits(64)
    os.close(reads)
    os.close(writes)
