"""Reports of wrong work: a bond put down, a judgement, a share of the slash that follows."""

from collections.abc import Sequence
from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Exhausted, InvalidValue, NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.money import format_usd
from gondwana.core.values import replace
from gondwana.db.conditional import expect_state
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import rules
from gondwana.ledger.cases import (
    REPORT_TRANSITIONS,
    REPORTERS_MAX,
    TEXT_CHARS_MAX,
    Report,
    ReportState,
    StakeSettings,
    check_text,
)
from gondwana.ledger.frozen import check_not_frozen
from gondwana.ledger.rules.slashes import DECIDE_SECONDS
from gondwana.ledger.settings import setting
from gondwana.ledger.store import post

SQL: Final = load_queries("gondwana.ledger", "reports.sql")
REPORT_SECONDS: Final = DECIDE_SECONDS  # an operator who does not answer keeps nobody's bond
LAPSES_MAX: Final = 1_000  # in one pass
OPEN_MAX: Final = 100  # reports of one reporter that wait: people have to read them


def report(reader: Reader, id: str) -> Report:
    """One report; raises NoSuchThing."""
    row = reader.one(SQL.report_by_id, {"id": id})
    if row is None:
        raise NoSuchThing(report=id, hint="gondwana case reports")
    return from_row(Report, row)


def reports(
    reader: Reader, reporter_id: str | None, *, before: str | None = None, limit: int
) -> list[Report]:
    """Reports of one reporter or of all, newest first."""
    params = {"reporter_id": reporter_id, "before": before, "limit": limit}
    return from_rows(Report, reader.all(SQL.reports, params))


def post_report(tx: Transaction, now: Instant, new: Report) -> Report:
    """Store an open report and take its bond.

    Raises InvalidValue for a bond below the network's least or an accusation of oneself, Exhausted where too many
    wait, FundsTooLow where the payer does not have the bond, AccountFrozen.
    """
    check_not_frozen(tx, new.reporter_id)
    least = setting(tx, "stakes", StakeSettings).bond_micro_usd_min
    if new.bond_micro_usd < least:
        raise InvalidValue(
            field="bond", value=format_usd(new.bond_micro_usd), hint=f"at least {format_usd(least)}"
        )
    if new.reporter_id == new.accused_id:
        raise InvalidValue(field="machine", value=new.machine_id, hint="this machine is your own")
    waiting = tx.one(SQL.count_open_reports, {"reporter_id": new.reporter_id})
    if waiting is not None and waiting["reports"] >= OPEN_MAX:
        raise Exhausted(
            f"{OPEN_MAX} of your reports wait for a judgement", hint="gondwana case reports"
        )
    checked = replace(new, claim=check_text("claim", new.claim, chars_max=TEXT_CHARS_MAX))
    post(tx, rules.post_bond(new.id, new.payer, amount_micro_usd=new.bond_micro_usd), now)
    tx.execute(SQL.save_report, to_row(checked))
    _emit(tx, now, checked, {"bond_micro_usd": new.bond_micro_usd})
    return checked


def uphold_report(tx: Transaction, now: Instant, report_id: str, why: str) -> Report:
    """The report was right: its bond goes back, and a slash of the same owner may name it. Raises WrongState."""
    moved = _judge(tx, now, report_id, ReportState.UPHELD, why)
    entry = rules.return_bond(moved.id, moved.payer, amount_micro_usd=moved.bond_micro_usd)
    post(tx, entry, now)
    return moved


def refuse_report(tx: Transaction, now: Instant, report_id: str, why: str) -> Report:
    """The report was wrong: half of its bond goes to the accused, half pays for checks. Raises WrongState."""
    moved = _judge(tx, now, report_id, ReportState.REFUSED, why)
    bond = moved.bond_micro_usd
    post(tx, rules.forfeit_bond(moved.id, moved.accused_id, amount_micro_usd=bond), now)
    return moved


def to_lapse(reader: Reader, now: Instant) -> list[str]:
    """The reports that nobody judged in REPORT_SECONDS, oldest first."""
    params = {"before": now - REPORT_SECONDS, "limit": LAPSES_MAX}
    return [row["id"] for row in reader.all(SQL.open_reports_before, params)]


def lapse(tx: Transaction, now: Instant, report_id: str) -> None:
    """Give the bond of a report back that nobody judged in time."""
    known = report(tx, report_id)
    if known.state is not ReportState.OPEN or now - known.at < REPORT_SECONDS:
        return
    moved = _judge(tx, now, report_id, ReportState.LAPSED, "nobody judged it in time")
    entry = rules.return_bond(moved.id, moved.payer, amount_micro_usd=moved.bond_micro_usd)
    post(tx, entry, now)


def in_order(reader: Reader, accused_id: str, report_ids: Sequence[str]) -> tuple[str, ...]:
    """These reports as a slash names them: by time, each reporter once, at most REPORTERS_MAX.

    Raises WrongState for one that is not upheld, is of another owner, or shares another slash.
    """
    found = [report(reader, each) for each in dict.fromkeys(report_ids)]
    for each in found:
        if each.state is not ReportState.UPHELD:
            raise WrongState(
                f"{each.id} is {each.state}", hint="gondwana case decide REPORT uphold"
            )
        if each.accused_id != accused_id or each.case_id is not None:
            where = each.case_id or "about another owner"
            raise WrongState(f"{each.id} is {where}", hint="leave it out")
    firsts: dict[str, str] = {}
    for each in sorted(found, key=lambda each: (each.at, each.id)):
        firsts.setdefault(each.reporter_id, each.id)
    return tuple(firsts.values())[:REPORTERS_MAX]


def join(tx: Transaction, report_id: str, case_id: str) -> None:
    """An upheld report shares the slash from now on."""
    known = report(tx, report_id)
    assert known.state is ReportState.UPHELD, "in_order saw to it"
    tx.execute(SQL.save_report, to_row(replace(known, case_id=case_id)))


def _judge(tx: Transaction, now: Instant, report_id: str, to: ReportState, why: str) -> Report:
    known = report(tx, report_id)
    if to not in REPORT_TRANSITIONS[known.state]:
        raise WrongState(f"the report is {known.state}, it cannot become {to}")
    expect_state(tx, SQL.report_by_id, known.id, known.state)
    moved = replace(known, state=to, verdict=check_text("why", why), decided_at=now)
    tx.execute(SQL.save_report, to_row(moved))
    _emit(tx, now, moved, {"verdict": moved.verdict})
    return moved


def _emit(tx: Transaction, now: Instant, subject: Report, data: dict[str, Any]) -> None:
    """An event of no job and without a name: who follows the job may be the accused."""
    tx.emit(Event(at=now, kind=f"report.{subject.state}", subject=subject.id, data=data))
