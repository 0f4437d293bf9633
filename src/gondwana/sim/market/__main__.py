"""`python -m gondwana.sim.market --seed N [--trace]`, or `--seeds FIRST:LAST`."""

import sys

from gondwana.sim.command import command, with_violations
from gondwana.sim.market.desk import quiet
from gondwana.sim.market.world import Outcome, run

MODULE = "gondwana.sim.market"


def line(outcome: Outcome) -> str:
    """One world in one line, with what does not hold."""
    text = f"seed {outcome.seed}: {outcome.launched} launches, {outcome.leases} leases, digest {outcome.digest}"
    return with_violations(text, outcome, MODULE)


if __name__ == "__main__":
    quiet()
    sys.exit(command(MODULE, run, line, lambda outcome: outcome.seen))
