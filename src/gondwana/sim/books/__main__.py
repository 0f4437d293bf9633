"""`python -m gondwana.sim.books --seed N [--trace]`, or `--seeds FIRST:LAST`."""

import logging
import sys

from gondwana.sim.books.world import Outcome, run
from gondwana.sim.command import command, with_violations

MODULE = "gondwana.sim.books"


def line(outcome: Outcome) -> str:
    """One world in one line, with what does not hold."""
    entries = sum(outcome.kinds.values())
    text = f"seed {outcome.seed}: {outcome.requests} requests, {entries} entries, digest {outcome.digest}"
    return with_violations(text, outcome, MODULE)


if __name__ == "__main__":
    logging.getLogger("gondwana.db.batch").setLevel(logging.ERROR)  # every death is a warning
    sys.exit(command(MODULE, run, line, lambda outcome: outcome.seen + outcome.kinds))
