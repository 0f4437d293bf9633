"""The operator's own money, the funds, tax, promotional credit, corrections; and one look at all of it."""

import json
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, NoSuchThing, WrongState
from gondwana.core.events import Event
from gondwana.core.ids import new_id
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.rows import from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import rules
from gondwana.ledger.accounts import (
    AccountName,
    fund_insurance,
    fund_verification,
    income_fees,
    tenant_promo,
)
from gondwana.ledger.deposits import was_charged_back
from gondwana.ledger.inbox import SQL
from gondwana.ledger.model import Entry, Leg, Posted
from gondwana.ledger.payments import (
    PromoGrant,
    check_amount,
    check_rail_name,
    check_text,
    promo_to_expire,
)
from gondwana.ledger.payouts import NEWEST
from gondwana.ledger.refunds import past_escrows
from gondwana.ledger.solvency import solvency
from gondwana.ledger.store import SQL as BOOKS
from gondwana.ledger.store import accounts_of_code, balance, entry_of, post

GRANTS_MAX: Final = 1_000  # of one tenant, ever
TENANTS_MAX: Final = 10_000  # looked at in one pass
FUNDS: Final = {"insurance": fund_insurance, "verification": fund_verification}
OPERATOR_CODES: Final = (2500, 3000, 3050, 3100, 3200, 4000, 5000)
OWED: Final = {
    2000: "tenants, to spend",
    2010: "tenants, promotional credit",
    2100: "set aside for leases",
    2110: "set aside for trainings",
    2200: "owners, held back",
    2210: "owners, payable",
    2300: "stakes",
    2310: "stakes on their way out",
    2320: "bonds",
    2400: "verifiers and reporters",
    3110: "subsidies, vesting",
}
"""Lines of the chart that are other people's money, and what a treasurer calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """One line of the look: an account, or all accounts of one line of the chart."""

    name: str
    micro_usd: int  # what is there; for a rail what it should hold
    pending_out_micro_usd: int = 0  # of it, held for payouts
    pending_in_micro_usd: int = 0  # expected, not of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Where all money is: what the rails hold is what is owed, in doubt, and the operator's."""

    rails: tuple[Sum, ...]
    owed: tuple[Sum, ...]
    unclear: tuple[Sum, ...]
    operator: tuple[Sum, ...]  # funds, tax, treasury, fees; expenses count against them

    @property
    def difference_micro_usd(self) -> int:
        """What the rails hold less all else: zero, or the books are broken."""
        others = (*self.owed, *self.unclear, *self.operator)
        return sum(each.micro_usd for each in self.rails) - sum(each.micro_usd for each in others)


def look(reader: Reader) -> Look:
    """All of it, as of one moment."""
    with reader.snapshot():
        totals = {int(row["code"]): int(row["micro_usd"]) for row in reader.all(BOOKS.totals)}
        rails = tuple(
            Sum(
                name=name.partition(":")[2],
                micro_usd=-held.posted_micro_usd,
                pending_out_micro_usd=held.credits_pending,
                pending_in_micro_usd=held.debits_pending,
            )
            for name, held in accounts_of_code(reader, 1000)
        )
        unclear = _sums(reader, 1090)
        operator = tuple(each for code in OPERATOR_CODES for each in _sums(reader, code))
    owed = tuple(Sum(name=name, micro_usd=totals.get(code, 0)) for code, name in OWED.items())
    return Look(rails=rails, owed=owed, unclear=unclear, operator=operator)


def deposit(
    tx: Transaction, random: Random, now: Instant, rail: str, amount_micro_usd: int
) -> Posted:
    """The operator's own money came in over a rail."""
    check_rail_name(rail)
    entry = rules.treasury_deposit(rail, check_amount(amount_micro_usd), key=_key(random, now))
    return _post(tx, now, entry)


