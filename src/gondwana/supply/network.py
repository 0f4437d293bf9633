"""What was measured of the network: of each machine, and between two of them; bounded, and forgotten with age."""

from collections.abc import Sequence
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.events import Event
from gondwana.db.many import read_keys
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.supply import store
from gondwana.supply.model import Machine, Pair

SQL: Final = load_queries("gondwana.supply", "network.sql")
PAIRS_OF_MACHINE_MAX: Final = 64  # the newest are kept
PAIR_SECONDS_MAX: Final = 7 * 86_400  # what is older tells nothing of today
PAIRS_READ_MAX: Final = 100_000
NETWORK_SECONDS: Final = 3_600  # what did not change is told again after so long


def save_network(tx: Transaction, now: Instant, changed: Machine) -> Machine:
    """Store what was measured of a machine, with its event."""
    saved = store.save(tx, changed)
    names: dict[str, Any] = {"machine": saved.name, "machine_id": saved.id}
    tx.emit(Event(at=now, kind="machine.measured", subject=saved.id, data=names))
    return saved


def save_pair(tx: Transaction, pair: Pair) -> None:
    """Store a link; of each machine the newest PAIRS_OF_MACHINE_MAX stay."""
    tx.execute(SQL.save_pair, to_row(pair))
    for machine_id in (pair.low_id, pair.high_id):
        for old in pairs_of_machine(tx, machine_id)[PAIRS_OF_MACHINE_MAX:]:
            tx.execute(SQL.drop_pair, {"low_id": old.low_id, "high_id": old.high_id})


def pairs_of_machine(reader: Reader, machine_id: str) -> list[Pair]:
    """A machine's links, newest first."""
    return from_rows(Pair, reader.all(SQL.pairs_of_machine, {"id": machine_id}))


def pairs_among(reader: Reader, machine_ids: Sequence[str]) -> list[Pair]:
    """The links that were measured between any two of these machines."""
    among = set(machine_ids)
    found = (from_row(Pair, row) for row in read_keys(reader, SQL.pairs_of, sorted(among)))
    return [pair for pair in found if pair.high_id in among]


def near_pairs(reader: Reader, round_trip_seconds_max: float) -> list[Pair]:
    """The short links between machines of one owner, by name."""
    given = {"round_trip_seconds_max": round_trip_seconds_max, "limit": PAIRS_READ_MAX}
    return from_rows(Pair, reader.all(SQL.near_pairs, given))


def newest_pair_at(reader: Reader) -> Instant | None:
    """When a link was measured last; None before the first."""
    row = reader.one(SQL.newest_pair, {})
    return None if row is None or row["at"] is None else Instant(row["at"])


def forget_old_pairs(tx: Transaction, now: Instant) -> int:
    """Forget links that are older than PAIR_SECONDS_MAX; returns how many."""
    return tx.execute(SQL.drop_pairs_before, {"instant": now - PAIR_SECONDS_MAX})


def sited(reader: Reader) -> list[Machine]:
    """Machines that are said to stand at a site."""
    return from_rows(Machine, reader.all(SQL.sited, {"limit": store.ROWS_MAX}))
