"""What is kept of the numbers a machine tells of its work: always finite, always bounded, only what was asked; pure.

A machine's agent is its owner's program, so it may say anything; whoever reads a stored result relies on this.
"""

from math import isfinite
from typing import Final

from gondwana.core.values import replace
from gondwana.wire.units import CandidateLoss, UnitKind, UnitResult, UnitSpec

LOSS_MAX: Final = 1e9  # stands for a loss that is no number: as bad as can be
TOKENS_MAX: Final = 2**40  # of one unit; sums over a whole run still fit the database
STEPS_MAX: Final = 2**31
SECONDS_MIN: Final = 1e-3  # so that no rate reckoned from it is infinite
SECONDS_MAX: Final = 1e7
REASON_CHARS_MAX: Final = 500
EXIT_CODE_MAX: Final = 255


def bounded(result: UnitResult, spec: UnitSpec, *, seconds_max: float = SECONDS_MAX) -> UnitResult:
    """The result as it may be stored and reckoned with; nothing took longer than the `seconds_max` there were.

    A training unit does the steps it was asked for, whatever its machine says.
    """
    train = spec.kind is UnitKind.TRAIN
    asked = {candidate.unit_id for candidate in spec.candidates}
    answers = {loss.unit_id: loss for loss in reversed(result.candidates) if loss.unit_id in asked}
    return UnitResult(
        tokens=min(max(result.tokens, 0), TOKENS_MAX),
        steps=spec.inner_steps if train else min(max(result.steps, 0), STEPS_MAX),
        seconds=min(_seconds(result.seconds), max(seconds_max, SECONDS_MIN)),
        loss_first=_loss_or_none(result.loss_first),
        loss_last=_loss_or_none(result.loss_last),
        heldout_loss=_loss_or_none(result.heldout_loss),
        candidates=tuple(_finite(answers[unit_id]) for unit_id in sorted(answers)),
        sample=result.sample[: spec.sample_chars],
    )


def exit_code(told: int | None) -> int | None:
    """An exit code as a shell would show it; what cannot be one is the highest."""
    return told if told is None or 0 <= told <= EXIT_CODE_MAX else EXIT_CODE_MAX


def _seconds(told: float) -> float:
    return min(max(told, SECONDS_MIN), SECONDS_MAX) if isfinite(told) and told > 0 else 0.0


def _loss_or_none(loss: float | None) -> float | None:
    return None if loss is None or not isfinite(loss) else min(loss, LOSS_MAX)


def _finite(losses: CandidateLoss) -> CandidateLoss:
    return replace(
        losses,
        heldout=_loss(losses.heldout),
        assigned=_loss(losses.assigned),
        assigned_before=_loss(losses.assigned_before),
        unassigned=_loss(losses.unassigned),
        unassigned_before=_loss(losses.unassigned_before),
    )


def _loss(loss: float) -> float:
    return min(loss, LOSS_MAX) if isfinite(loss) else LOSS_MAX
