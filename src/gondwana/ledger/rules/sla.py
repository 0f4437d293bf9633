"""Service credits: what a tenant gets back when a machine was not there, without asking, and who pays it."""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.ledger.accounts import (
    fund_insurance,
    provider_holdback,
    stake,
    tenant_available,
    tenant_promo,
)
from gondwana.ledger.events import Fact
from gondwana.ledger.model import Balance, Entry, LeaseTerms
from gondwana.ledger.rules.entries import legs, pour
from gondwana.ledger.service import (
    PPM,
    Service,
    SlaClass,
    availability_ppm,
    availability_words,
)

GRACE_MS: Final = 15_000  # two lost heartbeats in a month are noise of the measurement, no breach
TIERS_PPM: Final[dict[SlaClass, tuple[tuple[int, int], ...]]] = {
    SlaClass.DATACENTRE: ((950_000, PPM), (990_000, 300_000), (995_000, 100_000)),
    SlaClass.MIXED: ((950_000, 300_000), (990_000, 100_000)),
}
"""Availability below which so much of the charge is credited, the worst first; home machines have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What can pay for one owner's failures now, read in the transaction that posts the credit."""

    holdback: Balance
    stake: Balance
    insurance: Balance
    stake_cap_micro_usd: (
        int  # the most that his stake still pays for failures; the rest is for lies
    )
    fund_cap_micro_usd: (
        int  # the most that the fund still pays for him: `insurance.cover_left_micro_usd`
    )
    haircut_ppm: int = 0  # what the fund keeps back of each claim of this pass

    def __post_init__(self) -> None:
        caps = (self.stake_cap_micro_usd, self.fund_cap_micro_usd)
        if min(caps) < 0 or not 0 <= self.haircut_ppm <= PPM:
            raise InvalidValue(field="cover", value=(*caps, self.haircut_ppm))


def credit_due_micro_usd(sla_class: SlaClass, service: Service) -> int:
    """What a month's failures come to so far, in all; not less than was credited, not more than was charged.

    A running total: later availability takes nothing back. Rounded up, in the tenant's favour.
    """
    charged = service.charged_micro_usd
    if service.outage_ms < GRACE_MS:
        due = 0
    elif sla_class is SlaClass.HOME:
        missing = min(service.outage_ms, service.promised_ms)
        due = -(-charged * missing // service.promised_ms)
    else:
        due = -(-charged * _tier_ppm(sla_class, availability_ppm(service)) // PPM)
    return max(service.credited_micro_usd, due)


def _tier_ppm(sla_class: SlaClass, availability: int) -> int:
    """The part of the charge that is credited at an availability."""
    return next((part for below, part in TIERS_PPM[sla_class] if availability < below), 0)


def claim_on_fund_micro_usd(due_micro_usd: int, cover: Cover) -> int:
    """What the owner's own money does not cover of a credit, up to what the fund covers for him at all."""
    own = sum(_own_parts(due_micro_usd, cover))
    return min(due_micro_usd - own, cover.fund_cap_micro_usd)


def _own_parts(due_micro_usd: int, cover: Cover) -> tuple[int, int]:
    """What of a credit the owner's holdback pays, and then his stake."""
    held_back = min(due_micro_usd, cover.holdback.available_micro_usd)
    at_stake = min(cover.stake_cap_micro_usd, cover.stake.available_micro_usd)
    return held_back, min(due_micro_usd - held_back, at_stake)


def sla_credit(
    terms: LeaseTerms, service: Service, *, sla_class: SlaClass, cover: Cover, machine: str,
    promo_ppm: int = 0,
) -> Entry:  # fmt: skip
    """Pay what is due and not credited yet: the owner's holdback, his stake up to its cap, then the insurance fund.

    `promo_ppm` of what the lease paid was promotional credit: that part comes back as such, rounded up, or a failure
    would turn it into money. What nobody can pay stays due and is tried again. The event is named by all that was
    credited after it, so a repeat posts nothing. Facts: the machine, its availability, the month, the evidence's hash.
    """
    assert terms.lease_id == service.lease_id
    due = credit_due_micro_usd(sla_class, service) - service.credited_micro_usd
    held_back, at_stake = _own_parts(due, cover)
    claim = claim_on_fund_micro_usd(due, cover) * (PPM - cover.haircut_ppm) // PPM
    insured = min(claim, cover.insurance.available_micro_usd)
    paid = held_back + at_stake + insured
    promo = -(-paid * promo_ppm // PPM)
    sources = [
        (provider_holdback(terms.provider_id), held_back),
        (stake(terms.provider_id), at_stake),
        (fund_insurance(), insured),
    ]
    payees = [
        (tenant_promo(terms.tenant_id), promo),
        (tenant_available(terms.tenant_id), paid - promo),
    ]
    total = service.credited_micro_usd + paid
    proof = evidence_hash(evidence(service, sla_class=sla_class))
    return Entry(
        event_id=f"sla.credit:{service.lease_id}:{service.month}:{total}",
        kind="sla.credit",
        subject=terms.lease_id,
        legs=legs(pour(sources, payees)),
        job_id=terms.job_id,
        facts=(machine, availability_words(service), service.month, proof),
    )


def evidence(service: Service, *, sla_class: SlaClass) -> dict[str, Fact]:
    """All that a credit follows from, for its owner and its tenant to compute again."""
    return {
        "lease": service.lease_id,
        "month": service.month,
        "class": sla_class.value,
        "promised_ms": service.promised_ms,
        "proven_ms": service.proven_ms,
        "grace_ms": GRACE_MS,
        "availability_ppm": availability_ppm(service),
        "charged_micro_usd": service.charged_micro_usd,
        "credited_before_micro_usd": service.credited_micro_usd,
        "due_micro_usd": credit_due_micro_usd(sla_class, service),
    }


def evidence_hash(evidence: dict[str, Fact]) -> str:
    """The BLAKE2b-256 of the evidence as JSON with sorted keys and no spaces, in hexadecimal."""
    text = json.dumps(evidence, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()
