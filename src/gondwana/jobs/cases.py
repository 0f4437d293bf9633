"""Cases that come from work: machines that deliver rejected units, and reports about machines."""

from math import isfinite
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing
from gondwana.core.money import MICRO_USD_MAX
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_rows
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs.model import Job, Unit
from gondwana.ledger.cases import SlashTerms, StakeSettings
from gondwana.ledger.settings import setting
from gondwana.ledger.slashes import find_case, open_slash, takeable_micro_usd
from gondwana.market import store as market
from gondwana.supply import store as supply
from gondwana.supply.model import Machine

SQL: Final = load_queries("gondwana.jobs", "cases.sql")
UNITS_MAX: Final = 20  # in the evidence of one case: those that came last say enough
VERDICT_CHARS_MAX: Final = 200


def slash_rejections(tx: Transaction, now: Instant, machine: Machine, last: Unit) -> None:
    """Open a slash for the units that a machine had rejected in a row, where the network takes something for them.

    The case is named after the `last` of them, so the same rejection makes one case. Nobody is made whole: a rejected
    unit was never paid.
    """
    per_rejection = setting(tx, "stakes", StakeSettings).slash_micro_usd_per_rejection
    case_id = f"case_{last.id.removeprefix('unit_')}"
    has_something = takeable_micro_usd(tx, machine.owner_id) > 0
    if per_rejection == 0 or not has_something or find_case(tx, case_id) is not None:
        return
    count = machine.rejections_in_row
    params = {"machine_id": machine.id, "limit": min(count, UNITS_MAX)}
    units = from_rows(Unit, tx.all(SQL.units_rejected, params))
    terms = SlashTerms(
        case_id=case_id,
        provider_id=machine.owner_id,
        amount_micro_usd=min(per_rejection * count, MICRO_USD_MAX),
        reason=f"{count} units in a row were rejected",
        job_id=last.job_id,
    )
    evidence = {
        "machine": machine.id,
        "rejections_in_row": count,
        "micro_usd_per_rejection": per_rejection,
        "units": [_unit_evidence(unit) for unit in units],
    }
    open_slash(tx, now, terms, evidence=evidence, machine_id=machine.id, unit_id=last.id)


def reported_machine(reader: Reader, caller_id: str, name_or_id: str, job: Job | None) -> Machine:
    """The machine that a report is about: by id, by its name among those that served `job`, or by a name of its own.

    An id comes first: any owner may give his machine a name that is another's id.
    Raises NoSuchThing, and InvalidValue for a name that several owners use.
    """
    if job is not None:
        served = {lease.machine_id for lease in market.leases_of_job(reader, job.id)}
        found = [supply.machine(reader, each) for each in sorted(served)]
    else:
        rows = reader.all(SQL.machines_named, {"name": name_or_id})
        found = [supply.machine(reader, row["id"]) for row in rows]
    by_name = [each for each in found if each.name == name_or_id]
    found = [each for each in found if each.id == name_or_id] or by_name
    found = [each for each in found if each.owner_id != caller_id] or found
    if not found:
        raise NoSuchThing(machine=name_or_id, hint="gondwana jobs show JOB names its machines")
    if len(found) > 1:
        raise InvalidValue(
            field="machine",
            value=name_or_id,
            hint="several have this name; say which job: --job JOB",
        )
    return found[0]


def _unit_evidence(unit: Unit) -> dict[str, Any]:
    """What is on record of a rejected unit, but for who spoke against it."""
    return {
        "id": unit.id,
        "job": unit.job_id,
        "kind": unit.kind.value,
        "round": unit.round,
        "verdict": unit.verdict[:VERDICT_CHARS_MAX],
        "delivered_at": unit.delivered_at,
        "output": unit.output,
        "norm": _finite(unit.norm),
        "cosine": _finite(unit.cosine),
    }


def _finite(number: float | None) -> float | str | None:
    """The number, as JSON can write it."""
    return number if number is None or isfinite(number) else repr(number)
