"""Quotas, loaded and saved."""

from collections.abc import Iterable
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Conflict, NoSuchThing
from gondwana.core.events import Event
from gondwana.core.values import grouped, replace
from gondwana.db.many import of_keys
from gondwana.db.rows import from_rows, to_row
from gondwana.db.together import Asked
from gondwana.db.transaction import Reader, Transaction
from gondwana.policy.model import Quota
from gondwana.policy.store import SQL

QUOTAS_MAX: Final = 200  # of one tenant
ALL_MAX: Final = 100_000


def quotas_of(reader: Reader, tenant_ids: Iterable[str]) -> dict[str, list[Quota]]:
    """The quotas of each of these tenants who has any."""
    return quotas_of_asked(tenant_ids).of(reader)


def quotas_of_asked(tenant_ids: Iterable[str]) -> Asked[dict[str, list[Quota]]]:
    """The same, not asked yet."""
    found: Asked[list[Quota]] = of_keys(Quota, SQL.quotas_of, sorted(set(tenant_ids)))
    return found.then(lambda quotas: grouped(quotas, lambda each: str(each.tenant_id)))


def all_quotas(reader: Reader) -> list[Quota]:
    """Every quota."""
    return from_rows(Quota, reader.all(SQL.quotas, {"limit": ALL_MAX}))


def set_quota(tx: Transaction, quota: Quota) -> Quota:
    """The quota as it stands from now on; what is not given stays as it was. Raises Conflict for too many."""
    standing = quotas_of(tx, [quota.tenant_id]).get(quota.tenant_id, [])
    old = _named(standing, quota)
    if len(standing) >= QUOTAS_MAX and old is None:
        raise Conflict(f"at most {QUOTAS_MAX} quotas", hint="gondwana quota remove")
    if old is not None:
        kept = {
            name: getattr(old, name)
            for name in ("devices_max", "jobs_max", "weight")
            if getattr(quota, name) is None
        }
        quota = replace(quota, **kept)
    tx.execute(SQL.save_quota, to_row(quota))
    _tell(tx, quota.set_at, "quota.set", quota)
    return quota


def remove_quota(tx: Transaction, now: Instant, which: Quota) -> Quota:
    """The quota that is lifted; raises NoSuchThing."""
    found = _named(quotas_of(tx, [which.tenant_id]).get(which.tenant_id, []), which)
    if found is None:
        raise NoSuchThing("there is no such quota", hint="gondwana quota list")
    tx.execute(SQL.remove_quota, to_row(found))
    _tell(tx, now, "quota.removed", found)
    return found


def weights(quotas: Iterable[Quota]) -> dict[tuple[str, str], int]:
    """By tenant and project ("": the account): of an account the operator's word counts, of a project its tenant's."""
    found: dict[tuple[str, str], int] = {}
    for each in sorted(quotas, key=lambda each: each.is_operators != (not each.project)):
        if each.weight is not None and not each.model and (each.project or each.is_operators):
            found.setdefault((each.tenant_id, each.project), each.weight)
    return found


def _named(standing: Iterable[Quota], quota: Quota) -> Quota | None:
    key = (quota.project, quota.model, quota.is_operators)
    return next(
        (each for each in standing if (each.project, each.model, each.is_operators) == key), None
    )


def _tell(tx: Transaction, now: Instant, kind: str, quota: Quota) -> None:
    data = {
        "project": quota.project, "model": quota.model, "devices_max": quota.devices_max,
        "jobs_max": quota.jobs_max, "weight": quota.weight, "set_by": quota.set_by,
    }  # fmt: skip
    tx.emit(Event(at=now, kind=kind, subject=quota.tenant_id, data=data))
