"""Deposits of reservations: held, given back when a lease begins, or partly the owner's where somebody cancels late."""

from typing import Final

from gondwana.ledger import budgets
from gondwana.ledger.accounts import lease_escrow, tenant_available, tenant_promo
from gondwana.ledger.rules.reservations import hold_deposit, settle_deposit
from gondwana.ledger.store import balance, post
from gondwana.sim.books import limits
from gondwana.sim.books.people import People
from gondwana.sim.books.request import Call, Moves, Params, Seen, Verb
from gondwana.sim.books.verbs_money import moves
from gondwana.sim.books.verbs_work import (
    close,
    filled,
    funding,
    given_back,
    lease_terms,
    refuse_if_closed,
    shared,
    terms_of,
)


def _draw_deposit(people: People) -> Params | None:
    p = terms_of(people)
    amount = people.some_of(tenant_available(p["tenant"]))
    return {**p, "price": amount, "amount": amount} if amount else None


def _hold(call: Call, p: Params) -> None:
    terms = lease_terms({**p, "id": f"r{call.key}"})
    post(call.tx, hold_deposit(terms, p["amount"], funding(call, p, p["amount"])), call.now)


def _expect_held(seen: Seen, p: Params) -> Moves:
    return filled(seen.shadow, lease_escrow(f"r{seen.key}"), p, p["amount"])


def _learn_held(people: People, p: Params, key: str) -> None:
    people.add("reservation", {**p, "id": f"r{key}"})
    limits.drew(people.shadow, lease_escrow(f"r{key}"), p, p["amount"])


def _draw_end(people: People) -> Params | None:
    booked = people.any("reservation")
    if booked is None:
        return None
    kept = people.amount(booked["amount"]) if people.chance(0.5) else 0
    return {**booked, "kept": kept}


def _settle(call: Call, p: Params) -> None:
    refuse_if_closed(call, p)
    escrow = lease_escrow(p["id"])
    drawn = budgets.draws(call.tx, escrow)
    entry = settle_deposit(lease_terms(p), balance(call.tx, escrow), p["kept"], drawn)
    post(call.tx, entry, call.now)
    close(call, p)


def _expect_settled(seen: Seen, p: Params) -> Moves:
    escrow, kept = lease_escrow(p["id"]), p["kept"]
    paid = ((escrow, payee, amount) for payee, amount in shared(kept, p).items())
    back = given_back(seen.shadow, escrow, p, rest=p["amount"] - kept, paid=kept)
    return moves(*paid) + back


def _learn_settled(people: People, p: Params, key: str) -> None:
    people.drop("reservation", id=p["id"])
    escrow = lease_escrow(p["id"])
    accounts = (tenant_promo, tenant_available)
    back = sum(people.shadow.flows[escrow, account(p["tenant"])] for account in accounts)
    limits.gave_back(people.shadow, escrow, back)


VERBS: Final = (
    Verb(name="reserve", draw=_draw_deposit, run=_hold, expect=_expect_held, learn=_learn_held),
    Verb(name="end reservation", draw=_draw_end, run=_settle, expect=_expect_settled, learn=_learn_settled),
)  # fmt: skip
