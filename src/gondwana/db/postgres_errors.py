"""What PostgreSQL says no to, as our errors."""

from typing import Final

import psycopg
from psycopg import errors

from gondwana.db.errors import Denied, Failed, Refused
from gondwana.db.postgres_place import RawConnection

_REFUSALS: Final = (psycopg.IntegrityError, psycopg.DataError, errors.RaiseException)
_DENIALS: Final = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)
_FAILURES: Final = (psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError)


class Errors:
    """Within this block, what PostgreSQL says no to is one of our errors."""

    __slots__ = ("_raw",)

    def __init__(self, raw: RawConnection) -> None:
        self._raw = raw

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, psycopg.Error):
            ours = _ours(error, is_closed=self._raw.closed)
            if ours is not None:
                raise ours from error


def _ours(error: psycopg.Error, *, is_closed: bool) -> Exception | None:
    """What the error means, or None: a mistake of ours, which belongs to whoever made it."""
    reason = error.diag.message_primary or str(error)
    if is_closed:
        return Failed(reason)
    if isinstance(error, _REFUSALS):
        constraint = error.diag.constraint_name
        return Refused(
            reason if not constraint or constraint in reason else f"{reason} ({constraint})"
        )
    if isinstance(error, _DENIALS):
        return Denied(reason)
    if isinstance(error, _FAILURES):
        return Failed(reason, is_full=isinstance(error, errors.DiskFull))
    return None
