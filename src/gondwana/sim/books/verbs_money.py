"""Money in and out: deposits, chargebacks, payouts, promotional credit, the operator's own money, tax."""

from typing import Final

from gondwana.core.values import replace
from gondwana.ledger import rules
from gondwana.ledger.accounts import (
    AccountName,
    expense,
    ext,
    fund_insurance,
    fund_treasury,
    fund_verification,
    income_fees,
    provider_payable,
    suspense,
    tax,
    tenant_available,
    tenant_promo,
    verifier_payable,
)
from gondwana.ledger.rules import FundFacts, solvency
from gondwana.ledger.store import balance, post
from gondwana.sim.books.people import OWNERS, RAILS, TENANTS, USD, VERIFIERS, People
from gondwana.sim.books.request import Call, Moves, Params, Seen, Verb
from gondwana.sim.books.shadow import PENDING, POST, POST_PENDING, VOID_PENDING


def moves(*parts: tuple[str, str, int], kind: int = POST) -> Moves:
    """What must be moved; zeros are nothing."""
    made: Moves = Moves()
    for debit, credit, amount in parts:
        if amount:
            made[debit, credit, kind] += amount
    return made


# Deposits


def _draw_deposit(people: People) -> Params:
    return {"tenant": people.pick(TENANTS), "rail": people.pick(RAILS), "amount": people.amount(30 * USD),
            "pending": people.chance(0.5)}  # fmt: skip


def _deposit(call: Call, p: Params) -> None:
    made = rules.deposit(p["rail"], p["tenant"], p["amount"], key=call.key, pending=p["pending"])
    post(call.tx, made, call.now)


def _expect_deposit(seen: Seen, p: Params) -> Moves:
    move = (ext(p["rail"]), tenant_available(p["tenant"]), p["amount"])
    return moves(move, kind=PENDING if p["pending"] else POST)


def _learn_deposit(people: People, p: Params, key: str) -> None:
    people.add("pending deposit" if p["pending"] else "deposit", {**p, "key": key})


def _draw_pending(people: People) -> Params | None:
    return people.any("pending deposit")


def _confirm(call: Call, p: Params) -> None:
    post(
        call.tx, rules.confirm_deposit(p["rail"], p["tenant"], p["amount"], key=p["key"]), call.now
    )


def _void(call: Call, p: Params) -> None:
    post(call.tx, rules.void_deposit(p["rail"], p["tenant"], p["amount"], key=p["key"]), call.now)


def _expect_resolved(kind: int, seen: Seen, p: Params) -> Moves:
    if seen.shadow.told.get(f"deposit {p['key']}") == kind:
        return moves()  # asked twice
    return moves((ext(p["rail"]), tenant_available(p["tenant"]), p["amount"]), kind=kind)


def _learn_resolved(kind: int, people: People, p: Params, key: str) -> None:
    told, name = people.shadow.told, f"deposit {p['key']}"
    people.drop("pending deposit", key=p["key"])
    if name not in told and kind == POST_PENDING:
        people.add("deposit", p)
    told[name] = kind


# Of nobody knows whom


def _draw_unclear(people: People) -> Params:
    return {"rail": people.pick(RAILS), "amount": people.amount(5 * USD), "reference": "R 17 ☃"}


def _unclear(call: Call, p: Params) -> None:
    post(
        call.tx,
        rules.unclear_deposit(p["rail"], p["amount"], reference=p["reference"], key=call.key),
        call.now,
    )


def _expect_unclear(seen: Seen, p: Params) -> Moves:
    return moves((ext(p["rail"]), suspense(p["rail"]), p["amount"]))


def _draw_clear(people: People) -> Params | None:
    found = people.any("unclear")
    return found and {**found, "tenant": people.pick(TENANTS)}


def _clear(call: Call, p: Params) -> None:
    post(call.tx, rules.clear_deposit(p["rail"], p["tenant"], p["amount"], key=p["key"]), call.now)


def _return(call: Call, p: Params) -> None:
    post(call.tx, rules.return_deposit(p["rail"], p["amount"], key=p["key"]), call.now)


def _expect_settled(seen: Seen, p: Params) -> Moves:
    """Once, whoever asks: a repeat moves nothing, and another end is refused."""
    if f"unclear {p['key']}" in seen.shadow.told:
        return moves()
    to = tenant_available(p["tenant"]) if "tenant" in p else ext(p["rail"])
    return moves((suspense(p["rail"]), to, p["amount"]))


# Chargebacks


def _draw_chargeback(people: People) -> Params | None:
    return people.any("deposit")


