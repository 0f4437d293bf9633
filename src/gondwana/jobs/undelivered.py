"""What it costs an owner to win an auction with a machine that then never serves."""

from gondwana.core.clock import Instant
from gondwana.core.money import MICRO_USD_MAX
from gondwana.db.transaction import Transaction
from gondwana.ledger.cases import SlashTerms
from gondwana.ledger.slashes import find_case, open_slash, takeable_micro_usd
from gondwana.market.auction import bidding, store
from gondwana.market.auction.model import BidState
from gondwana.market.model import Lease


def penalise(tx: Transaction, now: Instant, lease: Lease) -> None:
    """Open a slash where an owner won an auction with a bid and his machine never served; its order is open again.

    `lease` has just ended by its provider. What is taken is an hour of the price agreed, of what the owner has at stake
    or held back, and nothing where he has neither. It goes to the insurance fund: a tenant who gained by it could bid
    himself, in another name.
    """
    if lease.lived_at is not None:
        return
    bids = store.bids_of(tx, [lease.order_id])[lease.order_id]
    won = [bid for bid in bids if bid.machine_id == lease.machine_id and bid.state is BidState.WON]
    case_id = f"case_{lease.id.removeprefix('lea_')}"
    if not won or find_case(tx, case_id) is not None:
        return
    bid = won[-1]
    amount = lease.price_micro_usd_per_hour * bidding.NOT_DELIVERED_SECONDS // 3_600
    if amount <= 0 or takeable_micro_usd(tx, bid.owner_id) <= 0:
        return
    terms = SlashTerms(
        case_id=case_id,
        provider_id=bid.owner_id,
        amount_micro_usd=min(amount, MICRO_USD_MAX),
        reason="it won an auction and did not deliver",
        job_id=lease.job_id,
    )
    evidence = {
        "bid": bid.id, "order": lease.order_id, "lease": lease.id, "machine": lease.machine_id,
        "end": None if lease.reason is None else lease.reason.value, "reserved_at": lease.reserved_at,
        "closed_at": lease.closed_at, "price_micro_usd_per_hour": lease.price_micro_usd_per_hour,
    }  # fmt: skip
    open_slash(tx, now, terms, evidence=evidence, machine_id=lease.machine_id)
