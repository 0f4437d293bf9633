"""Money that comes in: deposits, confirmed or not, of unknown owners, charged back."""

from gondwana.ledger.accounts import AccountName, expense, ext, suspense, tenant_available
from gondwana.ledger.model import Balance, Entry, Leg, TransferKind
from gondwana.ledger.rules.entries import Move, legs, resolve


def deposit(
    rail: str, tenant_id: str, amount_micro_usd: int, *, key: str, pending: bool = False
) -> Entry:
    """Money of a tenant that came in over `rail`; `key` tells one deposit from the next.

    A pending one counts after `confirm_deposit`, and never after `void_deposit`, of the same key.
    """
    leg = Leg(
        debit=ext(rail),
        credit=tenant_available(tenant_id),
        amount_micro_usd=amount_micro_usd,
        kind=TransferKind.PENDING if pending else TransferKind.POST,
    )
    return Entry(
        event_id=f"deposit:{tenant_id}:{key}",
        kind="deposit",
        subject=tenant_id,
        legs=(leg,),
        facts=(amount_micro_usd, rail),
    )


def confirm_deposit(rail: str, tenant_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """The pending deposit arrived."""
    pending = deposit(rail, tenant_id, amount_micro_usd, key=key, pending=True)
    return resolve(pending, TransferKind.POST_PENDING, "deposit.confirm")


def void_deposit(rail: str, tenant_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """The pending deposit did not arrive."""
    pending = deposit(rail, tenant_id, amount_micro_usd, key=key, pending=True)
    return resolve(pending, TransferKind.VOID_PENDING, "deposit.void")


def unclear_deposit(rail: str, amount_micro_usd: int, *, reference: str, key: str) -> Entry:
    """Money that came in over `rail` and nobody knows whose it is: it waits for its owner or its way back."""
    leg = Leg(debit=ext(rail), credit=suspense(rail), amount_micro_usd=amount_micro_usd)
    return Entry(
        event_id=f"deposit.unclear:{rail}:{key}",
        kind="deposit.unclear",
        subject=rail,
        legs=(leg,),
        facts=(amount_micro_usd, rail, reference),
    )


def clear_deposit(rail: str, tenant_id: str, amount_micro_usd: int, *, key: str) -> Entry:
    """The unclear payment of this key is the tenant's."""
    to = tenant_available(tenant_id)
    return _settle(rail, "deposit.clear", to, amount_micro_usd, key=key, subject=tenant_id)


def return_deposit(rail: str, amount_micro_usd: int, *, key: str) -> Entry:
    """The unclear payment of this key goes back where it came from."""
    return _settle(rail, "deposit.return", ext(rail), amount_micro_usd, key=key, subject=rail)


def _settle(
    rail: str, kind: str, to: AccountName, amount_micro_usd: int, *, key: str, subject: str
) -> Entry:
    """One event id for both ends of an unclear payment: cleared to one tenant or returned, and never twice."""
    return Entry(
        event_id=f"deposit.clear:{rail}:{key}",
        kind=kind,
        subject=subject,
        legs=(Leg(debit=suspense(rail), credit=to, amount_micro_usd=amount_micro_usd),),
        facts=(amount_micro_usd,),
    )


def chargeback_shortfall(amount_micro_usd: int, available: Balance) -> int:
    """What a tenant's balance does not cover of a deposit that is charged back."""
    return max(0, amount_micro_usd - available.available_micro_usd)


def chargeback(
    rail: str,
    tenant_id: str,
    amount_micro_usd: int,
    available: Balance,
    *,
    key: str,
    reason: str,
) -> Entry:
    """The deposit of this key taken back by who sent it: from the tenant's balance, the shortfall from the operator.

    A deposit is charged back once; tried again, when the balance has changed, it is a conflict and posts nothing.
    """
    shortfall = chargeback_shortfall(amount_micro_usd, available)
    moves = [
        Move(tenant_available(tenant_id), ext(rail), amount_micro_usd - shortfall),
        Move(expense("chargeback"), ext(rail), shortfall),
    ]
    return Entry(
        event_id=f"chargeback:{tenant_id}:{key}",
        kind="chargeback",
        subject=tenant_id,
        legs=legs(moves),
        facts=(amount_micro_usd, reason),
    )
