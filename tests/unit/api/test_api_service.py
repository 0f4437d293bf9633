"""A lease's service over HTTP, and the fund that anybody may look at."""

import urllib.request

import msgspec
import pytest

from gondwana.cli.main import run
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.jobs import service
from gondwana.jobs.report import heartbeat
from gondwana.ledger import rules, solvency
from gondwana.ledger.accounts import fund_insurance
from gondwana.ledger.store import post
from gondwana.market import store as market
from gondwana.policy import store as policy
from gondwana.policy.model import Scope
from gondwana.sdk import Client
from gondwana.wire.agent import LeaseProof


@pytest.fixture
def leased(served):
    """A lease of the client's own job, which lived for a moment."""
    world = served.world
    world.tenant = policy.principal_named(world.reader, "tenant").id
    world.join()
    job = world.submit()
    world.reconcilers.run(world.now)
    (lease,) = market.leases_of_job(world.reader, job.id)
    proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=True)
    world.write(heartbeat, world.now, lease.machine_id, (proof,))
    heard = service.heard(world.reader, world.now)
    world.write(service.look, world.now, heard, service.ALWAYS, 15.0)
    return lease


def stranger(served):
    _, token = served.world.write(
        policy.create_token, served.world.random, served.world.now, name="x", scopes=(Scope.TENANT,)
    )
    return Client(served.url, token)


def test_a_tenant_sees_what_was_promised_and_proven(served, leased):
    view = served.client.service.lease(leased.id)
    assert (view.lease, view.machine, view.sla) == (leased.id, "kauri", "home")
    (month,) = view.months
    assert abs(month.promised_ms - month.proven_ms) <= 10  # each rounds its own milliseconds
    assert (month.due_micro_usd, view.credits) == (0, ())


def test_a_lease_of_others_is_not_there(served, leased):
    with pytest.raises(NoSuchThing):
        stranger(served).service.lease(leased.id)


def test_anybody_sees_how_the_fund_stands_without_a_token(served):
    with urllib.request.urlopen(f"{served.url}/v1/ledger/solvency") as answer:
        assert msgspec.json.decode(answer.read())["fund_micro_usd"] == 0
    world = served.world
    world.write(post, rules.treasury_deposit("bank", 7, key="a"), world.now)
    world.write(post, rules.fund_deposit(fund_insurance(), 7, key="a"), world.now)
    made = solvency.report(world.reader, world.now, exposures={"a": 5}, open_claims_micro_usd=1)
    world.write(solvency.publish, made)
    view = served.client.service.solvency()
    assert (view.fund_micro_usd, view.required_micro_usd, view.open_claims_micro_usd) == (7, 5, 1)


def test_an_owner_promises_another_class_from_the_next_lease_on(served, leased, capsys):
    client = served.client
    world = served.world
    owner = policy.principal_named(world.reader, "tenant").id
    world.join("rimu", owner_id=owner)
    assert client.machines.set_sla("rimu", "datacentre").sla == "datacentre"
    assert next(o.sla for o in client.offers.list() if o.machine == "rimu") == "datacentre"
    with pytest.raises(InvalidValue):
        client.machines.set_sla("rimu", "always")
    assert client.machines.set_price("rimu", 7).sla == "datacentre"
    remote = ["--url", served.url, "--token", served.token]
    assert run(["provider", "sla", "rimu", "mixed", *remote]) == 0
    assert "rimu promises: mixed" in capsys.readouterr().out
    assert run(["offers", *remote]) == 0
    assert "mixed" in capsys.readouterr().out
