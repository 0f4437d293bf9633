from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.agent import core
from gondwana.agent.core import AgentCore
from gondwana.wire import agent as wire
from gondwana.wire.units import UnitResult


def new_core():
    return AgentCore("mac_a", lambda claim: b"signed:" + claim)


def run_duty(run_id):
    return wire.RunDuty(
        run_id=run_id, setup="", run="true", environment={}, workdir=None, file_mounts={}, seconds_max=1.0
    )  # fmt: skip


def duty(make, lease_id="lea_a", *, epoch=1, run=None, units=()):
    return wire.LeaseDuty(
        lease_id=lease_id, epoch=epoch, job_id="job_a", own=False, run=run_duty(run) if run else None,
        units=tuple(make.unit_spec(name) for name in units),
    )  # fmt: skip


def desired(number, *duties):
    return wire.Desired(number=number, leases=duties)


@dataclass
class Machine:
    """Does what it is told, and notices what makes no sense."""

    leases: dict = field(default_factory=dict)  # lease id -> epoch
    runs: dict = field(default_factory=dict)  # lease id -> run ids
    units: dict = field(default_factory=dict)  # lease id -> unit ids

    def act(self, actions):
        for action in actions:
            match action:
                case core.Serve(duty=told):
                    assert told.lease_id not in self.leases
                    self.leases[told.lease_id] = told.epoch
                    self.runs[told.lease_id], self.units[told.lease_id] = set(), set()
                case core.StopLease(lease_id=lease_id):
                    del self.leases[lease_id], self.runs[lease_id], self.units[lease_id]
                case core.StartRun(duty=told):
                    assert told.run.run_id not in self.runs[told.lease_id]
                    self.runs[told.lease_id].add(told.run.run_id)
                case core.StartUnit(lease_id=lease_id, unit=unit):
                    assert unit.id not in self.units[lease_id]
                    self.units[lease_id].add(unit.id)
                case core.StopUnit(lease_id=lease_id, unit_id=unit_id):
                    self.units[lease_id].remove(unit_id)


# -- converging

lease_ids = st.sampled_from(["lea_a", "lea_b", "lea_c"])
plans = st.dictionaries(
    lease_ids,
    st.tuples(
        st.integers(1, 2), st.none() | st.integers(1, 2), st.sets(st.integers(1, 3), max_size=3)
    ),
    max_size=3,
)


def to_duties(make, plan):
    return [
        duty(
            make, lease_id, epoch=epoch, run=run and f"run_{lease_id}_{run}",
            units=[f"{lease_id}_{n}" for n in sorted(units)],
        )
        for lease_id, (epoch, run, units) in plan.items()
    ]  # fmt: skip


@settings(max_examples=500)
@given(st.lists(plans, min_size=1, max_size=6), st.data())
def test_whatever_order_messages_come_in_it_ends_up_doing_what_the_newest_says(make, planned, data):
    messages = [desired(n, *to_duties(make, plan)) for n, plan in enumerate(planned, start=1)]
    repeats = data.draw(st.lists(st.sampled_from(messages), max_size=6))
    order = data.draw(st.permutations([*messages, *repeats]))
    agent, machine = new_core(), Machine()
    for message in order:
        machine.act(agent.desired(message))
    newest = {told.lease_id: told for told in messages[-1].leases}
    assert machine.leases == {lease_id: told.epoch for lease_id, told in newest.items()}
    assert set(agent.serving) == set(newest)
    for lease_id, told in newest.items():
        assert {unit.id for unit in told.units} == machine.units[lease_id]
        assert told.run is None or told.run.run_id in machine.runs[lease_id]
    assert agent.desired(messages[-1]) == []


def test_a_run_that_is_wanted_again_goes_on_and_is_not_begun_twice(make):
    agent = new_core()
    agent.desired(desired(1, duty(make, run="run_a")))
    assert agent.desired(desired(2, duty(make))) == []
    assert agent.desired(desired(3, duty(make, run="run_a"))) == []


