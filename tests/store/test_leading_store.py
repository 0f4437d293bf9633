"""A control plane that takes over begins where the one before left off, whatever its own clock shows."""

from gondwana.core.clock import ContinuedClock, ManualClock
from gondwana.jobs.leading import left_off
from gondwana.jobs.report import heartbeat


def test_nothing_was_left_off_where_nothing_ever_happened(database):
    assert left_off(database.reader()) == 0.0


def test_time_goes_on_from_the_last_that_was_written_of_events_or_machines(
    make_database, make_world
):
    world = make_world(make_database())
    world.join("kauri")
    assert left_off(world.reader) == world.now
    world.clock.advance(40.0)
    world.write(heartbeat, world.now, "mac_kauri", ())
    assert left_off(world.reader) == world.now
    world.clock.advance(40.0)
    world.submit()
    clock = ContinuedClock(ManualClock(world.now - 290.0), left_off(world.reader))
    assert clock.now() == world.now
