"""Stakes: put down, on their way out, released; each step with its entry and its event."""

from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.core.errors import Exhausted, InvalidValue
from gondwana.core.events import Event
from gondwana.core.ids import new_id
from gondwana.core.random import Random
from gondwana.core.values import replace
from gondwana.db.queries import load_queries
from gondwana.db.rows import from_rows, to_row
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import rules
from gondwana.ledger.accounts import stake_unbonding
from gondwana.ledger.rules import UNBONDING_SECONDS, Unbonding
from gondwana.ledger.store import balance, post

SQL: Final = load_queries("gondwana.ledger", "stakes.sql")
UNBONDINGS_MAX: Final = 100  # of one owner at once; each is a row that waits for two weeks
OWNERS_MAX: Final = 10_000  # looked at in one pass


def add_stake(
    tx: Transaction, now: Instant, provider_id: str, amount_micro_usd: int, *, key: str, rail: str | None = None
) -> None:  # fmt: skip
    """Put earnings at stake, or what arrived over `rail` (an operator's word); `key` tells one time from the next.

    Raises FundsTooLow where not so much is payable.
    """
    _check_amount(amount_micro_usd)
    if rail is None:
        entry = rules.stake_from_payable(provider_id, amount_micro_usd, key=key)
    else:
        entry = rules.stake_from_rail(rail, provider_id, amount_micro_usd=amount_micro_usd, key=key)
    post(tx, entry, now)
    _emit(tx, now, "stake.added", provider_id, {"amount_micro_usd": amount_micro_usd})


def unbond(
    tx: Transaction, random: Random, now: Instant, provider_id: str, amount_micro_usd: int
) -> Unbonding:
    """A part of the stake, on its way out: free after UNBONDING_SECONDS, and slashable until then.

    Raises FundsTooLow where less is at stake, or a slash holds it; Exhausted where too many parts wait.
    """
    _check_amount(amount_micro_usd)
    if len(unbonding(tx, provider_id)) >= UNBONDINGS_MAX:
        raise Exhausted(
            f"{UNBONDINGS_MAX} parts of your stake are on their way out already",
            hint="wait until one is free: gondwana stake show",
        )
    part = Unbonding(
        id=new_id("unb", now, random), provider_id=provider_id, amount_micro_usd=amount_micro_usd, unbonded_at=now
    )  # fmt: skip
    post(tx, rules.unbond(provider_id, amount_micro_usd, key=part.id), now)
    return put_unbonding(tx, now, part)


def put_unbonding(tx: Transaction, now: Instant, part: Unbonding) -> Unbonding:
    """Store a part whose money is in the unbonding account by now."""
    tx.execute(SQL.save_unbonding, to_row(part))
    data = {"id": part.id, "amount_micro_usd": part.amount_micro_usd}
    _emit(tx, now, "stake.unbonding", part.provider_id, data)
    return part


def unbonding(reader: Reader, provider_id: str) -> list[Unbonding]:
    """The parts of an owner's stake that are on their way out, oldest first."""
    rows = reader.all(SQL.unbonding_of_provider, {"provider_id": provider_id})
    return from_rows(Unbonding, rows)


def owners_due(reader: Reader, now: Instant) -> list[str]:
    """Owners who have a part that has waited long enough."""
    params = {"before": now - UNBONDING_SECONDS, "limit": OWNERS_MAX}
    return [row["provider_id"] for row in reader.all(SQL.providers_due, params)]


def release_due(tx: Transaction, now: Instant, provider_id: str) -> int:
    """Release what has waited long enough and no slash holds, or what slashes left of it; how many parts."""
    parts = unbonding(tx, provider_id)
    free = rules.releasable(parts, balance(tx, stake_unbonding(provider_id)), now=now)
    for part, left in free:
        if left:
            post(tx, rules.release_stake(provider_id, left, key=part.id), now)
        tx.execute(SQL.save_unbonding, to_row(replace(part, released_at=now)))
        data = {"id": part.id, "amount_micro_usd": left}
        _emit(tx, now, "stake.released", provider_id, data)
    return len(free)


def _check_amount(amount_micro_usd: int) -> None:
    if amount_micro_usd <= 0:
        raise InvalidValue(field="amount", value=amount_micro_usd, hint="dollars, more than 0")


def _emit(tx: Transaction, now: Instant, kind: str, provider_id: str, data: dict[str, Any]) -> None:
    tx.emit(Event(at=now, kind=kind, subject=provider_id, data=data))
