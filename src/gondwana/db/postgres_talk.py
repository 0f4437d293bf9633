"""What one session says to its PostgreSQL server, and hears: in few messages, and without waiting where it need not.

Parameters are put into the text on this side (ClientCursor): NULL then needs no type, and several statements can share
a message. What returns nothing (BEGIN, SAVEPOINT, RELEASE, inserts, updates) is not waited for: one such message may be
under way while we work on; what comes meanwhile goes with the next. libpq's pipeline mode would take neither COPY nor
several statements in one message.
"""

import contextlib
import io
import itertools
import select
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg import ClientCursor, Copy, errors, generators
from psycopg.copy import FileWriter
from psycopg.pq import Escaping, ExecStatus, TransactionStatus
from psycopg.rows import dict_row, tuple_row

from gondwana.db.connection import Params, calmed
from gondwana.db.dialect import Prepared, postgres_text
from gondwana.db.postgres_errors import Errors
from gondwana.db.postgres_few import are_few, as_json, insert_few
from gondwana.db.postgres_place import RawConnection
from gondwana.db.queries import Query

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

CHUNK_BYTES: Final = 128 * 1024  # of COPY: more at once makes libpq slow
Told = Callable[[int], None]


class _Message(NamedTuple):
    text: bytes
    preparing: dict[str, str]  # names of the statements that it prepares, by their text
    told: list[Told]  # hear how many rows each of its first UPDATEs changed


_NOTHING: Final = _Message(b"", {}, [])


