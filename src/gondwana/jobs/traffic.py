"""Bytes that cross the network to machines, counted for the training runs they serve."""

from gondwana.db.transaction import Transaction
from gondwana.jobs import store
from gondwana.market import store as market
from gondwana.market.model import Charge


def count_down(tx: Transaction, machine_id: str, count: int) -> None:
    """Bytes that a machine fetched, counted to the training run it serves (an even part to each of several)."""
    serving = [
        lease
        for lease in market.live_leases_of_machine(tx, machine_id)
        if lease.charge is Charge.UNIT
    ]
    for lease in serving:
        store.count_bytes_down(tx, lease.job_id, count // len(serving))