def _chargeback(call: Call, p: Params) -> None:
    available = balance(call.tx, tenant_available(p["tenant"]))
    made = rules.chargeback(
        p["rail"], p["tenant"], p["amount"], available, key=p["key"], reason="fraud"
    )
    post(call.tx, made, call.now)


def _expect_chargeback(seen: Seen, p: Params) -> Moves:
    if f"charged back {p['key']}" in seen.shadow.told:
        return moves()
    tenant, rail = tenant_available(p["tenant"]), ext(p["rail"])
    own = min(p["amount"], seen.shadow.available(tenant))
    return moves((tenant, rail, own), (expense("chargeback"), rail, p["amount"] - own))


# Payouts


def _draw_payout(people: People) -> Params | None:
    accounts = [
        *map(tenant_available, TENANTS),
        *map(provider_payable, OWNERS),
        *map(verifier_payable, VERIFIERS),
    ]
    account = people.pick(accounts)
    amount = people.some_of(account)
    return {"account": account, "rail": people.pick(RAILS), "amount": amount} if amount else None


def _draw_stolen_promo(people: People) -> Params | None:
    account = tenant_promo(people.pick(TENANTS))
    amount = people.some_of(account, too_much=0.0)
    return {"account": account, "rail": people.pick(RAILS), "amount": amount} if amount else None


def _payout(call: Call, p: Params) -> None:
    made = rules.payout(p["rail"], AccountName(p["account"]), p["amount"], key=call.key)
    post(call.tx, made, call.now)


def _expect_payout(seen: Seen, p: Params) -> Moves:
    return moves((p["account"], ext(p["rail"]), p["amount"]), kind=PENDING)


def _draw_pending_payout(people: People) -> Params | None:
    return people.any("payout")


def _draw_payout_in_part(people: People) -> Params | None:
    found = people.any("payout")
    return found and {**found, "part": people.amount(found["amount"])}


def _confirm_payout(call: Call, p: Params) -> None:
    """The bank may have kept a part: that is free again."""
    account = AccountName(p["account"])
    made = rules.confirm_payout(p["rail"], account, p["amount"], key=p["key"])
    if "part" in p:
        made = replace(made, legs=(replace(made.legs[0], amount_micro_usd=p["part"]),))
    post(call.tx, made, call.now)


def _fail_payout(call: Call, p: Params) -> None:
    account = AccountName(p["account"])
    made = rules.fail_payout(
        p["rail"], account, p["amount"], key=p["key"], reason="no such account"
    )
    post(call.tx, made, call.now)


def _expect_payout_end(kind: int, seen: Seen, p: Params) -> Moves:
    amount = p.get("part", p["amount"])
    if seen.shadow.told.get(f"payout {p['key']}") == (kind, amount):
        return moves()  # asked twice
    return moves((p["account"], ext(p["rail"]), amount), kind=kind)


def _learn_payout_end(kind: int, people: People, p: Params, key: str) -> None:
    people.drop("payout", key=p["key"])
    people.shadow.told[f"payout {p['key']}"] = (kind, p.get("part", p["amount"]))


def _once(what: str, people: People, p: Params, key: str) -> None:
    people.shadow.told[f"{what} {p['key']}"] = True


# Promotional credit


def _draw_grant(people: People) -> Params | None:
    amount = people.some_of(fund_treasury())
    return {"tenant": people.pick(TENANTS), "amount": amount} if amount else None


def _grant(call: Call, p: Params) -> None:
    post(
        call.tx, rules.grant_promo(p["tenant"], p["amount"], key=call.key, why="welcome"), call.now
    )


def _expect_grant(seen: Seen, p: Params) -> Moves:
    return moves((fund_treasury(), tenant_promo(p["tenant"]), p["amount"]))


def _draw_expiry(people: People) -> Params | None:
    found = people.any("promo")
    if found is None:
        return None
    amount = people.some_of(tenant_promo(found["tenant"]))
    return {**found, "amount": amount} if amount else None


def _expire(call: Call, p: Params) -> None:
    post(call.tx, rules.expire_promo(p["tenant"], p["amount"], key=p["key"]), call.now)


def _expect_expiry(seen: Seen, p: Params) -> Moves:
    if f"expired {p['key']}" in seen.shadow.told:
        return moves()
    return moves((tenant_promo(p["tenant"]), fund_treasury(), p["amount"]))


# The operator's money


def _draw_treasury_deposit(people: People) -> Params:
    return {"rail": people.pick(RAILS), "amount": people.amount(20 * USD)}


def _treasury_deposit(call: Call, p: Params) -> None:
    post(call.tx, rules.treasury_deposit(p["rail"], p["amount"], key=call.key), call.now)


