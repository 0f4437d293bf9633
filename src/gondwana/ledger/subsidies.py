"""Subsidy programs in the database: each epoch is funded, given out and closed; what was given vests.

Each step is one transaction whose entries are named by what happened, so a crash between two is continued, and a step
done twice is done once.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.values import replace
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import rules
from gondwana.ledger.accounts import (
    fund_subsidy,
    fund_treasury,
    income_fees,
    stake,
    subsidy_vesting,
)
from gondwana.ledger.programs import (
    CapacityCheck,
    Epoch,
    EpochState,
    OwnerAward,
    Program,
    ProgramState,
)
from gondwana.ledger.rules import Award, SubsidyProgram, VerifiedCapacity, Vesting
from gondwana.ledger.statements import LINES_MAX, SEQ_MAX, balance_at, statement
from gondwana.ledger.store import accounts_of_code, balance, first_seq_at, post

SQL: Final = load_queries("gondwana.ledger", "subsidies.sql")
PROGRAMS_MAX: Final = 100
AWARDS_AT_ONCE: Final = 100  # in one transaction
EPOCHS_SHOWN_MAX: Final = 400  # a year of days
AWARDS_MAX: Final = 100_000  # of one epoch, shown; of one owner, vesting
CHECKS_MAX: Final = 100_000  # of one class in one epoch
CHECK_ID_CHARS_MAX: Final = 64
VESTING_CODE: Final = 3110


def create(tx: Transaction, now: Instant, settings: SubsidyProgram) -> Program:
    """A program that runs from now on; raises WrongState where its name is taken or there are too many."""
    fund_subsidy(settings.id, "0")  # raises InvalidValue for an id that cannot name an account
    if tx.one(SQL.program_by_id, {"id": settings.id}) is not None:
        raise WrongState(f"there is a program '{settings.id}'", hint="gondwana subsidy list")
    if len(programs(tx)) >= PROGRAMS_MAX:
        raise WrongState(f"there are {PROGRAMS_MAX} programs already")
    made = Program(id=settings.id, settings=settings, state=ProgramState.RUNNING, began_at=now)
    tx.execute(SQL.save_program, to_row(made))
    _emit(tx, now, "subsidy.created", made.id, {"budget_micro_usd": settings.budget_micro_usd})
    return made


def stop(tx: Transaction, now: Instant, id: str) -> Program:
    """The program, giving no more after its last whole epoch; what it gave goes on vesting."""
    found = program(tx, id)
    if found.state is ProgramState.STOPPED:
        return found
    stopped = replace(found, state=ProgramState.STOPPED, stopped_at=now)
    tx.execute(SQL.save_program, to_row(stopped))
    _emit(tx, now, "subsidy.stopped", id, {})
    return stopped


def program(reader: Reader, id: str) -> Program:
    """One program; raises NoSuchThing."""
    row = reader.one(SQL.program_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(program=id, hint="gondwana subsidy list")
    return from_row(Program, row)


def programs(reader: Reader) -> list[Program]:
    """All programs, oldest first."""
    return from_rows(Program, reader.all(SQL.programs, {"limit": PROGRAMS_MAX}))


def epochs(reader: Reader, id: str, *, limit: int = EPOCHS_SHOWN_MAX) -> list[Epoch]:
    """The ended epochs of a program, newest first."""
    found = reader.all(SQL.epochs, {"program_id": id, "limit": limit})
    return from_rows(Epoch, found)


def open_epochs(reader: Reader) -> list[Epoch]:
    """Epochs whose money is still on its way."""
    return from_rows(Epoch, reader.all(SQL.epochs_open, {"limit": PROGRAMS_MAX}))


def awards(reader: Reader, id: str, epoch: int) -> list[OwnerAward]:
    """What an epoch gave, by owner."""
    params = {"program_id": id, "epoch": epoch, "limit": AWARDS_MAX}
    return from_rows(OwnerAward, reader.all(SQL.awards_of_epoch, params))


def due_epoch(reader: Reader, of: Program, now: Instant) -> int | None:
    """The oldest epoch of a program that ended and has not been given out; None while there is none."""
    last = epochs(reader, of.id, limit=1)
    number = last[0].number + 1 if last else 0
    end = now if of.stopped_at is None else min(now, of.stopped_at)
    return number if of.epoch_begins(number + 1) <= end else None


def fees_of_epoch(reader: Reader, of: Program, number: int) -> int:
    """What the operator earned in fees in the epoch before this one; what its budget may be capped by."""
    first = first_seq_at(reader, of.epoch_begins(number - 1))
    span = {"first": first, "end": first_seq_at(reader, of.epoch_begins(number))}
    row = reader.one(SQL.fees_between, {"fees": income_fees(), **span})
    return int(row["amount"]) if row else 0


def fund(
    tx: Transaction, now: Instant, of: Program, number: int, facts: Sequence[VerifiedCapacity]
) -> Epoch:
    """Set an ended epoch's budget aside, as far as the treasury reaches, and decide who gets how much of it."""
    known = tx.one(SQL.epoch_of_program, {"program_id": of.id, "number": number})
    if known is not None:
        return from_row(Epoch, known)
    fees = fees_of_epoch(tx, of, number) if of.settings.alpha_ppm is not None else 0
    budget = rules.epoch_budget(of.settings, number, fees_last_epoch_micro_usd=fees)
    funded = min(budget, balance(tx, fund_treasury()).available_micro_usd)
    if funded:
        post(tx, rules.fund_subsidy(of.settings, number, funded), now)
    decided = rules.award(of.settings, facts, budget_micro_usd=funded)
    made = Epoch(
        program_id=of.id,
        number=number,
        state=EpochState.FUNDED,
        began_at=of.epoch_begins(number),
        ended_at=of.epoch_begins(number + 1),
        budget_micro_usd=budget,
        funded_micro_usd=funded,
        awarded_micro_usd=sum(each.micro_usd for each in decided),
    )
    tx.execute(SQL.save_epoch, to_row(made))
    tx.execute_many(SQL.add_award, [to_row(_stored(of, number, each)) for each in decided])
    return made