class Talk:
    """A session's messages. Its methods raise Refused, Denied and Failed for any message that went before."""

    def __init__(self, raw: RawConnection, calm: threading.Event) -> None:
        """`calm`: set while others may compute without slowing who talks."""
        self.raw = raw
        self.in_transaction = False
        self._calm = calm
        self._numbers = itertools.count()  # of prepared statements
        self._prepared: dict[str, str] = {}  # their names on the server
        self._is_awaiting = False
        self._sent = _NOTHING  # that is not answered yet
        self._answered: Sequence[PGresult] = ()  # of it: what came before a COPY
        self.drop()

    # -- what waits to be sent

    def drop(self) -> None:
        """Forget what waits to be sent."""
        self.unsent: list[str] = []
        self._preparing: dict[str, str] = {}  # by what is to be sent
        self._told: list[Told] = []  # of its UPDATEs
        self._has_rows = False  # it may be refused

    def say(self, text: str) -> None:
        """Send this with what comes next."""
        self.unsent.append(text)

    def update(self, text: str, told: Told) -> None:
        """Change rows; `told` hears how many were, and may raise, when the server has answered."""
        self.unsent.append(text)
        self._told.append(told)
        self._go_on()

    def insert(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows: a few as one parameter of a statement, many by COPY, which is waited for to begin."""
        if are_few(columns, rows):
            self.unsent.append(self.text(insert_few(table, columns), [as_json(columns, rows)]))
            self._has_rows = True
            self._go_on()
            return
        data, names = self._copied(rows), ", ".join(f'"{column}"' for column in columns)
        message = self._message(f'COPY "{table}" ({names}) FROM STDIN')
        self.hear()
        with self._talking():
            self._answered = self._copy(message.text, data)
        self._sent, self._is_awaiting = message, True

    def text(self, sql: str, params: Params) -> str:
        """What to send for a statement; planning a keyed one anew takes longer than looking up a few keys."""
        if isinstance(sql, Prepared):
            return self._prepared_text(sql, params)
        return self._bound(sql.postgres if isinstance(sql, Query) else postgres_text(sql), params)

    def _prepared_text(self, sql: Prepared, params: Params) -> str:
        under_way = self._prepared.get(sql) or self._sent.preparing.get(sql)
        known = under_way or self._preparing.get(sql)
        name = known or f"keyed_{next(self._numbers)}"  # never one again that failed half way
        text = f"EXECUTE {name} ({self._values(list(params))})" if params else f"EXECUTE {name}"
        if known is None:
            self._preparing[sql] = name
            text = f"PREPARE {name} AS {sql.numbered.rstrip().rstrip(';')};{text}"
        return text

    def _values(self, params: Sequence[Any]) -> str:
        """Parameters as text: nearly all are texts (keys, JSON), which libpq quotes in a seventh of the time."""
        if all(type(each) is str and "\0" not in each for each in params):
            quote = Escaping(self.raw.pgconn).escape_literal
            return ",".join([bytes(quote(each.encode())).decode() for each in params])
        return self._bound(", ".join(["%s"] * len(params)), params)

    def _bound(self, query: str, params: Params) -> str:
        """The query with its parameters in it; a mistake in them shows here, before anything is sent."""
        with Errors(self.raw):
            return ClientCursor(self.raw, row_factory=dict_row).mogrify(query.encode(), params)

    # -- sending and hearing

    def ask(self, text: str, rows: Any = tuple_row) -> "ClientCursor[Any]":
        """The cursor at the first result of a message: of what waited, then of `text`."""
        message = self._message(text)
        self.hear()
        with self._talking():
            # Nobody computes beside this: an answer comes in pieces of 8 kB, and each would wait for the interpreter.
            cursor = ClientCursor(self.raw, row_factory=rows)
            cursor.execute(message.text)
        self._prepared |= message.preparing
        for told in message.told:
            while not _is_update(cursor.statusmessage):
                if not cursor.nextset():
                    raise AssertionError("only an UPDATE says how many rows it changed")
            told(cursor.rowcount)
            cursor.nextset()
        return cursor

    def hear(self) -> None:
        """Wait for the answer to what is under way; raises what was refused of it."""
        if not self._is_awaiting:
            return
        message, self._sent, self._is_awaiting = self._sent, _NOTHING, False
        answered, self._answered = self._answered, ()
        with self._talking(), calmed(self._calm):  # the server works, and will answer in a word
            results = [*answered, *self.raw.wait(generators.fetch_many(self.raw.pgconn))]
            self._refuse(results)
        self._prepared |= message.preparing
        updates = (each for each in results if _is_update((each.command_status or b"").decode()))
        for told, update in zip(message.told, updates, strict=True):
            told(update.command_tuples or 0)

    @property
    def may_refuse(self) -> bool:
        """Whether something is under way, or waits, that the server may refuse."""
        return self._is_awaiting or self._has_rows or bool(self._told)

    def flush(self) -> None:
        """Have the server take what it may refuse; raises what it refuses."""
        if self._has_rows or self._told:
            self._send()
        self.hear()

    def send_updates(self) -> None:
        """Send the updates that wait, whose counts somebody is to hear, in a message of their own: what is said after
        this is sent only if nobody objects."""
        if self._told:
            self._send()

    def has_word(self) -> bool:
        """Whether the server sent something that nobody has read."""
        poll = select.poll()
        poll.register(self.raw.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _go_on(self) -> None:
        """Have the server begin with what waits, unless it still works: then it gets more at once, later."""
        if not self._is_awaiting or self.has_word():
            self._send()

    def _send(self) -> None:
        message = self._message()
        self.hear()
        with self._talking():
            self.raw.pgconn.send_query(message.text)
            self.raw.wait(generators.send(self.raw.pgconn))
        self._sent, self._is_awaiting = message, True

    def _message(self, *text: str) -> _Message:
        """What waits, and what comes after it."""
        message = _Message(";".join([*self.unsent, *text]).encode(), self._preparing, self._told)
        self.drop()
        return message

    def _copied(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Rows as COPY reads them; a mistake in them shows here."""
        into = io.BytesIO()
        with (
            Errors(self.raw),
            Copy(ClientCursor(self.raw), binary=False, writer=FileWriter(into)) as copy,
        ):
            for row in rows:
                copy.write_row(row)
        return into.getvalue()

    def _copy(self, text: bytes, data: bytes) -> "Sequence[PGresult]":
        """Send a message that ends with COPY, and the rows; what the server has answered to what came before it."""
        server, wait = self.raw.pgconn, self.raw.wait
        server.send_query(text)
        with calmed(self._calm):
            begun = wait(generators.execute(server))
            self._refuse(begun)
            for start in range(0, len(data), CHUNK_BYTES):
                wait(generators.copy_to(server, data[start : start + CHUNK_BYTES]))
            server.put_copy_end()
            wait(generators.send(server))
        return begun

    def _refuse(self, results: "Sequence[PGresult]") -> None:
        for each in results:
            if each.status == ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(each, encoding=self.raw.info.encoding)

    @contextlib.contextmanager
    def _talking(self) -> Generator[None]:
        with Errors(self.raw):
            try:
                yield
            except psycopg.Error:  # in a message that cannot be read not even BEGIN is done
                is_idle = self.raw.info.transaction_status is TransactionStatus.IDLE
                self.in_transaction &= not is_idle
                raise


def _is_update(status: str | None) -> bool:
    return status is not None and status.startswith("UPDATE")
