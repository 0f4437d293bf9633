"""The supply in memory: columns of whole numbers, one row per offer, for a matcher that looks at a million devices.

Rows lie in buckets (device model × region), in each by cost, so the cheapest that fits is found early; zones of 64 rows
know the most that any of theirs has, so whole zones are passed over (zone maps). A bucket's cheapest rows are leased
first and then stand in the way: `heads` says where to begin, for orders of 1, 2, 4 and 8 devices. The truth is in the
database: the book is rebuilt at start and follows what is committed (`put`, `remove`, `set_free`), in place.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gondwana.market.fairness import CPUS as CPUS_TOTAL
from gondwana.market.fairness import MEMORY as MEMORY_TOTAL
from gondwana.market.fractions import Demand

Numbers = NDArray[np.int64]

ZONE_ROWS: Final = 64  # one zone map entry per so many rows: 1/64 of the rows' memory
SLACK_ROWS: Final = 8  # free places of a new bucket, beside a sixteenth of its rows
COLUMNS: Final = (
    "cost",  # what a bucket is sorted by: micro-USD for a thousand million reference steps
    "price",  # micro-USD per device-hour
    "free",  # devices
    "devices",
    "cpu_milli",
    "memory_bytes",
    "tags",  # bits: what the machine has; an order asks for some of them
    "owner",  # a number per owner
    "serial",  # grows with each machine that ever joined: the older one first among equals
    "notice_seconds",  # that its owner promises
    "work_price",  # micro-USD for a million reference steps; EMPTY where it could not be measured
)
COST, PRICE, FREE, DEVICES, CPUS, MEMORY, TAGS, OWNER, SERIAL, NOTICE, WORK = range(len(COLUMNS))
ZONE_COLUMNS: Final = (FREE, CPUS, MEMORY, TAGS, PRICE, DEVICES)
"""Of a zone's rows: the greatest of each, but all tags together, and the least price."""
_ZONE_OF: Final = {TAGS: np.bitwise_or, PRICE: np.minimum}
HEADS: Final = 4  # kinds of orders, by devices: 1, 2 to 3, 4 to 7, 8 and more
EMPTY: Final = -1
BUCKETS_ASKED_MAX: Final = 4_096  # kinds of orders whose buckets are remembered


def head_of(devices: int) -> int:
    """Which heads an order of so many devices begins at; -1 for none."""
    return min(HEADS, devices.bit_length()) - 1


class Key(NamedTuple):
    """What a bucket is of."""

    model: str
    region: str


class Row(NamedTuple):
    """One offer as the book holds it; a tuple, since a million devices' are made at once."""

    machine_id: str
    model: str
    region: str
    cost: int
    price: int
    free: int
    devices: int
    cpu_milli: int
    memory_bytes: int
    tags: int
    owner: str
    serial: int
    notice_seconds: int = 0
    work_price: int = -1


class Depth(NamedTuple):
    """All offers of one moment, by bucket: its rows are `counts` from `starts` on."""

    keys: dict[Key, int]
    starts: Numbers
    counts: Numbers
    columns: Numbers


