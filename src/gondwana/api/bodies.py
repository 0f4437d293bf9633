"""No request's body is read beyond a limit, whatever its sender says of its length."""

from typing import Final

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gondwana.core.units import MIB

BODY_BYTES_MAX: Final = 8 * MIB  # one piece of a blob; every other body is far smaller


class BodyLimit:
    """An ASGI layer: 413 for a body of more than BODY_BYTES_MAX."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or link."""
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body") or b"") if message["type"] == "http.request" else 0
            if read > BODY_BYTES_MAX:
                raise HTTPException(413, f"a body has at most {BODY_BYTES_MAX} bytes")
            return message

        await self._app(scope, limited, send)
