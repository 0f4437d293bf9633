"""Money in and out as it is answered (wire/treasury.py)."""

import dataclasses
from collections.abc import Sequence

import msgspec

from gondwana.core.errors import NoSuchThing
from gondwana.core.ids import PrincipalId
from gondwana.db.transaction import Reader
from gondwana.ledger.frozen import frozen_because
from gondwana.ledger.payments import (
    Batch,
    Deposit,
    Destination,
    Imported,
    Outcome,
    Payout,
    PromoGrant,
    mask,
)
from gondwana.ledger.settings import SETTINGS, setting
from gondwana.ledger.treasury import Look, Sum
from gondwana.policy import store as policy
from gondwana.policy.model import Principal
from gondwana.wire import treasury as wire


def principal_of(reader: Reader, name: str) -> Principal:
    """The principal of this name; raises NoSuchThing."""
    found = policy.principal_named(reader, name)
    if found is None:
        raise NoSuchThing(principal=name[:80], hint="gondwana token list")
    return found


def destination_view(found: Destination) -> wire.DestinationView:
    """A destination, masked."""
    return wire.DestinationView(
        rail=found.rail,
        destination=mask(found.destination),
        holder=found.holder,
        changed_at=found.changed_at,
    )


def payout_view(reader: Reader, found: Payout) -> wire.PayoutView:
    """One payout, its destination masked."""
    return wire.PayoutView(
        id=found.id,
        principal=_name(reader, found.principal_id),
        account=found.account,
        rail=found.rail,
        destination=mask(found.destination),
        amount_micro_usd=found.amount_micro_usd,
        state=found.state,
        reference=found.reference,
        reason=found.reason,
        batch=found.batch_id,
        requested_at=found.requested_at,
        sent_at=found.sent_at,
        ended_at=found.ended_at,
    )


def batch_view(
    reader: Reader, batch: Batch, payouts: Sequence[Payout], file: str = ""
) -> wire.BatchView:
    """One batch."""
    return wire.BatchView(
        id=batch.id,
        rail=batch.rail,
        made_at=batch.made_at,
        payouts=tuple(payout_view(reader, each) for each in payouts),
        file=file,
    )


def deposit_view(reader: Reader, found: Deposit) -> wire.DepositView:
    """One payment that came in or is to come."""
    return wire.DepositView(
        id=found.id,
        principal=_name(reader, found.tenant_id),
        rail=found.rail,
        reference=found.reference,
        amount_micro_usd=found.amount_micro_usd,
        state=found.state,
        sender=found.sender,
        paid_on=found.paid_on,
        reason=found.reason,
        made_at=found.made_at,
        changed_at=found.changed_at,
    )


def import_view(lines: Sequence[Imported]) -> wire.ImportView:
    """What became of a file."""
    counts = {outcome: sum(line.outcome is outcome for line in lines) for outcome in Outcome}
    return wire.ImportView(
        applied=counts[Outcome.APPLIED],
        repeated=counts[Outcome.REPEATED],
        refused=counts[Outcome.REFUSED],
        lines=tuple(
            wire.ImportedLine(
                line=line.line, outcome=line.outcome, subject=line.subject, detail=line.detail
            )
            for line in lines
        ),
    )


def promo_view(reader: Reader, found: PromoGrant) -> wire.PromoView:
    """Promotional credit as it was granted."""
    return wire.PromoView(
        id=found.id,
        principal=_name(reader, found.tenant_id),
        amount_micro_usd=found.amount_micro_usd,
        why=found.why,
        granted_at=found.granted_at,
        expires_at=found.expires_at,
    )


def treasury_view(found: Look) -> wire.TreasuryView:
    """Where all money is."""
    return wire.TreasuryView(
        rails=_sums(found.rails),
        owed=_sums(found.owed),
        unclear=_sums(found.unclear),
        operator=_sums(found.operator),
        held_micro_usd=sum(each.micro_usd for each in found.rails),
        owed_micro_usd=sum(each.micro_usd for each in found.owed),
        difference_micro_usd=found.difference_micro_usd,
    )


def frozen_view(reader: Reader, found: Principal) -> wire.FrozenView:
    """Whether an account may spend and take out."""
    reason = frozen_because(reader, found.id)
    return wire.FrozenView(principal=found.name, frozen=reason is not None, reason=reason or "")


def setting_view(reader: Reader, name: str) -> wire.SettingView:
    """One setting as it is now."""
    value = setting(reader, name, type(SETTINGS[name]))
    return wire.SettingView(name=name, value=msgspec.to_builtins(value))


def _sums(sums: Sequence[Sum]) -> tuple[wire.SumView, ...]:
    return tuple(wire.SumView(**dataclasses.asdict(each)) for each in sums)


def _name(reader: Reader, principal_id: str | None) -> str:
    if principal_id is None:
        return ""
    return policy.principal(reader, PrincipalId(principal_id)).name
