"""Items made ahead: the same ones, in their order, and what goes wrong is told where it would be anyway."""

import threading

import pytest

from gondwana.db.ahead import ahead


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_the_items_are_the_same(count):
    assert list(ahead(iter(range(count)))) == list(range(count))


def test_the_next_is_made_while_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def items():
        for each in made:
            each.set()
            yield each

    for number, _ in enumerate(ahead(items())):
        if number + 1 < len(made):
            assert made[number + 1].wait(10)
        assert not any(each.is_set() for each in made[number + 2 :])


def test_what_fails_is_raised_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("no more")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="no more"):
        next(found)


def test_whoever_stops_early_leaves_no_thread_behind():
    found = ahead(iter(range(10)))
    assert next(found) == 0
    found.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("gondwana-ahead")]
