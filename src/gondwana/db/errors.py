"""What a database says no to, the same for both of them."""

from gondwana.core.errors import GondwanaError, StorageFull, Unavailable


class Refused(Exception):
    """A constraint or a trigger forbids what the statement would do.

    `reason` is the trigger's own words (`ledger.limit`); of a constraint, the database's message. The call goes on
    only where the statement ran in a savepoint.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Denied(Exception):
    """Nobody who writes through this connection may run this statement."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Failed(Exception):
    """The storage or the connection failed: the whole transaction is gone, or with `is_unknown`, maybe committed."""

    def __init__(self, reason: str, *, is_full: bool = False, is_unknown: bool = False) -> None:
        self.is_full = is_full
        self.is_unknown = is_unknown
        super().__init__(reason)

    def to_unavailable(self) -> GondwanaError:
        """What the callers of the transaction are told."""
        if self.is_full:
            return StorageFull(
                hint="free some space; nothing was written, and it is safe to try again"
            )
        if self.is_unknown:
            return Unavailable(
                f"The database broke off while it committed: {self}. It may have written this, or not.",
                hint="send the same request again, with the same idempotency key: it happens once",
            )
        return Unavailable(
            f"The database cannot do this now: {self}.", hint="try again in a moment"
        )
