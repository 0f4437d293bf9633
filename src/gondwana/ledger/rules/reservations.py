"""The deposit of a reservation: set aside when it is made, given back when its lease begins, or partly the owner's."""

from collections.abc import Sequence

from gondwana.ledger.accounts import lease_escrow, provider_holdback
from gondwana.ledger.model import Balance, Draw, Entry, Funding, LeaseTerms
from gondwana.ledger.rules.entries import Move, split
from gondwana.ledger.rules.funding import OWN_MONEY, fill, give_back
from gondwana.ledger.rules.leases import lease_entry


def hold_deposit(terms: LeaseTerms, amount_micro_usd: int, funding: Funding = OWN_MONEY) -> Entry:
    """Set a deposit aside; `terms.lease_id` is the reservation's."""
    moves = fill(lease_escrow(terms.lease_id), terms.tenant_id, amount_micro_usd, funding)
    return lease_entry(terms, "reserve.open", moves)


def settle_deposit(
    terms: LeaseTerms, escrow: Balance, kept_micro_usd: int, draws: Sequence[Draw] = ()
) -> Entry:
    """Pay the owner what of the deposit is his, as any payment is split; the rest goes back to where it came from."""
    assert 0 <= kept_micro_usd <= escrow.credits_posted
    account = lease_escrow(terms.lease_id)
    parts = split(kept_micro_usd, terms, provider=provider_holdback(terms.provider_id))
    rest = escrow.credits_posted - kept_micro_usd
    back = give_back(account, terms.tenant_id, rest, draws, paid=kept_micro_usd)
    moves = [*(Move(account, payee, amount) for payee, amount in parts), *back]
    kind = "reserve.cancel" if kept_micro_usd else "reserve.release"
    return lease_entry(terms, kind, moves, facts=(kept_micro_usd,))
