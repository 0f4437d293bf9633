"""What is kept of leases' service, on both databases: one breach from heartbeat to credit, and evidence that stays."""

import json

import pytest

from gondwana.core.clock import Instant
from gondwana.core.values import replace
from gondwana.db.errors import Denied
from gondwana.jobs import service, service_credits
from gondwana.jobs.report import heartbeat
from gondwana.jobs.rules import presence
from gondwana.jobs.rules.service import Gap
from gondwana.ledger.audit import audit
from gondwana.ledger.service import SlaClass
from gondwana.ledger.store import first_seq_at
from gondwana.loops.run import Reconcilers
from gondwana.market import store as market
from gondwana.policy.model import Scope
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire.agent import LeaseProof

STEP = 5.0


@pytest.fixture
def breached(database, make_world):
    """(world, lease): a datacentre's machine served for a minute and was lost."""
    world = make_world(database)
    world.join(sla=SlaClass.DATACENTRE)
    job = world.submit()
    world.reconcile()
    for step in range(36):
        world.clock.advance(STEP)
        if step < 12:
            (lease,) = market.leases_of_job(world.reader, job.id)
            proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
            world.write(heartbeat, world.now, lease.machine_id, (proof,))
        world.reconcilers.run(world.now)
    return world, market.lease(world.reader, lease.id)


def test_a_breach_is_credited_with_its_evidence(breached):
    world, lease = breached
    (credit,) = service_credits.credits_of_lease(world.reader, lease.id)
    facts = json.loads(credit.evidence)
    assert facts["proven_ms"] == lease.proven_ms == 60_000
    assert facts["charged_micro_usd"] == 60_000
    assert credit.amount_micro_usd == 58_200 == credit.from_holdback_micro_usd  # all that he got
    assert service_credits.credited_micro_usd(world.reader, lease.id) == 58_200
    assert service_credits.open_claims_micro_usd(world.reader) >= 0
    assert service_credits.paid_in_micro_usd(world.reader, world.owner) == 1_200
    assert audit(world.reader).ok


def test_evidence_can_neither_be_changed_nor_deleted(breached):
    world, _ = breached
    for sql in ("UPDATE sla_evidence SET hash = ''", "DELETE FROM sla_evidence"):
        with pytest.raises(Denied):
            world.write(lambda tx, sql=sql: tx.execute(sql))


def test_a_pass_after_a_restart_finds_the_same(breached):
    world, lease = breached
    before = service.rows(world.reader, lease.id)
    Reconcilers(world.context).run(world.now)
    assert service.rows(world.reader, lease.id) == before


def test_gaps_are_kept_and_those_long_over_are_not_read(breached):
    world, _ = breached
    known = service.known(world.reader)
    assert known.gaps == ()
    assert world.now - known.until <= STEP
    later = Instant(world.now + 100)
    heard = service.heard(world.reader, later)
    assert world.write(service.look, later, heard, Instant(0.0), 15.0) == Gap(
        since=known.until, until=Instant(world.now + 160)
    )
    assert len(service.known(world.reader).gaps) == 1
    assert service.known(world.reader, since=Instant(world.now + 160)).gaps == ()


def test_what_the_escrow_gave_back_was_not_paid(breached):
    world, lease = breached
    assert service.paid_micro_usd(world.reader, lease) == 60_000


def test_what_an_escrow_paid_since_a_transfer_leaves_out_what_went_back(breached):
    world, lease = breached
    params = {"escrow": f"lease:{lease.id}:escrow", "first": 1}
    assert world.reader.one(service.SQL.paid_since, params)["amount"] == 60_000
    later = {**params, "first": first_seq_at(world.reader, Instant(world.now + 1))}
    assert world.reader.one(service.SQL.paid_since, later)["amount"] == 0


@pytest.mark.parametrize("state", MachineState)
def test_a_machine_is_heard_in_whatever_state_it_is(breached, state):
    world, _ = breached
    machine = world.machine()
    later = Instant(world.now + 5)
    world.write(supply.save, replace(machine, state=state, proven_at=later))
    assert service.heard(world.reader, later) == presence.Heard(at=later, owners=1)


def test_two_owners_are_heard_and_no_more_are_counted(breached):
    world, _ = breached
    for number in range(3):
        world.join(f"rimu{number}", owner_id=world.principal(f"owner{number}", Scope.PROVIDER))
    assert service.heard(world.reader, world.now).owners == 2
    assert (
        service.heard(world.reader, Instant(world.now + 1_000)).owners == 2
    )  # as of the last proof
