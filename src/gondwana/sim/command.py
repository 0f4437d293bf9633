"""The command line of a simulation: play one world, or many, and say what does not hold."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeVar

Trace = Callable[[float, str], None]


class Outcome(Protocol):
    """What became of a world."""

    @property
    def seed(self) -> int:
        """Of the world."""
        ...

    @property
    def violations(self) -> tuple[str, ...]:
        """What does not hold."""
        ...


Played = TypeVar("Played", bound=Outcome, covariant=True)


class Play(Protocol[Played]):
    """How a world is played."""

    def __call__(self, seed: int, *, trace: Trace | None) -> Played:
        """What became of the world of this seed."""
        ...


def command(
    module: str,
    play: Play[Played],
    line: Callable[[Played], str],
    count: Callable[[Played], Counter[str]],
) -> int:
    """Exit code 1 when something does not hold. `line` tells of one world, `count` what happened in it."""
    prog = f"python -m {module}"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--seed", type=int, help="play one world")
    parser.add_argument("--seeds", help="play the worlds FIRST:LAST, both included")
    parser.add_argument("--trace", action="store_true", help="show everything that happens")
    options = parser.parse_args()
    first, last = (int(part) for part in (options.seeds or "0:0").split(":"))
    seeds = [options.seed] if options.seed is not None else range(first, last + 1)
    failed, seen = 0, Counter[str]()
    for seed in seeds:
        outcome = play(seed, trace=_show if options.trace else None)
        failed += bool(outcome.violations)
        seen += count(outcome)
        if outcome.violations or len(seeds) == 1:
            sys.stdout.write(f"{line(outcome)}\n")
    if len(seeds) > 1:
        sys.stdout.writelines(f"{number:8d}  {what}\n" for what, number in sorted(seen.items()))
        sys.stdout.write(f"{failed} of {len(seeds)} worlds broke something\n")
    return 1 if failed else 0


def with_violations(text: str, outcome: Outcome, module: str) -> str:
    """The line of a world; what does not hold is followed by the command that plays it again."""
    broken = "".join(f"\n  {violation}" for violation in outcome.violations)
    again = f"\n  again: python -m {module} --seed {outcome.seed} --trace" if broken else ""
    return text + broken + again


def _show(at: float, text: str) -> None:
    sys.stdout.write(f"{at:12.3f}  {text}\n")
