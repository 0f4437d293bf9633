from types import SimpleNamespace

import pytest

from gondwana.api.link import Session, refusal
from gondwana.core.errors import (
    BadSignature,
    FundsTooLow,
    Invalid,
    NoSuchThing,
    Unavailable,
    WrongState,
)
from gondwana.jobs import store as jobs
from gondwana.jobs.model import JobState, RunState
from gondwana.market import store as market
from gondwana.supply import rules as supply_rules
from gondwana.supply import store as supply
from gondwana.supply.model import MachineState
from gondwana.wire import agent as wire
from gondwana.wire.machines import MachineSpeed


class Agent:
    """The other end: holds the key, answers what it is asked."""

    def __init__(self, world, name="kauri"):
        self.world, self.name, self.id = world, name, f"mac_{name}"
        self.session = Session(world.plane, "192.0.2.7")
        self.nonce = b""

    def sign(self, claim, key=None):
        return self.world.key(key or self.name).sign(claim)

    def hello(self, **changes):
        given = {"protocol": wire.PROTOCOL, "machine_id": self.id, "agent_version": "0"}
        (challenge,) = self.session.hello(wire.Hello(**{**given, **changes}))
        return challenge.nonce

    def connect(self):
        claim = wire.challenge_claim(self.id, self.hello())
        (welcome,) = self.session.answer(wire.ChallengeAnswer(signature=self.sign(claim)))
        self.nonce = welcome.nonce
        return welcome

    def beat(self, *proofs, nonce=None, key=None):
        claim = wire.heartbeat_claim(self.id, nonce or self.nonce, proofs)
        return wire.Heartbeat(signature=self.sign(claim, key), leases=proofs)

    def prove(self, *proofs):
        self.nonce = self.session.heartbeat(self.beat(*proofs)).nonce


@pytest.fixture
def linked(world):
    world.join()
    agent = Agent(world)
    agent.connect()
    return agent


def duties(agent):
    found = agent.session.desired()
    return found[0].leases if found else None


@pytest.fixture
def leased(world, linked):
    """A machine that serves a job's run."""
    job = world.submit()
    world.reconcile()
    (lease,) = market.leases_of_job(world.reader, job.id)
    (run,) = jobs.runs_of_job(world.reader, job.id)
    return SimpleNamespace(agent=linked, job=job, lease=lease, run=run)


# -- connecting


def test_a_machine_is_welcomed_when_it_signs_the_challenge(world):
    world.join()
    agent = Agent(world)
    welcome = agent.connect()
    assert agent.session.machine_id == "mac_kauri"
    assert welcome.heartbeat_seconds == world.context.heartbeat_seconds
    assert world.plane.machine_of_blob_token(welcome.blob_token) == "mac_kauri"
    assert world.machine().address == "192.0.2.7"
    assert "machine.connected" in world.kinds("mac_kauri")


def test_every_connection_gets_its_own_challenge_and_the_old_blob_token_is_gone(world):
    world.join()
    first, second = Agent(world), Agent(world)
    assert first.hello() != second.hello()
    one, two = Agent(world).connect(), Agent(world).connect()
    assert one.nonce != two.nonce
    assert world.plane.machine_of_blob_token(one.blob_token) is None
    assert world.plane.machine_of_blob_token(two.blob_token) == "mac_kauri"


def test_another_key_is_refused(world):
    world.join()
    agent = Agent(world)
    claim = wire.challenge_claim(agent.id, agent.hello())
    with pytest.raises(BadSignature):
        agent.session.answer(wire.ChallengeAnswer(signature=agent.sign(claim, key="stranger")))
    assert agent.session.machine_id is None
    assert "machine.connected" not in world.kinds("mac_kauri")


def test_a_recorded_answer_does_not_fit_another_connection(world):
    world.join()
    first = Agent(world)
    recorded = first.sign(wire.challenge_claim(first.id, first.hello()))
    again = Agent(world)
    again.hello()
    with pytest.raises(BadSignature):
        again.session.answer(wire.ChallengeAnswer(signature=recorded))


