"""Compliance tags: signed by auditors, asked for in filters."""

from collections.abc import Iterator

from gondwana.sdk.pages import every
from gondwana.sdk.transport import Transport
from gondwana.wire.tags import SignedTagView, TagRequest


class Tags:
    """What auditors signed of machines."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, machine: str = "") -> Iterator[SignedTagView]:
        """All tags, or those of one machine, revoked and expired ones too."""
        return every(self._transport, "/v1/tags", SignedTagView, machine=machine or None)

    def sign(
        self, machine: str, name: str, *, expires_at: float, evidence: str = ""
    ) -> SignedTagView:
        """The tag as it stands from now on (auditor)."""
        told = TagRequest(machine=machine, name=name, expires_at=expires_at, evidence=evidence)
        return self._transport.write("POST", "/v1/tags", told).decode(SignedTagView)

    def revoke(self, tag_id: str) -> SignedTagView:
        """The tag, which stands no more (its signer, or an operator)."""
        return self._transport.write("DELETE", f"/v1/tags/{tag_id}").decode(SignedTagView)
