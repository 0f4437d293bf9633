"""What the caller's jobs may hold at once, and where they stand in the queue."""

from collections.abc import Iterator
from urllib.parse import urlencode

from gondwana.sdk.pages import every
from gondwana.sdk.transport import Transport
from gondwana.wire.quotas import QueueView, QuotaRequest, QuotaView


class Quotas:
    """Quotas by project and device model, and the queue."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, principal: str = "") -> Iterator[QuotaView]:
        """The caller's quotas, or those of `principal` (operator)."""
        return every(self._transport, "/v1/quotas", QuotaView, principal=principal or None)

    def set(
        self, *, devices_max: int | None = None, jobs_max: int | None = None, weight: int | None = None,
        project: str = "", model: str = "", principal: str = "",
    ) -> QuotaView:  # fmt: skip
        """The quota as it stands after it was set; what is None stays as it was."""
        request = QuotaRequest(
            devices_max=devices_max, jobs_max=jobs_max, weight=weight,
            project=project, model=model, principal=principal,
        )  # fmt: skip
        return self._transport.write("PUT", "/v1/quotas", request).decode(QuotaView)

    def remove(self, *, project: str = "", model: str = "", principal: str = "") -> QuotaView:
        """The quota that is lifted."""
        asked = urlencode({"project": project, "model": model, "principal": principal})
        return self._transport.write("DELETE", f"/v1/quotas?{asked}").decode(QuotaView)

    def queue(self, *, all: bool = False) -> Iterator[QueueView]:
        """The caller's orders that wait for machines, next first; `all` of everybody's (operator)."""
        return every(self._transport, "/v1/queue", QueueView, all=1 if all else None)
