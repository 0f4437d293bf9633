"""The operator's side of money: rails, treasury, funds, tax, promotions, corrections, settings (operator)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gondwana.sdk.pages import every, segment
from gondwana.sdk.transport import Transport
from gondwana.wire.treasury import (
    AmountRequest,
    BatchView,
    ClearRequest,
    CorrectionRequest,
    DepositView,
    FreezeRequest,
    FrozenView,
    ImportRequest,
    ImportView,
    PaymentRequest,
    PayoutView,
    PromoRequest,
    PromoView,
    RailAmountRequest,
    ResultRequest,
    SendRequest,
    SettingView,
    TreasuryView,
)

_AT = "/v1/treasury"


class TreasuryPayouts:
    """Everybody's payouts."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, state: str = "") -> Iterator[PayoutView]:
        """Payouts, newest first; with `state` those in it."""
        return every(self._transport, f"{_AT}/payouts", PayoutView, state=state or None)

    def send(self, rail: str, payout_ids: Sequence[str] = ()) -> BatchView:
        """Hand a rail the payouts that wait for it, or those named; without its file."""
        request = SendRequest(rail=rail, payouts=tuple(payout_ids))
        return self._transport.write("POST", f"{_AT}/batches", request).decode(BatchView)

    def batch(self, batch_id: str) -> BatchView:
        """One batch with the file that its rail is sent; the same however often it is asked for."""
        return self._transport.get(f"{_AT}/batches/{segment(batch_id)}").decode(BatchView)

    def results(self, rail: str, content: str) -> ImportView:
        """Apply a file of results; a line that was read before changes nothing."""
        request = ImportRequest(rail=rail, content=content)
        return self._transport.write("POST", f"{_AT}/payouts/results", request).decode(ImportView)

    def confirm(self, payout_id: str, *, reference: str) -> PayoutView:
        """It arrived."""
        return self._settle(payout_id, "confirm", ResultRequest(reference=reference))

    def fail(self, payout_id: str, *, reason: str) -> PayoutView:
        """It did not, or is not to be sent: the money is its owner's again."""
        return self._settle(payout_id, "fail", ResultRequest(reason=reason))

    def _settle(self, payout_id: str, verb: str, request: ResultRequest) -> PayoutView:
        path = f"{_AT}/payouts/{segment(payout_id)}/{verb}"
        return self._transport.write("POST", path, request).decode(PayoutView)


class TreasuryDeposits:
    """Everybody's deposits."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, state: str = "") -> Iterator[DepositView]:
        """Deposits, newest first; with `state` those in it."""
        return every(self._transport, f"{_AT}/deposits", DepositView, state=state or None)

    def record(self, request: PaymentRequest) -> DepositView:
        """A payment that came in, is expected, or is nobody's that we know."""
        return self._transport.write("POST", f"{_AT}/deposits", request).decode(DepositView)

    def statement(self, rail: str, content: str) -> ImportView:
        """Apply a bank's statement; a payment that was read before changes nothing."""
        request = ImportRequest(rail=rail, content=content)
        path = f"{_AT}/deposits/statement"
        return self._transport.write("POST", path, request).decode(ImportView)

    def confirm(self, deposit_id: str) -> DepositView:
        """The expected deposit came."""
        return self._settle(deposit_id, "confirm", None)

    def void(self, deposit_id: str, *, reason: str = "") -> DepositView:
        """The expected deposit will not come."""
        return self._settle(deposit_id, "void", ResultRequest(reason=reason))

    def clear(self, deposit_id: str, *, principal: str) -> DepositView:
        """The unclear payment is this tenant's."""
        return self._settle(deposit_id, "clear", ClearRequest(principal=principal))

    def give_back(self, deposit_id: str, *, reason: str = "") -> DepositView:
        """The unclear payment went back to its sender."""
        return self._settle(deposit_id, "return", ResultRequest(reason=reason))

    def chargeback(self, deposit_id: str, *, reason: str) -> DepositView:
        """The sender took the deposit back; the account is frozen."""
        return self._settle(deposit_id, "chargeback", ResultRequest(reason=reason))

    def _settle(self, deposit_id: str, verb: str, request: object) -> DepositView:
        path = f"{_AT}/deposits/{segment(deposit_id)}/{verb}"
        return self._transport.write("POST", path, request).decode(DepositView)


