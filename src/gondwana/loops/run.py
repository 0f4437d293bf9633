"""One pass of all reconcilers, each as often as it is worth."""

import logging
from collections.abc import Callable, Collection
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError
from gondwana.jobs.context import Context
from gondwana.jobs.rules.presence import PASS_SECONDS
from gondwana.loops.advance_training import advance_training
from gondwana.loops.call_spot import REST_SECONDS as SPOT_REST_SECONDS
from gondwana.loops.call_spot import call_spot
from gondwana.loops.collect_blobs import collect_blobs
from gondwana.loops.credit_breaches import credit_breaches
from gondwana.loops.end_leases import end_leases
from gondwana.loops.expire_orders import expire_orders
from gondwana.loops.expire_promos import expire_promos
from gondwana.loops.expire_runs import expire_runs
from gondwana.loops.expire_units import expire_units
from gondwana.loops.finish_jobs import LOOK_SECONDS, finish_jobs, finish_stuck
from gondwana.loops.issue_invoices import issue_invoices
from gondwana.loops.keep_calendar import keep_calendar
from gondwana.loops.keep_machines import keep_machines
from gondwana.loops.lapse_reservations import lapse_reservations
from gondwana.loops.match_orders import match_orders
from gondwana.loops.mature_holdbacks import mature_holdbacks
from gondwana.loops.meter_leases import (
    DRAINING_REST_SECONDS,
    REST_SECONDS,
    meter_draining,
    meter_leases,
)
from gondwana.loops.price_offers import price_offers
from gondwana.loops.publish_roots import publish_roots
from gondwana.loops.publish_solvency import publish_solvency
from gondwana.loops.rate_machines import rate_machines
from gondwana.loops.record_prices import record_prices
from gondwana.loops.release_stakes import release_stakes
from gondwana.loops.run_auctions import run_auctions
from gondwana.loops.run_subsidies import run_subsidies, vest_subsidies
from gondwana.loops.settle_cases import settle_cases
from gondwana.loops.settle_predictions import settle_predictions
from gondwana.loops.survey_network import forget_links, survey_network
from gondwana.loops.watch_machines import watch_machines
from gondwana.loops.watch_network import watch_network

_log = logging.getLogger(__name__)

AUCTIONS_REST_SECONDS: Final = 0.5
"""Of windows of 10 seconds and more: as often as where there is no news."""
EVERY_SECONDS: Final[dict[Callable[[Context, Instant], int], float]] = {
    watch_machines: 1.0,
    expire_units: 1.0,
    expire_runs: 30.0,
    lapse_reservations: 10.0,
    end_leases: 1.0,
    keep_calendar: 1.0,
    finish_jobs: 0.0,
    finish_stuck: LOOK_SECONDS,
    keep_machines: 5.0,
    match_orders: 0.0,
    expire_orders: 1.0,
    run_auctions: AUCTIONS_REST_SECONDS,
    survey_network: 2.0,
    forget_links: 3600.0,
    call_spot: SPOT_REST_SECONDS,
    advance_training: 0.0,
    meter_leases: REST_SECONDS,
    meter_draining: DRAINING_REST_SECONDS,
    watch_network: PASS_SECONDS,
    credit_breaches: 60.0,
    publish_roots: 60.0,
    mature_holdbacks: 60.0,
    expire_promos: 60.0,
    settle_cases: 60.0,
    price_offers: 60.0,
    record_prices: 60.0,
    settle_predictions: 10.0,
    rate_machines: 60.0,
    release_stakes: 600.0,
    collect_blobs: 600.0,
    issue_invoices: 3600.0,
    publish_solvency: 3600.0,
    run_subsidies: 60.0,
    vest_subsidies: 3600.0,
}
"""How long a reconciler rests; 0: it runs in each pass."""

BOOKKEEPING: Final = frozenset(
    {
        call_spot, expire_orders, expire_runs, finish_stuck, keep_machines, watch_network, meter_leases, meter_draining,
        credit_breaches, publish_roots, mature_holdbacks, expire_promos, settle_cases, record_prices,
        settle_predictions, rate_machines, release_stakes, collect_blobs, issue_invoices, publish_solvency,
        run_subsidies, vest_subsidies,
    }
)  # fmt: skip
"""Those that may look at every lease or account: a server runs them beside the others, so that no order waits for
them. Each reads and writes in transactions of its own, as all reconcilers do."""
SERVING: Final = frozenset(EVERY_SECONDS) - BOOKKEEPING


WORK_SHARE: Final = 0.2
"""Of the time, the most that one of those that keep the books may compute: a spot call among a million devices."""


class Reconcilers:
    """All reconcilers, or some; `run` does what is due and may be called as often as one likes."""

    def __init__(
        self, context: Context, only: Collection[Callable[[Context, Instant], int]] = EVERY_SECONDS,
        stopwatch: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        """With a `stopwatch` one that works long rests so long that it works WORK_SHARE of the time at most.

        It tells seconds of work, as `time.thread_time` does: waiting is no work, and in simulated time there is none.
        """
        self._context = context
        self._only = only
        self._stopwatch = stopwatch or (lambda: 0.0)
        self._rests: dict[Callable[[Context, Instant], int], float] = {}
        self._ran_at: dict[Callable[[Context, Instant], int], Instant] = {}

    def run(self, now: Instant) -> None:
        """One pass. What fails is logged and tried again in the next; the others go on."""
        for reconcile, rest_seconds in EVERY_SECONDS.items():
            if reconcile not in self._only:
                continue
            last = self._ran_at.get(reconcile)
            if last is not None and now - last < self._rests.get(reconcile, rest_seconds):
                continue
            self._ran_at[reconcile] = now
            begun = self._stopwatch()
            try:
                reconcile(self._context, now)
            except GondwanaError as error:
                _log.warning("%s: %s", reconcile.__name__, error)
            except Exception:  # one broken job must not stop the others' reconcilers
                _log.exception("%s failed", reconcile.__name__)
            took = self._stopwatch() - begun
            self._rests[reconcile] = max(rest_seconds, took / WORK_SHARE)
