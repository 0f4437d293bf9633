"""Work that is paid for: leases by the second, training by the unit, planted units."""

from typing import Final

from gondwana.core.errors import WrongState
from gondwana.db.settings import read_setting, write_setting
from gondwana.ledger import budgets, rules
from gondwana.ledger.accounts import (
    fund_insurance,
    fund_verification,
    income_fees,
    lease_escrow,
    provider_holdback,
    task_escrow,
    tax,
    tenant_available,
    tenant_promo,
    verifier_payable,
)
from gondwana.ledger.model import Assignment, Evaluation, Funding, LeaseTerms, Shares, TaskTerms
from gondwana.ledger.store import balance, post
from gondwana.sim.books import limits
from gondwana.sim.books.people import OWNERS, PROJECTS, TENANTS, USD, VERIFIERS, People
from gondwana.sim.books.request import Call, Moves, Params, Seen, Verb
from gondwana.sim.books.shadow import PENDING, POST_PENDING, VOID_PENDING, Shadow
from gondwana.sim.books.verbs_money import moves

SHARES: Final = (
    (200, 0, 100, 0),
    (333, 17, 129, 271),
    (0, 0, 0, 0),
    (1, 1, 1, 1),
    (2_500, 2_500, 2_500, 2_500),
)
HOUR: Final = 3_600


def lease_terms(p: Params) -> LeaseTerms:
    """The terms of a lease that somebody asks about."""
    return LeaseTerms(
        lease_id=p["id"],
        tenant_id=p["tenant"],
        provider_id=p["owner"],
        price_micro_usd_per_hour=p["price"],
        shares=_shares(p),
        jurisdiction=p["jurisdiction"],
    )


def _task_terms(p: Params) -> TaskTerms:
    return TaskTerms(
        job_id=p["id"],
        tenant_id=p["tenant"],
        shares=_shares(p),
        jurisdiction=p["jurisdiction"],
    )


def _shares(p: Params) -> Shares:
    fee, insurance, verification, owed_tax = p["shares"]
    return Shares(
        fee_bps=fee, insurance_bps=insurance, verification_bps=verification, tax_bps=owed_tax
    )


def terms_of(people: People) -> Params:
    """Between whom, of which project, with which shares something is paid."""
    return {"tenant": people.pick(TENANTS), "owner": people.pick(OWNERS), "project": people.pick(PROJECTS),
            "shares": list(people.pick(SHARES)), "jurisdiction": people.pick(("none", "de"))}  # fmt: skip


def shared(total: int, p: Params) -> dict[str, int]:
    """Who has got how much of a running total: nested floors, the owner of the machine has the rest."""
    bps_left = sum(p["shares"])
    left = total * bps_left // 10_000
    got = {provider_holdback(p["owner"]): total - left}
    payees = (income_fees(), fund_insurance(), fund_verification(), tax(p["jurisdiction"]))
    for payee, bps in zip(payees, p["shares"], strict=True):
        got[payee] = left * bps // bps_left if bps else 0
        left, bps_left = left - got[payee], bps_left - bps
    return {str(payee): amount for payee, amount in got.items()}


def refuse_if_closed(call: Call, p: Params) -> None:
    """Raise WrongState for what was closed before."""
    if read_setting(call.tx, f"closed.{p['id']}", bool, default=False):
        raise WrongState(f"{p['id']} is closed")


def close(call: Call, p: Params) -> None:
    """It is over."""
    write_setting(call.tx, f"closed.{p['id']}", True, at=call.now)


def funding(call: Call, p: Params, amount: int) -> Funding:
    """Where an amount comes from."""
    promo = balance(call.tx, tenant_promo(p["tenant"])).available_micro_usd
    limiting = budgets.limiting(call.tx, p["tenant"], p["project"], call.now)
    accounts = budgets.fit(call.tx, call.now, limiting)
    return Funding(promo_micro_usd=min(promo, amount), budgets=accounts)


def filled(shadow: Shadow, escrow: str, p: Params, amount: int) -> Moves:
    """What fills an escrow: promotional credit first."""
    promo = tenant_promo(p["tenant"])
    given = min(shadow.available(promo), amount)
    return moves((promo, escrow, given), (tenant_available(p["tenant"]), escrow, amount - given))


def given_back(shadow: Shadow, escrow: str, p: Params, *, rest: int, paid: int) -> Moves:
    """What goes back: promotional credit as far as it was not spent."""
    promo = tenant_promo(p["tenant"])
    back = min(rest, max(0, shadow.flows[promo, escrow] - paid))
    return moves((escrow, promo, back), (escrow, tenant_available(p["tenant"]), rest - back))


# Leases


