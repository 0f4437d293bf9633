"""One HTTP request to the control plane: signed in, idempotent, retried where that is safe, errors as our classes."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3

import gondwana
from gondwana.core.decoding import from_json
from gondwana.core.errors import (
    Conflict,
    Exhausted,
    GondwanaError,
    Invalid,
    InvalidBytes,
    NotFound,
    ServerUnreachable,
    Unauthorised,
    Unavailable,
    from_problem,
)
from gondwana.core.random import Random, SecureRandom
from gondwana.core.units import MIB

RETRIES_MAX: Final = 6  # with the waits below: about 16 s, a control plane's restart
RETRIES_UNMET_MAX: Final = (
    2  # while nothing has ever answered: rather a wrong address than a restart
)
RETRY_SECONDS_FIRST: Final = 0.25
RETRY_SECONDS_MAX: Final = 8.0
RETRY_AFTER_SECONDS_MAX: Final = 30.0  # a server may ask for more; we do not sit longer than this
CONNECT_SECONDS_MAX: Final = 5.0
READ_SECONDS_MAX: Final = 60.0  # beyond what a long poll was asked to wait
ANSWER_BYTES_MAX: Final = 32 * MIB  # a page of 200 jobs with long histories stays far below
CHUNK_BYTES: Final = 256 * 1024
RETRY_STATUSES: Final = frozenset({502, 503, 504})
BY_STATUS: Final[dict[int, type[GondwanaError]]] = {
    401: Unauthorised, 403: Unauthorised, 404: NotFound, 409: Conflict, 413: Exhausted, 429: Exhausted,
    502: Unavailable, 503: Unavailable, 504: Unavailable, 507: Unavailable,
}  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server answered: status, headers (any case), body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def decode(self, kind: type[T]) -> T:
        """The body as `kind`; raises InvalidBytes where the server speaks another version."""
        try:
            return from_json(self.body, kind)
        except msgspec.MsgspecError as error:
            raise InvalidBytes(
                f"the control plane's answer is not what this client expects: {error}",
                hint=f"this client is gondwana {gondwana.__version__}; install the server's version",
            ) from None


class Transport:
    """Connections to one control plane; safe to share between threads."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        random: Random | None = None,
        wait: Callable[[float], Any] | None = None,
        retries_max: int = RETRIES_MAX,
    ) -> None:
        self.url = url.rstrip("/")
        self.random = random or SecureRandom()
        self._wait = wait or threading.Event().wait
        self._retries_max = retries_max
        self._met = False  # something has answered at this address
        self._pool = urllib3.PoolManager(retries=False, maxsize=8)
        self._headers = {"User-Agent": f"gondwana/{gondwana.__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, *, poll_seconds: float = 0.0, **query: object) -> Answer:
        """The answer to a GET; `poll_seconds` is how long the server was asked to wait."""
        return self.request("GET", path, query=query, poll_seconds=poll_seconds)

    def write(self, method: str, path: str, value: object = None) -> Answer:
        """The answer to a write, with one idempotency key for all its retries."""
        body = b"" if value is None else msgspec.json.encode(value)
        headers = {
            "Idempotency-Key": self.random.token(16).hex(),
            "Content-Type": "application/json",
        }
        return self.request(method, path, body=body, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        poll_seconds: float = 0.0,
        accept: frozenset[int] = frozenset(),
    ) -> Answer:
        """The answer, after retries while the server is away or says Unavailable.

        Every request through here may be repeated: reads, blobs by their hash, and writes with an idempotency key.
        Statuses in `accept` come back as answers; other refusals are raised as the class that the server raised.
        """
        for attempt in range(self._retries_max + 1):
            last = attempt == self._retries_max
            try:
                answer = self._send(method, path, query, body, headers, poll_seconds)
                self._met = True
            except ServerUnreachable:
                if last or (not self._met and attempt >= RETRIES_UNMET_MAX):
                    raise
                self._wait(self._pause_seconds(attempt, None))
                continue
            if answer.status < 300 or answer.status in accept:
                return answer
            if last or answer.status not in RETRY_STATUSES:
                raise _refusal(answer)
            self._wait(self._pause_seconds(attempt, answer.headers.get("Retry-After")))
        raise AssertionError("the last attempt returns or raises")

    def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Iterator[bytes]]:
        """(status, pieces of the body) of one GET without retries: whoever resumes knows where from."""
        try:
            response = self._open("GET", path, None, None, headers, 0.0)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from None
        if response.status >= 300:
            raise _refusal(
                Answer(
                    status=response.status,
                    headers=response.headers,
                    body=response.read(CHUNK_BYTES),
                )
            )
        return response.status, self._pieces(response)

    def pause(self, attempt: int) -> None:
        """Wait before trying for the `attempt`-th time to go on with a broken transfer."""
        self._wait(self._pause_seconds(attempt, None))

    def _pieces(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        try:
            while piece := response.read1(CHUNK_BYTES):  # what came is kept, also before a break
                yield piece
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from None
        finally:
            response.close()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        poll_seconds: float,
    ) -> Answer:
        try:
            response = self._open(method, path, query, body, headers, poll_seconds)
            data = response.read(ANSWER_BYTES_MAX + 1)
            if len(data) > ANSWER_BYTES_MAX:
                response.close()
                raise InvalidBytes(f"the answer to {path} is over {ANSWER_BYTES_MAX} bytes")
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from None
        return Answer(status=response.status, headers=response.headers, body=data)

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        poll_seconds: float,
    ) -> urllib3.BaseHTTPResponse:
        asked = {key: value for key, value in (query or {}).items() if value is not None}
        return self._pool.request(
            method,
            f"{self.url}{path}" + (f"?{urlencode(asked)}" if asked else ""),
            body=body,
            headers={**self._headers, **(headers or {})},
            redirect=False,  # a token is for the address it was given for
            preload_content=False,
            timeout=urllib3.Timeout(
                connect=CONNECT_SECONDS_MAX, read=READ_SECONDS_MAX + poll_seconds
            ),
        )

    def _pause_seconds(self, attempt: int, retry_after: str | None) -> float:
        if retry_after is not None and retry_after.isdecimal():
            return min(float(retry_after), RETRY_AFTER_SECONDS_MAX)
        longest = min(RETRY_SECONDS_MAX, RETRY_SECONDS_FIRST * 2**attempt)
        return longest * (0.5 + self.random.uniform() / 2)

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(
            f"the control plane at {self.url} does not answer ({_cause(error)})",
            hint="start one with `gondwana serve`, or name another: gondwana login URL --token TOKEN",
        )


def _cause(error: Exception) -> str:
    """The system's own words at the bottom of the chain, e.g. `connection refused`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "it took too long" if isinstance(error, urllib3.exceptions.TimeoutError) else str(error)


def _refusal(answer: Answer) -> GondwanaError:
    """The error that an answer of 300 or more stands for."""
    if 300 <= answer.status < 400:
        return InvalidBytes(
            "the address redirects elsewhere", hint="log in at the address it names"
        )
    try:
        problem = from_json(answer.body, dict[str, Any])
    except msgspec.MsgspecError:
        problem = {}
    if "code" in problem:
        return from_problem(problem)
    kind = BY_STATUS.get(answer.status, Invalid if answer.status < 500 else GondwanaError)
    return kind(
        f"the control plane answered {answer.status} without a reason",
        hint="is there a Gondwana control plane at this address? try: gondwana doctor",
    )
