"""Tokens: who may talk to the control plane, and do what (operator)."""

from collections.abc import Iterator

from gondwana.sdk.pages import every, segment
from gondwana.sdk.transport import Transport
from gondwana.wire.views import TokenRequest, TokenView


class Tokens:
    """The tokens of this control plane."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, scopes: tuple[str, ...]) -> TokenView:
        """A new token for the principal `name`; the only time that its text is shown."""
        request = TokenRequest(name=name, scopes=scopes)
        return self._transport.write("POST", "/v1/tokens", request).decode(TokenView)

    def list(self) -> Iterator[TokenView]:
        """Every token, without its text."""
        return every(self._transport, "/v1/tokens", TokenView)

    def revoke(self, token_id: str) -> None:
        """End a token: its next request is refused."""
        self._transport.write("DELETE", f"/v1/tokens/{segment(token_id)}")
