"""`python -m gondwana.sim --seed N [--trace]`, or `--seeds FIRST:LAST`: play worlds and say what does not hold."""

import argparse
import sys
from collections import Counter

from gondwana.sim.world import Outcome, run


def main() -> int:
    """Exit code 1 when an invariant does not hold."""
    parser = argparse.ArgumentParser(prog="python -m gondwana.sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="play one world")
    parser.add_argument("--seeds", help="play the worlds FIRST:LAST, both included")
    parser.add_argument("--trace", action="store_true", help="show everything that happens")
    options = parser.parse_args()
    first, last = (int(part) for part in (options.seeds or "0:0").split(":"))
    seeds = [options.seed] if options.seed is not None else range(first, last + 1)
    failed, seen, ends = 0, Counter[str](), Counter[str]()
    for seed in seeds:
        outcome = run(seed, trace=_show if options.trace else None)
        failed += bool(outcome.violations)
        seen += outcome.seen
        ends += outcome.ends
        sys.stdout.write(f"{line(outcome)}\n")
    if len(seeds) > 1:
        sys.stdout.write(f"{failed} of {len(seeds)} worlds broke an invariant\n")
        for count in (ends, seen):
            sys.stdout.writelines(
                f"{number:8d}  {what}\n" for what, number in sorted(count.items())
            )
    return 1 if failed else 0


def line(outcome: Outcome) -> str:
    """One world in one line; a broken invariant is followed by the command that plays it again."""
    ends = ", ".join(f"{count} {what}" for what, count in sorted(outcome.ends.items())) or "no job"
    text = (
        f"seed {outcome.seed}: {outcome.events} events in {outcome.seconds:.0f} virtual seconds, {ends}, "
        f"digest {outcome.digest}"
    )
    for violation in outcome.violations:
        text += f"\n  {violation}"
    if outcome.violations:
        text += f"\n  again: python -m gondwana.sim --seed {outcome.seed} --trace"
    return text


def _show(at: float, text: str) -> None:
    sys.stdout.write(f"{at:10.3f}  {text}\n")


if __name__ == "__main__":
    sys.exit(main())
