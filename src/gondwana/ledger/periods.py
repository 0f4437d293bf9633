"""What a person reads of his accounts over a period: which accounts are his, pages of lines, both ends' balances."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.db.transaction import Reader
from gondwana.ledger import accounts as chart
from gondwana.ledger.accounts import AccountName
from gondwana.ledger.model import StatementLine
from gondwana.ledger.statements import EVER, statement
from gondwana.ledger.store import SQL, first_seq_at, to_balance

PERSONAL: Final[dict[str, Callable[[str], AccountName]]] = {
    "available": chart.tenant_available,
    "promo": chart.tenant_promo,
    "holdback": chart.provider_holdback,
    "payable": chart.provider_payable,
    "verifier": chart.verifier_payable,
    "reporter": chart.reporter_payable,
    "stake": chart.stake,
    "unbonding": chart.stake_unbonding,
    "subsidy": chart.subsidy_vesting,
}
"""A principal's own accounts, by the name that a person types."""
ALL: Final = "all"
_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_YEARS: Final = range(1970, 9999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The instants in [since, until); without an end where it is None."""

    since: Instant | None = None
    until: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The transfers of a period, by number; nothing that is posted later changes what is in it."""

    first: int
    end: int  # the first after it


def month_period(month: str) -> Period:
    """One calendar month, UTC; raises InvalidValue for anything but `2026-11`."""
    found = _MONTH.fullmatch(month)
    if found is None or int(found[1]) not in _YEARS:
        raise InvalidValue(field="month", value=month, hint="write a year and a month: 2026-11")
    year, number = int(found[1]), int(found[2])
    after = (year + 1, 1) if number == 12 else (year, number + 1)
    return Period(since=_instant(datetime(year, number, 1)), until=_instant(datetime(*after, 1)))


def month_of(at: Instant) -> str:
    """`2026-11`: the month of an instant, UTC."""
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m")


def parse_period(*, month: str | None, since: str | None, until: str | None) -> Period:
    """The period that a person typed: a month, or days from `since` on and before `until`, UTC; all when nothing.

    Raises InvalidValue.
    """
    if month is not None:
        if since is not None or until is not None:
            raise InvalidValue(
                field="month", value=month, hint="give a month, or since and until, not both"
            )
        return month_period(month)
    period = Period(since=_parse_day("since", since), until=_parse_day("until", until))
    if period.since is not None and period.until is not None and period.since >= period.until:
        raise InvalidValue(field="until", value=until, hint=f"a day after {since}, the first")
    return period


def personal(principal_id: str, which: str = ALL) -> dict[str, AccountName]:
    """The accounts that a person means by `which`, by their short names; raises InvalidValue."""
    if which != ALL and which not in PERSONAL:
        raise InvalidValue(
            field="account", value=which, hint=f"one of {', '.join((*PERSONAL, ALL))}"
        )
    return {name: of(principal_id) for name, of in PERSONAL.items() if which in (name, ALL)}


def span_of(reader: Reader, period: Period) -> Span:
    """The transfers made in a period."""
    if period.until is not None:
        end = first_seq_at(reader, period.until)
    else:
        newest = reader.one(SQL.last_entry)
        end = int(newest["seq"] + newest["legs"]) if newest else 1
    return Span(first=1 if period.since is None else first_seq_at(reader, period.since), end=end)


def available_before(reader: Reader, account: AccountName, seq: int) -> int | None:
    """What was available in an account before the transfer numbered `seq`; None for one that never had any."""
    with reader.snapshot():
        row = reader.one(SQL.account, {"name": account})
        if row is None:
            return None
        later = reader.one(SQL.change_since, {"account": row["id"], "since": seq})
    return to_balance(row).available_micro_usd - int(later["change"] if later else 0)


def lines_of(
    reader: Reader,
    accounts: dict[str, AccountName],
    since: Instant | None,
    *,
    cursor: str,
    limit: int,
) -> tuple[list[tuple[str, StatementLine]], str | None]:
    """(lines with their accounts' short names, newest first; where to go on). Raises InvalidValue for a wrong cursor.

    A transfer between two of the accounts has a line in each, so a cursor names the transfer and the account: after it
    come the same transfer in the accounts after that one, then earlier transfers.
    """
    order = list(accounts)
    seq, after = _parse_cursor(cursor, order)
    found: list[tuple[int, int, StatementLine]] = []
    for place, account in enumerate(accounts.values()):
        before = seq if place <= after else seq + 1
        lines = statement(reader, account, before=before, limit=limit + 1, since=since or EVER)
        found += [(-line.seq, place, line) for line in lines]
    found.sort(key=lambda each: each[:2])
    shown = [(order[place], line) for _, place, line in found[:limit]]
    more = len(found) > limit
    return shown, _cursor(shown[-1][1].seq, shown[-1][0]) if more else None


def cursor_before(seq: int, accounts: dict[str, AccountName]) -> str:
    """Where the lines of transfers numbered below `seq` begin."""
    return _cursor(seq, next(reversed(accounts)))


def _cursor(seq: int, account: str) -> str:
    return f"{seq}.{account}"


def _parse_cursor(cursor: str, order: Sequence[str]) -> tuple[int, int]:
    seq, _, name = cursor.partition(".")
    if not (seq.isascii() and seq.isdecimal() and len(seq) < 19) or name not in order:
        raise InvalidValue(
            field="cursor", value=cursor[:80], hint="pass the cursor of the last page"
        )
    return int(seq), order.index(name)


def _parse_day(field: str, text: str | None) -> Instant | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.year not in _YEARS:
        raise InvalidValue(field=field, value=text[:80], hint="write a day, UTC: 2026-11-25")
    return _instant(found)


def _instant(time: datetime) -> Instant:
    return Instant((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