def _draw_treasury_withdrawal(people: People) -> Params | None:
    amount = people.some_of(fund_treasury())
    return {"rail": people.pick(RAILS), "amount": min(amount, USD)} if amount else None


def _treasury_withdraw(call: Call, p: Params) -> None:
    post(call.tx, rules.treasury_withdraw(p["rail"], p["amount"], key=call.key), call.now)


def _draw_sweep(people: People) -> Params | None:
    amount = people.some_of(income_fees(), too_much=0.2)
    return {"amount": amount} if amount else None


def _sweep(call: Call, p: Params) -> None:
    income = balance(call.tx, income_fees())
    post(call.tx, rules.treasury_sweep(p["amount"], income, key=call.key), call.now)


def _expect_sweep(seen: Seen, p: Params) -> Moves | None:
    if p["amount"] > seen.shadow.available(income_fees()):
        return None
    return moves((income_fees(), fund_treasury(), p["amount"]))


FUNDS: Final = (fund_insurance(), fund_verification())


def _draw_fund_deposit(people: People) -> Params | None:
    amount = people.some_of(fund_treasury())
    return {"fund": people.pick(FUNDS), "amount": amount} if amount else None


def _fund_deposit(call: Call, p: Params) -> None:
    post(call.tx, rules.fund_deposit(AccountName(p["fund"]), p["amount"], key=call.key), call.now)


