"""What an order asks, in the numbers of the book."""

from collections.abc import Sequence

import numpy as np

from gondwana.jobs.idle import Wish
from gondwana.jobs.listings import HAS_ACCELERATOR, HAS_SANDBOX, IS_OPEN, RUNS_WORK, notice_tags
from gondwana.market.book import CPUS, DEVICES, FREE, MEMORY, NOTICE, OWNER, PRICE, TAGS, Book
from gondwana.market.model import Mechanism, Order
from gondwana.market.nearest import Mask, is_of, rows_of
from gondwana.market.rules import COST_MAX
from gondwana.market.search import Want


def want_of(order: Order, not_machines: Sequence[str]) -> Want:
    """What an order asks of each machine; what numbers cannot say exactly is looked at again when it is reserved."""
    wanted = order.resources.accelerators
    any_model = any(not each.name for each in wanted)
    cap = order.price_cap_micro_usd_per_device_hour
    if order.mechanism is Mechanism.SPOT:
        cap = None  # the book has posted prices
    return Want(
        models=() if any_model else tuple(sorted({each.name for each in wanted})),
        devices=order.devices,
        price_max=COST_MAX if cap is None else cap,
        cpu_milli=round(order.resources.cpus_min * 1_000),
        memory_bytes=order.resources.memory_bytes_min,
        tags=IS_OPEN
        | RUNS_WORK
        | HAS_SANDBOX
        | (HAS_ACCELERATOR if wanted else 0)
        | notice_tags(order.notice_seconds_min),
        own_tags=HAS_SANDBOX,
        owner=order.tenant_id,
        not_machines=tuple(not_machines),
    )


def wish_of(order: Order) -> Wish:
    """What an offer must be, at least, to be of use to an order."""
    want = want_of(order, ())
    return Wish(models=want.models, price_max=want.price_max)


def masks_of(book: Book, order: Order, *, all_free: bool) -> list[Mask]:
    """Of each row of a book, what of a posted order without a filter holds, as `market.screening.screen` has it."""
    rows, wanted = rows_of(book), order.resources
    columns = book.columns[:, rows]
    is_mine = columns[OWNER] == book.owner_number(order.tenant_id)
    cap = order.price_cap_micro_usd_per_device_hour
    has_model = np.full(len(rows), not wanted.accelerators)
    has_enough = has_model.copy()
    for each in wanted.accelerators:
        is_wanted = (
            is_of(book, rows, [each.name]) if each.name else columns[TAGS] & HAS_ACCELERATOR > 0
        )
        has_model |= is_wanted
        has_enough |= is_wanted & (columns[DEVICES] >= each.count)
    return [
        columns[TAGS] & IS_OPEN > 0,
        (columns[TAGS] & HAS_SANDBOX > 0) | (is_mine & (columns[TAGS] & RUNS_WORK > 0)),
        has_model,
        has_enough,
        columns[CPUS] >= round(wanted.cpus_min * 1_000),
        columns[MEMORY] >= wanted.memory_bytes_min,
        columns[NOTICE] >= order.notice_seconds_min,
        columns[PRICE] <= (COST_MAX if cap is None else cap),
        columns[DEVICES if all_free else FREE] >= order.devices,
    ]
