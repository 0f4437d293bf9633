import pytest

from gondwana.core.errors import NoSuchThing, WrongState
from gondwana.core.values import replace
from gondwana.jobs import store
from gondwana.jobs.model import (
    JOB_TRANSITIONS,
    PHASE_TRANSITIONS,
    RUN_TRANSITIONS,
    UNIT_TRANSITIONS,
    JobReason,
    JobState,
    Phase,
    Round,
    RunState,
    UnitState,
)
from gondwana.jobs.rules.batch import End
from gondwana.market.model import LeaseState
from gondwana.wire.units import Candidate, CandidateLoss, UnitKind, UnitResult


@pytest.fixture
def file_world(database, make_world):
    return make_world(database)


@pytest.fixture
def stored(file_world, make):
    """A job with a lease, and builders of rows that hang on them."""
    world = file_world
    world.join()
    job = world.submit()
    world.reconcile()
    world.job = store.job(world.reader, job.id)
    (world.run,) = store.runs_of_job(world.reader, job.id)
    world.own = {"job_id": job.id, "lease_id": world.run.lease_id}
    world.ids = {**world.own, "machine_id": "mac_kauri"}
    return world


def events_since(world, count):
    return [event.kind for event in world.events(count)]


def moves(world, move, legal, read, after, kind):
    """Check one arrow: it is made with one event, or refused and nothing changes."""
    before, count = read(), len(world.events())
    if legal:
        world.write(move)
        assert read().state is after
        assert events_since(world, count) == [kind]
    else:
        with pytest.raises(WrongState):
            world.write(move)
        assert read() == before
        assert events_since(world, count) == []


def pairs(states):
    return [(a, b) for a in states for b in states if a is not b]


# -- jobs


def test_a_job_comes_back_as_it_was_stored(stored, make):
    spec = make.train_spec(config={"layers": [1, 2], "name": "ä"}, rounds=3)
    job = make.job("x", tenant_id=stored.tenant, spec=replace(spec, envs={"A": "1"}))
    stored.write(store.add_job, job)
    assert store.job(stored.reader, "job_x") == job
    assert stored.kinds("job_x") == ["job.submitted"]


def test_a_job_is_found_by_id_or_as_the_newest_of_its_name_and_by_its_tenant_alone(stored, make):
    stored.clock.advance(1.0)
    newer = stored.submit()
    assert store.job_of(stored.reader, stored.tenant, "job").id == newer.id
    assert store.job_of(stored.reader, stored.tenant, stored.job.id).id == stored.job.id
    for tenant, name in (
        (stored.owner, "job"),
        (stored.owner, newer.id),
        (stored.tenant, "nothing"),
    ):
        with pytest.raises(NoSuchThing):
            store.job_of(stored.reader, tenant, name)
    assert [job.id for job in store.jobs(stored.reader, stored.tenant, limit=10)] == [
        newer.id,
        stored.job.id,
    ]
    assert [job.id for job in store.jobs(stored.reader, None, before=newer.id, limit=10)] == [
        stored.job.id
    ]
    assert store.jobs(stored.reader, stored.owner, limit=10) == []


@pytest.mark.parametrize("before, after", pairs(JobState))
def test_a_job_moves_along_the_table_with_its_event_or_not_at_all(stored, before, after):
    job = stored.write(store.save_job, replace(stored.job, state=before))
    moves(
        stored, lambda tx: store.move_job(tx, stored.now, job, after), after in JOB_TRANSITIONS[before],
        lambda: store.job(stored.reader, job.id), after, f"job.{after}",
    )  # fmt: skip


