"""What tenants may still set aside: read once in a transaction for many jobs, then counted down as it is set aside."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId
from gondwana.core.money import due_micro_usd
from gondwana.db.many import of_keys
from gondwana.db.together import Asked, both
from gondwana.db.transaction import Transaction
from gondwana.jobs import store
from gondwana.jobs.model import Job
from gondwana.jobs.rules import batch
from gondwana.ledger import budgets
from gondwana.ledger.accounts import AccountName, lease_escrow, tenant_available, tenant_promo
from gondwana.ledger.budgets import BudgetStatus
from gondwana.ledger.model import Balance, Funding
from gondwana.ledger.store import balances, balances_asked
from gondwana.market.model import Lease, LeaseState
from gondwana.market.rules import RUNWAY_SECONDS


@dataclass(slots=True)
class _Tenant:
    """What one tenant has: his own money and what he was given; nothing of it while the account is frozen."""

    own: int
    promo: int
    is_frozen: bool

    @property
    def spendable(self) -> int:
        return 0 if self.is_frozen else self.own + self.promo


_Stored = tuple[dict[str, _Tenant], set[str]]  # and those that have budgets


def tenant_accounts(tenant_ids: Iterable[str]) -> list[AccountName]:
    """The accounts that a tenant's jobs are paid from."""
    return [name(each) for each in tenant_ids for name in (tenant_available, tenant_promo)]


class Purses:
    """The money of some jobs' tenants, within their budgets and the jobs' own."""

    def __init__(
        self, tx: Transaction, now: Instant, jobs: Sequence[Job], leases: Mapping[JobId, Sequence[Lease]],
        stored: "_Stored | None" = None,
    ) -> None:  # fmt: skip
        """`leases`: all of each job that has a budget of its own. `stored`: what `asked` found now."""
        self._tx, self._now = tx, now
        self._tenants, self._limited = stored or Purses.asked(jobs).of(tx)
        self._limits: dict[tuple[str, str], list[BudgetStatus]] = {}
        self._left_of_budget: dict[str, int] = {}
        self._fitted: dict[tuple[str, str], tuple[AccountName, ...]] = {}
        self._left_of_job = _read_left(
            tx, [job for job in jobs if job.spec.budget_micro_usd is not None], leases
        )

    @staticmethod
    def asked(jobs: Iterable[Job]) -> "Asked[_Stored]":
        """What is stored of the jobs' tenants, not asked yet."""
        tenants = list(dict.fromkeys(job.tenant_id for job in jobs))
        frozen = of_keys(tuple, store.SQL.frozen_among, tenants)
        limited = of_keys(tuple, store.SQL.with_budgets, tenants)
        kept = both(frozen, limited, lambda *rows: tuple({each for (each,) in one} for one in rows))
        found = balances_asked(tenant_accounts(tenants))
        return both(found, kept, lambda found, kept: (_tenants(tenants, found, kept[0]), kept[1]))

    def part_micro_usd(self, job: Job, lease: Lease, *, unopened: int) -> int:
        """An hour of the lease, or an even part of what the tightest budget and the account still allow.

        `unopened`: how many of the job's leases still wait for their part, this one included.
        """
        seconds = int(min(RUNWAY_SECONDS, job.spec.seconds_max))
        runway = max(
            1, due_micro_usd(lease.price_micro_usd_per_hour, seconds)
        )  # a short run is not free
        return min(runway, self.allowed_micro_usd(job) // max(1, unopened))

    def allowed_micro_usd(self, job: Job) -> int:
        """The most that may be set aside for a job now."""
        left = [self._left_of_budget[each.budget.id] for each in self._limits_of(job)]
        if job.id in self._left_of_job:
            left.append(self._left_of_job[job.id])
        return min([self._tenants[job.tenant_id].spendable, *left])

    def take(self, job: Job, amount_micro_usd: int) -> Funding:
        """Count down what is set aside: what the tenant was given first; says where it comes from."""
        tenant = self._tenants[job.tenant_id]
        promo = min(tenant.promo, amount_micro_usd)
        tenant.promo -= promo
        tenant.own -= amount_micro_usd - promo
        limits = self._limits_of(job)
        key = job.tenant_id, job.spec.project
        if key not in self._fitted:
            self._fitted[key] = budgets.fit(self._tx, self._now, limits)
        for each in limits:
            self._left_of_budget[each.budget.id] -= amount_micro_usd
        if job.id in self._left_of_job:
            self._left_of_job[job.id] -= amount_micro_usd
        return Funding(promo_micro_usd=promo, budgets=self._fitted[key])

    def _limits_of(self, job: Job) -> list[BudgetStatus]:
        if job.tenant_id not in self._limited:
            return []
        key = job.tenant_id, job.spec.project
        if key not in self._limits:
            found = budgets.limiting(self._tx, job.tenant_id, job.spec.project, self._now)
            self._limits[key] = found
            for each in found:
                self._left_of_budget.setdefault(each.budget.id, each.left_micro_usd)
        return self._limits[key]


def _tenants(
    tenant_ids: Sequence[str], found: Mapping[AccountName, Balance], frozen: Collection[str]
) -> dict[str, _Tenant]:
    return {
        each: _Tenant(
            own=found[tenant_available(each)].available_micro_usd,
            promo=found[tenant_promo(each)].available_micro_usd,
            is_frozen=each in frozen,
        )
        for each in tenant_ids
    }


def _read_left(
    tx: Transaction, jobs: Sequence[Job], leases: Mapping[JobId, Sequence[Lease]]
) -> dict[str, int]:
    """What of each job's own budget is neither paid nor set aside."""
    names = [lease_escrow(lease.id) for job in jobs for lease in leases.get(job.id, ())]
    escrows = balances(tx, names)
    return {
        job.id: (job.spec.budget_micro_usd or 0)
        - sum(_used(lease, escrows[lease_escrow(lease.id)]) for lease in leases.get(job.id, ()))
        for job in jobs
    }


def _used(lease: Lease, escrow: Balance) -> int:
    if lease.state is LeaseState.RESERVED:
        return 0
    return (
        batch.paid_micro_usd(lease, escrow.credits_posted)
        if lease.state is LeaseState.CLOSED
        else escrow.credits_posted
    )
