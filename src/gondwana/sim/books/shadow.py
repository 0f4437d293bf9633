"""The books once more, as dicts, from what the bank told of each request: what the database must agree with."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from gondwana.ledger.accounts import kind_of
from gondwana.ledger.model import Balance
from gondwana.sim.books.request import Moves

POST, PENDING, POST_PENDING, VOID_PENDING = range(4)
LIMITS = "budget:"  # accounts that count limits begin with this, not money


class Shadow:
    """Four numbers per account, and what a few expectations need to remember."""

    def __init__(self) -> None:
        self.counters: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.holds: dict[int, int] = {}  # amount by number
        self.credited: dict[str, list[tuple[int, int]]] = defaultdict(list[tuple[int, int]])
        self.flows: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.days: dict[int, dict[str, int]] = {}  # totals at the end of each day so far
        self.entries = 0
        self.at_ms = 0
        self.told: dict[str, Any] = {}  # what verbs remember, by names of their own
        self.wrong: list[str] = []
        self._totals: Counter[str] = Counter()

    def apply(self, posted: Iterable[dict[str, Any]]) -> Moves:
        """Add entries as the bank told them; returns what they moved, money only."""
        moves: Moves = Counter()
        for entry in posted:
            self.entries += 1
            self.kinds[entry["kind"]] += 1
            if entry["at_ms"] < self.at_ms:
                self.wrong.append(f"entry {entry['seq']} is older than the one before")
            self.at_ms = entry["at_ms"]
            for seq, debit, credit, amount, kind, pending in entry["legs"]:
                self._move(seq, debit, credit, amount, kind, pending)
                if not debit.startswith(LIMITS):
                    moves[debit, credit, kind] += amount
            self.days[self.at_ms // 86_400_000] = {code: n for code, n in self._totals.items() if n}
        return moves

    def _move(
        self, seq: int, debit: str, credit: str, amount: int, kind: int, pending: int | None
    ) -> None:
        debited, credited = self.counters[debit], self.counters[credit]
        if kind == PENDING:
            self.holds[seq] = amount
            debited[2] += amount
            credited[3] += amount
            return
        if pending is not None:
            held = self.holds.pop(pending)
            debited[2] -= held
            credited[3] -= held
        if kind != VOID_PENDING:
            debited[0] += amount
            credited[1] += amount
            self.flows[debit, credit] += amount
            self.credited[credit].append((self.at_ms, amount))
            self._totals[str(kind_of(debit).code)] -= amount
            self._totals[str(kind_of(credit).code)] += amount

    def balance(self, account: str) -> Balance:
        """The four numbers of an account."""
        debits, credited, debits_held, credits_held = self.counters.get(account, (0, 0, 0, 0))
        return Balance(debits_posted=debits, credits_posted=credited, debits_pending=debits_held,
                       credits_pending=credits_held)  # fmt: skip

    def available(self, account: str) -> int:
        """What is there and not held."""
        return self.balance(account).available_micro_usd

    def posted(self, account: str) -> int:
        """What is there, held or not."""
        return self.balance(account).posted_micro_usd
