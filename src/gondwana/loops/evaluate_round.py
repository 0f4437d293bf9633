"""Held-out evidence: who is asked about which deltas, and what follows from the answers. Two must agree to reject."""

from collections.abc import Sequence
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
            context.database.writer.call(rounds.reject_unit, now, unit, "not_finite")
    return bool(delivered)


def next_question(
    training: Training, train: Train, current: Sequence[Unit], everybody: Sequence[Island]
) -> tuple[Island, list[Unit]] | None:
    """Which machine to ask about which deltas next; None when all that can be asked has been."""
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
        island = rules.evaluator(everybody, [unit.machine_id or ""], spoke, seed)
        if island is not None:
            others = [
                one
                for one in open_questions
                if one.machine_id != island.machine_id and one.id not in said
            ]
            return island, [
                unit,
                *(one for one in others if one.id != unit.id),
            ] if unit.id not in said else [unit]
    measured = any(unit.state is UnitState.ACCEPTED for unit in asked)
    if measured or len(asked) >= rules.ATTEMPTS_MAX:
        return None
    island = rules.evaluator(everybody, [], [other.lease_id or "" for other in asked], seed)
    return (island, []) if island is not None else None


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
    loss = unit.result.heldout_loss if unit.result else None
    return loss is not None and isfinite(loss) and loss >= 0