def test_a_notice_is_told_once_with_the_time_that_is_left_by_the_control_planes_clock(make):
    agent = new_core()
    notice = wire.LeaseNotice(reason="reclaimed", ends_at=1_000.0)
    plain = duty(make, run="run_a")
    noticed = msgspec.structs.replace(plain, notice=notice)

    def told(number, now, what):
        return agent.desired(wire.Desired(number=number, leases=(what,), now=now))

    told(1, 100.0, plain)
    assert told(2, 400.0, noticed) == [
        core.Warn(lease_id="lea_a", notice=notice, seconds_left=600.0)
    ]
    assert told(3, 500.0, noticed) == []
    assert told(4, 600.0, plain) == [core.Warn(lease_id="lea_a", notice=None, seconds_left=0.0)]
    assert [type(each) for each in new_core().desired(desired(1, noticed))] == [
        core.Serve, core.Warn, core.StartRun,
    ]  # fmt: skip


def test_a_unit_that_was_done_is_not_begun_again_while_its_report_is_under_way(make):
    agent = new_core()
    agent.desired(desired(1, duty(make, units=["u"])))
    agent.report_unit("lea_a", "unit_u", output="ab")
    agent.connected()
    assert agent.desired(desired(1, duty(make, units=["u"]))) == []


def test_the_same_wish_again_starts_nothing_again(make):
    agent = new_core()
    told = [duty(make, run="run_a"), duty(make, "lea_b", units=["u"])]
    first = agent.desired(desired(1, *told))
    assert [type(action) for action in first] == [
        core.Serve, core.StartRun, core.Serve, core.StartUnit,
    ]  # fmt: skip
    assert agent.desired(desired(1, *told)) == []
    assert agent.desired(desired(2, *told)) == []


def test_an_older_message_changes_nothing(make):
    agent = new_core()
    agent.desired(desired(2, duty(make)))
    assert agent.desired(desired(1)) == []
    assert agent.serving == ("lea_a",)


def test_a_new_link_counts_from_one_again_and_starts_nothing_twice(make):
    agent = new_core()
    agent.desired(desired(7, duty(make, units=["u"])))
    agent.connected()
    assert agent.desired(desired(1, duty(make, units=["u"]))) == []
    assert agent.desired(desired(2)) == [core.StopLease(lease_id="lea_a")]


def test_a_lease_with_another_epoch_is_another_lease_and_its_work_begins_anew(make):
    agent, machine = new_core(), Machine()
    machine.act(agent.desired(desired(1, duty(make, run="run_a"))))
    actions = agent.desired(desired(2, duty(make, epoch=2, run="run_a")))
    assert [type(action) for action in actions] == [core.StopLease, core.Serve, core.StartRun]


def test_a_unit_that_nobody_wants_any_more_is_given_up_and_not_reported(make):
    agent = new_core()
    agent.desired(desired(1, duty(make, units=["u", "v"])))
    actions = agent.desired(desired(2, duty(make, units=["v"])))
    assert actions == [core.StopUnit(lease_id="lea_a", unit_id="unit_u")]
    assert agent.report_unit("lea_a", "unit_u", failure="late") is None
    assert agent.report_unit("lea_a", "unit_v", failure="ok") is not None


# -- heartbeats


def test_a_heartbeat_signs_the_nonce_and_every_lease_with_whether_its_worker_lives(make):
    agent = new_core()
    agent.desired(desired(1, duty(make, "lea_b", epoch=3), duty(make, "lea_a")))
    agent.set_alive("lea_b", alive=True)
    beat = agent.heartbeat(b"nonce")
    assert [(proof.lease_id, proof.epoch, proof.alive) for proof in beat.leases] == [
        ("lea_a", 1, False), ("lea_b", 3, True),
    ]  # fmt: skip
    assert beat.signature == b"signed:" + wire.heartbeat_claim("mac_a", b"nonce", beat.leases)


