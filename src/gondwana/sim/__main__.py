"""`python -m gondwana.sim --seed N [--trace]`, or `--seeds FIRST:LAST`: play worlds and say what does not hold."""

import sys

from gondwana.sim.command import command, with_violations
from gondwana.sim.world import Outcome, run

MODULE = "gondwana.sim"


def line(outcome: Outcome) -> str:
    """One world in one line, with what does not hold."""
    ends = ", ".join(f"{count} {what}" for what, count in sorted(outcome.ends.items())) or "no job"
    text = (
        f"seed {outcome.seed}: {outcome.events} events in {outcome.seconds:.0f} virtual seconds, {ends}, "
        f"digest {outcome.digest}"
    )
    return with_violations(text, outcome, MODULE)


if __name__ == "__main__":
    sys.exit(command(MODULE, run, line, lambda outcome: outcome.ends + outcome.seen))
