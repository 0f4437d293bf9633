"""Credits come by themselves, within minutes, as the evidence says, out of the right pockets, and once."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from gondwana.api.views import job_view
from gondwana.cli.jobviews import show_job
from gondwana.core.clock import Instant, ManualClock
from gondwana.db.database import Database
from gondwana.db.settings import write_setting
from gondwana.jobs import end, service, service_credits
from gondwana.jobs import store as jobs
from gondwana.jobs.context import Context
from gondwana.jobs.model import JobReason, JobState
from gondwana.jobs.report import heartbeat, run_report
from gondwana.jobs.rules.batch import End
from gondwana.ledger import rules
from gondwana.ledger.accounts import (
    fund_insurance,
    provider_holdback,
    stake,
    tenant_available,
)
from gondwana.ledger.audit import audit
from gondwana.ledger.service import SlaClass
from gondwana.ledger.solvency import InsuranceSettings
from gondwana.ledger.statements import statement
from gondwana.ledger.store import balance, post
from gondwana.loops.credit_breaches import credit_breaches
from gondwana.loops.run import Reconcilers
from gondwana.market import store as market
from gondwana.market.model import CloseReason
from gondwana.policy.model import Scope
from gondwana.wire.agent import LeaseProof, RunReport

STEP = 5.0  # one heartbeat
PRICE = 3_600_000  # a tenth of a cent each second


class Network:
    """Machines that beat, and the passes between."""

    def __init__(self, world):
        self.world = world

    def beat(self, name):
        leases = market.live_leases_of_machine(self.world.reader, f"mac_{name}")
        proofs = tuple(
            LeaseProof(lease_id=each.id, epoch=each.epoch, alive=True) for each in leases
        )
        self.world.write(heartbeat, self.world.now, f"mac_{name}", proofs)

    def live(self, seconds, *names):
        """Let time pass in which these machines beat and the control plane runs."""
        for _ in range(round(seconds / STEP)):
            self.world.clock.advance(STEP)
            for name in names:
                self.beat(name)
            self.world.reconcilers.run(self.world.now)

    def away(self, seconds):
        """Let time pass in which no control plane runs; then a new one starts."""
        self.world.clock.advance(seconds)
        old = self.world.context
        self.world.context = Context(
            database=old.database, blobs=old.blobs, random=old.random, listening_since=self.world.now
        )  # fmt: skip
        self.world.reconcilers = Reconcilers(self.world.context)

    def has(self, account):
        return balance(self.world.reader, account).available_micro_usd

    def lease(self, job, number=0):
        return market.leases_of_job(self.world.reader, job.id)[number]

    def credits(self, job, number=0):
        return service_credits.credits_of_lease(self.world.reader, self.lease(job, number).id)

    def credited(self, job, number=0):
        return sum(each.amount_micro_usd for each in self.credits(job, number))

    def charged(self, job):
        return self.lease(job).seconds_proven * PRICE // 3600


@pytest.fixture
def network(world):
    return Network(world)


@pytest.fixture
def make_network(make_world):
    """A network whose clock begins where the test says."""
    opened = []

    def start(at):
        opened.append(Database.in_memory())
        return Network(make_world(opened[-1], clock=ManualClock(at)))

    yield start
    for database in opened:
        database.close()


def serve(network, make, *, sla=SlaClass.HOME, minutes=10, name="kauri", **spec):
    """A job that one machine has served for some minutes."""
    network.world.join(name, price=PRICE, sla=sla)
    job = network.world.submit(make.spec(**spec))
    network.world.reconcile()
    network.live(60 * minutes, name)
    return job


def give(world, entry):
    world.write(post, entry, world.now)


def insure(world, amount, *, trusted=0):
    """Money in the fund, and what the operator stands for of the owner's failures."""
    settings = InsuranceSettings(trusted_micro_usd={world.owner: trusted})
    world.write(write_setting, "insurance", settings, at=world.now)
    give(world, rules.treasury_deposit("bank", amount, key=str(amount)))
    give(world, rules.fund_deposit(fund_insurance(), amount, key=str(amount)))


