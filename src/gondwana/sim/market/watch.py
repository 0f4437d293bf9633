"""Follows what is committed: states go by their tables, and what is reserved was free, fitting and allowed."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from gondwana.core.events import Event
from gondwana.db.transaction import Reader
from gondwana.jobs.model import JOB_TRANSITIONS, RUN_TRANSITIONS
from gondwana.market.auction.model import BID_TRANSITIONS
from gondwana.market.calendar.model import BOOKING_TRANSITIONS
from gondwana.market.model import LEASE_TRANSITIONS, ORDER_TRANSITIONS
from gondwana.supply.model import TRANSITIONS as MACHINE_TRANSITIONS

_TABLES: Final[dict[str, Any]] = {
    "job": JOB_TRANSITIONS,
    "run": RUN_TRANSITIONS,
    "lease": LEASE_TRANSITIONS,
    "order": ORDER_TRANSITIONS,
    "bid": BID_TRANSITIONS,
    "machine": MACHINE_TRANSITIONS,
    "booking": BOOKING_TRANSITIONS,
}
_FIRST: Final = {
    "order": {"open"},
    "lease": {"reserved"},
    "bid": {"open"},
    "run": {"assigned"},
    "booking": {"booked"},
}
_CALLED: Final = {"opened": "open"}
_STATES: Final = {
    noun: {str(state): {str(to) for to in targets} for state, targets in table.items()}
    for noun, table in _TABLES.items()
}
RESERVATION_SECONDS: Final = 300.0
PROOF_GAP_SECONDS: Final = 12.0  # at most so far apart two proofs prove the time between
REST_SECONDS: Final = 5.0
NOTICE_SECONDS_MIN: Final = 120.0
WITH_NOTICE: Final = ("reclaimed", "outbid", "maintenance")
FAILURES: Final = ("machine_lost", "run_failed")
NEVER_AGAIN: Final = ("run_failed", "work_rejected")
_RESERVED: Final = """
SELECT lease.*, market_order.price_cap_micro_usd_per_device_hour AS cap, market_order.count_min,
    market_order.notice_seconds_min, market_order.mechanism AS buys, market_order.resources, market_order.project,
    machine.state AS machine_state, machine.isolation, machine.devices AS machine_devices,
    json_extract(machine.inventory, '$.accelerators[0].name') AS model,
    offer.state AS offer_state, offer.price_micro_usd_per_device_hour AS posted,
    offer.notice_seconds AS promised, offer.spot_floor_micro_usd_per_device_hour AS spot_floor,
    (SELECT max(price_micro_usd_per_device_hour) FROM booking WHERE booking.order_id = lease.order_id
        AND booking.machine_id = lease.machine_id) AS agreed,
    (SELECT count(*) FROM lease AS other WHERE other.order_id = lease.order_id AND other.state <> 'closed') AS held