class Book:
    """All offers, by bucket. Not for two threads at once."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.columns: Numbers
        self.zones: Numbers  # one row per zone, by ZONE_COLUMNS
        self.starts: Numbers  # of each bucket; a multiple of ZONE_ROWS
        self.counts: Numbers
        self.rooms: Numbers
        self.heads: Numbers  # by kind of order and bucket: no row before this one has the devices
        self.least: Numbers  # the same: no row that has the devices costs less
        self.keys: dict[Key, int] = {}
        self._keys: list[Key] = []
        self.by_model: dict[str, list[int]] = {}
        self.by_region: dict[str, list[int]] = {}
        self.demand = Demand()  # what was asked of it lately
        self._asked: dict[tuple[tuple[str, ...], tuple[str, ...]], Numbers] = {}
        self._owners: dict[str, int] = {}
        self._ids: list[str] = []  # by slot
        self._slots: dict[str, int] = {}
        self._places: Numbers  # slot -> row
        self._slot_at: NDArray[np.int32]  # row -> slot
        self._free_slots: list[int] = []
        self._build(list(rows))

    def __len__(self) -> int:
        return len(self._slots)

    def machine_at(self, row: int) -> str:
        """The machine whose offer is in a row."""
        return self._ids[self._slot_at[row]]

    def row_of(self, machine_id: str) -> int | None:
        """Where a machine's offer is now; rows move when others come and go."""
        slot = self._slots.get(machine_id)
        return None if slot is None else int(self._places[slot])

    def number(self, column: int, machine_id: str) -> int:
        """A column of a machine's offer, which is there."""
        return int(self.columns[column, self._places[self._slots[machine_id]]])

    def key_at(self, row: int) -> Key:
        """The bucket that a row lies in."""
        return self._keys[self._bucket_at(row)]

    def owner_number(self, owner: str) -> int:
        """The number of an owner in the book; EMPTY for one who sells nothing."""
        return self._owners.get(owner, EMPTY)

    def free_devices(self, bucket: int) -> int:
        """How many devices of a bucket are free."""
        start, count = self.starts[bucket], self.counts[bucket]
        return int(self.columns[FREE, start : start + count].sum())

    def depth(self) -> "Depth":
        """What there is now, and goes on being so: a copy."""
        return Depth(dict(self.keys), self.starts.copy(), self.counts.copy(), self.columns.copy())

    def totals(self) -> dict[str, int]:
        """All that the offers have, leased or not: devices by model, thousandths of CPUs, bytes of memory."""
        if not len(self.starts):
            return {CPUS_TOTAL: 0, MEMORY_TOTAL: 0}
        devices = np.add.reduceat(self.columns[DEVICES], self.starts)
        found = {CPUS_TOTAL: int(self.columns[CPUS].sum()), MEMORY_TOTAL: int(self.columns[MEMORY].sum())}  # fmt: skip
        for model, buckets in self.by_model.items():
            found[model] = int(devices[buckets].sum())
        return found

    def memory_bytes(self) -> int:
        """What the columns take."""
        arrays = (self.columns, self.zones, self.starts, self.counts, self.rooms, self._places)
        return sum(array.nbytes for array in (*arrays, self.heads, self.least, self._slot_at))

    def buckets(self, models: tuple[str, ...], regions: tuple[str, ...]) -> Numbers:
        """The buckets of any of these models in any of these regions, in order; none named: all."""
        found = self._asked.get((models, regions))
        if found is None:
            if len(self._asked) >= BUCKETS_ASKED_MAX:
                self._asked.clear()
            found = self._asked[models, regions] = self._choose(models, regions)
        return found

    def _choose(self, models: tuple[str, ...], regions: tuple[str, ...]) -> Numbers:
        if not models and not regions:
            return np.arange(len(self.keys), dtype=np.int64)
        of_model = {n for model in models for n in self.by_model.get(model, ())}
        of_region = {n for region in regions for n in self.by_region.get(region, ())}
        chosen = of_model & of_region if models and regions else of_model or of_region
        return np.array(sorted(chosen), dtype=np.int64)

    def put(self, row: Row) -> None:
        """Add an offer, or let it stand as it is now."""
        slot = self._slots.get(row.machine_id)
        if slot is not None:
            place = int(self._places[slot])
            key = Key(row.model, row.region)
            values = self._values(row)
            same_place = key in self.keys and self._is_in(self.keys[key], place)
            if same_place and (self.columns[(COST, SERIAL), place] == values[[COST, SERIAL]]).all():
                self.columns[:, place] = values
                self._zone(place)
                self._begin_at(self.keys[key], place)
                return
            self.remove(row.machine_id)
        self._insert(row)

    def remove(self, machine_id: str) -> None:
        """Forget a machine's offer; nothing happens where there is none."""
        slot = self._slots.pop(machine_id, None)
        if slot is None:
            return
        place = int(self._places[slot])
        bucket = self._bucket_at(place)
        last = int(self.starts[bucket] + self.counts[bucket]) - 1
        self._shift(place + 1, last + 1, -1)
        self.columns[:, last] = 0
        self.counts[bucket] -= 1
        self._places[slot] = EMPTY
        self._free_slots.append(slot)
        self._zones_between(place, last + 1)
        self._begin_anew(bucket)

    def set_free(self, machine_id: str, free: int) -> None:
        """So many devices of a machine are free now."""
        place = int(self._places[self._slots[machine_id]])
        before, zone = int(self.columns[FREE, place]), place // ZONE_ROWS
        if free > before:
            self._begin_at(self._bucket_at(place), place, free)
        self.columns[FREE, place] = free
        most = self.zones[ZONE_COLUMNS.index(FREE), zone]
        if free > most or before == most:  # else another row of the zone has the most
            rows = self.columns[FREE, zone * ZONE_ROWS : (zone + 1) * ZONE_ROWS]
            self.zones[ZONE_COLUMNS.index(FREE), zone] = rows.max()

    def tag_all(self, bits: int) -> None:
        """Set bits of every row's tags."""
        self.columns[TAGS] |= bits
        self.zones[ZONE_COLUMNS.index(TAGS)] |= bits

    def untag(self, machine_id: str, bits: int) -> None:
        """Clear bits of one row's tags."""
        place = int(self._places[self._slots[machine_id]])
        self.columns[TAGS, place] &= ~bits
        zone = place // ZONE_ROWS
        rows = self.columns[TAGS, zone * ZONE_ROWS : (zone + 1) * ZONE_ROWS]
        self.zones[ZONE_COLUMNS.index(TAGS), zone] = np.bitwise_or.reduce(rows)

    def _values(self, row: Row) -> Numbers:
        owner = self._owners.setdefault(row.owner, len(self._owners))
        return np.array([row.cost, row.price, row.free, row.devices, row.cpu_milli, row.memory_bytes, row.tags, owner,
                         row.serial, row.notice_seconds, row.work_price], dtype=np.int64)  # fmt: skip

    def _build(self, rows: list[Row]) -> None:
        """Everything anew, with room for more in each bucket."""
        sizes: dict[tuple[str, str], int] = {}
        for row in rows:
            key = row.model, row.region
            sizes[key] = sizes.get(key, 0) + 1
        keys = sorted(Key(*key) for key in sizes)
        self._keys, self.keys = keys, {key: number for number, key in enumerate(keys)}
        self.by_model, self.by_region = {}, {}
        for key, number in self.keys.items():
            self.by_model.setdefault(key.model, []).append(number)
            self.by_region.setdefault(key.region, []).append(number)
        counts = np.array([sizes[key] for key in keys], dtype=np.int64)
        rooms = -(-(counts + counts // 16 + SLACK_ROWS) // ZONE_ROWS) * ZONE_ROWS
        self.counts, self.rooms = counts, rooms
        self.starts = np.concatenate(([0], np.cumsum(rooms)[:-1])).astype(np.int64) if keys else counts  # fmt: skip
        self.heads = np.repeat(self.starts[None, :], HEADS, axis=0)
        self.least = np.zeros((HEADS, len(keys)), dtype=np.int64)
        self._asked = {}
        total = int(rooms.sum())
        self.columns = np.zeros((len(COLUMNS), total), dtype=np.int64)
        self.zones = np.zeros((len(ZONE_COLUMNS), total // ZONE_ROWS), dtype=np.int64)
        self._slot_at = np.full(total, EMPTY, dtype=np.int32)
        self._places = np.full(max(16, len(rows)), EMPTY, dtype=np.int64)
        self._fill(rows)

    def _fill(self, rows: list[Row]) -> None:
        self._ids = [row.machine_id for row in rows]
        self._slots = {machine_id: slot for slot, machine_id in enumerate(self._ids)}
        assert len(self._slots) == len(rows), "a machine has one offer"
        self._free_slots = []
        if not rows:
            return
        owners = self._owners
        keys = {(key.model, key.region): number for key, number in self.keys.items()}
        table = np.array([
            (keys[model, region], cost, price, free, devices, cpus, memory, tags,
             owners.setdefault(owner, len(owners)), *rest)
            for _, model, region, cost, price, free, devices, cpus, memory, tags, owner, *rest in rows
        ], dtype=np.int64)  # fmt: skip
        bucket, values = table[:, 0], table[:, 1:]
        order = np.lexsort((values[:, SERIAL], values[:, PRICE], values[:, COST], bucket))
        sorted_bucket = bucket[order]
        firsts = np.concatenate(([0], np.cumsum(self.counts)[:-1]))
        places = self.starts[sorted_bucket] + np.arange(len(rows)) - firsts[sorted_bucket]
        self.columns[:, places] = values[order].T
        self._slot_at[places] = order
        self._places[order] = places
        self._zones_between(0, self.columns.shape[1])

    def _insert(self, row: Row) -> None:
        bucket = self.keys.get(Key(row.model, row.region))
        if bucket is None or self.counts[bucket] == self.rooms[bucket]:
            self._build([*self.rows(), row])
            return
        values = self._values(row)
        start, count = int(self.starts[bucket]), int(self.counts[bucket])
        place = start + self._position(bucket, values)
        self._shift(place, start + count, 1)
        self.columns[:, place] = values
        slot = self._free_slots.pop() if self._free_slots else len(self._ids)
        if slot == len(self._ids):
            self._ids.append(row.machine_id)
            if slot == len(self._places):
                self._places = np.concatenate((self._places, np.full(slot, EMPTY, dtype=np.int64)))
        self._ids[slot] = row.machine_id
        self._slots[row.machine_id] = slot
        self._places[slot], self._slot_at[place] = place, slot
        self.counts[bucket] += 1
        self._zones_between(place, start + count + 1)
        self._begin_anew(bucket)

    def _begin_at(self, bucket: int, place: int, free: int | None = None) -> None:
        """A row has more devices than a search may have seen: begin there at the latest."""
        kinds = head_of(int(self.columns[FREE, place]) if free is None else free) + 1
        heads, least = self.heads[:kinds, bucket], self.least[:kinds, bucket]
        np.minimum(heads, place, out=heads)
        np.minimum(least, self.columns[COST, place], out=least)

    def _begin_anew(self, bucket: int) -> None:
        self.heads[:, bucket] = self.starts[bucket]
        self.least[:, bucket] = 0

    def _position(self, bucket: int, values: Numbers) -> int:
        """How many rows of a bucket come before these values: by cost, price, serial."""
        start, count = int(self.starts[bucket]), int(self.counts[bucket])
        low, high = 0, count
        for column in (COST, PRICE, SERIAL):
            part = self.columns[column, start + low : start + high]
            left = np.searchsorted(part, values[column], "left")
            right = np.searchsorted(part, values[column], "right")
            low, high = low + int(left), low + int(right)
        return low

    def _shift(self, first: int, last: int, by: int) -> None:
        """Move the rows from `first` up to `last` by one place."""
        if first >= last:
            return
        self.columns[:, first + by : last + by] = self.columns[:, first:last].copy()
        self._slot_at[first + by : last + by] = self._slot_at[first:last].copy()
        moved = self._slot_at[first + by : last + by]
        self._places[moved] += by

    def _zone(self, place: int) -> None:
        zone = place // ZONE_ROWS
        self._zones_between(zone * ZONE_ROWS, zone * ZONE_ROWS + 1)

    def _zones_between(self, first: int, last: int) -> None:
        low, high = first // ZONE_ROWS, -(-last // ZONE_ROWS)
        shape = (high - low, ZONE_ROWS)
        for index, column in enumerate(ZONE_COLUMNS):
            part = self.columns[column, low * ZONE_ROWS : high * ZONE_ROWS].reshape(shape)
            self.zones[index, low:high] = _ZONE_OF.get(column, np.maximum).reduce(part, axis=1)

    def _bucket_at(self, place: int) -> int:
        return int(self.starts.searchsorted(place, "right")) - 1

    def _is_in(self, bucket: int, place: int) -> bool:
        start = self.starts[bucket]
        return bool(start <= place < start + self.counts[bucket])

    def rows(self) -> Sequence[Row]:
        """Every offer, in no order that means anything."""
        names = {number: owner for owner, number in self._owners.items()}
        found: list[Row] = []
        for key, bucket in self.keys.items():
            start, count = int(self.starts[bucket]), int(self.counts[bucket])
            for place in range(start, start + count):
                values: list[Any] = self.columns[:, place].tolist()
                told: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
                told["owner"] = names[told["owner"]]
                told |= {"machine_id": self.machine_at(place), **key._asdict()}
                found.append(Row(**told))
        return found
