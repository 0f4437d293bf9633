"""The invariants can fail: each of these bugs, planted into the product, is caught within a few worlds."""

import itertools

import pytest

from gondwana.api.link import Session
from gondwana.core.values import replace
from gondwana.jobs import end, money, place, shelf, store
from gondwana.jobs.model import RunState
from gondwana.jobs.rules import batch
from gondwana.ledger import rules as ledger
from gondwana.market import rules as market
from gondwana.sim.world import run
from gondwana.supply import rules as supply
from gondwana.supply import store as supply_store
from gondwana.training import gates
from gondwana.wire import agent as wire

WORLDS_MAX = 60  # a bug that hides for longer is not caught

DEADLINE_SECONDS = 900.0  # who is still stuck by then stays so


def pay_twice(patch):
    """A unit is paid again, and each payment of an evaluation has an event of its own."""
    numbers, pay = itertools.count(), ledger.pay_evaluator

    def pay_again(terms, evaluation):
        entry = pay(terms, evaluation)
        return replace(entry, event_id=f"{entry.event_id}:{next(numbers)}")

    accept = money.accept_unit

    def accept_again(tx, now, unit, job):
        accept(tx, now, unit, job)
        accept(tx, now, unit, job)

    patch.setattr(ledger, "pay_evaluator", pay_again)
    patch.setattr(money, "accept_unit", accept_again)


def keep_holds(patch):
    """What was held for a unit that nobody is paid for stays held."""
    patch.setattr(money, "release_unit", lambda tx, now, unit, job, *, to: None)


def pay_for_nothing(patch):
    """A rejected unit is paid like an accepted one."""
    patch.setattr(
        money,
        "release_unit",
        lambda tx, now, unit, job, *, to: money.accept_unit(tx, now, unit, job),
    )


def accept_without_paying(patch):
    """A unit is accepted, and its hold is released."""
    release = money.release_unit
    patch.setattr(
        money, "accept_unit", lambda tx, now, unit, job: release(tx, now, unit, job, to=unit.state)
    )


def believe_every_report(patch):
    """A repeated or late report moves a run that has ended."""
    anything = dict.fromkeys(RunState, frozenset(RunState))
    patch.setattr(batch, "RUN_TRANSITIONS", anything)
    patch.setattr(store, "RUN_TRANSITIONS", anything, raising=False)


def keep_the_nonce(patch):
    """A recorded heartbeat counts again."""

    def heartbeat(self, message):
        nonce = self._nonce
        original(self, message)
        self._nonce = nonce
        return wire.Beat(nonce=nonce)

    original = Session.heartbeat
    patch.setattr(Session, "heartbeat", heartbeat)


def bill_every_gap(patch):
    """The time between two heartbeats is billed however far they are apart."""
    patch.setattr(market, "PROOF_GAP_SECONDS_MAX", 1e9)


def lease_what_is_taken(patch):
    """A machine's leased devices count as free."""

    def all_free(listed):
        return [replace(one, devices_free=one.devices) for one in listed]

    asked, kept, held = place.listings_of_asked, shelf.listings_of, supply_store.held
    patch.setattr(place, "listings_of_asked", lambda ids: asked(ids).then(all_free))
    patch.setattr(shelf, "listings_of", lambda reader, ids: all_free(kept(reader, ids)))
    patch.setattr(
        supply_store,
        "held",
        lambda reader, ids: {each: (epoch, 0) for each, (epoch, _) in held(reader, ids).items()},
    )


def forget_the_rest(patch):
    """What a closed lease did not use stays in its escrow."""
    patch.setattr(money, "close_lease", lambda tx, now, lease: None)


def leave_leases_open(patch):
    """A job ends without ending its leases."""
    ended = store.end_job
    patch.setattr(end, "end_job", lambda tx, now, job, how: ended(tx, now, job, how))


def forget_pauses(patch):
    """A machine that was silent comes back to the market although its owner paused it."""
    patch.setattr(supply, "state_on_silence", lambda machine: supply.MachineState.DOWN)


def launch_again(patch):
    """A call that is sent again after a crash happens again."""
    patch.setattr("gondwana.api.deps.idempotent", lambda tx, key, run, *, at: run(tx))


def trust_everybody(patch):
    """Every delta that can be decoded is merged."""

    def judge(candidates, history, settings=None, *, seed=0):
        return [
            gates.Verdict(unit_id=one.unit_id, accepted=True, reason=gates.Reason.ACCEPTED)
            for one in candidates
        ]

    patch.setattr(gates, "judge", judge)
    patch.setattr(gates, "judge_evidence", lambda *args, **kwargs: gates.Reason.ACCEPTED)


LOOK_FIRST = {"forget_pauses": 29, "bill_every_gap": 11, "launch_again": 5, "trust_everybody": 4}
"""The world in which a bug showed when this was written; it is looked for in all, from there on."""

MUTANTS = [
    (pay_twice, "was paid"),
    (keep_holds, "held"),
    (pay_for_nothing, "was paid"),
    (accept_without_paying, "was paid 0 instead of"),
    (believe_every_report, "went from"),
    (keep_the_nonce, "counted twice"),
    (bill_every_gap, "nobody proved"),
    (lease_what_is_taken, "leased twice"),
    (forget_the_rest, "escrow still has"),
    (leave_leases_open, "after its job ended"),
    (forget_pauses, "sells nothing"),
    (launch_again, "launches made"),
    (trust_everybody, "was accepted"),
]


@pytest.mark.parametrize("plant, symptom", MUTANTS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_planted_bug_is_caught(monkeypatch, record_property, plant, symptom):
    plant(monkeypatch)
    first = LOOK_FIRST.get(plant.__name__, 0)
    for seed in (*range(first, WORLDS_MAX), *range(first)):
        outcome = run(seed, deadline_seconds=DEADLINE_SECONDS)
        if any(symptom in violation for violation in outcome.violations):
            record_property("caught by seed", seed)
            return
    pytest.fail(f"{plant.__name__} went unnoticed in {WORLDS_MAX} worlds")
