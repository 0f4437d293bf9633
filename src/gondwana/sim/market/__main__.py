"""`python -m gondwana.sim.market --seed N [--trace]`, or `--seeds FIRST:LAST`."""

import argparse
import sys
from collections import Counter

from gondwana.sim.market.desk import quiet
from gondwana.sim.market.world import Outcome, run


def main() -> int:
    """Exit code 1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m gondwana.sim.market", description=__doc__)
    parser.add_argument("--seed", type=int, help="play one world")
    parser.add_argument("--seeds", help="play the worlds FIRST:LAST, both included")
    parser.add_argument("--trace", action="store_true", help="show everything that happens")
    options = parser.parse_args()
    quiet()
    first, last = (int(part) for part in (options.seeds or "0:0").split(":"))
    seeds = [options.seed] if options.seed is not None else range(first, last + 1)
    failed, seen = 0, Counter[str]()
    for seed in seeds:
        outcome = run(seed, trace=_show if options.trace else None)
        failed += bool(outcome.violations)
        seen += outcome.seen
        if outcome.violations or len(seeds) == 1:
            sys.stdout.write(f"{line(outcome)}\n")
    if len(seeds) > 1:
        sys.stdout.writelines(f"{number:8d}  {what}\n" for what, number in sorted(seen.items()))
        sys.stdout.write(f"{failed} of {len(seeds)} worlds broke something\n")
    return 1 if failed else 0


def line(outcome: Outcome) -> str:
    """One world in one line; what does not hold is followed by the command that plays it again."""
    text = f"seed {outcome.seed}: {outcome.launched} launches, {outcome.leases} leases, digest {outcome.digest}"
    for violation in outcome.violations:
        text += f"\n  {violation}"
    if outcome.violations:
        text += f"\n  again: python -m gondwana.sim.market --seed {outcome.seed} --trace"
    return text


def _show(at: float, text: str) -> None:
    sys.stdout.write(f"{at:12.3f}  {text}\n")


if __name__ == "__main__":
    sys.exit(main())
