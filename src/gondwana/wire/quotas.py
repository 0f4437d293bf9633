"""What an account may hold at once, and the queue of who waits for machines, as the API takes and gives them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRequest:
    """A new quota; what is None stays as it was. It stands beside the operator's or the tenant's own."""

    devices_max: int | None = None
    jobs_max: int | None = None
    weight: int | None = None
    project: str = ""  # "": all of the tenant's jobs
    model: str = ""  # "": devices of any model
    principal: str = ""  # whose; "" is the caller's own; others' only by an operator


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaView:
    """A quota and what is held of it."""

    principal: str
    project: str
    model: str
    devices_max: int | None
    devices_held: int
    jobs_max: int | None
    jobs_held: int
    weight: int | None
    set_by_operator: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """One order that waits for machines."""

    place: int  # 1 is next; 0: a quota keeps it out of the queue, or a price decides instead
    mechanism: str  # "posted" | "auction" | "spot"
    job: str
    job_id: str
    principal: str
    project: str
    priority: int
    since: float  # seconds since 1970
    machines: int  # at least so many at once
    devices: int  # of each
    accelerators: tuple[str, ...]
    kept: int  # machines that are kept for it
    why: str  # what keeps it waiting, where that is known