def _draw_fund_withdrawal(people: People) -> Params | None:
    fund = people.pick(FUNDS)
    amount = people.some_of(fund)
    return (
        {
            "fund": fund,
            "amount": amount,
            "claims": people.amount(USD),
            "open": people.amount(USD // 10),
        }
        if amount
        else None
    )


def _fund_withdraw(call: Call, p: Params) -> None:
    facts = FundFacts(
        fund_micro_usd=balance(call.tx, AccountName(p["fund"])).available_micro_usd,
        claims_of_30_days_micro_usd=p["claims"],
        claims_of_90_days_micro_usd=2 * p["claims"],
        premiums_of_30_days_micro_usd=0,
        exposure_micro_usd_by_provider={"p0": p["claims"], "p1": 5},
        open_claims_micro_usd=p["open"],
    )
    made = rules.fund_withdraw(
        AccountName(p["fund"]), p["amount"], key=call.key, state=solvency(facts)
    )
    post(call.tx, made, call.now)


def _expect_fund_withdrawal(seen: Seen, p: Params) -> Moves | None:
    left = seen.shadow.available(p["fund"]) - p["amount"]
    if p["fund"] == fund_insurance() and left - p["open"] < p["claims"] + max(p["claims"], 5):
        return None
    return moves((p["fund"], fund_treasury(), p["amount"]))


def _draw_tax(people: People) -> Params | None:
    jurisdiction = people.pick(("none", "de"))
    amount = people.some_of(tax(jurisdiction))
    return (
        {"jurisdiction": jurisdiction, "rail": people.pick(RAILS), "amount": amount}
        if amount
        else None
    )


def _remit(call: Call, p: Params) -> None:
    made = rules.remit_tax(p["rail"], p["jurisdiction"], p["amount"], key=call.key)
    post(call.tx, made, call.now)


# Corrections


def _draw_correction(people: People) -> Params | None:
    found = people.any("correctable")
    if found is None:
        return None
    _, to, amount = found["moved"]
    return found if people.shadow.available(to) >= amount else None


def _correct(call: Call, p: Params) -> None:
    made = {
        "promo": lambda: rules.grant_promo(p["to"], p["moved"][2], key=p["key"], why="welcome"),
        "treasury": lambda: rules.treasury_deposit(p["to"], p["moved"][2], key=p["key"]),
        "fund": lambda: rules.fund_deposit(AccountName(p["to"]), p["moved"][2], key=p["key"]),
    }[p["what"]]()
    post(call.tx, rules.correct(made, why="typed wrong"), call.now)


def _expect_correction(seen: Seen, p: Params) -> Moves:
    debit, credit, amount = p["moved"]
    if f"corrected {p['key']}" in seen.shadow.told:
        return moves()
    return moves((credit, debit, amount))


def _may_correct(what: str, debit: str, credit: str, people: People, p: Params, key: str) -> None:
    """What was typed can be wrong, and is then mirrored."""
    to = p.get("tenant") or p.get("fund") or p["rail"]
    moved = [part.format(**p) for part in (debit, credit)]
    people.add("correctable", {"what": what, "to": to, "key": key, "moved": [*moved, p["amount"]]})


def _learn_grant(people: People, p: Params, key: str) -> None:
    people.add("promo", {"tenant": p["tenant"], "key": key})
    _may_correct("promo", "fund:treasury", "tenant:{tenant}:promo", people, p, key)


def _never(seen: Seen, p: Params) -> None:
    """It has to be refused."""


VERBS: Final = (
    Verb(name="deposit", draw=_draw_deposit, run=_deposit, expect=_expect_deposit, learn=_learn_deposit),
    Verb(name="confirm deposit", draw=_draw_pending, run=_confirm,
         expect=lambda seen, p: _expect_resolved(POST_PENDING, seen, p),
         learn=lambda people, p, key: _learn_resolved(POST_PENDING, people, p, key)),
    Verb(name="void deposit", draw=_draw_pending, run=_void,
         expect=lambda seen, p: _expect_resolved(VOID_PENDING, seen, p),
         learn=lambda people, p, key: _learn_resolved(VOID_PENDING, people, p, key)),
    Verb(name="unclear deposit", draw=_draw_unclear, run=_unclear, expect=_expect_unclear,
         learn=lambda people, p, key: people.add("unclear", {**p, "key": key})),
    Verb(name="clear deposit", draw=_draw_clear, run=_clear, expect=_expect_settled,
         learn=lambda people, p, key: _once("unclear", people, p, key)),
    Verb(name="return deposit", draw=lambda people: people.any("unclear"), run=_return, expect=_expect_settled,
         learn=lambda people, p, key: _once("unclear", people, p, key)),
    Verb(name="chargeback", draw=_draw_chargeback, run=_chargeback, expect=_expect_chargeback,
         learn=lambda people, p, key: _once("charged back", people, p, key)),
    Verb(name="payout", draw=_draw_payout, run=_payout, expect=_expect_payout,
         learn=lambda people, p, key: people.add("payout", {**p, "key": key})),
    Verb(name="payout of promotional credit", draw=_draw_stolen_promo, run=_payout, expect=_never),
    Verb(name="confirm payout", draw=_draw_pending_payout, run=_confirm_payout,
         expect=lambda seen, p: _expect_payout_end(POST_PENDING, seen, p),
         learn=lambda people, p, key: _learn_payout_end(POST_PENDING, people, p, key)),
    Verb(name="confirm a part of a payout", draw=_draw_payout_in_part, run=_confirm_payout,
         expect=lambda seen, p: _expect_payout_end(POST_PENDING, seen, p),
         learn=lambda people, p, key: _learn_payout_end(POST_PENDING, people, p, key)),
    Verb(name="fail payout", draw=_draw_pending_payout, run=_fail_payout,
         expect=lambda seen, p: _expect_payout_end(VOID_PENDING, seen, p),
         learn=lambda people, p, key: _learn_payout_end(VOID_PENDING, people, p, key)),
    Verb(name="grant promo", draw=_draw_grant, run=_grant, expect=_expect_grant, learn=_learn_grant),
    Verb(name="expire promo", draw=_draw_expiry, run=_expire, expect=_expect_expiry,
         learn=lambda people, p, key: _once("expired", people, p, key)),
    Verb(name="treasury deposit", draw=_draw_treasury_deposit, run=_treasury_deposit,
         expect=lambda seen, p: moves((ext(p["rail"]), fund_treasury(), p["amount"])),
         learn=lambda people, p, key: _may_correct("treasury", "ext:{rail}", "fund:treasury", people, p, key)),
    Verb(name="treasury withdrawal", draw=_draw_treasury_withdrawal, run=_treasury_withdraw,
         expect=lambda seen, p: moves((fund_treasury(), ext(p["rail"]), p["amount"]))),
    Verb(name="sweep fees", draw=_draw_sweep, run=_sweep, expect=_expect_sweep),
    Verb(name="fund deposit", draw=_draw_fund_deposit, run=_fund_deposit,
         expect=lambda seen, p: moves((fund_treasury(), p["fund"], p["amount"])),
         learn=lambda people, p, key: _may_correct("fund", "fund:treasury", "{fund}", people, p, key)),
    Verb(name="fund withdrawal", draw=_draw_fund_withdrawal, run=_fund_withdraw, expect=_expect_fund_withdrawal),
    Verb(name="remit tax", draw=_draw_tax, run=_remit,
         expect=lambda seen, p: moves((tax(p["jurisdiction"]), ext(p["rail"]), p["amount"]))),
    Verb(name="correct", draw=_draw_correction, run=_correct, expect=_expect_correction,
         learn=lambda people, p, key: _once("corrected", people, p, key)),
)  # fmt: skip
