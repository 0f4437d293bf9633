"""What must hold in every world of the market: after each step, after each good pass, now and then, at the end."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.jobs.fairness import TOTALS_SECONDS, Fairness
from gondwana.jobs.listings import FILTER_BITS, listings, rows
from gondwana.jobs.shelf import Shelf
from gondwana.ledger.audit import audit
from gondwana.market import store as market
from gondwana.market.prices import buckets
from gondwana.policy import quotas
from gondwana.sim.market.plane import Life

_DEVICES: Final = """
SELECT machine.id, machine.devices,
    coalesce((SELECT sum(devices) FROM lease WHERE machine_id = machine.id AND state <> 'closed'), 0) AS leased,
    coalesce((SELECT sum(devices) FROM bid WHERE machine_id = machine.id AND state = 'open'), 0) AS bid
FROM machine ORDER BY machine.id"""
_LIVE: Final = """
SELECT lease.*, market_order.price_cap_micro_usd_per_device_hour AS cap, job.ended_at, job.state AS job_state,
    escrow.credits_posted, escrow.debits_posted, task.credits_posted AS task_credits
FROM lease JOIN market_order ON market_order.id = lease.order_id JOIN job ON job.id = lease.job_id
LEFT JOIN ledger_account AS escrow ON escrow.name = 'lease:' || lease.id || ':escrow'
LEFT JOIN ledger_account AS task ON task.name = 'task:' || lease.job_id || ':escrow'
WHERE lease.state <> 'closed'"""
_LEFT: Final = """
SELECT account.name, account.credits_posted - account.debits_posted AS posted, account.debits_pending AS pending
FROM ledger_account AS account JOIN lease ON account.name = 'lease:' || lease.id || ':escrow'
WHERE lease.state = 'closed' AND (account.credits_posted <> account.debits_posted OR account.debits_pending <> 0)"""
_ORDERS: Final = """
SELECT market_order.id, market_order.state, market_order.count_max, job.ended_at,
    (SELECT count(*) FROM lease WHERE lease.order_id = market_order.id AND lease.state <> 'closed'
        AND NOT (lease.state = 'reclaiming' AND lease.charge = 'unit')) AS held
FROM market_order JOIN job ON job.id = market_order.job_id"""
_HOLDINGS: Final = """
SELECT lease.tenant_id, market_order.project, lease.job_id, lease.devices,
    coalesce(json_extract(machine.inventory, '$.accelerators[0].name'), 'CPU') AS model
FROM lease JOIN market_order ON market_order.id = lease.order_id JOIN machine ON machine.id = lease.machine_id
WHERE lease.state <> 'closed'"""
_MIXED: Final = """
SELECT market_order.id, count(DISTINCT coalesce(json_extract(machine.inventory, '$.accelerators[0].name'), 'CPU')) AS n
FROM market_order JOIN lease ON lease.order_id = market_order.id JOIN machine ON machine.id = lease.machine_id
WHERE lease.state <> 'closed' AND lease.charge = 'second' AND market_order.mechanism = 'posted'
    AND market_order.starts_at IS NULL AND market_order.count_min > 1
    AND json_array_length(market_order.resources, '$.accelerators') > 1
GROUP BY market_order.id HAVING n > 1"""
_OVERDUE: Final = """
SELECT 'the order ' || id || ' should have expired' AS wrong FROM market_order
WHERE state = 'open' AND is_standing = 0 AND expires_at <= :before
    AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.order_id = market_order.id AND lease.state <> 'closed')
