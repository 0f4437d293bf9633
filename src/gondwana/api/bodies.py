"""No request's body is read beyond a limit, whatever its sender says of its length."""

from typing import Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gondwana.api.problems import MEDIA_TYPE
from gondwana.core.errors import TooLarge
from gondwana.core.units import MIB, format_bytes

BODY_BYTES_MAX: Final = 8 * MIB  # one piece of a blob; every other body is far smaller


class BodyLimit:
    """An ASGI layer: 413 for a body of more than BODY_BYTES_MAX."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or link; past the limit it answers itself, and the app sees its caller hang up."""
        read, refused = 0, False

        async def limited() -> Message:
            nonlocal read, refused
            message: Message = {"type": "http.disconnect"} if refused else await receive()
            read += len(message.get("body") or b"") if message["type"] == "http.request" else 0
            if read <= BODY_BYTES_MAX or refused:
                return message
            refused = True
            await _refuse(send, scope.get("state", {}).get("request_id", ""))
            return {"type": "http.disconnect"}

        async def unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        await self._app(scope, limited, unless_refused)


async def _refuse(send: Send, request_id: str) -> None:
    error = TooLarge(f"a body has at most {format_bytes(BODY_BYTES_MAX)}")
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    problem = {**error.to_problem(), "request_id": request_id}
    await send({"type": "http.response.body", "body": msgspec.json.encode(problem)})
