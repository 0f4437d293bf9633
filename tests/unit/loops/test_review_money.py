"""The smallest amounts."""

from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobState
from gondwana.ledger.accounts import tenant_available
from gondwana.ledger.store import balance


def test_a_short_job_on_a_cheap_machine_runs_although_its_price_rounds_to_nothing(world, make):
    world.join(price=100)  # $0.0001 an hour: 3 seconds are a twelfth of a micro-dollar
    job = world.submit(make.spec(seconds_max=3.0))
    world.reconcile()
    assert jobs.job(world.reader, job.id).state is JobState.PROVISIONING
    assert len(jobs.runs_of_job(world.reader, job.id)) == 1
    assert balance(world.reader, tenant_available(world.tenant)).available_micro_usd > 999_999_990