def _draw_lease(people: People) -> Params | None:
    p = terms_of(people)
    have = people.shadow.available(tenant_available(p["tenant"]))
    if have <= 0:
        return None
    p |= {
        "price": people.amount(3 * USD),
        "hours": 1 + people.random.bits(3),
        "budget": people.amount(have),
    }
    return {**p, "price": 0} if people.chance(0.03) else p


def _escrow_of(p: Params) -> int:
    return rules.escrow_to_open(p["price"], p["hours"] * HOUR, budget_micro_usd=p["budget"])


def _open_lease(call: Call, p: Params) -> None:
    amount = _escrow_of(p)
    given = funding(call, p, amount)
    post(
        call.tx,
        rules.open_lease(lease_terms({**p, "id": f"l{call.key}"}), amount, given),
        call.now,
    )


def _expect_lease(seen: Seen, p: Params) -> Moves:
    amount = min(p["budget"], p["price"] * p["hours"])
    return filled(seen.shadow, lease_escrow(f"l{seen.key}"), p, amount)


def _learn_lease(people: People, p: Params, key: str) -> None:
    lease: Params = {**p, "id": f"l{key}", "proven": 0}
    people.add("lease", lease)
    people.add("lease ever", lease)
    limits.drew(
        people.shadow, lease_escrow(lease["id"]), p, min(p["budget"], p["price"] * p["hours"])
    )


def _draw_top_up(people: People) -> Params | None:
    lease = people.any("lease")
    if lease is None:
        return None
    amount = people.some_of(tenant_available(lease["tenant"]))
    return {**lease, "amount": amount} if amount else None


def _top_up(call: Call, p: Params) -> None:
    refuse_if_closed(call, p)
    given = funding(call, p, p["amount"])
    post(call.tx, rules.top_up(lease_terms(p), p["amount"], given, key=call.key), call.now)


def _learn_top_up(people: People, p: Params, key: str) -> None:
    limits.drew(people.shadow, lease_escrow(p["id"]), p, p["amount"])


def _draw_metering(people: People) -> Params | None:
    """Heartbeats prove time; now and then somebody reports less than was known."""
    lease = people.any("lease")
    if lease is None:
        return None
    lease["proven"] += people.amount(3 * HOUR, least=0)
    return {
        **lease,
        "seconds": people.amount(lease["proven"], least=0)
        if people.chance(0.1)
        else lease["proven"],
    }


def _proven(call: Call, p: Params) -> int:
    """The time proven so far: a late message takes none back."""
    refuse_if_closed(call, p)
    proven = max(p["seconds"], read_setting(call.tx, f"proven.{p['id']}", int, default=0))
    write_setting(call.tx, f"proven.{p['id']}", proven, at=call.now)
    return proven


def _meter(call: Call, p: Params) -> None:
    proven = _proven(call, p)
    escrow = balance(call.tx, lease_escrow(p["id"]))
    post(call.tx, rules.meter(lease_terms(p), proven, escrow), call.now)


