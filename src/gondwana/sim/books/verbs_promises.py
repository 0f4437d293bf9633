"""Promises: service credits, subsidies that vest, budgets."""

from typing import Any, Final

from gondwana.core.clock import Instant
from gondwana.db.settings import read_setting, write_setting
from gondwana.ledger import budgets, rules
from gondwana.ledger.accounts import (
    fund_insurance,
    fund_subsidy,
    fund_treasury,
    provider_holdback,
    provider_payable,
    stake,
    subsidy_vesting,
    tenant_available,
)
from gondwana.ledger.model import BudgetPeriod
from gondwana.ledger.rules import Award, Cover, DeviceClass, SubsidyProgram, Vesting
from gondwana.ledger.service import Service, SlaClass
from gondwana.ledger.store import balance, post
from gondwana.sim.books import limits
from gondwana.sim.books.people import OWNERS, PROJECTS, TENANTS, USD, People
from gondwana.sim.books.request import Call, Moves, Params, Seen, Verb
from gondwana.sim.books.shadow import POST
from gondwana.sim.books.verbs_money import moves
from gondwana.sim.books.verbs_work import lease_terms

DAY: Final = 86_400
VEST_SECONDS: Final = 20 * DAY
PROGRAM: Final = SubsidyProgram(
    id="s",
    budget_micro_usd=10 * USD,
    classes=(DeviceClass(name="RTX4090", floor_micro_usd_per_hour=100, electricity_micro_usd_per_hour=90,
                         market_price_micro_usd_per_hour=300, devices_target=10),),
    stake_micro_usd_min=0,
    vest_seconds=VEST_SECONDS,
)  # fmt: skip


# Service credits