def withdraw(
    tx: Transaction, random: Random, now: Instant, rail: str, amount_micro_usd: int
) -> Posted:
    """The operator took own money out over a rail. Raises FundsTooLow."""
    check_rail_name(rail)
    entry = rules.treasury_withdraw(rail, check_amount(amount_micro_usd), key=_key(random, now))
    return _post(tx, now, entry)


def sweep(tx: Transaction, random: Random, now: Instant, amount_micro_usd: int | None) -> Posted:
    """Fees earned so far become the treasury's, all of them for None. Raises FundsTooLow."""
    income = balance(tx, income_fees())
    amount = income.available_micro_usd if amount_micro_usd is None else amount_micro_usd
    entry = rules.treasury_sweep(check_amount(amount), income, key=_key(random, now))
    return _post(tx, now, entry)


def fund_deposit(
    tx: Transaction, random: Random, now: Instant, fund: str, amount_micro_usd: int
) -> Posted:
    """The treasury's money for a fund. Raises FundsTooLow."""
    amount = check_amount(amount_micro_usd)
    return _post(tx, now, rules.fund_deposit(fund_named(fund), amount, key=_key(random, now)))


def fund_withdraw(
    tx: Transaction, random: Random, now: Instant, fund: str, amount_micro_usd: int
) -> Posted:
    """A surplus of a fund back to the treasury. Raises FundsTooLow, and WrongState for what insurance has to keep."""
    amount, account = check_amount(amount_micro_usd), fund_named(fund)
    state = solvency(tx, now) if account == fund_insurance() else None
    entry = rules.fund_withdraw(account, amount, key=_key(random, now), state=state)
    return _post(tx, now, entry)


def remit_tax(
    tx: Transaction, random: Random, now: Instant, *, rail: str, jurisdiction: str, amount_micro_usd: int
) -> Posted:  # fmt: skip
    """Tax paid over a rail to whom it is owed. Raises FundsTooLow."""
    check_rail_name(rail)
    amount = check_amount(amount_micro_usd)
    return _post(tx, now, rules.remit_tax(rail, jurisdiction, amount, key=_key(random, now)))


def grant_promo(
    tx: Transaction, random: Random, now: Instant, *, tenant_id: str, amount_micro_usd: int, why: str,
    expires_at: float | None = None,
) -> PromoGrant:  # fmt: skip
    """Promotional credit out of the treasury. Raises FundsTooLow."""
    if expires_at is not None and not now < expires_at < 1e11:
        raise InvalidValue(field="expires_at", value=expires_at, hint="a time in the future")
    if len(tx.all(SQL.grants_of, {"tenant_id": tenant_id, "limit": GRANTS_MAX})) == GRANTS_MAX:
        raise InvalidValue(field="principal", value=tenant_id, hint=f"at most {GRANTS_MAX} grants")
    made = PromoGrant(
        id=new_id("pro", now, random),
        tenant_id=tenant_id,
        amount_micro_usd=check_amount(amount_micro_usd),
        why=check_text(why, field="why"),
        granted_at=now,
        expires_at=None if expires_at is None else Instant(expires_at),
    )
    tx.execute(SQL.insert_grant, to_row(made))
    entry = rules.grant_promo(tenant_id, made.amount_micro_usd, key=made.id, why=made.why)
    _post(tx, now, entry)
    return made


def grants_of(reader: Reader, tenant_id: str) -> list[PromoGrant]:
    """One tenant's promotional credit as it was granted, oldest first."""
    params = {"tenant_id": tenant_id, "limit": GRANTS_MAX}
    return from_rows(PromoGrant, reader.all(SQL.grants_of, params))


def grants(reader: Reader, *, before: str = NEWEST, limit: int = 200) -> list[PromoGrant]:
    """Everybody's promotional credit as it was granted, newest first."""
    rows = reader.all(SQL.grants, {"before": before, "limit": limit})
    return from_rows(PromoGrant, rows)