def give(tx: Transaction, now: Instant, program_id: str, number: int) -> int:
    """Post some of an epoch's awards; how many. Once all are posted it is awarded."""
    epoch, of = _epoch(tx, program_id, number), program(tx, program_id)
    if epoch.state is not EpochState.FUNDED:
        return 0
    params = {"program_id": program_id, "epoch": number, "limit": AWARDS_AT_ONCE}
    due = from_rows(OwnerAward, tx.all(SQL.awards_to_post, params))
    for each in due:
        award = Award(provider_id=each.provider_id, micro_usd=each.micro_usd)
        post(tx, rules.award_subsidy(of.settings, number, award), now)
        tx.execute(SQL.award_posted, {"at": now, **to_row(each)})
        data = {"epoch": number, "micro_usd": each.micro_usd}
        _emit(tx, now, "subsidy.awarded", each.provider_id, {"program": program_id, **data})
    if not due:
        tx.execute(SQL.save_epoch, to_row(replace(epoch, state=EpochState.AWARDED)))
    return len(due)


def close(tx: Transaction, now: Instant, program_id: str, number: int) -> Epoch:
    """Give the rest of an awarded epoch's money back to the treasury."""
    epoch, of = _epoch(tx, program_id, number), program(tx, program_id)
    if epoch.state is not EpochState.AWARDED:
        return epoch
    left = balance(tx, fund_subsidy(program_id, str(number))).available_micro_usd
    if left:
        post(tx, rules.return_subsidy(of.settings, number, left), now)
    closed = replace(epoch, state=EpochState.CLOSED)
    tx.execute(SQL.save_epoch, to_row(closed))
    amounts = {"funded_micro_usd": epoch.funded_micro_usd, "returned_micro_usd": left}
    _emit(tx, now, "subsidy.epoch", program_id, {"epoch": number, **amounts})
    return closed


def owners_vesting(reader: Reader) -> Iterator[str]:
    """Owners who were given what is not theirs yet."""
    for account, _ in accounts_of_code(reader, VESTING_CODE):
        yield account.split(":")[1]


def vest(tx: Transaction, now: Instant, provider_id: str) -> int:
    """Pay an owner what has vested by now; how much."""
    params = {"provider_id": provider_id, "now": now, "limit": AWARDS_MAX}
    held = from_rows(OwnerAward, tx.all(SQL.awards_vesting, params))
    entry = rules.vest(
        provider_id,
        [
            Vesting(
                awarded_at=each.awarded_at,
                micro_usd=each.vesting_micro_usd,
                vest_seconds=each.vest_seconds,
            )
            for each in held
            if each.awarded_at is not None
        ],
        now=now,
        vesting=balance(tx, subsidy_vesting(provider_id)),
    )
    if entry.legs:
        post(tx, entry, now)
    return entry.total_micro_usd()