@pytest.mark.parametrize("signature", [b"", b"x", b"\x00" * 64, b"\xff" * 65])
def test_bytes_that_are_no_signature_are_refused(world, signature):
    world.join()
    agent = Agent(world)
    agent.hello()
    with pytest.raises(BadSignature):
        agent.session.answer(wire.ChallengeAnswer(signature=signature))


def test_one_machines_answer_does_not_let_another_in(world):
    world.join("kauri")
    world.join("rimu")
    agent = Agent(world, "kauri")
    claim = wire.challenge_claim("mac_rimu", agent.hello())
    with pytest.raises(BadSignature):
        agent.session.answer(wire.ChallengeAnswer(signature=agent.sign(claim, key="rimu")))


def test_another_protocol_is_refused_for_good_and_told_what_to_do(world):
    world.join()
    with pytest.raises(Invalid) as refused:
        Agent(world).hello(protocol=wire.PROTOCOL + 1)
    told = refusal(refused.value)
    assert told.final
    assert "pip install" in told.detail


def test_an_unknown_machine_is_refused_for_good(world):
    with pytest.raises(NoSuchThing) as refused:
        Agent(world).hello()
    assert refusal(refused.value).final


def test_a_machine_that_left_is_refused_for_good(world):
    world.write(supply.move, world.now, world.join(), MachineState.LEFT)
    with pytest.raises(WrongState) as refused:
        Agent(world).hello()
    assert refusal(refused.value).final


def test_a_wrong_signature_or_a_full_server_is_worth_another_try():
    assert not refusal(BadSignature()).final
    assert not refusal(Unavailable("busy")).final
    assert refusal(FundsTooLow()).code == FundsTooLow.code


@pytest.mark.parametrize(
    "first", [wire.Draining(), wire.Heartbeat(signature=b""), wire.ChallengeAnswer(signature=b"")]
)
def test_a_link_begins_with_hello(world, first):
    with pytest.raises(Invalid):
        Session(world.plane, "").hello(first)


def test_nothing_counts_before_the_challenge_is_answered(world):
    world.join()
    agent = Agent(world)
    agent.hello()
    with pytest.raises(Invalid):
        agent.session.answer(wire.Draining())
    for message in (wire.Heartbeat(signature=b""), wire.Draining()):
        with pytest.raises(BadSignature):
            agent.session.handle(message)
    with pytest.raises(BadSignature):
        agent.session.desired()


def test_a_link_does_not_begin_twice(linked):
    for message in (
        wire.Hello(protocol=1, machine_id="mac_kauri", agent_version="0"),
        wire.ChallengeAnswer(signature=b""),
    ):
        with pytest.raises(Invalid):
            linked.session.handle(message)


# -- states


@pytest.mark.parametrize("before", [MachineState.JOINING, MachineState.DOWN])
def test_a_machine_that_connects_is_probed_and_comes_up_with_its_facts(world, make, before):
    machine = world.join(up=before is MachineState.DOWN)
    if before is MachineState.DOWN:
        world.write(supply.move, world.now, machine, before)
    agent = Agent(world)
    agent.connect()
    assert world.machine().state is MachineState.PROBING
    speed = MachineSpeed(steps_per_second=3.0)
    facts = wire.Facts(inventory=make.inventory(cpus=2), speed=speed, isolation="sandbox")
    assert agent.session.handle(facts) == []
    found = world.machine()
    assert (found.state, found.speed, found.isolation) == (MachineState.UP, speed, "sandbox")
    assert found.proven_at == world.now


@pytest.mark.parametrize("state", [MachineState.SUSPENDED, MachineState.PAUSED])
def test_connecting_again_lifts_no_suspension_and_no_pause(world, make, state):
    world.write(supply.move, world.now, world.join(), state)
    agent = Agent(world)
    agent.connect()
    facts = wire.Facts(inventory=make.inventory(), speed=MachineSpeed(), isolation="sandbox")
    agent.session.handle(facts)
    assert world.machine().state is state


