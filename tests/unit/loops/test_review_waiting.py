"""Jobs that wait cost the writer nothing."""

from gondwana.core.values import replace
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobState
from gondwana.loops.match_orders import match_orders


class Watched:
    """A database whose writes are counted."""

    def __init__(self, database):
        self._database, self.writer, self.reader = database, self, database.reader
        self.writes = 0

    def submit(self, *call):
        self.writes += 1
        return self._database.writer.submit(*call)


def test_orders_that_nothing_free_fits_do_not_trouble_the_writer(world, make):
    world.join()
    served, *waiting = [world.submit() for _ in range(20)]
    world.reconcile()
    watched = Watched(world.database)
    assert match_orders(replace(world.context, database=watched), world.now) == 0
    assert watched.writes == 0
    world.join("rimu")
    world.reconcile()
    states = [jobs.job(world.reader, job.id).state for job in (served, *waiting)]
    assert states.count(JobState.PROVISIONING) == 2
