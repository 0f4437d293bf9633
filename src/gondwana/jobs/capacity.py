"""What is proven of machines in a time, by challenges at one instant or work that others judged; what they earned."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.devices import CPU
from gondwana.core.ids import JobId
from gondwana.db.queries import load_queries
from gondwana.db.transaction import Reader
from gondwana.jobs import store
from gondwana.jobs.model import UnitState
from gondwana.jobs.rules import capacity as rules
from gondwana.jobs.rules.capacity import CHECK_GAP_SECONDS_MAX, Span
from gondwana.ledger import subsidies
from gondwana.ledger.accounts import provider_holdback, verifier_payable
from gondwana.ledger.rules import SubsidyProgram, VerifiedCapacity
from gondwana.ledger.store import first_seq_at
from gondwana.supply import store as supply
from gondwana.supply.model import Machine
from gondwana.wire.units import UnitKind

SQL: Final = load_queries("gondwana.jobs", "capacity.sql")


def verified(
    reader: Reader, program: SubsidyProgram, since: Instant, until: Instant
) -> list[VerifiedCapacity]:
    """What is proven of each machine of a program's classes in [since, until), what it earned, what is at stake."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for device_class in (each.name for each in program.classes):
        for machine_id, found in _by_checks(reader, device_class, since, until).items():
            spans[machine_id] += found
    for machine_id, found in _by_units(reader, since, until).items():
        spans[machine_id] += found
    classes = {each.name for each in program.classes}
    known = [supply.machine(reader, machine_id) for machine_id in sorted(spans)]
    machines = [(each, model) for each in known if (model := _class(each)) in classes]
    owners = {machine.owner_id for machine, _ in machines}
    earned = _earned(reader, owners, since, until)
    staked = {owner: subsidies.least_stake(reader, owner, since, until) for owner in owners}
    return [
        VerifiedCapacity(
            provider_id=machine.owner_id,
            machine_id=machine.id,
            device_class=device_class,
            verified_ms=rules.length_ms(spans[machine.id], since, until),
            earned_micro_usd=earned.get(machine.id, 0),
            staked_micro_usd=staked[machine.owner_id],
            devices=machine.devices,
        )
        for machine, device_class in machines
    ]


def _by_checks(
    reader: Reader, device_class: str, since: Instant, until: Instant
) -> dict[str, list[Span]]:
    """The times between passed checks of a class; those just outside the time count for what lies in it."""
    wider = Instant(since - CHECK_GAP_SECONDS_MAX), Instant(until + CHECK_GAP_SECONDS_MAX)
    checks = subsidies.checks(reader, device_class, *wider)
    found: dict[str, list[Span]] = {}
    for machine_id in {each for _, passed in checks for each in passed}:
        if _class(supply.machine(reader, machine_id)) == device_class:
            found[machine_id] = rules.spans_between_checks(checks, machine_id)
    return found


def _by_units(reader: Reader, since: Instant, until: Instant) -> dict[str, list[Span]]:
    """The times in which machines worked on units that somebody else judged and nobody refuted."""
    found: dict[str, list[Span]] = defaultdict(list)
    judges: dict[tuple[str, int], dict[str, set[str]]] = {}
    for row in reader.all(SQL.accepted_units, {"since": since, "until": until}):
        key = (row["job_id"], row["round"])
        if key not in judges:
            judges[key] = _judges(reader, JobId(key[0]), key[1])
        maker = supply.machine(reader, row["machine_id"]).owner_id
        if rules.is_checked(maker, row["tenant_id"], judges[key].get(row["id"], ())):
            span = (Instant(row["assigned_at"]), Instant(row["delivered_at"]))
            found[row["machine_id"]].append(span)
    return found


def _judges(reader: Reader, job_id: JobId, round: int) -> dict[str, set[str]]:
    """Unit -> owners of the machines whose accepted evaluations were about it."""
    found: dict[str, set[str]] = defaultdict(set)
    for unit in store.units_of_round(reader, job_id, round):
        if unit.kind is not UnitKind.EVALUATE or unit.state is not UnitState.ACCEPTED:
            continue
        assert unit.machine_id is not None, "an accepted unit has a machine"
        owner = supply.machine(reader, unit.machine_id).owner_id
        for candidate in unit.spec.candidates:
            found[candidate.unit_id].add(owner)
    return found


def _earned(
    reader: Reader, owners: Iterable[str], since: Instant, until: Instant
) -> dict[str, int]:
    """What each machine of these owners earned, from anybody, by when it was posted."""
    span = {"first": first_seq_at(reader, since), "end": first_seq_at(reader, until)}
    found: dict[str, int] = defaultdict(int)
    for owner in owners:
        for account in (provider_holdback(owner), verifier_payable(owner)):
            for row in reader.all(SQL.earned_by_machine, {"account": account, **span}):
                if row["machine_id"] is not None:
                    found[row["machine_id"]] += int(row["amount"])
    return found


def _class(machine: Machine) -> str | None:
    """Its device model; None while nobody knows what it has."""
    if machine.inventory is None:
        return None
    accelerators = machine.inventory.accelerators
    return accelerators[0].name if accelerators else CPU