def _draw_credit(people: People) -> Params | None:
    lease = people.any("lease ever")
    if lease is None:
        return None
    escrow = people.shadow.balance(f"lease:{lease['id']}:escrow")
    paid = escrow.debits_posted - people.shadow.told.get(f"closed {lease['id']}", 0)
    promised = people.amount(30 * DAY * 1_000)
    outage = people.amount(promised // people.pick((1, 20, 300)))
    return {**lease, "class": people.pick(list(SlaClass)).value, "month": "2027-01", "promised": promised,
            "proven": promised - outage, "charged": people.amount(paid) if paid else 0,
            "stake cap": people.amount(USD, least=0), "fund cap": people.amount(USD, least=0),
            "haircut": people.pick((0, 0, 250_000, 333_333))}  # fmt: skip


def _credited_name(p: Params) -> str:
    return f"credited.{p['id']}.{p['month']}"


def _credit(call: Call, p: Params) -> None:
    credited = read_setting(call.tx, _credited_name(p), int, default=0)
    service = Service(
        lease_id=p["id"],
        month=p["month"],
        promised_ms=p["promised"],
        proven_ms=p["proven"],
        charged_micro_usd=p["charged"],
        credited_micro_usd=credited,
    )
    cover = Cover(
        holdback=balance(call.tx, provider_holdback(p["owner"])),
        stake=balance(call.tx, stake(p["owner"])),
        insurance=balance(call.tx, fund_insurance()),
        stake_cap_micro_usd=p["stake cap"],
        fund_cap_micro_usd=p["fund cap"],
        haircut_ppm=p["haircut"],
    )
    made = rules.sla_credit(
        lease_terms(p), service, sla_class=SlaClass(p["class"]), cover=cover, machine="m"
    )
    post(call.tx, made, call.now)
    write_setting(call.tx, _credited_name(p), credited + made.total_micro_usd(), at=call.now)


def _due(p: Params) -> int:
    """What the promise says a month's outage is worth: below 15 s nothing; then by class, rounded up."""
    outage = p["promised"] - p["proven"]
    if outage < 15_000:
        return 0
    if p["class"] == "home":
        return -(-p["charged"] * outage // p["promised"])
    available = p["proven"] * 1_000_000 // p["promised"]
    tiers = {"datacentre": ((95.0, 100), (99.0, 30), (99.5, 10)), "mixed": ((95.0, 30), (99.0, 10))}
    percent = next((part for below, part in tiers[p["class"]] if available < below * 10_000), 0)
    return -(-p["charged"] * percent // 100)


def _expect_credit(seen: Seen, p: Params) -> Moves:
    tenant = tenant_available(p["tenant"])
    credited = seen.shadow.told.get(_credited_name(p), 0)
    owed = max(0, _due(p) - credited)
    held_back = min(owed, seen.shadow.available(provider_holdback(p["owner"])))
    at_stake = min(owed - held_back, p["stake cap"], seen.shadow.available(stake(p["owner"])))
    claim = (
        min(owed - held_back - at_stake, p["fund cap"]) * (1_000_000 - p["haircut"]) // 1_000_000
    )
    insured = min(claim, seen.shadow.available(fund_insurance()))
    return moves((provider_holdback(p["owner"]), tenant, held_back), (stake(p["owner"]), tenant, at_stake),
                 (fund_insurance(), tenant, insured))  # fmt: skip


def _learn_credit(people: People, p: Params, key: str) -> None:
    told, name = people.shadow.told, _credited_name(p)
    told[name] = told.get(name, 0) + sum(told["moved"].values())


# Subsidies


def _draw_epoch(people: People) -> Params | None:
    amount = people.some_of(fund_treasury())
    return {"epoch": people.random.bits(16), "amount": amount} if amount else None


def _fund(call: Call, p: Params) -> None:
    post(call.tx, rules.fund_subsidy(PROGRAM, p["epoch"], p["amount"]), call.now)


def _draw_award(people: People) -> Params | None:
    epoch = people.any("epoch")
    if epoch is None:
        return None
    amount = people.some_of(fund_subsidy("s", str(epoch["epoch"])))
    return (
        {"epoch": epoch["epoch"], "owner": people.pick(OWNERS), "amount": amount}
        if amount
        else None
    )


def _awards(call: Call, p: Params) -> list[Vesting]:
    return read_setting(call.tx, f"awards.{p['owner']}", list[Vesting], default=[])


def _award(call: Call, p: Params) -> None:
    awarded = Award(provider_id=p["owner"], micro_usd=p["amount"])
    posted = post(call.tx, rules.award_subsidy(PROGRAM, p["epoch"], awarded), call.now)
    if not posted.repeated:
        _, later = rules.vest_parts(PROGRAM, p["amount"])
        vesting = Vesting(awarded_at=call.now, micro_usd=later, vest_seconds=VEST_SECONDS)
        write_setting(call.tx, f"awards.{p['owner']}", [*_awards(call, p), vesting], at=call.now)


def _is_awarded(p: Params) -> str:
    return f"awarded {p['epoch']} {p['owner']}"


def _expect_award(seen: Seen, p: Params) -> Moves:
    if _is_awarded(p) in seen.shadow.told:
        return moves()
    fund, now = fund_subsidy("s", str(p["epoch"])), p["amount"] // 4
    return moves(
        (fund, provider_payable(p["owner"]), now),
        (fund, subsidy_vesting(p["owner"]), p["amount"] - now),
    )


def _learn_award(people: People, p: Params, key: str) -> None:
    told = people.shadow.told
    if _is_awarded(p) not in told:
        told[_is_awarded(p)] = True
        later = p["amount"] - p["amount"] // 4
        told.setdefault(f"vesting {p['owner']}", []).append((told["now"], later))


def _vest(call: Call, p: Params) -> None:
    vesting = balance(call.tx, subsidy_vesting(p["owner"]))
    post(call.tx, rules.vest(p["owner"], _awards(call, p), now=call.now, vesting=vesting), call.now)


def _expect_vested(seen: Seen, p: Params) -> Moves:
    """In a straight line by the second, rounded against the owner; what was taken back counts as the oldest."""
    account = subsidy_vesting(p["owner"])
    found = seen.shadow.balance(account)
    awards: list[tuple[Instant, int]] = seen.shadow.told.get(f"vesting {p['owner']}", [])
    unvested = 0
    for at, amount in awards:
        done = min(max(0, int((seen.now - at) // 1)), VEST_SECONDS)
        unvested += amount - amount * done // VEST_SECONDS
    free = max(0, found.credits_posted - unvested - found.debits_posted)
    return moves((account, provider_payable(p["owner"]), free))


def _draw_clawback(people: People) -> Params | None:
    owner = people.pick(OWNERS)
    amount = people.some_of(subsidy_vesting(owner))
    return {"owner": owner, "amount": amount} if amount else None


def _claw_back(call: Call, p: Params) -> None:
    post(call.tx, rules.clawback(p["owner"], p["amount"], key=call.key, reason="fraud"), call.now)


def _draw_return(people: People) -> Params | None:
    epoch = people.any("epoch")
    if epoch is None:
        return None
    amount = people.some_of(fund_subsidy("s", str(epoch["epoch"])), too_much=0.0)
    return {"epoch": epoch["epoch"], "amount": amount} if amount else None


def _return(call: Call, p: Params) -> None:
    post(call.tx, rules.return_subsidy(PROGRAM, p["epoch"], p["amount"]), call.now)


def _expect_once(what: str, debit: str, credit: str, seen: Seen, p: Params) -> Moves:
    """Once per epoch; a repeat moves nothing."""
    if f"{what} {p['epoch']}" in seen.shadow.told:
        return moves()
    return moves((debit, credit, p["amount"]))


def _learn_once(what: str, people: People, p: Params, key: str) -> None:
    people.shadow.told[f"{what} {p['epoch']}"] = True
    if what == "epoch":
        people.add("epoch", p)


def _fund_of(p: Params) -> str:
    return fund_subsidy("s", str(p["epoch"]))


# Budgets


def _draw_budget(people: People) -> Params:
    return {"tenant": people.pick(TENANTS), "project": people.pick(PROJECTS), "period": people.pick(("month", "ever")),
            "limit": people.amount(30 * USD, least=0)}  # fmt: skip


def _whose(p: Params) -> dict[str, Any]:
    return {
        "tenant_id": p["tenant"],
        "project": p["project"],
        "period": BudgetPeriod(p["period"]),
        "is_operators": True,
    }


def _set_budget(call: Call, p: Params) -> None:
    budgets.set_budget(
        call.tx, call.random, call.now, limit_micro_usd=p["limit"], set_by=p["tenant"], **_whose(p)
    )


def _learn_budget(people: People, p: Params, key: str) -> None:
    found = limits.budgets(people.shadow)
    name = (p["tenant"], p["project"], p["period"])
    found.setdefault(name, {"period": p["period"], "used": {}})["limit"] = p["limit"]


def _draw_removal(people: People) -> Params | None:
    found = list(limits.budgets(people.shadow))
    if not found:
        return None
    tenant, project, period = people.pick(found)
    return {"tenant": tenant, "project": project, "period": period}


def _remove_budget(call: Call, p: Params) -> None:
    budgets.remove_budget(call.tx, call.now, **_whose(p))


def _learn_removal(people: People, p: Params, key: str) -> None:
    limits.budgets(people.shadow).pop((p["tenant"], p["project"], p["period"]))


def _no_money(seen: Seen, p: Params) -> Moves:
    return moves(kind=POST)


VERBS: Final = (
    Verb(name="credit a breach", weight=3, draw=_draw_credit, run=_credit, expect=_expect_credit, learn=_learn_credit),
    Verb(name="fund subsidy", draw=_draw_epoch, run=_fund,
         expect=lambda seen, p: _expect_once("epoch", fund_treasury(), _fund_of(p), seen, p),
         learn=lambda people, p, key: _learn_once("epoch", people, p, key)),
    Verb(name="award subsidy", draw=_draw_award, run=_award, expect=_expect_award, learn=_learn_award),
    Verb(name="vest subsidy", weight=2, draw=lambda people: {"owner": people.pick(OWNERS)}, run=_vest,
         expect=_expect_vested),
    Verb(name="claw back", draw=_draw_clawback, run=_claw_back,
         expect=lambda seen, p: moves((subsidy_vesting(p["owner"]), fund_treasury(), p["amount"]))),
    Verb(name="return subsidy", draw=_draw_return, run=_return,
         expect=lambda seen, p: _expect_once("returned", _fund_of(p), fund_treasury(), seen, p),
         learn=lambda people, p, key: _learn_once("returned", people, p, key)),
    Verb(name="set budget", weight=3, draw=_draw_budget, run=_set_budget, expect=_no_money, learn=_learn_budget),
    Verb(name="remove budget", draw=_draw_removal, run=_remove_budget, expect=_no_money, learn=_learn_removal),
)  # fmt: skip
