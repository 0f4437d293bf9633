"""Price history, loaded and saved: a row per bucket whenever it changed."""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Final

import msgspec

from gondwana.core.clock import Instant
from gondwana.db.many import insert_values
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.market.prices import SECONDS_PER_HOUR, Tick

SQL: Final = load_queries("gondwana.market", "ticks.sql")
ROWS_MAX: Final = 1_000  # ticks read at once
_JSON: Final = msgspec.json.Encoder()
FINE_SECONDS: Final = 48 * 3_600  # every change is kept so long; after that the last of each hour
KEPT_SECONDS: Final = 90 * 86_400  # so long that one sees a season, not for ever


def latest(reader: Reader) -> Iterator[Tick]:
    """What each bucket was last seen to hold, by model and region."""
    model, region = "", ""
    while rows := reader.all(SQL.latest, {"model": model, "region": region, "limit": ROWS_MAX}):
        yield from (from_row(Tick, row) for row in rows)
        model, region = rows[-1]["model"], rows[-1]["region"]


def record(tx: Transaction, ticks: Sequence[Tick]) -> int:
    """Store what changed, one tick a bucket; how many that were. One no newer than the last known changes nothing."""
    known = tx.all(SQL.latest_of, {"buckets": _keys(ticks)})
    last = {(row["model"], row["region"]): row["at"] for row in known}
    newer = [each for each in ticks if each.at > last.get((each.model, each.region), -inf)]
    tx.execute(SQL.no_longer_latest, {"buckets": _keys(newer)})
    insert_values(tx, "price_tick", newer)
    return len(newer)


def has_old(reader: Reader, now: Instant) -> bool:
    """Whether `forget` has something to do."""
    return reader.one(SQL.is_old, _before(now)) is not None


def forget(tx: Transaction, now: Instant) -> None:
    """Keep the last tick of each hour that is over long enough, and nothing after 90 days but what still holds."""
    before = _before(now)
    for query in (SQL.thin, SQL.thinned, SQL.forget):
        tx.execute(query, before)


def history(
    reader: Reader, model: str, region: str, *, since: Instant, after: Instant | None, limit: int
) -> list[Tick]:
    """A bucket's ticks, oldest first, from the one that held at `since` on; or those after `after`."""
    key = {"model": model, "region": region}
    first = None if after is not None else reader.one(SQL.in_force, {**key, "at": since})
    rows = reader.all(
        SQL.history, {**key, "after": since if after is None else after, "limit": limit}
    )
    return [from_row(Tick, row) for row in ([first] if first else []) + rows][:limit]


def _keys(ticks: Sequence[Tick]) -> str:
    return _JSON.encode([(each.model, each.region) for each in ticks]).decode()


def _before(now: Instant) -> dict[str, float]:
    hour = int((now - FINE_SECONDS) // SECONDS_PER_HOUR)
    return {"hour": hour, "before": now - KEPT_SECONDS}
