"""How far plans were off: what was predicted at launch against what became of it, job by job and per bucket."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

JOBS_MAX: Final = 10_000  # looked at for one table, the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was told of a job when it was launched."""

    bucket: str  # the model that it was to run on; "mixed" for several
    basis: str
    machines: int
    seconds: float
    cost_micro_usd: int
    step_seconds: float | None = None
    utilisation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What became of it, once it has ended."""

    machines: int
    seconds: float
    cost_micro_usd: int
    step_seconds: float | None = None
    succeeded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Actual over predicted of several jobs: 1.0 is right, 2.0 took twice as much."""

    jobs: int
    median: float
    low: float  # nine tenths of the jobs are above
    high: float  # nine tenths of the jobs are below
    within_quarter: float  # the part of them that was off by at most a quarter


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """One bucket and basis: how many jobs ended well, and how far off their plans were."""

    bucket: str
    basis: str
    jobs: int
    seconds: Spread | None
    cost: Spread | None
    step_seconds: Spread | None


def ratio(actual: float | None, expected: float | None) -> float | None:
    """Actual over predicted; None where either is not known, or nothing was predicted."""
    return actual / expected if actual is not None and expected else None


def accuracies(jobs: Iterable[tuple[Expected, Actual]]) -> tuple[Accuracy, ...]:
    """Per bucket and basis, in order. A job that failed or was cancelled says nothing of the model."""
    found: dict[tuple[str, str], list[tuple[Expected, Actual]]] = {}
    for expected, actual in jobs:
        if actual.succeeded:
            found.setdefault((expected.bucket, expected.basis), []).append((expected, actual))
    return tuple(
        Accuracy(
            bucket=bucket,
            basis=basis,
            jobs=len(pairs),
            seconds=_spread([ratio(a.seconds, e.seconds) for e, a in pairs]),
            cost=_spread([ratio(a.cost_micro_usd, e.cost_micro_usd) for e, a in pairs]),
            step_seconds=_spread([ratio(a.step_seconds, e.step_seconds) for e, a in pairs]),
        )
        for (bucket, basis), pairs in sorted(found.items())
    )


def _spread(ratios: Sequence[float | None]) -> Spread | None:
    known = sorted(each for each in ratios if each is not None)
    if not known:
        return None
    last = len(known) - 1
    return Spread(
        jobs=len(known),
        median=known[last // 2] if last % 2 == 0 else (known[last // 2] + known[last // 2 + 1]) / 2,
        low=known[last // 10],
        high=known[last - last // 10],
        within_quarter=sum(0.75 <= each <= 1.25 for each in known) / len(known),
    )