def test_an_agent_that_stops_takes_its_machine_off_the_market_and_brings_it_back(
    world, linked, make
):
    linked.session.handle(wire.Draining())
    assert world.machine().state is MachineState.DRAINING
    world.reconcile(1.0)
    found = world.machine()
    assert (found.state, found.reason) == (MachineState.DOWN, supply_rules.STOPPED)
    again = Agent(world)
    again.connect()
    facts = wire.Facts(inventory=make.inventory(), speed=MachineSpeed(), isolation="sandbox")
    again.session.handle(facts)
    assert world.machine().state is MachineState.UP


# -- heartbeats


def test_a_heartbeat_proves_life_once_it_is_written(world, linked):
    world.clock.advance(5.0)
    linked.prove()
    assert world.machine().proven_at != world.now
    world.plane.proofs.flush(world.database.writer)
    assert world.machine().proven_at == world.now


def test_a_heartbeat_over_leases_proves_their_time(world, leased):
    proof = wire.LeaseProof(lease_id=leased.lease.id, epoch=leased.lease.epoch, alive=True)
    for _ in range(3):
        world.clock.advance(5.0)
        leased.agent.prove(proof)
        world.plane.proofs.flush(world.database.writer)
    assert market.lease(world.reader, leased.lease.id).seconds_proven == 15


@pytest.mark.parametrize("wrong", [{"epoch": 99}, {"alive": False}, {"lease_id": "lea_other"}])
def test_a_proof_of_another_epoch_a_dead_worker_or_another_lease_proves_nothing(
    world, leased, wrong
):
    given = {"lease_id": leased.lease.id, "epoch": leased.lease.epoch, "alive": True}
    world.clock.advance(5.0)
    leased.agent.prove(wire.LeaseProof(**{**given, **wrong}))
    world.plane.proofs.flush(world.database.writer)
    assert market.lease(world.reader, leased.lease.id).proven_ms == 0


def test_a_replayed_heartbeat_is_refused(linked):
    recorded = linked.beat()
    linked.nonce = linked.session.heartbeat(recorded).nonce
    with pytest.raises(BadSignature):
        linked.session.heartbeat(recorded)


def test_a_heartbeat_of_another_link_of_the_same_machine_is_refused(world, linked):
    other = Agent(world)
    other.connect()
    with pytest.raises(BadSignature):
        other.session.heartbeat(linked.beat())


def test_leases_that_were_not_signed_for_are_refused(linked):
    signed = linked.beat(wire.LeaseProof(lease_id="lea_a", epoch=1, alive=False))
    forged = wire.Heartbeat(
        signature=signed.signature, leases=(wire.LeaseProof(lease_id="lea_a", epoch=1, alive=True),)
    )
    with pytest.raises(BadSignature):
        linked.session.heartbeat(forged)


def test_a_strangers_heartbeat_is_refused_and_the_nonce_still_stands(linked):
    with pytest.raises(BadSignature):
        linked.session.heartbeat(linked.beat(key="stranger"))
    linked.prove()


def test_each_heartbeat_gets_a_nonce_that_nobody_saw_before(linked):
    seen = set()
    for _ in range(50):
        linked.prove()
        seen.add(linked.nonce)
    assert len(seen) == 50


def test_the_newest_of_many_waiting_heartbeats_is_the_one_that_is_written(world, linked):
    for _ in range(3):
        world.clock.advance(1.0)
        linked.prove()
    world.plane.proofs.flush(world.database.writer)
    assert world.machine().proven_at == world.now
    assert world.plane.proofs.flush(world.database.writer) is None


# -- duties and reports


def test_what_should_run_is_told_once_and_again_when_it_changes(world, linked):
    assert duties(linked) == ()
    assert duties(linked) is None
    job = world.submit()
    world.reconcile()
    (told,) = duties(linked)
    assert (told.job_id, told.run.run) == (job.id, "echo hi")
    assert duties(linked) is None