def claw_back(
    tx: Transaction, now: Instant, provider_id: str, amount_micro_usd: int | None, *, key: str, reason: str
) -> int:  # fmt: skip
    """Take back what an owner was given and does not own yet, all of it for None; how much. `key` names the case.

    Raises FundsTooLow where less is vesting, WrongState where nothing is.
    """
    left = balance(tx, subsidy_vesting(provider_id)).available_micro_usd
    amount = left if amount_micro_usd is None else amount_micro_usd
    if amount <= 0:
        raise WrongState("nothing of it is vesting: what has vested is the owner's")
    posted = post(tx, rules.clawback(provider_id, amount, key=key, reason=reason), now)
    if not posted.repeated:
        data = {"micro_usd": amount, "case": key, "reason": reason}
        _emit(tx, now, "subsidy.clawed_back", provider_id, data)
    return amount


def record_check(
    tx: Transaction, now: Instant, check: CapacityCheck, *, passed: Sequence[str], failed: Sequence[str]
) -> None:  # fmt: skip
    """Keep what a challenge of all machines of a class at one instant found; `passed`, `failed`: machines' ids.

    Raises InvalidValue for a check of the future or one that says two things of a machine, WrongState for a known id.
    """
    if not 0 < len(check.id) <= CHECK_ID_CHARS_MAX:
        raise InvalidValue(field="id", value=check.id[:80])
    if check.at > now or check.seconds < 0:
        raise InvalidValue(field="at", value=check.at, hint="when it ran, in seconds since 1970")
    machines = [*passed, *failed]
    if len(set(machines)) < len(machines):
        raise InvalidValue(field="machines", hint="each passed or failed, once")
    if tx.one(SQL.check_by_id, {"id": check.id}) is not None:
        raise WrongState(f"the check {check.id} is recorded already")
    tx.execute(SQL.add_check, to_row(check))
    rows = [(check.id, machine, int(machine in set(passed))) for machine in machines]
    tx.insert_rows("capacity_result", ("check_id", "machine_id", "passed"), rows)
    data = {"device_class": check.device_class, "passed": len(passed), "failed": len(failed)}
    _emit(tx, now, "capacity.checked", check.id, data)


def checks(
    reader: Reader, device_class: str, since: Instant, until: Instant
) -> list[tuple[Instant, set[str]]]:
    """The checks of a class in [since, until], oldest first, with the machines that passed each."""
    span = {"device_class": device_class, "since": since, "until": until, "limit": CHECKS_MAX}
    found = reader.all(SQL.checks, span)
    return [
        (
            Instant(row["at"]),
            {each["machine_id"] for each in reader.all(SQL.passed, {"check_id": row["id"]})},
        )
        for row in found
    ]


def least_stake(reader: Reader, provider_id: str, since: Instant, until: Instant) -> int:
    """The least that an owner had at stake at any moment in [since, until), holds taken off."""
    account, before = stake(provider_id), SEQ_MAX
    least = balance_at(reader, account, since)
    while lines := statement(
        reader, account, before=before, limit=LINES_MAX, since=since, until=until
    ):
        least = min(least, *(line.available_micro_usd for line in lines))
        before = lines[-1].seq
        if len(lines) < LINES_MAX:
            break
    return least


def _epoch(reader: Reader, program_id: str, number: int) -> Epoch:
    row = reader.one(SQL.epoch_of_program, {"program_id": program_id, "number": number})
    if row is None:
        raise NoSuchThing(program=program_id, epoch=number)
    return from_row(Epoch, row)


def _stored(of: Program, number: int, award: Award) -> OwnerAward:
    _, later = rules.vest_parts(of.settings, award.micro_usd)
    return OwnerAward(
        program_id=of.id,
        epoch=number,
        provider_id=award.provider_id,
        micro_usd=award.micro_usd,
        vesting_micro_usd=later,
        vest_seconds=of.settings.vest_seconds,
    )


def _emit(tx: Transaction, now: Instant, kind: str, subject: str, data: dict[str, Any]) -> None:
    tx.emit(Event(at=now, kind=kind, subject=subject, data=data))