@pytest.mark.parametrize("before", JobState)
@pytest.mark.parametrize("after", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_a_job_ends_once_with_its_reason_or_not_at_all(stored, before, after):
    job = replace(stored.job, state=before)
    job = stored.write(store.save_job, replace(job, ended_at=stored.now if job.ended else None))
    how = End(state=after, reason=JobReason.EXIT_CODE, detail="why", exit_code=3)
    moves(
        stored, lambda tx: store.end_job(tx, stored.now, job, how), after in JOB_TRANSITIONS[before],
        lambda: store.job(stored.reader, job.id), after, f"job.{after}",
    )  # fmt: skip
    ended = store.job(stored.reader, job.id)
    if after in JOB_TRANSITIONS[before]:
        assert (ended.reason, ended.detail, ended.exit_code, ended.ended_at) == (
            JobReason.EXIT_CODE, "why", 3, stored.now,
        )  # fmt: skip
    assert (ended.id in [live.id for live in store.live_jobs(stored.reader)]) is (not ended.ended)


def test_a_job_that_ended_meanwhile_is_not_moved_by_who_saw_it_before(stored):
    seen = store.job(stored.reader, stored.job.id)
    how = End(state=JobState.CANCELLED, reason=JobReason.CANCELLED)
    stored.write(store.end_job, stored.now, seen, how)
    with pytest.raises(WrongState):
        stored.write(store.move_job, stored.now, seen, JobState.RUNNING)
    with pytest.raises(WrongState):
        stored.write(store.end_job, stored.now, seen, replace(how, state=JobState.FAILED))
    assert store.job(stored.reader, seen.id).state is JobState.CANCELLED


# -- runs and their output


def test_a_run_comes_back_as_it_was_stored(stored, make):
    run = make.run(
        "x", **stored.own, state=RunState.EXITED, rank=2, exit_code=7, reason="r", output="ab", started_at=stored.now,
        ended_at=stored.now,
    )  # fmt: skip
    stored.write(store.save_run, stored.now, run, machine_id="mac_kauri")
    assert store.run(stored.reader, "run_x") == run
    assert run in store.runs_of_job(stored.reader, stored.job.id)
    assert run in store.runs_of_lease(stored.reader, stored.run.lease_id)
    (event,) = [event for event in stored.events() if event.subject == "run_x"]
    assert (event.kind, event.data["machine_id"], event.data["exit_code"]) == (
        "run.exited",
        "mac_kauri",
        7,
    )


@pytest.mark.parametrize("before, after", pairs(RunState))
def test_a_run_moves_along_the_table_with_its_event_or_not_at_all(stored, make, before, after):
    run = make.run("x", **stored.own, state=before)
    stored.write(store.save_run, stored.now, run, machine_id="mac_kauri")
    moves(
        stored, lambda tx: store.save_run(tx, stored.now, replace(run, state=after), machine_id="mac_kauri"),
        after in RUN_TRANSITIONS[before], lambda: store.run(stored.reader, run.id), after, f"run.{after}",
    )  # fmt: skip


def test_a_run_that_ended_stays_as_it_ended(stored):
    done = stored.write(
        store.save_run,
        stored.now,
        replace(stored.run, state=RunState.EXITED, exit_code=0),
        machine_id="m",
    )
    count = len(stored.events())
    stored.write(
        store.end_run, stored.now, done, RunState.LOST, machine_id="m", reason="machine_lost"
    )
    assert store.run(stored.reader, done.id) == done
    assert len(stored.events()) == count


def test_output_is_kept_once_in_order_up_to_its_limit(stored, monkeypatch):
    def add(offset, data):
        return stored.write(store.add_log, stored.run.id, offset, data)

    assert add(0, b"one ") == 4
    assert add(0, b"one ") == 4
    assert add(2, b"e two ") == 8
    assert add(99, b"gap") == 8
    assert add(-5, b"xxxxxone two ") == 8
    monkeypatch.setattr(store, "LOG_BYTES_MAX", 12)
    end = store.log_bytes(stored.reader, stored.run.id)
    add(end, b"much too long")
    assert store.log_bytes(stored.reader, stored.run.id) == 12
    assert store.read_log(stored.reader, stored.run.id, 4)[:4] == b"two "


# -- training


def test_a_training_run_its_rounds_and_its_islands_come_back_as_they_were_stored(stored, make):
    training = make.training(
        job_id=stored.job.id, deadline=stored.now, heldout_loss=2.5, tokens=7, sample="ä"
    )
    stored.write(store.save_training, training)
    assert store.training(stored.reader, stored.job.id) == training
    done = Round(
        job_id=stored.job.id, round=0, heldout_loss=None, islands=2, accepted=1, rejected=1, expired=0, tokens=9,
        seconds=1.5, bytes_up=1, bytes_down=2, bytes_data_parallel=3,
    )  # fmt: skip
    stored.write(store.save_round, stored.now, done)
    assert store.rounds(stored.reader, stored.job.id) == [done]
    assert stored.kinds()[-1] == "training.round"
    island = make.island(**stored.ids, steps_per_second=1.5)
    stored.write(store.save_island, island)
    assert store.islands(stored.reader, stored.job.id) == [island]
    assert store.island_of_lease(stored.reader, island.lease_id) == island
    assert store.training(stored.reader, "job_none") is None


def test_an_island_counts_while_its_lease_is_live(stored, make):
    stored.write(store.save_island, make.island(**stored.ids))
    state = LeaseState.CLOSED
    stored.write(lambda tx: tx.execute("UPDATE lease SET state = ?", (state,)))
    assert store.islands(stored.reader, stored.job.id) == []


@pytest.mark.parametrize("before, after", pairs(Phase))
def test_a_training_run_goes_along_the_table_with_its_event_or_not_at_all(
    stored, make, before, after
):
    at = make.training(job_id=stored.job.id, phase=before, round=3)
    stored.write(store.save_training, at)
    count = len(stored.events())
    if after in PHASE_TRANSITIONS[before]:
        stored.write(store.move_training, stored.now, at, replace(at, phase=after))
        assert store.training(stored.reader, stored.job.id).phase is after
        assert events_since(stored, count) == ["training.phase"]
    else:
        with pytest.raises(WrongState):
            stored.write(store.move_training, stored.now, at, replace(at, phase=after))
        assert store.training(stored.reader, stored.job.id) == at
        assert events_since(stored, count) == []


def test_a_step_from_a_phase_or_round_that_is_over_is_refused(stored, make):
    seen = make.training(job_id=stored.job.id, phase=Phase.TRAIN, round=3)
    stored.write(store.save_training, seen)
    stored.write(store.move_training, stored.now, seen, replace(seen, phase=Phase.EVALUATE))
    with pytest.raises(WrongState):
        stored.write(store.move_training, stored.now, seen, replace(seen, phase=Phase.EVALUATE))
    older = replace(seen, phase=Phase.EVALUATE, round=2)
    with pytest.raises(WrongState):
        stored.write(store.move_training, stored.now, older, replace(older, phase=Phase.TRAIN))
    none = replace(seen, job_id="job_none")
    with pytest.raises(WrongState):
        stored.write(store.move_training, stored.now, none, replace(none, phase=Phase.EVALUATE))
    assert store.training(stored.reader, stored.job.id).phase is Phase.EVALUATE


def test_bytes_counted_meanwhile_are_not_lost_by_a_step(stored, make):
    seen = make.training(job_id=stored.job.id, phase=Phase.TRAIN)
    stored.write(store.save_training, seen)
    stored.write(store.count_bytes_down, stored.job.id, 500)
    stored.write(store.move_training, stored.now, seen, replace(seen, phase=Phase.EVALUATE))
    assert store.training(stored.reader, stored.job.id).bytes_down == 500


# -- units


def test_a_unit_comes_back_as_it_was_stored(stored, make):
    loss = CandidateLoss(
        unit_id="u", heldout=1.0, assigned=2.0, assigned_before=3.0, unassigned=4.0, unassigned_before=5.0
    )  # fmt: skip
    unit = make.unit(
        "x", **stored.ids, kind=UnitKind.EVALUATE, candidates=[Candidate(unit_id="u", delta="d", shards=("s",))],
        result=UnitResult(heldout_loss=1.5, candidates=(loss,), sample="ä"), norm=1.0, cosine=-0.5,
    )  # fmt: skip
    stored.write(store.add_unit, stored.now, unit)
    assert store.unit(stored.reader, "unit_x") == unit
    assert store.units_of_job(stored.reader, stored.job.id) == [unit]
    assert store.units_of_round(stored.reader, stored.job.id, 0) == [unit]
    assert store.units_of_round(stored.reader, stored.job.id, 1) == []
    assert store.unit(stored.reader, "unit_none") is None
    assert stored.kinds("unit_x") == ["unit.assigned"]


@pytest.mark.parametrize("before, after", pairs(UnitState))
def test_a_unit_moves_along_the_table_with_its_event_or_not_at_all(stored, make, before, after):
    unit = make.unit("x", **stored.ids, state=before)
    stored.write(store.add_unit, stored.now, unit)
    moves(
        stored, lambda tx: store.move_unit(tx, stored.now, unit, after), after in UNIT_TRANSITIONS[before],
        lambda: store.unit(stored.reader, unit.id), after, f"unit.{after}",
    )  # fmt: skip


def test_a_unit_that_moved_meanwhile_is_not_moved_by_who_saw_it_before(stored, make):
    seen = make.unit("x", **stored.ids)
    stored.write(store.add_unit, stored.now, seen)
    stored.write(store.move_unit, stored.now, seen, UnitState.EXPIRED)
    with pytest.raises(WrongState):
        stored.write(store.move_unit, stored.now, seen, UnitState.DELIVERED)
    assert store.unit(stored.reader, seen.id).state is UnitState.EXPIRED


def test_units_are_found_while_they_are_assigned_and_when_they_are_overdue(stored, make):
    unit = make.unit("x", **stored.ids, expires_at=stored.now + 10)
    stored.write(store.add_unit, stored.now, unit)
    assert store.units_assigned_to(stored.reader, unit.lease_id) == [unit]
    assert store.overdue_units(stored.reader, stored.now + 9.999) == []
    assert store.overdue_units(stored.reader, stored.now + 10) == [unit]
    stored.write(store.move_unit, stored.now, unit, UnitState.DELIVERED)
    assert store.units_assigned_to(stored.reader, unit.lease_id) == []
    assert store.overdue_units(stored.reader, stored.now + 10) == []


def test_what_failed_leaves_neither_a_change_nor_an_event(stored, make):
    count = len(stored.events())
    unit = make.unit("x", **stored.ids)

    def half(tx):
        store.add_unit(tx, stored.now, unit)
        raise ValueError("the power went")

    with pytest.raises(ValueError, match="power"):
        stored.write(half)
    assert store.unit(stored.reader, unit.id) is None
    assert len(stored.events()) == count
