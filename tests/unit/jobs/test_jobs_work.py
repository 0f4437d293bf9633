"""What a job took becomes what the next plan of the same work knows."""

import pytest

from gondwana.jobs.model import Round, RunState, UnitState
from gondwana.jobs.rules.work import (
    REFERENCE_STEP_FLOP,
    Past,
    host_of,
    measured_batch,
    measured_training,
    work_of,
)
from gondwana.market.plans import cost, front
from gondwana.market.plans.model import LINK_USUAL, Basis, Link


def rounds(train, seconds, count):
    return [
        Round(job_id="job_a", round=n, heldout_loss=None, islands=2, accepted=2, rejected=0, expired=0, tokens=0,
              seconds=seconds, bytes_up=0, bytes_down=0, bytes_data_parallel=0)
        for n in range(count)
    ]  # fmt: skip


def delivered(make, count, steps):
    return [
        make.unit(f"{n}{name}", round=n, state=UnitState.ACCEPTED, machine_id=f"mac_{name}",
                  spec=make.unit_spec(f"{n}{name}", inner_steps=steps))
        for n in range(count) for name in ("a", "b")
    ]  # fmt: skip


def test_a_plan_from_what_a_training_took_forecasts_what_it_took(make):
    """Two islands at 5 and 10 steps a second: rounds of 20 steps take 4 s, the exchange and a second beside."""
    train = make.train(rounds=10, warm_rounds=1, inner_steps=20, islands_max=2)
    link = cost.link_seconds(10**6, "int4", LINK_USUAL)
    took = 9 * (4.0 + link + 1.0) + (2.0 + link + 1.0)
    told = measured_training(
        train,
        rounds(train, 4.0 + link + 1.0, 10),
        delivered(make, 10, 20),
        [make.island("a", steps_per_second=5.0),
         make.island("b", steps_per_second=10.0, reference_steps_per_second=20.0)],
        links={},
        parameters=10**6,
        seconds=9 * (4.0 + link + 1.0) + (4.0 + link + 1.0) + 7.0,
    )  # fmt: skip
    assert told.past.steps_per_reference_step == pytest.approx(0.5)
    assert told.past.overhead_seconds == pytest.approx(1.0)
    assert told.past.start_seconds == pytest.approx(7.0)
    assert told.step_seconds == pytest.approx((5.0 + link) / 20)
    work = work_of(
        make.train_spec(
            **{
                name: getattr(train, name)
                for name in ("rounds", "warm_rounds", "inner_steps", "islands_max")
            }
        ),
        told.past,
    )
    assert work.basis is Basis.MEASURED
    machines = [
        make.listing("a", steps_per_second=10.0),
        make.listing("b", steps_per_second=20.0),
    ]
    hosts = [host_of(each, work.basis, seconds_proven=10**9, interruptions=0) for each in machines]
    plan = front.as_it_is(work, hosts, devices=1)
    assert plan.forecast.step_seconds == pytest.approx(told.step_seconds)
    init = work.init_steps / 10.0
    assert plan.forecast.seconds == pytest.approx(took + init + 7.0, rel=0.01)


def test_a_link_that_is_better_than_usual_never_makes_a_round_shorter_than_its_steps(make):
    train = make.train(rounds=5, warm_rounds=1, inner_steps=20, islands_max=2)
    told = measured_training(
        train, rounds(train, 2.0, 5), delivered(make, 5, 20),
        [make.island("a", steps_per_second=10.0), make.island("b", steps_per_second=10.0)],
        links={}, parameters=10**9, seconds=10.0,
    )  # fmt: skip
    assert told.past.overhead_seconds < 0
    work = work_of(make.train_spec(rounds=5, inner_steps=20, islands_max=2), told.past)
    hosts = [
        host_of(make.listing(name), work.basis, seconds_proven=0, interruptions=0) for name in "ab"
    ]
    assert front.as_it_is(work, hosts, devices=1).forecast.step_seconds == pytest.approx(0.1)


def test_nothing_is_learnt_from_nothing(make):
    told = measured_training(make.train(), [], [], [], links={}, parameters=0, seconds=None)
    assert told.past == Past()
    assert work_of(make.train_spec(), told.past).basis is Basis.WINDOW
    assert measured_batch([], []).past == Past()


def test_a_command_took_its_slowest_nodes_time_at_the_slowest_machines_speed(make):
    runs = [
        make.run("a", state=RunState.EXITED, started_at=0.0, ended_at=60.0),
        make.run("b", state=RunState.EXITED, started_at=0.0, ended_at=90.0),
        make.run("c", state=RunState.LOST, started_at=0.0, ended_at=900.0),
    ]
    assert measured_batch(runs, [10.0, 4.0, 0.0]).past.reference_steps == 360.0


def test_a_told_size_counts_flop_and_a_measured_link_is_used(make):
    work = work_of(make.train_spec(parameters=10**9, tokens_per_step=10**5), None)
    assert work.basis is Basis.TOLD
    listing = make.listing(steps_per_second=200.0, tflops=165.0, up_bits_per_second=5)
    host = host_of(listing, work.basis, seconds_proven=0, interruptions=0)
    assert host.link == Link(up_bits_per_second=5)
    speed = host.reference_steps_per_second * work.steps_per_reference_step
    assert speed == pytest.approx(165e12 * 0.4 / (6 * 10**9 * 10**5))
    unhelped = host_of(listing, Basis.MEASURED, seconds_proven=0, interruptions=0)
    assert unhelped.reference_steps_per_second == 200.0
    assert REFERENCE_STEP_FLOP > 10**9
