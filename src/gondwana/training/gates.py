"""Which deltas may enter the merge: pure rules, numpy only.

Reject liars, then clip: clipping alone is no defence. Three rules look at the numbers (`judge`), one at measured
losses (`judge_evidence`). With few islands the round has few witnesses, so what was accepted before testifies too:
recent norms, and the last merged delta as one more direction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from gondwana.core.values import replace
from gondwana.training.manifest import Float32Array
from gondwana.wire.units import CandidateLoss


class Reason(StrEnum):
    """Why a delta was accepted or rejected."""

    ACCEPTED = "accepted"  # every rule that could be applied holds
    MALFORMED = "malformed"  # not exactly an upload of this layout and codec, or not finite
    NO_WORK = "no_work"  # the delta is zero
    TOO_SMALL = "too_small"  # its norm is below norm_min × the reference median
    TOO_LARGE = "too_large"  # its norm is above norm_max × the reference median
    WRONG_DIRECTION = (
        "wrong_direction"  # its cosine with the coordinate median is not above cosine_min
    )
    HELDOUT_WORSE = "heldout_worse"  # held-out loss does not drop with it
    NOT_ITS_DATA = (
        "not_its_data"  # it helps on the data it was assigned less than on data nobody had
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """The bounds of the gates; the defaults rejected no honest delta in our lab (field notes)."""

    norm_min: float = 0.2
    norm_max: float = 3.0
    cosine_min: float = 0.0
    voters_min: int = 3  # with fewer witnesses the numbers prove nothing: ask for an evaluation
    coordinates_max: int = 1_000_000  # drawn after upload, so that nobody can prepare for them
    heldout_tolerance: float = (
        0.02  # relative rise; honest ones reach 0.015 after a jump of the rate
    )
    gain_tolerance: float = 0.002  # of the held-out loss; honest gaps are above zero: 0.0002 to 0.1
    gain_luck: float = 0.2  # of the gain on other data; early on, honest gaps fell to -0.05 of it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A decoded delta that asks to be merged."""

    unit_id: str
    delta: Float32Array
    lr_sum: float = 1.0  # `schedule.lr_sum` of the unit: norms are compared per unit of it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """What recent rounds testify: norms per lr_sum of accepted deltas, and the last merged delta."""

    norms: tuple[float, ...] = ()
    last_delta: Float32Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gates say of one delta."""

    unit_id: str
    accepted: bool
    reason: Reason
    norm: float = 0.0  # Euclidean
    cosine: float | None = (
        None  # with the coordinate median; None where there was nobody to compare with
    )
    needs_evaluation: bool = field(
        default=False
    )  # too few witnesses: merge only after `judge_evidence`


def judge(
    candidates: Sequence[Candidate],
    history: History,
    settings: GateSettings | None = None,
    *,
    seed: int = 0,
) -> list[Verdict]:
    """One verdict per candidate, in order; `seed` draws the coordinates where there are too many to use all."""
    settings = settings or GateSettings()
    norms = [norm(candidate.delta) for candidate in candidates]
    verdicts = _judge_norms(candidates, norms, history, settings)
    survivors = [index for index, verdict in enumerate(verdicts) if verdict.accepted]
    cosines = _cosines([candidates[index] for index in survivors], history, settings, seed)
    voters = len(survivors) + (history.last_delta is not None)
    for index, cosine in zip(survivors, cosines, strict=True):
        verdict = replace(verdicts[index], cosine=cosine)
        if voters < settings.voters_min:
            verdict = replace(verdict, needs_evaluation=True)
        elif cosine is not None and cosine <= settings.cosine_min:
            verdict = replace(
                verdict, accepted=False, reason=Reason.WRONG_DIRECTION, needs_evaluation=False
            )
        verdicts[index] = verdict
    return verdicts


def judge_evidence(
    losses: CandidateLoss, heldout_before: float, settings: GateSettings | None = None
) -> Reason:
    """ACCEPTED, or why another machine's measurement speaks against the delta.

    `heldout_before` is the evaluator's held-out loss of the published parameters.
    """
    settings = settings or GateSettings()  # comparisons are written so that NaN is rejected
    if not losses.heldout <= heldout_before * (1 + settings.heldout_tolerance):
        return Reason.HELDOUT_WORSE
    assigned_gain = losses.assigned_before - losses.assigned
    unassigned_gain = losses.unassigned_before - losses.unassigned
    luck = settings.gain_tolerance * heldout_before + settings.gain_luck * abs(unassigned_gain)
    if not assigned_gain >= unassigned_gain - luck:
        return Reason.NOT_ITS_DATA
    return Reason.ACCEPTED


def norm(delta: Float32Array) -> float:
    """The Euclidean norm, summed in fp64."""
    return float(np.sqrt(np.sum(np.square(delta, dtype=np.float64))))


def _judge_norms(
    candidates: Sequence[Candidate],
    norms: Sequence[float],
    history: History,
    settings: GateSettings,
) -> list[Verdict]:
    relative = [value / candidate.lr_sum for value, candidate in zip(norms, candidates, strict=True)]  # fmt: skip
    witnesses = [value for value in relative if 0 < value < np.inf] + list(history.norms)
    reference = float(np.median(witnesses)) if witnesses else 0.0
    known = len(witnesses) >= settings.voters_min
    verdicts: list[Verdict] = []
    for candidate, absolute, value in zip(candidates, norms, relative, strict=True):
        reason = _norm_reason(value, reference if known else None, settings)
        verdicts.append(Verdict(
            unit_id=candidate.unit_id, accepted=reason is Reason.ACCEPTED, reason=reason, norm=absolute,
            needs_evaluation=reason is Reason.ACCEPTED and not known,
        ))  # fmt: skip
    return verdicts


def _norm_reason(value: float, reference: float | None, settings: GateSettings) -> Reason:
    if not np.isfinite(value):
        return Reason.MALFORMED
    if value == 0.0:
        return Reason.NO_WORK
    if reference is None:
        return Reason.ACCEPTED
    if value < settings.norm_min * reference:
        return Reason.TOO_SMALL
    if value > settings.norm_max * reference:
        return Reason.TOO_LARGE
    return Reason.ACCEPTED


def _cosines(
    candidates: Sequence[Candidate], history: History, settings: GateSettings, seed: int
) -> list[float | None]:
    """Each candidate's cosine with the coordinate median of all, clipped to one norm; None without a second voice."""
    deltas = [candidate.delta for candidate in candidates]
    voices = deltas + ([history.last_delta] if history.last_delta is not None else [])
    if len(voices) < 2 or not deltas:
        return [None] * len(deltas)
    size = deltas[0].size
    chosen = slice(None) if size <= settings.coordinates_max else _draw(size, settings, seed)
    rows = np.stack([_unit_norm(voice[chosen]) for voice in voices])
    median = _unit_norm(np.median(rows, axis=0).astype(np.float32))
    return [float(np.dot(row, median)) for row in rows[: len(deltas)]]


def _draw(size: int, settings: GateSettings, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:  # fmt: skip
    generator = np.random.default_rng(seed)
    return np.unique(generator.integers(0, size, settings.coordinates_max))


def _unit_norm(vector: Float32Array) -> Float32Array:
    length = norm(vector)
    return vector / np.float32(length) if length > 0 else vector
