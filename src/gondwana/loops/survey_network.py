"""Machines of one owner that may stand together are measured against each other, and sites follow what was measured."""

from itertools import pairwise
from typing import Final

from gondwana.core.clock import Instant
from gondwana.jobs import network as jobs_network
from gondwana.jobs.context import Context
from gondwana.supply import network

FRESH_SECONDS: Final = 6 * 3_600  # after which a link is measured again
PAIRS_ASKED_MAX: Final = 128  # in one pass


def survey_network(context: Context, now: Instant) -> int:
    """Returns how many links are being measured or machines moved to another site."""
    asked = context.probes.ask(_wanted(context, now), now)
    return asked + _settle(context, now)


def _wanted(context: Context, now: Instant) -> list[tuple[str, str]]:
    """Neighbours whose link is not known, or not any more: each with the next one, so that a site hangs together."""
    reader, found = context.database.reader(), list[tuple[str, str]]()
    for group in context.probes.neighbours():
        known = {
            (str(pair.low_id), str(pair.high_id))
            for pair in network.pairs_among(reader, group)
            if now - pair.measured_at < FRESH_SECONDS
        }
        found += [pair for pair in pairwise(group) if pair not in known]
        if len(found) >= PAIRS_ASKED_MAX:
            break
    return found[:PAIRS_ASKED_MAX]


def _settle(context: Context, now: Instant) -> int:
    newest = network.newest_pair_at(context.database.reader())
    if newest is None or newest <= context.probes.settled_until:
        return 0
    moved = context.database.writer.call(jobs_network.settle_sites, now)
    context.probes.settled_until = newest
    return moved


def forget_links(context: Context, now: Instant) -> int:
    """Forget links that were measured too long ago; returns how many."""
    return context.database.writer.call(network.forget_old_pairs, now)
