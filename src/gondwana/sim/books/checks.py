"""What must hold in every world of the books: after each commit, now and then, and at the end."""

import datetime
from collections.abc import Iterator
from typing import Final

from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader
from gondwana.ledger import budgets
from gondwana.ledger.accounts import AccountName, Limit, kind_of, lease_escrow
from gondwana.ledger.audit import COUNTERS, audit
from gondwana.ledger.chain import prove_chain, prove_entry, roots
from gondwana.ledger.statements import statement
from gondwana.sim.books import limits
from gondwana.sim.books.people import TENANTS, People
from gondwana.sim.books.request import Moves, Params
from gondwana.sim.books.shadow import LIMITS, PENDING, POST, Shadow
from gondwana.wire.proofs import check_chain, check_entry

_STEP: Final = """SELECT sum(debits_posted - credits_posted) AS posted, sum(debits_pending - credits_pending) AS held,
    sum(CASE WHEN limit_side = 'D' AND debits_posted + debits_pending > credits_posted
        OR limit_side = 'C' AND credits_posted + credits_pending > debits_posted THEN 1 ELSE 0 END) AS passed
    FROM ledger_account GROUP BY asset"""
_COUNTERS: Final = "SELECT name, debits_posted, credits_posted, debits_pending, credits_pending FROM ledger_account"
PROOFS: Final = 3  # entries of one world that are proven at the end
STATEMENTS: Final = 2


def after_commit(reader: Reader) -> Iterator[str]:
    """Debits are credits in each asset, and no account is past its limit."""
    for row in reader.all(_STEP):
        if row["posted"] or row["held"]:
            yield "debits and credits differ"
        if row["passed"]:
            yield "an account is past its limit"


def against_shadow(reader: Reader, shadow: Shadow) -> Iterator[str]:
    """Every account has the numbers that the answers told."""
    found = {
        row["name"]: [int(row[counter]) for counter in COUNTERS] for row in reader.all(_COUNTERS)
    }
    for name in sorted(found.keys() | shadow.counters.keys()):
        told = shadow.counters.get(name, [0, 0, 0, 0])
        if found.get(name, [0, 0, 0, 0]) != told:
            yield f"{name} has {found.get(name)}, the answers say {told}"
    yield from against_budgets(reader, shadow)


def fits(shadow: Shadow, p: Params, moves: Moves) -> bool:
    """Whether there was enough for this, whatever its order, and budgets allowed it."""
    out: dict[str, int] = {}
    for (debit, credit, kind), amount in moves.items():
        if kind in (POST, PENDING):
            out[debit] = out.get(debit, 0) + amount
            out[credit] = out.get(credit, 0)
            if kind_of(credit).limit is Limit.CREDITS:
                out[credit] += amount
    for name, amount in out.items():
        found = shadow.balance(name)
        match kind_of(name).limit:
            case Limit.DEBITS:
                there = found.available_micro_usd
            case Limit.CREDITS:
                there = found.debits_posted - found.credits_posted - found.credits_pending
            case Limit.NONE:
                continue
        if amount > there:
            return False
    return _is_within_budgets(shadow, p, moves)


def _is_within_budgets(shadow: Shadow, p: Params, moves: Moves) -> bool:
    """Whether budgets allow it; only what fills an escrow counts against any."""
    filled = sum(amount for (debit, credit, _), amount in moves.items()
                 if debit.startswith("tenant:") and credit.endswith(":escrow"))  # fmt: skip
    return not filled or limits.allows(shadow, p, filled)


def new_roots(reader: Reader, shadow: Shadow, kept: list[str]) -> Iterator[str]:
    """Roots that were just published have the totals of their days."""
    for root in roots(reader)[len(kept) :]:
        day = int(Instant(_midnight(root.day)) // 86_400)
        told = shadow.days[max(each for each in shadow.days if each <= day)]
        if root.totals != told:
            yield f"the root of {root.day} says {root.totals}, the answers say {told}"
        kept.append(root.hash)


def chain_since(reader: Reader, since: str) -> Iterator[str]:
    """The head follows from a root that somebody kept."""
    wrong = check_chain(prove_chain(reader, since), since)
    if wrong is not None:
        yield f"the chain since {since or 'the start'}: {wrong}"


def _midnight(day: str) -> float:
    return datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC).timestamp()


def at_the_end(reader: Reader, people: People, kept: list[str]) -> Iterator[str]:
    """All of it once more."""
    shadow = people.shadow
    report = audit(reader)
    for difference in report.differences[:5]:
        yield f"audit: {difference.subject} {difference.wrong}"
    if report.entries != shadow.entries:
        yield f"there are {report.entries} entries, the answers told of {shadow.entries}"
    yield from against_shadow(reader, shadow)
    yield from _leases(people)
    yield from _statements(reader, people)
    yield from _proofs(reader, people, kept)
    yield from shadow.wrong
    for since in ("", *kept[-1:], people.pick(kept)) if kept else ("",):
        yield from chain_since(reader, since)


def _leases(people: People) -> Iterator[str]:
    """What a lease paid is the price of its proven seconds, or all there was, however often it was metered."""
    for lease in people.all("lease ever"):
        shadow, escrow = people.shadow, lease_escrow(lease["id"])
        returned = shadow.told.get(f"closed {lease['id']}")
        if returned is None:
            continue
        found = shadow.balance(escrow)
        due = lease["price"] * shadow.told[f"proven {lease['id']}"] // 3_600
        if found.debits_posted - returned != min(due, found.credits_posted):
            yield f"{escrow} paid {found.debits_posted - returned} of {due} that were due"
        if found.posted_micro_usd or found.held_micro_usd:
            yield f"{escrow} is closed and not empty"


def against_budgets(reader: Reader, shadow: Shadow) -> Iterator[str]:
    """Of every budget just so much is used, in every period, as the answers say."""
    told = limits.budgets(shadow)
    found = {
        (each.tenant_id, each.project, each.period.value): each
        for tenant in TENANTS
        for each in budgets.budgets(reader, tenant)
    }
    if found.keys() != told.keys():
        yield "other budgets stand than were set"
        return
    for name, budget in found.items():
        for period, expected in told[name]["used"].items():
            at = Instant(0.0) if period == limits.EVER else Instant(_midnight(f"{period}-15"))
            used = budgets.status(reader, budget, at).used_micro_usd
            if used != expected:
                yield f"of budget {name} {used} is used in {period}, the answers say {expected}"


def _statements(reader: Reader, people: People) -> Iterator[str]:
    names = sorted(name for name in people.shadow.counters if not name.startswith(LIMITS))
    for name in people.random.sample(names, min(STATEMENTS, len(names))):
        lines = statement(reader, AccountName(name), limit=500)
        if sum(line.change_micro_usd for line in lines) != people.shadow.available(name):
            yield f"the lines of {name} do not add up to its balance"


def _proofs(reader: Reader, people: People, kept: list[str]) -> Iterator[str]:
    newest = reader.one("SELECT max(seq) AS seq FROM ledger_transfer")
    for _ in range(PROOFS if newest and newest["seq"] else 0):
        assert newest is not None
        proof = prove_entry(reader, 1 + people.random.bits(32) % newest["seq"])
        wrong = check_entry(proof, proof.root.hash)
        if wrong is not None or proof.root.hash not in kept:
            yield f"an entry is not proven: {wrong}"
