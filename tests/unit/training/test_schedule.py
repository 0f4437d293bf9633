"""The learning rate over a run."""

import pytest

from gondwana.training.schedule import lr_fraction, lr_sum


def fraction(step: int, first: int = 0, total: int = 1000, state: bool = True) -> float:
    return lr_fraction(step, step_first=first, steps_total=total, has_state=state)


def test_it_warms_up_at_the_very_start_then_falls_to_zero():
    assert fraction(0) == pytest.approx(1 / 20)
    assert fraction(19) == pytest.approx(1.0, abs=0.01)
    assert fraction(500) == pytest.approx(0.5)
    assert fraction(1000) == 1e-3
    falling = [fraction(step) for step in range(20, 1001)]
    assert falling == sorted(falling, reverse=True)


def test_a_unit_without_state_warms_up_again_for_five_steps():
    shares = [fraction(400 + h, first=400, state=False) / fraction(400 + h, first=400) for h in range(7)]  # fmt: skip
    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0])


def test_a_unit_past_the_end_or_of_an_empty_run_still_moves_a_little():
    assert fraction(1500) == 1e-3
    assert 0.0 < fraction(0, total=0) <= 1.0
    assert lr_sum(step_first=2000, inner_steps=5, steps_total=1000, has_state=False) > 0


def test_units_of_a_run_add_up_to_the_whole_run():
    parts = [
        lr_sum(step_first=first, inner_steps=50, steps_total=1000, has_state=True)
        for first in range(0, 1000, 50)
    ]
    assert sum(parts) == pytest.approx(
        lr_sum(step_first=0, inner_steps=1000, steps_total=1000, has_state=True)
    )
    assert parts[-1] < parts[1] / 50
