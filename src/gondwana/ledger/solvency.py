"""The insurance fund as it stands: facts from the books, what it has to hold, what is published of it each day."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.events import Event
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_row, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import rules
from gondwana.ledger.accounts import fund_insurance, fund_treasury
from gondwana.ledger.chain import MS_PER_DAY, day_of
from gondwana.ledger.rules import FundFacts, Solvency
from gondwana.ledger.service import PPM
from gondwana.ledger.store import balance, first_seq_at, moved_between

SQL: Final = load_queries("gondwana.ledger", "solvency.sql")
MONTH_SECONDS: Final = 30 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class InsuranceSettings:
    """Who pays how far when an owner fails."""

    stake_cover_ppm: int = 250_000  # of a stake, in a month; the rest stays behind for lies
    trusted_micro_usd: Mapping[str, int] = field(default_factory=dict[str, int])
    """Owner's id -> what the operator stands for beyond what the owner paid in: a known datacentre."""

    def __post_init__(self) -> None:
        if not 0 <= self.stake_cover_ppm <= PPM:
            raise InvalidValue(field="insurance.stake_cover_ppm", hint=f"0 to {PPM}")
        if any(amount < 0 for amount in self.trusted_micro_usd.values()):
            raise InvalidValue(field="insurance.trusted_micro_usd", hint="at least zero each")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is published of the fund: how it stands, and what that follows from."""

    at: Instant
    claims_of_30_days_micro_usd: int
    claims_of_90_days_micro_usd: int
    premiums_of_30_days_micro_usd: int
    state: Solvency


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    day: str
    at: Instant
    premiums_micro_usd: int
    report: Report


def solvency(reader: Reader, now: Instant) -> Solvency:
    """How the fund stands now; owners' exposures and open claims are those published last, within the hour."""
    last = published(reader)
    known = last.state if last else None
    return report(
        reader,
        now,
        exposures={"largest": known.largest_exposure_micro_usd} if known else {},
        open_claims_micro_usd=known.open_claims_micro_usd if known else 0,
    ).state


def report(
    reader: Reader, now: Instant, *, exposures: Mapping[str, int], open_claims_micro_usd: int
) -> Report:
    """The fund by the books; `exposures` is the most it would pay for each owner if he vanished now."""
    claims = [_claims_since(reader, Instant(now - days)) for days in (MONTH_SECONDS, 3 * MONTH_SECONDS)]  # fmt: skip
    premiums = premiums_micro_usd(reader) - _premiums_before(reader, Instant(now - MONTH_SECONDS))
    facts = FundFacts(
        fund_micro_usd=balance(reader, fund_insurance()).available_micro_usd,
        claims_of_30_days_micro_usd=claims[0],
        claims_of_90_days_micro_usd=claims[1],
        premiums_of_30_days_micro_usd=premiums,
        exposure_micro_usd_by_provider=exposures,
        open_claims_micro_usd=open_claims_micro_usd,
    )
    return Report(
        at=now,
        claims_of_30_days_micro_usd=claims[0],
        claims_of_90_days_micro_usd=claims[1],
        premiums_of_30_days_micro_usd=premiums,
        state=rules.solvency(facts),
    )


def publish(tx: Transaction, made: Report) -> bool:
    """Keep a report as its day's; whether it is the day's first, which is an event too. An idle fund says nothing."""
    premiums, day = premiums_micro_usd(tx), day_of(round(made.at * 1000))
    last = published(tx)
    state = made.state
    amounts = (state.fund_micro_usd, state.required_micro_usd, state.open_claims_micro_usd)
    if last is None and not any((premiums, *amounts)):
        return False
    tx.execute(
        SQL.save_report,
        to_row(_Row(day=day, at=made.at, premiums_micro_usd=premiums, report=made)),
    )
    if last is not None and day_of(round(last.at * 1000)) == day:
        return False
    data = {"day": day, **asdict(state)}
    tx.emit(Event(at=made.at, kind="insurance.solvency", subject=fund_insurance(), data=data))
    return True


def published(reader: Reader) -> Report | None:
    """The newest report."""
    row = reader.one(SQL.last_report)
    return from_row(_Row, row).report if row else None


def premiums_micro_usd(reader: Reader) -> int:
    """What ever came into the fund but from the operator."""
    fund = balance(reader, fund_insurance()).credits_posted
    return fund - moved_between(reader, fund_treasury(), fund_insurance())


def _premiums_before(reader: Reader, at: Instant) -> int:
    row = reader.one(SQL.report_before, {"day": day_of(round(at * 1000) - MS_PER_DAY)})
    return int(row["premiums_micro_usd"]) if row else 0


def _claims_since(reader: Reader, at: Instant) -> int:
    params = {"fund": fund_insurance(), "first": first_seq_at(reader, at)}
    row = reader.one(SQL.claims_since, params)
    return int(row["amount"]) if row else 0