def _paid_after(seen: Seen, p: Params) -> int:
    """What the escrow has paid in all after this: the price of the proven time, as far as there is money."""
    escrow = seen.shadow.balance(lease_escrow(p["id"]))
    proven = max(p["seconds"], seen.shadow.told.get(f"proven {p['id']}", 0))
    return max(escrow.debits_posted, min(p["price"] * proven // HOUR, escrow.credits_posted))


def _expect_metering(seen: Seen, p: Params) -> Moves:
    escrow = lease_escrow(p["id"])
    before = shared(seen.shadow.balance(escrow).debits_posted, p)
    after = shared(_paid_after(seen, p), p)
    return moves(*((escrow, payee, after[payee] - before[payee]) for payee in after))


def _learn_metering(people: People, p: Params, key: str) -> None:
    told, name = people.shadow.told, f"proven {p['id']}"
    told[name] = max(p["seconds"], told.get(name, 0))


def _close_lease(call: Call, p: Params) -> None:
    proven = _proven(call, p)
    escrow = lease_escrow(p["id"])
    drawn = budgets.draws(call.tx, escrow)
    post(
        call.tx,
        rules.close_lease(lease_terms(p), proven, balance(call.tx, escrow), drawn),
        call.now,
    )
    close(call, p)


def _expect_close(seen: Seen, p: Params) -> Moves:
    escrow, paid = lease_escrow(p["id"]), _paid_after(seen, p)
    rest = seen.shadow.balance(escrow).credits_posted - paid
    back = given_back(seen.shadow, escrow, p, rest=rest, paid=paid)
    return _expect_metering(seen, p) + back


def _learn_close(people: People, p: Params, key: str) -> None:
    _learn_metering(people, p, key)
    people.drop("lease", id=p["id"])
    escrow = lease_escrow(p["id"])
    returned = sum(
        people.shadow.flows[escrow, account(p["tenant"])]
        for account in (tenant_promo, tenant_available)
    )
    limits.gave_back(people.shadow, escrow, returned)
    people.shadow.told[f"closed {p['id']}"] = returned


# Units


def _draw_task(people: People) -> Params | None:
    p = terms_of(people)
    amount = people.some_of(tenant_available(p["tenant"]))
    return {**p, "amount": amount, "unit price": people.amount(1 + amount // 4)} if amount else None


def _open_task(call: Call, p: Params) -> None:
    terms = _task_terms({**p, "id": f"j{call.key}"})
    post(call.tx, rules.open_task(terms, p["amount"], funding(call, p, p["amount"])), call.now)


def _learn_task(people: People, p: Params, key: str) -> None:
    people.add("task", {**p, "id": f"j{key}"})
    limits.drew(people.shadow, task_escrow(f"j{key}"), p, p["amount"])


def _draw_canary(people: People) -> Params | None:
    amount = people.some_of(fund_verification())
    p = {**terms_of(people), "tenant": "nobody"}
    return {**p, "amount": amount, "unit price": 1 + amount // 2} if amount else None


def _fund_canary(call: Call, p: Params) -> None:
    terms = _task_terms({**p, "id": f"c{call.key}"})
    post(call.tx, rules.fund_canary(terms, p["amount"], key=call.key), call.now)


def _learn_canary(people: People, p: Params, key: str) -> None:
    people.add("canary", {**p, "id": f"c{key}"})


def _draw_unit(people: People) -> Params | None:
    task = people.any("canary" if people.chance(0.3) else "task")
    if task is None:
        return None
    again = people.any("unit to do again")
    if again is not None and again["id"] == task["id"] and people.chance(0.5):
        return {**again, "attempt": again["attempt"] + 1, "owner": people.pick(OWNERS)}
    return {
        **task,
        "owner": people.pick(OWNERS),
        "attempt": 1,
        "price": people.amount(task["unit price"]),
    }


def _assignment(p: Params, key: str) -> Assignment:
    return Assignment(
        unit_id=p.get("unit", f"u{key}"),
        provider_id=p["owner"],
        price_micro_usd=p["price"],
        attempt=p["attempt"],
    )


def _assign(call: Call, p: Params) -> None:
    refuse_if_closed(call, p)
    post(call.tx, rules.assign_unit(_task_terms(p), _assignment(p, call.key)), call.now)


def _expect_unit(kind: int, seen: Seen, p: Params) -> Moves:
    escrow = task_escrow(p["id"])
    parts = ((escrow, payee, amount) for payee, amount in shared(p["price"], p).items())
    return moves(*parts, kind=kind)


def _expect_assigned(seen: Seen, p: Params) -> Moves:
    if f"assigned {p.get('unit', seen.key)} {p['attempt']}" in seen.shadow.told:
        return moves()  # the same attempt, given to the same owner by another request
    return _expect_unit(PENDING, seen, p)


def _learn_unit(people: People, p: Params, key: str) -> None:
    unit = p.get("unit", f"u{key}")
    told = f"assigned {p.get('unit', key)} {p['attempt']}"
    if told not in people.shadow.told:
        people.shadow.told[told] = True
        people.drop("unit to do again", unit=unit)
        people.add("unit", {**p, "unit": unit})


def _accept(call: Call, p: Params) -> None:
    post(call.tx, rules.accept_unit(_task_terms(p), _assignment(p, call.key)), call.now)


def _reject(call: Call, p: Params) -> None:
    post(
        call.tx,
        rules.reject_unit(_task_terms(p), _assignment(p, call.key), reason="wrong"),
        call.now,
    )


def _expire(call: Call, p: Params) -> None:
    post(call.tx, rules.expire_unit(_task_terms(p), _assignment(p, call.key)), call.now)


def _expect_end(how: str, seen: Seen, p: Params) -> Moves:
    if seen.shadow.told.get(f"{p['unit']} {p['attempt']}") == how:
        return moves()  # asked twice
    return _expect_unit(POST_PENDING if how == "accepted" else VOID_PENDING, seen, p)


def _learn_end(how: str, people: People, p: Params, key: str) -> None:
    people.drop("unit", unit=p["unit"])
    told, name = people.shadow.told, f"{p['unit']} {p['attempt']}"
    if name not in told and how != "accepted":
        people.add("unit to do again", p)
    told[name] = how


def _draw_evaluation(people: People) -> Params | None:
    task = people.any("task")
    if task is None:
        return None
    from_fund = people.chance(0.5)
    amount = people.some_of(fund_verification() if from_fund else task_escrow(task["id"]))
    return {**task, "verifier": people.pick(VERIFIERS), "from fund": from_fund,
                       "amount": min(amount, USD // 10)} if amount else None  # fmt: skip


def _pay_evaluator(call: Call, p: Params) -> None:
    if not p["from fund"]:
        refuse_if_closed(call, p)
    evaluation = Evaluation(unit_id=f"e{call.key}", verifier_id=p["verifier"], price_micro_usd=p["amount"],
                            from_fund=p["from fund"])  # fmt: skip
    post(call.tx, rules.pay_evaluator(_task_terms(p), evaluation), call.now)


def _expect_evaluation(seen: Seen, p: Params) -> Moves:
    payer = fund_verification() if p["from fund"] else task_escrow(p["id"])
    return moves((payer, verifier_payable(p["verifier"]), p["amount"]))


def _close_task(call: Call, p: Params) -> None:
    refuse_if_closed(call, p)
    escrow = task_escrow(p["id"])
    drawn = budgets.draws(call.tx, escrow)
    post(call.tx, rules.close_task(_task_terms(p), balance(call.tx, escrow), drawn), call.now)
    close(call, p)


def _expect_task_close(seen: Seen, p: Params) -> Moves | None:
    escrow = task_escrow(p["id"])
    found = seen.shadow.balance(escrow)
    if found.held_micro_usd:
        return None
    return given_back(seen.shadow, escrow, p, rest=found.posted_micro_usd, paid=found.debits_posted)


def _learn_task_close(people: People, p: Params, key: str) -> None:
    people.drop("task", id=p["id"])
    escrow = task_escrow(p["id"])
    returned = sum(
        people.shadow.flows[escrow, account(p["tenant"])]
        for account in (tenant_promo, tenant_available)
    )
    limits.gave_back(people.shadow, escrow, returned)


def _close_canary(call: Call, p: Params) -> None:
    refuse_if_closed(call, p)
    post(
        call.tx,
        rules.close_canary(_task_terms(p), balance(call.tx, task_escrow(p["id"]))),
        call.now,
    )
    close(call, p)


def _expect_canary_close(seen: Seen, p: Params) -> Moves | None:
    escrow = seen.shadow.balance(task_escrow(p["id"]))
    if escrow.held_micro_usd:
        return None
    return moves((task_escrow(p["id"]), fund_verification(), escrow.posted_micro_usd))


VERBS: Final = (
    Verb(name="open lease", weight=3, draw=_draw_lease, run=_open_lease, expect=_expect_lease, learn=_learn_lease),
    Verb(name="top up", draw=_draw_top_up, run=_top_up, learn=_learn_top_up,
         expect=lambda seen, p: filled(seen.shadow, lease_escrow(p["id"]), p, p["amount"])),
    Verb(name="meter", weight=5, draw=_draw_metering, run=_meter, expect=_expect_metering, learn=_learn_metering),
    Verb(name="close lease", weight=2, draw=_draw_metering, run=_close_lease, expect=_expect_close, learn=_learn_close),
    Verb(name="open task", weight=2, draw=_draw_task, run=_open_task, learn=_learn_task,
         expect=lambda seen, p: filled(seen.shadow, task_escrow(f"j{seen.key}"), p, p["amount"])),
    Verb(name="fund canary", draw=_draw_canary, run=_fund_canary, learn=_learn_canary,
         expect=lambda seen, p: moves((fund_verification(), task_escrow(f"c{seen.key}"), p["amount"]))),
    Verb(name="assign unit", weight=6, draw=_draw_unit, run=_assign, expect=_expect_assigned, learn=_learn_unit),
    Verb(name="accept unit", weight=3, draw=lambda people: people.any("unit"), run=_accept,
         expect=lambda seen, p: _expect_end("accepted", seen, p),
         learn=lambda people, p, key: _learn_end("accepted", people, p, key)),
    Verb(name="reject unit", draw=lambda people: people.any("unit"), run=_reject,
         expect=lambda seen, p: _expect_end("rejected", seen, p),
         learn=lambda people, p, key: _learn_end("rejected", people, p, key)),
    Verb(name="expire unit", draw=lambda people: people.any("unit"), run=_expire,
         expect=lambda seen, p: _expect_end("expired", seen, p),
         learn=lambda people, p, key: _learn_end("expired", people, p, key)),
    Verb(name="pay evaluator", weight=2, draw=_draw_evaluation, run=_pay_evaluator, expect=_expect_evaluation),
    Verb(name="close task", draw=lambda people: people.any("task"), run=_close_task, expect=_expect_task_close,
         learn=_learn_task_close),
    Verb(name="close canary", draw=lambda people: people.any("canary"), run=_close_canary, expect=_expect_canary_close,
         learn=lambda people, p, key: people.drop("canary", id=p["id"])),
)  # fmt: skip
