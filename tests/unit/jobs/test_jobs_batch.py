import itertools

import pytest

from gondwana.core.errors import WrongState
from gondwana.core.values import replace
from gondwana.jobs.model import (
    JOB_CODES,
    JOB_TRANSITIONS,
    PHASE_TRANSITIONS,
    RUN_TRANSITIONS,
    UNIT_TRANSITIONS,
    JobReason,
    JobState,
    Phase,
    RunState,
    UnitState,
)
from gondwana.jobs.rules import batch
from gondwana.wire.jobs import Accelerators, Resources

TABLES = {
    JobState: JOB_TRANSITIONS,
    RunState: RUN_TRANSITIONS,
    UnitState: UNIT_TRANSITIONS,
    Phase: PHASE_TRANSITIONS,
}
GOES_ON = [RunState.ASSIGNED, RunState.PREPARING, RunState.RUNNING]


# -- states


@pytest.mark.parametrize("states", TABLES)
def test_every_state_is_in_its_table_can_be_reached_and_leads_somewhere_else(states):
    table, first = TABLES[states], next(iter(states))
    assert set(table) == set(states)
    assert all(state not in after for state, after in table.items())
    reached, edge = {first}, [first]
    while edge:
        fresh = table[edge.pop()] - reached
        reached |= fresh
        edge += fresh
    assert reached == set(states)


@pytest.mark.parametrize("before, after", list(itertools.product(JobState, JobState)))
def test_a_job_moves_along_the_arrows_of_the_table_and_no_others(make, before, after):
    job = make.job(state=before)
    if after in JOB_TRANSITIONS[before]:
        assert batch.move(job, after) is after
    else:
        with pytest.raises(WrongState) as refused:
            batch.move(job, after)
        assert job.id in refused.value.hint


def test_a_job_has_ended_exactly_where_no_arrow_leads_on(make):
    for state in JobState:
        assert make.job(state=state).ended is (not JOB_TRANSITIONS[state])
        assert state in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED} or {
            JobState.FAILED,
            JobState.CANCELLED,
        } <= set(JOB_TRANSITIONS[state])


def test_every_end_of_a_job_has_its_number():
    assert set(JOB_CODES) == set(JobReason)
    assert len(set(JOB_CODES.values())) == len(JOB_CODES)


def test_a_late_or_repeated_report_of_a_run_is_no_news(make):
    for before, after in itertools.product(RunState, RunState):
        news = batch.may_move_run(make.run(state=before), after)
        assert news is (after in RUN_TRANSITIONS[before])
    assert not batch.may_move_run(make.run(state=RunState.EXITED), RunState.RUNNING)


# -- how a job ends


def nodes(make, *ends, **changes):
    """One run a node: a state, or an exit code."""
    return [
        make.run(f"n{rank}", rank=rank, state=RunState.EXITED, exit_code=end, **changes)
        if isinstance(end, int)
        else make.run(f"n{rank}", rank=rank, state=end, **changes)
        for rank, end in enumerate(ends)
    ]


@pytest.mark.parametrize(
    "ends", list(itertools.product([*GOES_ON, RunState.LOST, 0, 1, 7], repeat=2))
)
def test_a_job_of_two_nodes_ends_as_its_nodes_do(make, ends):
    end = batch.batch_end(make.spec(num_nodes=2), nodes(make, *ends))
    codes = [code for code in ends if isinstance(code, int) and code != 0]
    if codes:
        assert (end.state, end.reason) == (JobState.FAILED, JobReason.EXIT_CODE)
        assert end.exit_code == codes[0]
        assert f"ended with code {codes[0]}" in end.detail
    elif ends == (0, 0):
        assert (end.state, end.reason, end.exit_code) == (JobState.SUCCEEDED, JobReason.DONE, 0)
    else:
        assert end is None


@pytest.mark.parametrize("runs", [[], [0], [0, 0]])
def test_a_job_does_not_succeed_before_every_node_has_run(make, runs):
    assert batch.batch_end(make.spec(num_nodes=3), nodes(make, *runs)) is None


@pytest.mark.parametrize("reason", sorted(batch.LIMIT_REASONS))
def test_a_broken_limit_fails_the_job_and_says_which(make, reason):
    for code, told in ((137, 137), (None, 1), (0, 1)):
        runs = [make.run(state=RunState.EXITED, exit_code=code, reason=reason)]
        end = batch.batch_end(make.spec(), runs)
        assert (end.state, end.reason, end.exit_code) == (
            JobState.FAILED,
            JobReason.LIMIT_BROKEN,
            told,
        )
        assert reason.replace("_", " ") in end.detail