def test_a_lease_that_is_over_is_not_proven_and_not_alive_when_it_comes_again(make):
    agent = new_core()
    agent.desired(desired(1, duty(make)))
    agent.set_alive("lea_a", alive=True)
    agent.desired(desired(2))
    assert agent.heartbeat(b"n").leases == ()
    agent.desired(desired(3, duty(make)))
    assert [proof.alive for proof in agent.heartbeat(b"n").leases] == [False]


# -- reports


def test_reports_are_numbered_and_sent_again_in_order_until_acknowledged(make):
    agent = new_core()
    agent.desired(desired(1, duty(make, run="run_a", units=["u"])))
    sent = [
        agent.report_run("lea_a", "run_a", "running"),
        agent.report_log("lea_a", "run_a", 0, b"hello"),
        agent.report_unit("lea_a", "unit_u", output="ab", result=UnitResult(steps=1)),
        agent.report_run("lea_a", "run_a", "exited", exit_code=3, reason="r", output="cd"),
    ]
    assert [report.number for report in sent] == [1, 2, 3, 4]
    assert all((report.lease_id, report.epoch) == ("lea_a", 1) for report in sent)
    assert agent.connected() == sent
    agent.acknowledged(2)
    agent.acknowledged(2)
    agent.acknowledged(99)
    assert agent.connected() == [sent[0], *sent[2:]]
    assert agent.unreported == 3


def test_a_delivery_is_signed_over_what_was_delivered_for_which_lease(make):
    agent = new_core()
    agent.desired(desired(1, duty(make, epoch=5, units=["u"])))
    report = agent.report_unit("lea_a", "unit_u", output="ab")
    assert report.signature == b"signed:" + wire.unit_claim("unit_u", "lea_a", 5, "ab")


def test_a_unit_is_reported_once(make):
    agent = new_core()
    agent.desired(desired(1, duty(make, units=["u"])))
    assert agent.report_unit("lea_a", "unit_u", failure="x") is not None
    assert agent.report_unit("lea_a", "unit_u", failure="x") is None


@pytest.mark.parametrize("known", [True, False])
def test_nothing_is_reported_for_a_lease_that_is_gone(make, known):
    agent = new_core()
    if known:
        agent.desired(desired(1, duty(make, run="run_a", units=["u"])))
        agent.report_log("lea_a", "run_a", 0, b"x")
        agent.desired(desired(2))
    assert agent.report_run("lea_a", "run_a", "running") is None
    assert agent.report_log("lea_a", "run_a", 0, b"x") is None
    assert agent.report_unit("lea_a", "unit_u", failure="x") is None
    assert agent.unreported == 0


@given(
    st.lists(st.sampled_from(["run", "log", "unit", "ack", "link", "gone", "back"]), max_size=40)
)
def test_what_was_reported_and_not_acknowledged_is_never_forgotten_while_its_lease_lives(
    make, steps
):
    agent, number, kept, units = new_core(), 0, {}, 0
    serving = False
    for step in steps:
        report = None
        match step:
            case "gone" | "back":
                serving, number = step == "back", number + 1
                wanted = [duty(make, run="run_a", units=[f"{units}"])] if serving else []
                agent.desired(desired(number, *wanted))
                kept = kept if serving else {}
            case "link":
                assert agent.connected() == list(kept.values())
                number = 0
            case "ack" if kept:
                first = next(iter(kept))
                agent.acknowledged(first)
                del kept[first]
            case "run":
                report = agent.report_run("lea_a", "run_a", "running")
            case "log":
                report = agent.report_log("lea_a", "run_a", 0, b"x")
            case "unit":
                report, units = agent.report_unit("lea_a", f"unit_{units}"), units + 1
        assert serving or report is None
        if report is not None:
            kept[report.number] = report
    assert agent.connected() == list(kept.values())