UNION ALL SELECT 'the auction ' || id || ' should have been cleared' FROM market_order
WHERE state = 'open' AND mechanism = 'auction' AND closes_at <= :now
UNION ALL SELECT bid.id || ' holds devices for nothing' FROM bid JOIN market_order ON market_order.id = bid.order_id
WHERE bid.state = 'open' AND (bid.expires_at <= :before OR market_order.state <> 'open')
UNION ALL SELECT id || ' should have lapsed' FROM lease WHERE state = 'reserved' AND reserved_at <= :before - 310
UNION ALL SELECT id || ' should have ended' FROM lease WHERE state IN ('active', 'reclaiming')
    AND (ends_at <= :before OR state = 'reclaiming' AND reclaim_at <= :before)"""


def after_step(reader: Reader, held: dict[Any, int]) -> Iterator[str]:
    """What holds after every commit. `held`: what quotas counted at the last look; kept up to date."""
    for row in reader.all(_DEVICES):
        if row["leased"] + row["bid"] > row["devices"]:
            yield f"{row['id']} has {row['devices']} devices: {row['leased']} are leased, {row['bid']} held by bids"
    for row in reader.all(_LIVE):
        yield from _lease(row)
    for row in reader.all(_LEFT):
        yield f"{row['name']} is over and still has {row['posted']}, {row['pending']} of it held"
    for row in reader.all(_ORDERS):
        yield from _order(row)
    for row in reader.all(_MIXED):
        yield f"{row['id']} is a gang of {row['n']} models"
    yield from _quotas(reader, held)


def _lease(row: Any) -> Iterator[str]:
    lease, price = row["id"], row["price_micro_usd_per_device_hour"]
    if row["ended_at"] is not None:
        yield f"{lease} is {row['state']} though its job has ended"
    if row["cap"] is not None and price > row["cap"]:
        yield f"{lease} costs {price}, more than the cap of {row['cap']}"
    if price < row["floor_micro_usd_per_device_hour"]:
        yield f"{lease} costs {price}, less than the floor of its owner"
    if row["state"] == "reserved":
        return
    if row["charge"] == "unit":
        if not row["task_credits"]:
            yield f"{lease} serves units of a job without an escrow"
        return
    if price and not row["credits_posted"]:
        yield f"{lease} serves without an escrow"
        return
    seconds = row["proven_ms"] // 1000 - row["priced_from_seconds"]
    due = row["due_before_micro_usd"] + price * row["devices"] * seconds // 3_600
    if due > (row["credits_posted"] or 0):
        yield f"{lease} is owed {due}, its escrow ever had {row['credits_posted']}"


def _order(row: Any) -> Iterator[str]:
    state, held = row["state"], row["held"]
    if row["ended_at"] is not None and state in ("open", "matched"):
        yield f"{row['id']} is {state} though its job has ended"
    if state == "open" and held >= row["count_max"]:
        yield f"{row['id']} is open and has all of its {held} machines"
    if state == "matched" and held < row["count_max"]:
        yield f"{row['id']} is matched and has {held} of {row['count_max']} machines"


def _quotas(reader: Reader, held: dict[Any, int]) -> Iterator[str]:
    """Nothing that a quota counts grows past it; what it had when the quota was set may stay."""
    standing = quotas.all_quotas(reader)
    found = reader.all(_HOLDINGS) if standing or held else []
    devices, jobs = Counter[tuple[str, str, str]](), set[tuple[str, str, str]]()
    for row in found:
        for project in {"", row["project"]}:
            jobs.add((row["tenant_id"], project, row["job_id"]))
            for model in ("", row["model"]):
                devices[row["tenant_id"], project, model] += row["devices"]
    seen: dict[Any, int] = {}
    counted = Counter[tuple[str, str]]((tenant, project) for tenant, project, _ in jobs)
    for each in standing:
        for what, most, now in (
            ("devices", each.devices_max, devices[each.tenant_id, each.project, each.model]),
            ("jobs", each.jobs_max, counted[each.tenant_id, each.project]),
        ):
            key = (each.tenant_id, each.project, each.model, each.is_operators, each.set_at, what)
            if most is not None and now > most and now > held.get(key, now):
                yield f"{each.tenant_id} {each.project!r} {each.model!r} holds {now} {what} of {most}"
            seen[key] = now
    held.clear()
    held.update(seen)


_OF_FILTERS: Final = sum(FILTER_BITS)  # what was seen of filters so far is the book's own


def the_book(life: Life, reader: Reader) -> Iterator[str]:
    """The book in memory, followed step by step, is the book read anew; and so are the counts that people see."""
    shelf = life.context.shelf
    told = sorted(
        each._replace(tags=each.tags & ~_OF_FILTERS) for each in shelf.book(reader).rows()
    )
    anew = sorted(rows(reader))
    if told != anew:
        for one, other in zip(told, anew, strict=False):
            if one != other:
                yield f"the book has {one}, read anew it is {other}"
                break
        else:
            yield f"the book has {len(told)} offers, read anew {len(anew)}"
    people = buckets(listings(reader))
    if people != [each for each in shelf.buckets(reader) if each.devices]:
        yield "what is rentable now by the book is not what the database says"
    if people != buckets(shelf.listings(reader)):
        yield "what people are told is not what the database says"
    if [each for each in Shelf().buckets(reader) if each.devices] != people:
        yield "what is rentable now by a book read anew is not what the database says"


def the_open_orders(life: Life, reader: Reader, now: Instant) -> Iterator[str]:
    """The open orders in memory, followed step by step, are those of the database."""
    mine, anew = life.context.open_orders.ids(reader, now), market.open_orders(reader, now)
    if mine != anew:
        yield f"open are {anew}, in memory {mine}"


def the_turns(life: Life, reader: Reader, now: Instant) -> Iterator[str]:
    """Whose turn it is, followed step by step, is what a new process would say."""
    open_orders, later = (
        market.open_orders(reader, now),
        Instant(now + TOTALS_SECONDS),
    )  # all there is is counted anew
    fairness, shelf = life.context.fairness, life.context.shelf
    fairness.queue(reader, shelf, open_orders, Instant(now - 10 * TOTALS_SECONDS))  # so that it is
    mine = fairness.queue(reader, shelf, open_orders, later)
    anew = Fairness().queue(reader, Shelf(), open_orders, later)
    if [each.id for each in mine] != [each.id for each in anew]:
        yield f"turns go by {[each.id for each in mine]}, read anew by {[each.id for each in anew]}"


def after_pass(reader: Reader, now: Instant) -> Iterator[str]:
    """After a pass in which nothing failed, nothing is left that was due."""
    for row in reader.all(_OVERDUE, {"now": now, "before": now - 10}):
        yield row["wrong"]


def the_money(reader: Reader) -> Iterator[str]:
    """The books balance."""
    for difference in audit(reader).differences[:3]:
        yield f"audit: {difference.subject} {difference.wrong}"
