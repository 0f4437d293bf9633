"""Held-out evidence: who is asked about which deltas, and what follows from the answers. Two must agree to reject."""

from collections.abc import Mapping, Sequence
from math import isfinite

from gondwana.core.clock import Instant
from gondwana.jobs import rounds
from gondwana.jobs.context import Context
from gondwana.jobs.model import Island, Training, Unit, UnitState
from gondwana.jobs.rounds import Judged
from gondwana.jobs.rules import rounds as rules
from gondwana.training import gates
from gondwana.wire.jobs import Train
from gondwana.wire.units import UnitKind

DOUBTS_TO_REJECT = 2  # one evaluator alone may be the liar
CANDIDATES_MAX = 8  # of one question: it has two minutes, and names the data of each


def accept_delivered(context: Context, current: Sequence[Unit], now: Instant) -> bool:
    """Pay for evaluations that were delivered and note whom they doubt; whether there were any."""
    delivered = [
        unit
        for unit in current
        if unit.kind is UnitKind.EVALUATE and unit.state is UnitState.DELIVERED
    ]
    for unit in delivered:
        if _is_sane(unit):
            context.database.writer.call(rounds.accept_evaluation, now, unit, _doubts(unit))
        else:
            context.database.writer.call(rounds.reject_unit, now, unit, "not_answered")
    return bool(delivered)


def next_question(
    training: Training, train: Train, current: Sequence[Unit], everybody: Sequence[Island],
    owners: Mapping[str, str],
) -> tuple[Island, list[Unit]] | None:  # fmt: skip
    """Which machine to ask about which deltas next; None when all that can be asked has been.

    `owners`: machine -> owner. Nobody judges what a machine of the same owner made, but where there is no other owner.
    """
    assert training.params is not None
    asked = [unit for unit in current if unit.kind is UnitKind.EVALUATE]
    deltas = [
        unit
        for unit in current
        if unit.kind is UnitKind.TRAIN and unit.state is UnitState.DELIVERED
    ]
    if not everybody or len(asked) >= rules.ATTEMPTS_MAX + len(deltas):
        return None
    said = {opinion.unit_id: opinion for opinion in opinions(current)}
    needed = [unit.id for unit in deltas if unit.verdict == "needs_evaluation"]
    drawn = rules.sampled(train, training.params.hash, [unit.id for unit in deltas], needed)
    open_questions = [
        unit
        for unit in deltas
        if (unit.id in drawn and unit.id not in said)
        or (unit.id in said and len(said[unit.id].doubts) == 1 and not said[unit.id].backing)
    ]
    seed = f"{training.params.hash} {len(asked)}"
    for unit in open_questions:
        spoke = [other.lease_id or "" for other in asked if unit.id in _asked(other)]
        island = rules.evaluator(everybody, _barred(unit, everybody, owners), spoke, seed)
        if island is not None:
            others = [
                one
                for one in open_questions
                if unit.id not in said
                and one.id not in said
                and one.id != unit.id
                and island.machine_id not in _barred(one, everybody, owners)
            ]
            return island, [unit, *others][:CANDIDATES_MAX]
    measured = any(unit.state is UnitState.ACCEPTED for unit in asked)
    if measured or len(asked) >= rules.ATTEMPTS_MAX:
        return None
    island = rules.evaluator(everybody, [], [other.lease_id or "" for other in asked], seed)
    return (island, []) if island is not None else None


def _barred(unit: Unit, everybody: Sequence[Island], owners: Mapping[str, str]) -> list[str]:
    """The machines that may not judge the unit."""
    maker = unit.machine_id or ""
    theirs = [
        island.machine_id for island in everybody if owners[island.machine_id] == owners[maker]
    ]
    return [maker] if len(theirs) == len(everybody) else [maker, *theirs]


def opinions(current: Sequence[Unit]) -> list[rules.Opinion]:
    """What the round's evaluators made of each delta they judged."""
    doubts: dict[str, list[str]] = {}
    backing: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for unit in current:
        if (
            unit.kind is not UnitKind.EVALUATE
            or unit.state is not UnitState.ACCEPTED
            or unit.result is None
        ):
            continue
        against = _doubts(unit)
        answered = _asked(unit) & {loss.unit_id for loss in unit.result.candidates}
        for unit_id in answered:
            (doubts if unit_id in against else backing).setdefault(unit_id, []).append(unit.id)
        reasons.update(against)
    return [
        rules.Opinion(
            unit_id=unit_id,
            doubts=tuple(doubts.get(unit_id, ())),
            backing=tuple(backing.get(unit_id, ())),
            reason=reasons.get(unit_id, ""),
        )
        for unit_id in sorted({*doubts, *backing})
    ]


def verdicts(deltas: Sequence[Unit], said: Sequence[rules.Opinion]) -> list[Judged]:
    """The last word on each delta: out if two evaluators doubt it, or one where the numbers alone prove nothing."""
    by_unit = {opinion.unit_id: opinion for opinion in said}
    judged: list[Judged] = []
    for unit in deltas:
        opinion = by_unit.get(unit.id)
        doubts = len(opinion.doubts) if opinion else 0
        enough = 1 if unit.verdict == "needs_evaluation" else DOUBTS_TO_REJECT
        refuted = doubts >= enough and not (opinion and opinion.backing)
        verdict = opinion.reason if refuted and opinion else "accepted"
        judged.append(Judged(unit=unit, accepted=not refuted, verdict=verdict))
    return judged


def _doubts(evaluation: Unit) -> dict[str, str]:
    """The units that an evaluation speaks against, with the reason; only such as it was asked about."""
    result = evaluation.result
    if result is None or result.heldout_loss is None:
        return {}
    asked = _asked(evaluation)
    reasons = {
        loss.unit_id: gates.judge_evidence(loss, result.heldout_loss)
        for loss in result.candidates
        if loss.unit_id in asked
    }
    return {
        unit_id: str(reason)
        for unit_id, reason in reasons.items()
        if reason is not gates.Reason.ACCEPTED
    }


def _asked(evaluation: Unit) -> set[str]:
    """The deltas it was asked about; what it says of others, such as its own, is not heard."""
    return {candidate.unit_id for candidate in evaluation.spec.candidates}


def _is_sane(unit: Unit) -> bool:
    """Whether it measured the parameters, and answered all that it was asked."""
    if unit.result is None or unit.result.heldout_loss is None:
        return False
    loss, answered = unit.result.heldout_loss, {one.unit_id for one in unit.result.candidates}
    return isfinite(loss) and loss >= 0 and _asked(unit) <= answered
