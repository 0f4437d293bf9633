"""What machines' pasts say of them: how long they worked, and how often that ended because of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.db.many import read_keys, read_values
from gondwana.db.queries import load_queries
from gondwana.db.transaction import Reader
from gondwana.market.measures import BY_PROVIDER, Kept

SQL: Final = load_queries("gondwana.market", "history.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One machine's, over all its leases."""

    seconds_proven: int = 0
    interruptions: int = 0


def histories(reader: Reader, machine_ids: Sequence[str]) -> dict[str, History]:
    """The history of each of these machines that was ever leased."""
    found: dict[str, tuple[int, int]] = {}
    ids = list(dict.fromkeys(machine_ids))
    for row in read_keys(reader, SQL.leases_by_end, ids):
        proven_ms, lost = found.get(row["machine_id"], (0, 0))
        ended = row["leases"] if row["reason"] in BY_PROVIDER else 0
        found[row["machine_id"]] = (proven_ms + int(row["proven_ms"]), lost + ended)
    return {
        machine_id: History(seconds_proven=proven_ms // 1000, interruptions=lost)
        for machine_id, (proven_ms, lost) in found.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A lease's time on a machine; `closed_at` None: it goes on."""

    machine_id: str
    devices: int
    active_at: float
    closed_at: float | None


def served_since(reader: Reader, machine_ids: Sequence[str], since: float) -> list[Served]:
    """What these machines served since then."""
    ids = list(dict.fromkeys(machine_ids))
    return read_values(reader, Served, SQL.served_since, ids, since)


def leases_since(reader: Reader, machine_ids: Sequence[str], since: float) -> list[Kept]:
    """The leases of these machines that were not over by then."""
    ids = list(dict.fromkeys(machine_ids))
    return read_values(reader, Kept, SQL.leases_since, ids, since)


def ever_promised(reader: Reader, after: str, limit: int) -> list[str]:
    """Machines that were ever leased or broke a reservation, in order of their ids, after this one."""
    rows = reader.all(SQL.ever_promised, {"after": after, "limit": limit})
    return [row["machine_id"] for row in rows]
