"""What can go wrong, as one tree. The class decides the HTTP status and the exit code.

    GondwanaError
    ├── Invalid        422 / exit 2    InvalidValue · UnknownKey · UnsupportedKey · InvalidJobFile · InvalidBytes ·
    │                                 ManifestMismatch
    ├── Unauthorised   401 / exit 3    MissingToken · InvalidToken · ScopeMissing (403) · BadSignature
    ├── NotFound       404 / exit 4    NoSuchThing
    ├── Conflict       409 / exit 5    WrongState · IdempotencyConflict · StaleEpoch · AccountFrozen
    ├── Exhausted      429 / exit 6    NothingFits · BudgetTooSmall · FundsTooLow · QuotaTooSmall · ExposureTooHigh ·
    │                                 TooLarge (413)
    ├── Unavailable    503 / exit 7    ServerUnreachable · SandboxUnavailable · StorageFull (507) · ShuttingDown ·
    │                                 NotLeader
    └── JobFailed      (no status) / exit 1, or the job's own code    RecipeError · TrainingDiverged

The docstring of a class is its message when none is given; `code` is stable and documented in
docs/reference/errors.md; `hint` is the next thing to type.
"""

from typing import Any, ClassVar


class GondwanaError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, **fields: Any
    ) -> None:
        self.message = message or self._default_message(fields)
        self.hint = hint
        self.fields = fields
        super().__init__(self.message)

    def _default_message(self, fields: dict[str, Any]) -> str:
        text = (type(self).__doc__ or "").strip().splitlines()[0]
        details = ", ".join(f"{name} {value!r}" for name, value in fields.items())
        return f"{text.rstrip('.')}: {details}." if details else text

    def to_problem(self) -> dict[str, Any]:
        """This error as problem+json members (RFC 9457): code, title, detail, hint, fields."""
        title = (type(self).__doc__ or "").strip().splitlines()[0]
        return {"code": self.code, "status": self.status, "title": title, "detail": self.message,
                "hint": self.hint, "fields": {key: str(value) for key, value in self.fields.items()}}  # fmt: skip


class Invalid(GondwanaError):
    """The request is not valid."""

    code, status, exit_code = "invalid", 422, 2


class InvalidValue(Invalid):
    """A value is not allowed here."""

    code = "invalid_value"


class UnknownKey(Invalid):
    """This key does not exist."""

    code = "unknown_key"


class UnsupportedKey(Invalid):
    """This key exists in SkyPilot, but Gondwana does not support it yet."""

    code = "unsupported_key"


class InvalidJobFile(Invalid):
    """The job file cannot be read."""

    code = "invalid_job_file"


class InvalidBytes(Invalid):
    """These bytes are not what they should be."""

    code = "invalid_bytes"


class ManifestMismatch(Invalid):
    """What is to be run is not what was ordered."""

    code = "manifest_mismatch"


class Unauthorised(GondwanaError):
    """You may not do this."""

    code, status, exit_code = "unauthorised", 401, 3


class MissingToken(Unauthorised):
    """A token is needed."""

    code = "missing_token"


class InvalidToken(Unauthorised):
    """The token is not known or was revoked."""

    code = "invalid_token"


class ScopeMissing(Unauthorised):
    """The token does not allow this."""

    code, status = "scope_missing", 403


class BadSignature(Unauthorised):
    """The signature does not fit the key."""

    code = "bad_signature"


class NotFound(GondwanaError):
    """It does not exist."""

    code, status, exit_code = "not_found", 404, 4


class NoSuchThing(NotFound):
    """Nothing has this name or id."""

    code = "no_such_thing"


class Conflict(GondwanaError):
    """The present state does not allow this."""

    code, status, exit_code = "conflict", 409, 5


class WrongState(Conflict):
    """It is not in a state that allows this."""

    code = "wrong_state"


class IdempotencyConflict(Conflict):
    """This idempotency key was used for another request."""

    code = "idempotency_conflict"


class StaleEpoch(Conflict):
    """The lease is no longer this machine's."""

    code = "stale_epoch"


class AccountFrozen(Conflict):
    """The account is frozen."""

    code = "account_frozen"


class Exhausted(GondwanaError):
    """There is not enough of it."""

    code, status, exit_code = "exhausted", 429, 6


class NothingFits(Exhausted):
    """No machine fits the job."""

    code = "nothing_fits"


class BudgetTooSmall(Exhausted):
    """The job's budget does not pay for it."""

    code = "budget_too_small"


class FundsTooLow(Exhausted):
    """The account does not hold enough."""

    code = "funds_too_low"


class QuotaTooSmall(Exhausted):
    """The quota allows less than this ever."""

    code = "quota_too_small"


class ExposureTooHigh(Exhausted):
    """The owner already holds as much unverified work as his stake allows."""

    code = "exposure_too_high"


class TooLarge(Exhausted):
    """It is larger than allowed."""

    code, status = "too_large", 413


class Unavailable(GondwanaError):
    """It cannot be had right now."""

    code, status, exit_code = "unavailable", 503, 7


class ServerUnreachable(Unavailable):
    """The control plane does not answer."""

    code = "server_unreachable"


class SandboxUnavailable(Unavailable):
    """This machine has no sandbox for other people's work."""

    code = "sandbox_unavailable"


class StorageFull(Unavailable):
    """There is no room left on the disk."""

    code, status = "storage_full", 507


class ShuttingDown(Unavailable):
    """The control plane is stopping."""

    code = "shutting_down"


class NotLeader(Unavailable):
    """Another control plane leads."""

    code = "not_leader"


class JobFailed(GondwanaError):
    """The job did not succeed."""

    code, status, exit_code = "job_failed", 500, 1


class RecipeError(JobFailed):
    """The recipe failed."""

    code = "recipe_error"


class TrainingDiverged(JobFailed):
    """The loss is no longer finite."""

    code = "training_diverged"


def all_errors(base: type[GondwanaError] = GondwanaError) -> list[type[GondwanaError]]:
    """Every class of the tree, depth first; the reference page and the SDK are made from it."""
    found = [base]
    for child in base.__subclasses__():
        found += all_errors(child)
    return found


def from_problem(problem: dict[str, Any]) -> GondwanaError:
    """The error a server described as problem+json, as the same class that the server raised."""
    by_code = {error.code: error for error in all_errors()}
    error = by_code.get(str(problem.get("code")), GondwanaError)
    return error(
        str(problem.get("detail") or "the server gave no reason"),
        hint=problem.get("hint"),
        **dict(problem.get("fields") or {}),
    )
