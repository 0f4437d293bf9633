"""Give open orders the machines they want, and make reservations active."""

from collections.abc import Iterator

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import place, rounds, store
from gondwana.jobs.context import Context
from gondwana.jobs.model import JobReason
from gondwana.loops import merge_round
from gondwana.loops.each import write_each
from gondwana.market import rules
from gondwana.market import store as market
from gondwana.market.model import Order, OrderState


def match_orders(context: Context, now: Instant) -> int:
    """Reserve and confirm for every open order that may fit now; returns how many leases became active.

    The shelf proposes from memory; the writer looks again before it reserves.
    """
    reader = context.database.reader()
    proposed = list(_proposals(context, reader))
    calls = [(context.random, now, order_id, machine_ids) for order_id, machine_ids in proposed]
    write_each(context, place.reserve, calls)
    context.shelf.returned([each for _, machine_ids in proposed for each in machine_ids])
    reserved = market.reserved(reader)
    active = write_each(
        context, place.confirm, [(context.random, now, lease.id) for lease in reserved]
    )
    expired = [
        order.id
        for order in market.open_orders(reader)
        if rules.order_state(order, _held(reader, order), now) is OrderState.EXPIRED
    ]
    for order_id in expired:
        _expire_alone(context, now, order_id)
    return active


def _proposals(context: Context, reader: Reader) -> Iterator[tuple[str, list[str]]]:
    for order in market.open_orders(reader):
        past = market.leases_of_job(reader, order.job_id)
        held = market.held_by(past, order.id)
        machine_ids = context.shelf.propose(reader, order, held, place.barred_machines(past))
        if machine_ids:
            yield order.id, machine_ids


def _held(reader: Reader, order: Order) -> int:
    return market.held_by(market.leases_of_job(reader, order.job_id, live=True), order.id)


def _expire_alone(context: Context, now: Instant, order_id: str) -> None:
    """End a job for which nothing fitted while its order stood; the model it has so far stays."""
    reader = context.database.reader()
    training = store.training(reader, market.order(reader, order_id).job_id)
    artifact = merge_round.artifact(context, training) if training else None
    write_each(context, _expire, [(now, order_id, artifact)])


def _expire(tx: Transaction, now: Instant, order_id: str, artifact: str | None) -> None:
    order = market.order(tx, order_id)
    market.move_order(tx, now, order, OrderState.EXPIRED)
    job, why = store.job(tx, order.job_id), "no machine fitted in time"
    rounds.give_up(tx, now, job, JobReason.NOTHING_FITS, why, artifact=artifact)
