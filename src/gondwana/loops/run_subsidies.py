"""At each epoch's end a subsidy program gives what its machines' proven, idle time is short of; what it gave vests."""

import logging
from collections.abc import Callable
from typing import Any

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError
from gondwana.jobs.capacity import verified
from gondwana.jobs.context import Context
from gondwana.jobs.rules.capacity import CHECK_GAP_SECONDS_MAX
from gondwana.ledger import subsidies
from gondwana.ledger.programs import Epoch, EpochState, Program
from gondwana.loops.each import write_each

WAIT_SECONDS = CHECK_GAP_SECONDS_MAX  # after an epoch's end: the check that proves its last minutes comes later

_log = logging.getLogger(__name__)


def run_subsidies(context: Context, now: Instant) -> int:
    """Returns how many epochs were funded or closed; one of each program in a pass, the oldest first."""
    reader = context.database.reader()
    done = 0
    for program in subsidies.programs(reader):
        number = subsidies.due_epoch(reader, program, Instant(now - WAIT_SECONDS))
        if number is not None:
            done += _go_on(_fund, context, now, program, number)
    for epoch in subsidies.open_epochs(reader):
        done += _go_on(_give_out, context, now, epoch)
    return done


def vest_subsidies(context: Context, now: Instant) -> int:
    """Returns how many owners were looked at."""
    owners = list(subsidies.owners_vesting(context.database.reader()))
    return write_each(context, subsidies.vest, [(now, owner) for owner in owners])


def _go_on(step: Callable[..., int], *given: Any) -> int:
    """What a step did; one that fails is left to the next pass, and other programs go on."""
    try:
        return step(*given)
    except GondwanaError as error:
        _log.warning("%s: %s", step.__name__, error)
    except Exception:
        _log.exception("%s failed", step.__name__)
    return 0


def _give_out(context: Context, now: Instant, epoch: Epoch) -> int:
    writer, key = context.database.writer, (epoch.program_id, epoch.number)
    if epoch.state is EpochState.FUNDED:
        while writer.call(subsidies.give, now, *key):
            pass
    writer.call(subsidies.close, now, *key)
    return 1


def _fund(context: Context, now: Instant, program: Program, number: int) -> int:
    since, until = program.epoch_begins(number), program.epoch_begins(number + 1)
    facts = verified(context.database.reader(), program.settings, since, until)
    context.database.writer.call(subsidies.fund, now, program, number, facts)
    return 1