FROM lease JOIN market_order ON market_order.id = lease.order_id JOIN machine ON machine.id = lease.machine_id
JOIN offer ON offer.machine_id = machine.id WHERE lease.id = :id"""
_BEFORE: Final = """
SELECT state, reason, closed_at FROM lease WHERE job_id = :job_id AND machine_id = :machine_id AND id <> :id"""


class Watch:
    """Looks at every event as it is committed."""

    def __init__(self, broke: Callable[[str], None], elapsed: Callable[[], float]) -> None:
        self._broke = broke
        self._elapsed = elapsed  # seconds of true time, whatever the leaders' clocks show
        self._lease_at = 0.0  # by the leader's clock: when something became of a lease last
        self._lived_since: dict[str, float] = {}  # by true time: active leases
        self.led_since: list[float] = []  # by true time: when another process began to lead
        self._states: dict[str, str] = {}
        self.exited = set[str]()  # leases whose runs ended themselves: that ends a notice sooner
        self.reserved: list[Event] = []  # not looked at yet
        self.reserved_at: dict[str, float] = {}
        self._ends_at: dict[str, float] = {}  # leases that were given notice

    def happened(self, event: Event) -> None:
        """One event: it must follow from the one before."""
        noun, _, verb = event.kind.partition(".")
        states, verb = _STATES.get(noun), _CALLED.get(verb, verb)
        if states is None or verb not in states:
            return
        before = self._states.get(event.subject)
        if before is None and verb not in _FIRST.get(noun, states):
            self._broke(f"{event.subject} began as {verb}")
        if before is not None and verb not in states[before]:
            self._broke(f"{event.subject} went from {before} to {verb}")
        self._states[event.subject] = verb
        if event.kind == "lease.reserved":
            self.reserved.append(event)
            self.reserved_at[event.subject] = event.at
        if event.kind == "lease.reclaiming":
            self._ends_at[event.subject] = event.data["reclaim_at"]
            if event.data["reclaim_at"] < event.at + NOTICE_SECONDS_MIN:
                self._broke(
                    f"{event.subject} has {event.data['reclaim_at'] - event.at:.0f} s of notice"
                )
        if event.kind == "lease.closed" and event.data["reason"] in WITH_NOTICE:
            ends_at = 0.0 if event.subject in self.exited else self._ends_at.get(event.subject, 0.0)
            if event.at < ends_at:
                self._broke(f"{event.subject} was taken back before its notice was over")
        if noun == "lease":
            self._in_time(event)
        if event.kind == "lease.active":
            waited = event.at - self.reserved_at[event.subject]
            if waited > RESERVATION_SECONDS:
                self._broke(f"{event.subject} was confirmed {waited:.0f} s after it was reserved")

    def _in_time(self, event: Event) -> None:
        """What leaders write is in the order of their clocks, and nobody pays for more time than there was."""
        if event.at < self._lease_at:
            self._broke(
                f"{event.kind} {event.subject} is {self._lease_at - event.at:.1f} s before what was before it"
            )
        self._lease_at = max(self._lease_at, event.at)
        if event.kind == "lease.active":
            self._lived_since[event.subject] = self._elapsed()
        since = self._lived_since.get(event.subject)
        if event.kind == "lease.closed" and since is not None:
            lived = self._elapsed() - since
            # the clocks of two leaders tell the seconds between two proofs only roughly: once for each that began
            roughly = PROOF_GAP_SECONDS * sum(each >= since for each in self.led_since)
            if event.data["seconds_proven"] > lived + roughly + 0.001:
                self._broke(
                    f"{event.subject} proved {event.data['seconds_proven']} s in {lived:.1f} s"
                )

    def look(self, reader: Reader) -> None:
        """What was reserved since the last look, as it stands now: for looks right after each commit."""
        events, self.reserved = self.reserved, []
        for event in events:
            row = reader.one(_RESERVED, {"id": event.subject})
            if row is not None:
                for wrong in _wrong(row, event):
                    self._broke(f"{event.subject} of {row['machine_id']}: {wrong}")
                for wrong in _memory(reader.all(_BEFORE, {
                    "job_id": row["job_id"], "machine_id": row["machine_id"], "id": row["id"]}), event):  # fmt: skip
                    self._broke(f"{event.subject} of {row['machine_id']}: {wrong}")


def _wrong(row: Any, event: Event) -> Iterable[str]:
    """What of a new lease its order, its machine or its owner's word does not allow."""
    if row["state"] == "closed":  # its job had no money, or was over
        return
    if row["machine_state"] != "up" or row["offer_state"] != "open":
        yield f"the machine is {row['machine_state']}, its offer {row['offer_state']}"
    if row["isolation"] != "sandbox":
        yield "there is no sandbox"
    wanted = row["resources"]
    if '"accelerators":[{' in wanted.replace(" ", "") and not (
        f'"{row["model"]}"' in wanted or '""' in wanted
    ):
        yield f"{row['model']} is not wanted: {wanted}"
    if row["promised"] < row["notice_seconds_min"]:
        yield "too little notice is promised"
    price = row["price_micro_usd_per_device_hour"]
    if row["cap"] is not None and price > row["cap"]:
        yield f"{price} is above the cap of {row['cap']}"
    if row["buys"] == "posted" and price not in (row["posted"], row["agreed"]):
        yield f"{price} is not the posted {row['posted']}"
    if row["buys"] == "spot" and row["spot_floor"] is not None and price < row["spot_floor"]:
        yield f"{price} is below the floor of {row['spot_floor']}"
    if row["held"] < row["count_min"]:
        yield f"a gang of {row['count_min']} got {row['held']}"


def _memory(before: Sequence[Any], event: Event) -> Iterable[str]:
    """A job's machine that failed it just now, or that may never have it again."""
    for row in before:
        if row["state"] != "closed":
            yield "it serves this job already"
        elif row["reason"] in NEVER_AGAIN:
            yield f"it goes back where it ended with {row['reason']}"
        elif row["reason"] in FAILURES and 0 <= event.at - row["closed_at"] < REST_SECONDS:
            yield f"it goes straight back, {event.at - row['closed_at']:.1f} s after it was lost"
