"""Learn from each lease and reservation that ends how far its machine can be relied on; filters and plans ask."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.jobs import service, undelivered
from gondwana.jobs.context import Context
from gondwana.jobs.service import Known
from gondwana.ledger.accounts import stake
from gondwana.ledger.store import balances
from gondwana.loops.each import parts
from gondwana.market import history, measures
from gondwana.market.calendar import store as calendar
from gondwana.supply import store as supply
from gondwana.supply.store import Rating

CHANGE_MIN: Final = 0.002  # of reliability: less is not worth a write and a look at the offer
ROWS_MAX: Final = 1_000  # machines read at once


def rate_machines(context: Context, now: Instant) -> int:
    """Returns how many machines are rated otherwise than before."""
    reader, heard = context.database.reader(), context.rated.take(now)
    known = service.known(reader, since=Instant(now - measures.RELIABILITY_SECONDS))
    rated = 0
    for ids in parts(_ever_promised(reader) if heard is None else heard):
        found = _ratings(reader, ids, known, now)
        if found:
            rated += context.database.writer.call(supply.rate, now, found)
    return rated


def _ratings(reader: Reader, ids: Sequence[str], known: Known | None, now: Instant) -> list[Rating]:
    """What is to be said of these machines from now on, where that is something new."""
    since = Instant(now - measures.RELIABILITY_SECONDS)
    gaps = () if known is None else known.gaps
    kept: dict[str, list[measures.Kept]] = {machine_id: [] for machine_id in ids}
    for each in history.leases_since(reader, ids, since):
        kept[each.machine_id].append(each)
    broken = Counter(
        str(each.machine_id)
        for each in calendar.broken_since(reader, ids, since)
        if known is not None and undelivered.is_owners_fault(each, known)
    )
    machines = supply.machines_by_id(reader, ids)
    stakes = balances(reader, list({stake(each.owner_id) for each in machines.values()}))
    found: list[Rating] = []
    for machine_id, leases in kept.items():
        machine = machines[machine_id]
        reliable, proven_seconds = measures.kept_of(leases, gaps, now, broken=broken[machine_id])
        is_staked = stakes[stake(machine.owner_id)].available_micro_usd > 0
        trust = measures.trust(reliable, proven_seconds, is_staked=is_staked)
        change = abs(reliable - machine.reliability)
        if change >= CHANGE_MIN or trust is not machine.trust:
            found.append(Rating(machine_id, round(reliable, 4), trust))
    return found


def _ever_promised(reader: Reader) -> Iterator[str]:
    after = ""
    while ids := history.ever_promised(reader, after, ROWS_MAX):
        yield from ids
        after = ids[-1]
