"""What the insurance fund would have to pay if an owner vanished now."""

from collections import defaultdict
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.jobs import service, service_credits
from gondwana.jobs.service_credits import Pool
from gondwana.ledger.service import PPM, SlaClass
from gondwana.market import store as market
from gondwana.supply import store as supply

WORST_PPM: Final = {SlaClass.DATACENTRE: PPM, SlaClass.MIXED: 300_000, SlaClass.HOME: PPM}
"""The most of a month's charge that is ever credited."""


def exposures_micro_usd(reader: Reader, now: Instant) -> dict[str, int]:
    """By owner: what his live leases could still claim this month, less what he can pay, up to what is covered."""
    known = service.known(reader)
    if known is None:
        return {}
    at_risk: dict[str, int] = defaultdict(int)
    for lease in market.all_metered(reader):
        if lease.lived_at is None:
            continue
        course = service.course(reader, lease, known.until)
        month = service.months(reader, course, known.gaps)[-1].service
        worst = month.charged_micro_usd * WORST_PPM[lease.sla] // PPM
        owner = supply.machine(reader, lease.machine_id).owner_id
        at_risk[owner] += max(0, worst - month.credited_micro_usd)
    found: dict[str, int] = {}
    for owner, amount in at_risk.items():
        paid_in = {owner: service_credits.paid_in_micro_usd(reader, owner)}
        cover = service_credits.cover(reader, now, owner, Pool(paid_in_micro_usd=paid_in))
        at_stake = min(cover.stake_cap_micro_usd, cover.stake.available_micro_usd)
        own = cover.holdback.available_micro_usd + at_stake
        found[owner] = min(max(0, amount - own), cover.fund_cap_micro_usd)
    return found