class Treasury:
    """The operator's money, and one look at all money; what changes it answers with that look."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.payouts = TreasuryPayouts(transport)
        self.deposits = TreasuryDeposits(transport)

    def balance(self) -> TreasuryView:
        """Where all money is: what the rails hold is what is owed, in doubt, and the operator's."""
        return self._transport.get(_AT).decode(TreasuryView)

    def deposit(self, rail: str, amount_micro_usd: int) -> TreasuryView:
        """The operator's own money came in."""
        request = RailAmountRequest(rail=rail, amount_micro_usd=amount_micro_usd)
        return self._move("deposit", request)

    def withdraw(self, rail: str, amount_micro_usd: int) -> TreasuryView:
        """The operator took own money out."""
        request = RailAmountRequest(rail=rail, amount_micro_usd=amount_micro_usd)
        return self._move("withdraw", request)

    def sweep(self, amount_micro_usd: int | None = None) -> TreasuryView:
        """Fees earned so far become the treasury's, all of them for None."""
        return self._move("sweep", AmountRequest(amount_micro_usd=amount_micro_usd))

    def fund_deposit(self, fund: str, amount_micro_usd: int) -> TreasuryView:
        """The treasury's money for the "insurance" or "verification" fund."""
        request = AmountRequest(amount_micro_usd=amount_micro_usd)
        return self._move(f"funds/{segment(fund)}/deposit", request)

    def fund_withdraw(self, fund: str, amount_micro_usd: int) -> TreasuryView:
        """A surplus of a fund back to the treasury."""
        request = AmountRequest(amount_micro_usd=amount_micro_usd)
        return self._move(f"funds/{segment(fund)}/withdraw", request)

    def remit_tax(self, jurisdiction: str, rail: str, amount_micro_usd: int) -> TreasuryView:
        """Tax was paid to whom it is owed."""
        request = RailAmountRequest(rail=rail, amount_micro_usd=amount_micro_usd)
        return self._move(f"taxes/{segment(jurisdiction)}", request)

    def correct(self, transfer: int, *, why: str) -> TreasuryView:
        """Post the mirror of the entry that this transfer is part of."""
        return self._move("corrections", CorrectionRequest(transfer=transfer, why=why))

    def grant_promo(self, request: PromoRequest) -> PromoView:
        """Promotional credit for a tenant, out of the treasury."""
        return self._transport.write("POST", f"{_AT}/promos", request).decode(PromoView)

    def promos(self) -> Iterator[PromoView]:
        """Promotional credit as it was granted, newest first."""
        return every(self._transport, f"{_AT}/promos", PromoView)

    def freeze(self, principal: str, *, reason: str) -> FrozenView:
        """Stop an account from spending and taking out."""
        path = f"{_AT}/frozen/{segment(principal)}"
        return self._transport.write("PUT", path, FreezeRequest(reason=reason)).decode(FrozenView)

    def unfreeze(self, principal: str) -> FrozenView:
        """Let an account spend and take out again."""
        path = f"{_AT}/frozen/{segment(principal)}"
        return self._transport.write("DELETE", path).decode(FrozenView)

    def _move(self, what: str, request: object) -> TreasuryView:
        return self._transport.write("POST", f"{_AT}/{what}", request).decode(TreasuryView)


class NetworkSettings:
    """What the operator of this network decided about money."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[SettingView]:
        """Every setting as it is now."""
        return every(self._transport, "/v1/settings", SettingView)

    def change(self, name: str, fields: Mapping[str, Any]) -> SettingView:
        """The setting with these fields changed; the others stay."""
        path = f"/v1/settings/{segment(name)}"
        return self._transport.write("PUT", path, dict(fields)).decode(SettingView)