def test_a_reservation_that_nobody_confirmed_is_no_duty(world, linked):
    job = world.submit()
    world.reserve(job, "mac_kauri")
    assert duties(linked) == ()


def report(leased, number=1, state="running", **changes):
    given = {
        "number": number,
        "run_id": leased.run.id,
        "lease_id": leased.lease.id,
        "epoch": leased.lease.epoch,
    }
    return wire.RunReport(**{**given, "state": state, **changes})


def test_a_run_is_reported_and_acknowledged_and_a_repeat_changes_nothing(world, leased):
    session = leased.agent.session
    for _ in range(2):
        assert session.handle(report(leased)) == [wire.Ack(number=1)]
    assert session.handle(report(leased, 2, "exited", exit_code=0)) == [wire.Ack(number=2)]
    assert session.handle(report(leased, 1)) == [wire.Ack(number=1)]
    assert jobs.run(world.reader, leased.run.id).state is RunState.EXITED
    world.reconcile()
    assert jobs.job(world.reader, leased.job.id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("wrong", [{"epoch": 99}, {"lease_id": "lea_x"}, {"run_id": "run_x"}])
def test_a_report_of_what_is_not_this_machines_is_acknowledged_and_changes_nothing(
    world, leased, wrong
):
    before = jobs.run(world.reader, leased.run.id)
    assert leased.agent.session.handle(report(leased, **wrong)) == [wire.Ack(number=1)]
    assert jobs.run(world.reader, leased.run.id) == before


def test_another_machine_cannot_speak_for_a_lease(world, leased):
    world.join("rimu")
    stranger = Agent(world, "rimu")
    stranger.connect()
    assert stranger.session.handle(report(leased)) == [wire.Ack(number=1)]
    assert jobs.run(world.reader, leased.run.id).state is RunState.ASSIGNED
    chunk = wire.LogChunk(
        number=2, run_id=leased.run.id, lease_id=leased.lease.id, epoch=1, offset=0, data=b"lies"
    )
    assert stranger.session.handle(chunk) == [wire.Ack(number=2)]
    assert jobs.log_bytes(world.reader, leased.run.id) == 0


def test_output_comes_in_pieces_and_each_is_kept_once(world, leased):
    def chunk(number, offset, data):
        return wire.LogChunk(
            number=number, run_id=leased.run.id, lease_id=leased.lease.id, epoch=1, offset=offset, data=data
        )  # fmt: skip

    for message in (
        chunk(1, 0, b"one "),
        chunk(1, 0, b"one "),
        chunk(2, 4, b"two "),
        chunk(3, 6, b"o three"),
    ):
        assert leased.agent.session.handle(message) == [wire.Ack(number=message.number)]
    assert jobs.read_log(world.reader, leased.run.id, 0) == b"one two three"
    assert jobs.read_log(world.reader, leased.run.id, 8) == b"three"


def test_a_state_that_does_not_exist_is_acknowledged_and_changes_nothing(world, leased):
    for state in ("", "lost", "stopped", "assigned", "nonsense"):
        assert leased.agent.session.handle(report(leased, state=state)) == [wire.Ack(number=1)]
        assert jobs.run(world.reader, leased.run.id).state is RunState.ASSIGNED


def test_a_failure_of_the_machine_sends_the_job_elsewhere(world, leased):
    told = report(leased, state="exited", reason="agent: OSError: no space left")
    leased.agent.session.handle(told)
    assert jobs.run(world.reader, leased.run.id).state is RunState.LOST
    world.join("rimu")
    world.reconcile()
    machines = [lease.machine_id for lease in market.leases_of_job(world.reader, leased.job.id)]
    assert machines == ["mac_kauri", "mac_rimu"]


def test_a_delivery_that_was_not_signed_for_is_refused(linked):
    told = wire.UnitReport(
        number=1, unit_id="unit_a", lease_id="lea_a", epoch=1, signature=b"x" * 64
    )
    with pytest.raises(BadSignature):
        linked.session.handle(told)
