"""How a control plane is set up."""

from dataclasses import dataclass, field
from pathlib import Path

from gondwana.supply.rules import DOWN_AFTER_SECONDS, HEARTBEAT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where it listens and keeps its data."""

    host: str = "127.0.0.1"
    port: int = 8470
    data: Path = Path("gondwana-data")
    # postgresql://…; None is a file in `data`. Not shown with the rest: it may hold a password.
    database: str | None = field(default=None, repr=False)
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    down_after_seconds: float = DOWN_AFTER_SECONDS
    list_prices: Path | None = (
        None  # what others ask, to compare; None: the table that comes with Gondwana
    )