def tenants_to_expire(reader: Reader, now: Instant) -> list[str]:
    """Tenants who still have promotional credit that has expired, at most TENANTS_MAX looked at."""
    rows = reader.all(SQL.tenants_with_expired_promo, {"now": now, "limit": TENANTS_MAX})
    return [row["tenant_id"] for row in rows if _expired(reader, now, row["tenant_id"])]


def expire_promo(tx: Transaction, now: Instant, tenant_id: str) -> int:
    """What is left of a tenant's expired grants goes back to the treasury; returns how much."""
    amount = _expired(tx, now, tenant_id)
    if amount:
        gone = balance(tx, tenant_promo(tenant_id)).debits_posted + amount
        key = str(gone)  # by all that left: the same twice posts once
        _post(tx, now, rules.expire_promo(tenant_id, amount, key=key))
    return amount


def correct(tx: Transaction, now: Instant, seq: int, *, why: str) -> Posted:
    """The mirror of the entry that the transfer numbered `seq` is part of. An entry is corrected once.

    What an escrow paid goes back to who filled it (`refunds`). Raises NoSuchThing, WrongState (it moved nothing that is
    not back, or was charged back), FundsTooLow (what it moved is spent).
    """
    if not check_text(why, field="why"):
        raise InvalidValue(field="why", value="", hint="say why: statements show it")
    original = _entry_around(tx, seq)
    if was_charged_back(tx, original.subject, original.event_id):
        raise WrongState("The deposit was charged back: that is its mirror already.")
    mirror = rules.correct(original, why=why)
    known = entry_of(tx, mirror.event_id)
    legs = (known or past_escrows(tx, mirror)).legs  # the same again, though escrows have moved on
    if not legs:
        raise WrongState("All of it is back where it came from: its escrow gave back the rest.")
    return _post(tx, now, replace(mirror, legs=legs))


def fund_named(fund: str) -> AccountName:
    """The fund's account; raises NoSuchThing."""
    if fund not in FUNDS:
        raise NoSuchThing(fund=fund[:80], hint=f"one of: {', '.join(FUNDS)}")
    return FUNDS[fund]()


def _expired(reader: Reader, now: Instant, tenant_id: str) -> int:
    available = balance(reader, tenant_promo(tenant_id)).available_micro_usd
    return promo_to_expire(available, grants_of(reader, tenant_id), now)


def _entry_around(reader: Reader, seq: int) -> Entry:
    """The entry of a transfer as `correct` needs it: named by its key; what a hold paid counts as moved at once."""
    row = reader.one(SQL.entry_around, {"seq": seq})
    if row is None:
        raise NoSuchThing(transfer=seq, hint="gondwana account statement")
    span = {"first": row["seq"], "last": row["seq"] + row["legs"] - 1}
    transfers = reader.all(BOOKS.named_transfers_between, span)
    legs = tuple(
        Leg(debit=each["debit"], credit=each["credit"], amount_micro_usd=int(each["amount"]))
        for each in transfers
        if each["kind"] in (0, 2)
    )
    return Entry(
        event_id=bytes(row["event"]).hex(),
        kind=row["kind"],
        subject=row["subject"],
        legs=legs,
        job_id=row["job"],
        facts=tuple(json.loads(row["facts"])) if row["facts"] else (),
    )


def _sums(reader: Reader, code: int) -> tuple[Sum, ...]:
    return tuple(
        Sum(name=name, micro_usd=held.posted_micro_usd)
        for name, held in accounts_of_code(reader, code)
    )


def _post(tx: Transaction, now: Instant, entry: Entry) -> Posted:
    posted = post(tx, entry, now)
    if not posted.repeated:
        data = {"amount_micro_usd": entry.total_micro_usd(), "words": entry.reason}
        tx.emit(Event(at=now, kind=_kind(entry), subject=entry.subject, data=data))
    return posted


def _kind(entry: Entry) -> str:
    return "ledger.corrected" if entry.kind == "correction" else entry.kind


def _key(random: Random, now: Instant) -> str:
    return new_id("tre", now, random)
