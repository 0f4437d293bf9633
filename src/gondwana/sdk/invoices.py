"""Invoices and credit notes."""

from collections.abc import Iterator

from gondwana.sdk.pages import every, segment
from gondwana.sdk.transport import Answer, Transport
from gondwana.wire.ledger import InvoiceDocument, InvoiceView


class Invoices:
    """The caller's invoices and credit notes; everybody's for an operator."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[InvoiceView]:
        """All of them, newest first."""
        return every(self._transport, "/v1/invoices", InvoiceView)

    def get(self, number: str) -> InvoiceDocument:
        """One document as values."""
        return self._fetch(number, "json").decode(InvoiceDocument)

    def file(self, number: str, form: str) -> bytes:
        """One document as a file: `json` (the bytes that its SHA-256 is of), `html` or `pdf`."""
        return self._fetch(number, form).body

    def _fetch(self, number: str, form: str) -> Answer:
        return self._transport.get(f"/v1/invoices/{segment(number)}", format=form)
