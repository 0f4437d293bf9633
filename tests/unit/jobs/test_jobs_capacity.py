"""What proves that a machine was there: two passed checks in a row, or work that somebody else judged."""

import pytest

from gondwana.jobs.rules.capacity import (
    CHECK_GAP_SECONDS_MAX,
    is_checked,
    length_ms,
    spans_between_checks,
)


def test_a_machine_is_proven_between_two_checks_it_passed():
    checks = [(0.0, {"a", "b"}), (600.0, {"a"}), (1200.0, {"a", "b"})]
    assert spans_between_checks(checks, "a") == [(0.0, 600.0), (600.0, 1200.0)]
    assert spans_between_checks(checks, "b") == []  # it failed the one between


def test_one_check_proves_an_instant_and_that_is_nothing():
    assert spans_between_checks([(0.0, {"a"})], "a") == []


def test_checks_too_far_apart_prove_nothing_between():
    assert spans_between_checks([(0.0, {"a"}), (CHECK_GAP_SECONDS_MAX, {"a"})], "a")
    assert spans_between_checks([(0.0, {"a"}), (CHECK_GAP_SECONDS_MAX + 1, {"a"})], "a") == []


def test_each_instant_counts_once_and_only_within_the_epoch():
    spans = [(10.0, 20.0), (15.0, 30.0), (-5.0, 1.0), (95.0, 120.0)]
    assert length_ms(spans, 0.0, 100.0) == 26_000
    assert length_ms([], 0.0, 100.0) == 0


@pytest.mark.parametrize(
    ("maker", "tenant", "judges", "is_proof"),
    [
        ("owner", "tenant", ["judge"], True),
        ("owner", "tenant", ["owner", "judge"], True),
        ("owner", "tenant", [], False),  # nobody looked
        ("owner", "tenant", ["owner"], False),  # he judged himself
        ("owner", "tenant", ["tenant"], False),  # his buyer judged
        ("owner", "owner", ["judge"], False),  # he bought from himself
    ],
)
def test_work_proves_its_machine_when_a_third_party_judged_it(maker, tenant, judges, is_proof):
    assert is_checked(maker, tenant, judges) is is_proof