# -- when and how much


def test_a_breach_is_credited_within_five_minutes_and_nobody_asks(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    before, since = network.has(tenant_available(network.world.tenant)), network.world.now
    while not network.credits(job):
        network.live(STEP)
        assert network.world.now - since <= 300
    (credit,) = network.credits(job)
    assert json.loads(credit.evidence)["charged_micro_usd"] == network.charged(job)
    event = next(e for e in network.world.events() if e.kind == "sla.credited")
    assert (event.subject, event.job_id) == (network.lease(job).id, job.id)
    assert event.data["machine"] == "kauri"
    assert event.data["amount_micro_usd"] == credit.amount_micro_usd
    assert event.data["evidence"] == credit.hash
    view = job_view(network.world.reader, jobs.job(network.world.reader, job.id))
    assert view.credited_micro_usd == credit.amount_micro_usd
    assert "machines were away" in show_job(view)
    assert network.has(tenant_available(network.world.tenant)) > before


def test_a_statement_says_which_machine_was_how_available_in_which_month(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    network.live(120)
    line = next(
        line for line in statement(network.world.reader, tenant_available(network.world.tenant))
        if line.entry_kind == "sla.credit"
    )  # fmt: skip
    assert line.text.startswith("Credit: kauri was available ")
    assert "% in 2027-01" in line.text
    assert line.subject == network.lease(job).id


def test_the_evidence_is_what_the_books_carry_the_hash_of(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    network.live(120)
    credit = network.credits(job)[-1]
    assert hashlib.blake2b(credit.evidence.encode(), digest_size=32).hexdigest() == credit.hash
    facts = json.loads(credit.evidence)
    assert facts["promised_ms"] == credit.live_ms + credit.unserved_ms
    stored = network.world.reader.all("SELECT facts FROM ledger_entry WHERE facts IS NOT NULL")
    assert any(credit.hash in row["facts"] for row in stored)


def test_a_datacentre_that_was_not_there_for_a_twentieth_gives_all_back(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    insure(network.world, 10_000_000, trusted=1_000_000)
    network.live(900)
    paid = network.credits(job)[-1]
    assert json.loads(paid.evidence)["availability_ppm"] < 950_000
    assert network.credited(job) == json.loads(paid.evidence)["charged_micro_usd"]


def test_a_mixed_machine_gives_three_tenths_back(network, make):
    job = serve(network, make, sla=SlaClass.MIXED)
    network.live(900)
    charged = json.loads(network.credits(job)[-1].evidence)["charged_micro_usd"]
    assert network.credited(job) == -(-charged * 3 // 10)


def test_a_home_machine_gives_the_price_of_the_missing_time_back(network, make):
    job = serve(network, make)  # ten minutes
    network.live(600)  # ten more without it, silence included
    network.world.write(cancel, network.world.now, job.id)
    network.live(120)
    facts = json.loads(network.credits(job)[-1].evidence)
    missing = facts["promised_ms"] - facts["proven_ms"]
    assert missing == pytest.approx(600_000, abs=STEP * 1000)
    assert network.credited(job) == -(-facts["charged_micro_usd"] * missing // facts["promised_ms"])


def cancel(tx, now, job_id):
    reason = End(state=JobState.CANCELLED, reason=JobReason.CANCELLED, exit_code=1)
    end.end_job(tx, now, jobs.job(tx, job_id), reason)


def test_the_unserved_time_ends_when_another_machine_serves(network, make):
    job = serve(network, make)
    network.world.join("rimu", price=PRICE)
    network.live(60, "rimu")  # kauri is silent: lost after 15 seconds, rimu takes over
    network.live(300, "rimu")
    first, second = network.lease(job, 0), network.lease(job, 1)
    assert (first.reason, second.machine_id) == (CloseReason.MACHINE_LOST, "mac_rimu")
    credit = network.credits(job)[-1]
    assert credit.unserved_ms <= 2 * STEP * 1000
    assert market.lease(network.world.reader, first.id).serviced_at is not None
    assert network.credits(job, 1) == []


def test_an_outage_that_goes_on_is_credited_in_steps_a_person_can_read(network, make):
    job = serve(network, make)
    network.live(1200)
    assert 4 <= len(network.credits(job)) <= 6


# -- what is no outage


def test_a_machine_that_never_misses_gives_nothing(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE, minutes=20)
    assert network.credits(job) == []
    network.world.write(cancel, network.world.now, job.id)
    network.live(120, "kauri")
    assert network.credits(job) == []
    assert network.lease(job).serviced_at is not None


def test_the_time_before_the_worker_lived_is_nobodys(network, make):
    network.world.join(price=PRICE, sla=SlaClass.DATACENTRE)
    job = network.world.submit(make.spec())
    network.world.reconcile()
    for _ in range(60):  # five minutes of fetching and setting up
        network.world.clock.advance(STEP)
        lease = network.lease(job)
        proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=False)
        network.world.write(heartbeat, network.world.now, "mac_kauri", (proof,))
        network.world.reconcilers.run(network.world.now)
    network.live(300, "kauri")
    assert network.credits(job) == []
    assert network.lease(job).lived_at == pytest.approx(network.world.now - 300, abs=STEP)


def test_a_node_that_is_done_before_the_others_owes_nothing_more(network, make):
    for name in ("kauri", "rimu"):
        network.world.join(name, price=PRICE, sla=SlaClass.DATACENTRE)
    job = network.world.submit(make.spec(num_nodes=2))
    network.world.reconcile()
    network.live(120, "kauri", "rimu")
    done = network.lease(job)
    run = jobs.runs_of_lease(network.world.reader, done.id)[0]
    report = RunReport(
        number=1, lease_id=done.id, epoch=done.epoch, run_id=run.id, state="exited", exit_code=0
    )
    network.world.write(run_report, network.world.now, done.machine_id, report)
    for _ in range(60):
        network.world.clock.advance(STEP)
        for lease in market.leases_of_job(network.world.reader, job.id, live=True):
            proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=lease.id != done.id)
            network.world.write(heartbeat, network.world.now, lease.machine_id, (proof,))
        network.world.reconcilers.run(network.world.now)
    assert network.credits(job, 0) == network.credits(job, 1) == []


def test_the_tenants_own_empty_account_is_no_outage(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    how = End(state=JobState.FAILED, reason=JobReason.FUNDS_GONE, exit_code=1)
    network.world.write(lambda tx: end.end_job(tx, network.world.now, job_in(tx, job), how))
    network.live(600)
    assert network.credits(job) == []
    assert network.lease(job).serviced_at is not None


def job_in(tx, job):
    return jobs.job(tx, job.id)


def test_the_control_planes_own_absence_is_charged_to_no_owner(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    network.away(1_800)
    network.live(600, "kauri")
    assert network.credits(job) == []
    lease = network.lease(job)
    assert lease.closed_at is None
    assert lease.seconds_proven < 1_300  # and none of it was paid


def test_a_machine_that_does_not_come_back_with_the_control_plane_is_missing_from_then_on(
    network, make
):
    job = serve(network, make)
    network.away(1_800)
    network.live(600)
    network.world.write(cancel, network.world.now, job.id)
    network.live(120)
    credit = network.credits(job)[-1]
    assert credit.excused_ms == pytest.approx(1_860_000, abs=20_000)
    facts = json.loads(credit.evidence)
    assert facts["promised_ms"] - facts["proven_ms"] == pytest.approx(540_000, abs=20_000)


def test_a_silence_of_everybody_is_the_networks_own(network, make):
    world, dear = network.world, 2 * PRICE
    job = serve(network, make, sla=SlaClass.DATACENTRE, price_cap_micro_usd_per_device_hour=PRICE)
    world.join("rimu", price=dear, owner_id=world.principal("another", Scope.PROVIDER))
    network.live(60, "kauri", "rimu")
    network.live(600)  # nobody is heard: our line
    assert network.credits(job) == []
    network.live(300, "rimu")  # kauri stays away when the others are back
    assert network.credits(job)
    assert network.credits(job)[-1].excused_ms > 550_000


def test_one_owners_silence_is_his_own_though_nobody_else_is_there(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    network.live(300)
    assert network.credited(job) > 0


# -- who pays


def test_holdback_pays_first_then_a_part_of_the_stake_then_the_fund(network, make):
    world = network.world
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    give(world, rules.stake_from_rail("bank", world.owner, amount_micro_usd=400_000, key="1"))
    insure(world, 10_000_000, trusted=1_000_000_000)
    left = network.has(provider_holdback(world.owner)) - 450_000
    give(world, rules.mature(world.owner, credited_before_window=left,
                             holdback=balance(world.reader, provider_holdback(world.owner))))  # fmt: skip
    network.live(300)
    given = network.credits(job)
    charged = json.loads(given[-1].evidence)["charged_micro_usd"]
    assert network.credited(job) == charged
    assert sum(c.from_stake_micro_usd for c in given) == 100_000  # a quarter of it
    assert network.has(provider_holdback(world.owner)) == 0
    held_back = sum(c.from_holdback_micro_usd for c in given)
    assert 450_000 <= held_back < 480_000
    assert sum(c.from_fund_micro_usd for c in given) == charged - held_back - 100_000
    assert network.has(stake(world.owner)) == 300_000


def empty(world):
    """The owner has taken all he earned."""
    held = balance(world.reader, provider_holdback(world.owner))
    entry = rules.mature(world.owner, credited_before_window=held.credits_posted, holdback=held)
    give(world, entry)


def test_a_stranger_without_money_is_covered_by_what_he_paid_in_and_no_more(network, make):
    world = network.world
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    network.live(20)  # lost: all is metered
    empty(world)
    insure(world, 10_000_000)
    network.live(600)
    (credit,) = network.credits(job)
    fees = json.loads(credit.evidence)["charged_micro_usd"] * 200 // 10_000
    assert (credit.from_fund_micro_usd, credit.from_holdback_micro_usd) == (fees, 0)


def test_claims_that_the_fund_cannot_pay_are_cut_alike_and_paid_later(network, make):
    world = network.world
    for name in ("kauri", "rimu"):
        world.join(name, price=PRICE, sla=SlaClass.DATACENTRE)
    found = [world.submit(make.spec()), world.submit(make.spec())]
    world.reconcile()
    network.live(600, "kauri", "rimu")
    world.reconcilers = Reconcilers(world.context)
    network.live(20)
    empty(world)
    insure(world, 600_000, trusted=1_000_000_000)  # half of what both are owed
    network.live(60)
    paid = [network.credited(job) for job in found]
    assert paid[0] == pytest.approx(paid[1], rel=0.02)
    assert sum(paid) == pytest.approx(600_000, rel=0.01)
    assert network.has(fund_insurance()) >= 0
    assert service_credits.open_claims_micro_usd(world.reader) > 0
    for job in found:
        world.write(cancel, world.now, job.id)
    insure(world, 5_000_000, trusted=1_000_000_000)
    network.live(300)
    for job in found:
        assert (
            network.credited(job)
            == json.loads(network.credits(job)[-1].evidence)["charged_micro_usd"]
        )
    assert service_credits.open_claims_micro_usd(world.reader) == 0


# -- once


def test_a_second_look_and_a_restart_change_nothing(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    network.live(300)
    world = network.world
    credited, events = network.credited(job), len(world.events())
    for _ in range(3):
        credit_breaches(world.context, world.now)
        world.reconcilers = Reconcilers(world.context)
        world.reconcilers.run(world.now)
    assert network.credited(job) == credited
    assert [e.kind for e in world.events()[events:] if e.kind == "sla.credited"] == []
    assert audit(world.reader).ok


def test_the_sum_does_not_depend_on_when_the_control_plane_was_started_anew(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    insure(network.world, 10_000_000, trusted=1_000_000)
    for _ in range(10):
        network.live(20)
        network.world.reconcilers = Reconcilers(network.world.context)
    network.live(600)
    charged = json.loads(network.credits(job)[-1].evidence)["charged_micro_usd"]
    assert network.credited(job) == charged


def test_a_settled_lease_is_never_looked_at_again(network, make):
    job = serve(network, make, sla=SlaClass.DATACENTRE)
    insure(network.world, 10_000_000, trusted=1_000_000)
    network.live(60)
    network.world.write(cancel, network.world.now, job.id)
    network.live(180)
    assert network.lease(job).serviced_at is not None
    assert list(service.suspects(network.world.reader, network.world.now)) == []


def test_a_lease_keeps_the_class_it_was_made_under(network, make):
    job = serve(network, make, sla=SlaClass.HOME)
    network.world.join(price=PRICE, sla=SlaClass.DATACENTRE, up=False)
    assert network.world.machine().sla is SlaClass.DATACENTRE
    assert network.lease(job).sla is SlaClass.HOME


# -- months


def at(*when):
    return Instant(datetime(*when, tzinfo=UTC).timestamp())


def test_each_month_is_credited_by_its_own_time_and_its_own_charge(make_network, make):
    network = make_network(at(2026, 11, 30, 23, 50))
    job = serve(network, make, sla=SlaClass.DATACENTRE, minutes=20)  # ten minutes in each month
    assert network.credits(job) == []
    rows = network.world.reader.all("SELECT * FROM service_month ORDER BY month")
    assert [row["month"] for row in rows] == ["2026-11", "2026-12"]
    assert rows[1]["proven_before_ms"] == pytest.approx(600_000, abs=STEP * 1000)
    assert rows[1]["paid_before_micro_usd"] == pytest.approx(590_000, abs=20_000)
    assert rows[0]["settled_at"] is not None
    network.live(600)
    assert {credit.month for credit in network.credits(job)} == {"2026-12"}
    facts = json.loads(network.credits(job)[-1].evidence)
    assert facts["charged_micro_usd"] == pytest.approx(600_000, abs=30_000)
    assert network.credited(job) == facts["charged_micro_usd"]
    assert audit(network.world.reader).ok


def test_an_outage_before_midnight_stays_in_the_old_month(make_network, make):
    network = make_network(at(2026, 11, 30, 23, 45))
    job = serve(network, make, sla=SlaClass.HOME, minutes=5)
    lease = network.lease(job)
    for _ in range(24):  # two minutes in which the worker is dead and the machine is not
        network.world.clock.advance(STEP)
        proof = LeaseProof(lease_id=lease.id, epoch=lease.epoch, alive=False)
        network.world.write(heartbeat, network.world.now, "mac_kauri", (proof,))
        network.world.reconcilers.run(network.world.now)
    network.live(1200, "kauri")
    assert {credit.month for credit in network.credits(job)} == {"2026-11"}
    facts = json.loads(network.credits(job)[-1].evidence)
    assert facts["promised_ms"] - facts["proven_ms"] == pytest.approx(120_000, abs=STEP * 1000)


def test_a_restart_over_midnight_blames_nobody(make_network, make):
    network = make_network(at(2026, 11, 30, 23, 50))
    job = serve(network, make, sla=SlaClass.DATACENTRE, minutes=5)
    network.away(600)
    network.live(600, "kauri")
    assert network.credits(job) == []