def test_a_run_that_ended_without_a_code_fails_the_job_with_its_reason_and_a_code(make):
    told = "job: TooLarge: the output is too large"
    end = batch.batch_end(make.spec(), [make.run(state=RunState.EXITED, reason=told)])
    assert (end.state, end.reason, end.exit_code) == (JobState.FAILED, JobReason.EXIT_CODE, 1)
    assert end.detail == f"node 0: {told}"


def lost(make, count, *, rank=0, start=0):
    return [
        make.run(
            f"r{rank}-{n}", at=start + n, rank=rank, state=RunState.LOST, reason="machine_lost"
        )
        for n in range(count)
    ]


def test_a_node_that_was_lost_too_often_fails_the_job(make):
    for count in range(batch.ATTEMPTS_MAX):
        assert batch.batch_end(make.spec(), lost(make, count)) is None
    end = batch.batch_end(make.spec(), lost(make, batch.ATTEMPTS_MAX))
    assert (end.state, end.reason) == (JobState.FAILED, JobReason.MACHINES_LOST)
    assert "lost 3 times; last: machine_lost" in end.detail


def test_losses_of_different_nodes_do_not_add_up(make):
    runs = lost(make, 2, rank=0) + lost(make, 2, rank=1)
    assert batch.batch_end(make.spec(num_nodes=2), runs) is None


def test_only_the_last_attempt_of_a_node_counts(make):
    again = make.run("again", at=10, state=RunState.EXITED, exit_code=0)
    runs = [again, *lost(make, 2)]
    assert batch.latest_runs(runs) == {0: again}
    assert batch.batch_end(make.spec(), runs).state is JobState.SUCCEEDED


# -- gangs


def test_of_two_attempts_of_one_instant_the_one_that_goes_on_is_the_last(make):
    lost, next_one = make.run("z", state=RunState.LOST), make.run("a", state=RunState.RUNNING)
    for runs in ([lost, next_one], [next_one, lost]):
        assert batch.latest_runs(runs) == {0: next_one}


def test_a_replacement_takes_the_number_of_the_node_that_was_lost(make):
    spec = make.spec(num_nodes=3)
    leases = [make.lease(f"l{rank}", rank=rank) for rank in range(3)]
    assert batch.free_rank(spec, []) == 0
    for missing in range(3):
        assert batch.free_rank(spec, leases[:missing] + leases[missing + 1 :]) == missing


def test_islands_may_be_more_than_nodes_and_each_gets_its_own_number(make):
    leases = [make.lease(f"l{rank}", rank=rank) for rank in range(5)]
    assert batch.free_rank(make.spec(num_nodes=1), leases) == 5


def test_a_node_sees_the_variables_that_skypilot_would_set(make):
    wanted = Resources(accelerators=(Accelerators(name="H100", count=2),))
    job = make.job(spec=make.spec(num_nodes=3, resources=wanted, envs={"LR": "0.1"}))
    addresses = {2: "10.0.0.3", 0: "10.0.0.1", 1: "10.0.0.2"}
    assert batch.environment(job, make.run(rank=1), addresses, 2) == {
        "LR": "0.1",
        "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2\n10.0.0.3",
        "SKYPILOT_NUM_NODES": "3",
        "SKYPILOT_NUM_GPUS_PER_NODE": "2",
        "SKYPILOT_TASK_ID": "job_a",
        "GONDWANA_JOB_ID": "job_a",
        "GONDWANA_RUN_ID": "run_a",
    }


def test_a_job_without_accelerators_is_told_that_it_has_none_and_cannot_pretend_its_rank(make):
    job = make.job(spec=make.spec(envs={"SKYPILOT_NODE_RANK": "7"}))
    seen = batch.environment(job, make.run(rank=0), {0: "10.0.0.1"}, 1)
    assert seen["SKYPILOT_NUM_GPUS_PER_NODE"] == "0"
    assert seen["SKYPILOT_NODE_RANK"] == "0"


# -- money


def test_launching_sets_aside_an_hour_or_less_where_budget_or_duration_are_less(make):
    machines = [make.listing("a", price=1_000_000), make.listing("b", price=2_000_000)]
    spec = make.spec(num_nodes=2)
    assert batch.batch_hold_micro_usd(spec, machines, 2) == 6_000_000
    assert batch.batch_hold_micro_usd(replace(spec, seconds_max=1800), machines, 2) == 3_000_000
    assert batch.batch_hold_micro_usd(replace(spec, budget_micro_usd=5), machines, 2) == 5
    assert (
        batch.batch_hold_micro_usd(replace(spec, budget_micro_usd=10**9), machines, 2) == 6_000_000
    )
