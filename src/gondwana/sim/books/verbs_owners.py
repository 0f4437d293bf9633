"""What owners earn and put at stake, and how they lose it: holdbacks, stakes, slashes, bonds, bounties."""

from collections.abc import Callable
from typing import Any, Final

from gondwana.core.errors import WrongState
from gondwana.db.settings import read_setting, write_setting
from gondwana.ledger import rules
from gondwana.ledger.accounts import (
    AccountName,
    bond,
    ext,
    fund_insurance,
    fund_verification,
    provider_holdback,
    provider_payable,
    reporter_payable,
    stake,
    stake_unbonding,
    tenant_available,
)
from gondwana.ledger.cases import SlashState, SlashTerms
from gondwana.ledger.model import Entry
from gondwana.ledger.rules import Unbonding
from gondwana.ledger.store import balance, credited_before, entry_of, post
from gondwana.sim.books.people import OWNERS, RAILS, TENANTS, USD, People
from gondwana.sim.books.request import Call, Moves, Params, Seen, Verb
from gondwana.sim.books.shadow import PENDING, POST_PENDING, VOID_PENDING, Shadow
from gondwana.sim.books.verbs_money import moves

DAY: Final = 86_400


# Holdbacks


def _draw_owner_of(account: Callable[[str], AccountName], people: People) -> Params | None:
    """One who has something there, mostly."""
    owner = people.pick(OWNERS)
    return {"owner": owner} if people.shadow.posted(account(owner)) or people.chance(0.05) else None


def _mature(call: Call, p: Params) -> None:
    account = provider_holdback(p["owner"])
    earned = credited_before(call.tx, account, type(call.now)(call.now - rules.HOLDBACK_SECONDS))
    made = rules.mature(
        p["owner"], credited_before_window=earned, holdback=balance(call.tx, account)
    )
    post(call.tx, made, call.now)


def _expect_matured(seen: Seen, p: Params) -> Moves:
    """What came in more than seven days ago, less all that went out or is held."""
    account = provider_holdback(p["owner"])
    window_ms = round((seen.now - 7 * DAY) * 1_000)
    earned = sum(amount for at_ms, amount in seen.shadow.credited[account] if at_ms < window_ms)
    found = seen.shadow.balance(account)
    free = max(0, earned - found.debits_posted - found.debits_pending)
    return moves((account, provider_payable(p["owner"]), free))


# Stakes


def _draw_stake(people: People) -> Params | None:
    owner = people.pick(OWNERS)
    amount = people.some_of(provider_payable(owner))
    return {"owner": owner, "amount": amount} if amount else None


def _stake(call: Call, p: Params) -> None:
    post(call.tx, rules.stake_from_payable(p["owner"], p["amount"], key=call.key), call.now)


def _draw_stake_by_rail(people: People) -> Params:
    return {
        "owner": people.pick(OWNERS),
        "rail": people.pick(RAILS),
        "amount": people.amount(5 * USD),
    }


def _stake_by_rail(call: Call, p: Params) -> None:
    made = rules.stake_from_rail(p["rail"], p["owner"], amount_micro_usd=p["amount"], key=call.key)
    post(call.tx, made, call.now)


def _draw_unbonding(people: People) -> Params | None:
    owner = people.pick(OWNERS)
    amount = people.some_of(stake(owner))
    return {"owner": owner, "amount": amount} if amount else None


def _parts(call: Call, p: Params) -> list[Unbonding]:
    return read_setting(call.tx, f"unbonding.{p['owner']}", list[Unbonding], default=[])


def _unbond(call: Call, p: Params) -> None:
    part = Unbonding(
        id=f"b{call.key}",
        provider_id=p["owner"],
        amount_micro_usd=p["amount"],
        unbonded_at=call.now,
    )
    post(call.tx, rules.unbond(p["owner"], p["amount"], key=part.id), call.now)
    write_setting(call.tx, f"unbonding.{p['owner']}", [*_parts(call, p), part], at=call.now)


def _learn_unbonding(people: People, p: Params, key: str) -> None:
    told = people.shadow.told
    told.setdefault(f"unbonding {p['owner']}", []).append((told["now"], f"b{key}", p["amount"]))


def _release(call: Call, p: Params) -> None:
    parts = _parts(call, p)
    account = balance(call.tx, stake_unbonding(p["owner"]))
    free = rules.releasable(parts, account, now=call.now)
    for part, amount in free:
        if amount:
            post(call.tx, rules.release_stake(p["owner"], amount, key=part.id), call.now)
    gone = {part.id for part, _ in free}
    left = [part for part in parts if part.id not in gone]
    write_setting(call.tx, f"unbonding.{p['owner']}", left, at=call.now)


def _expect_released(seen: Seen, p: Params) -> Moves:
    """Parts older than fourteen days, less what slashes took of the oldest; none that one may still take from."""
    found = seen.shadow.balance(stake_unbonding(p["owner"]))
    parts = sorted(seen.shadow.told.get(f"unbonding {p['owner']}", []))
    lost = sum(amount for _, _, amount in parts) - found.posted_micro_usd
    at_risk = lost + found.held_micro_usd
    released, keeps, below = 0, list[Any](), 0
    for at, name, amount in parts:
        left = min(amount, max(0, below + amount - lost))
        least = min(amount, max(0, below + amount - at_risk))
        below += amount
        if seen.now - at >= 14 * DAY and left == least:
            released += left
        else:
            keeps.append((at, name, amount))
    seen.shadow.told[f"kept {p['owner']}"] = keeps
    return moves((stake_unbonding(p["owner"]), provider_payable(p["owner"]), released))


def _learn_released(people: People, p: Params, key: str) -> None:
    people.shadow.told[f"unbonding {p['owner']}"] = people.shadow.told[f"kept {p['owner']}"]


# Slashes


def _draw_slash(people: People) -> Params | None:
    owner = people.pick(OWNERS)
    places = (provider_holdback(owner), stake(owner), stake_unbonding(owner))
    there = sum(people.shadow.available(place) for place in places)
    if not there and people.chance(0.9):
        return None
    amount = people.amount(max(1, there * 3 // 2))
    return {"owner": owner, "amount": amount, "tenant": people.pick(TENANTS) if people.chance(0.8) else None,
            "made whole": people.amount(2 * amount), "reporters": people.random.bits(2), "cost": people.amount(amount),
            "bounty": people.pick((2_500, 2_500, 999, 0))}  # fmt: skip


def _slash_terms(p: Params) -> SlashTerms:
    return SlashTerms(
        case_id=p["id"],
        provider_id=p["owner"],
        amount_micro_usd=p["amount"],
        reason="wrong work",
        tenant_id=p["tenant"],
        made_whole_micro_usd=p["made whole"] if p["tenant"] else 0,
        reporters=_reporters(p),
        bounty_bps=p["bounty"],
        verification_cost_micro_usd=p["cost"],
    )


def _reporters(p: Params) -> tuple[str, ...]:
    return tuple(f"{p['id']}.{number}" for number in range(p["reporters"]))


def _slash(call: Call, p: Params) -> None:
    p = {**p, "id": f"k{call.key}"}
    hold = rules.slash(
        _slash_terms(p),
        holdback=balance(call.tx, provider_holdback(p["owner"])),
        stake=balance(call.tx, stake(p["owner"])),
        unbonding=balance(call.tx, stake_unbonding(p["owner"])),
    )
    post(call.tx, hold, call.now)
    _write_case(call, p, SlashState.PROPOSED, call.now)


def _expect_slash(seen: Seen, p: Params) -> Moves:
    """Out of holdback, stake, unbonding; to tenant, reporters, checks, insurance: each in this order."""
    owner, made = p["owner"], Moves()
    places = (provider_holdback(owner), stake(owner), stake_unbonding(owner))
    there = {str(place): seen.shadow.available(place) for place in places}
    for payee, owed in _payees({**p, "id": f"k{seen.key}"}, sum(there.values())):
        for place, available in there.items():
            part = min(owed, available)
            owed -= part
            there[place] -= part
            if part:
                made[place, payee, PENDING] += part
    return made


def _payees(p: Params, there: int) -> list[tuple[str, int]]:
    left = taken = min(p["amount"], there)
    made_whole = min(left, p["made whole"]) if p["tenant"] else 0
    left -= made_whole
    bounty = min(taken * p["bounty"] // 10_000, left) if p["reporters"] else 0
    checks = min(left - bounty, p["cost"])
    to_tenant = [(str(tenant_available(p["tenant"])), made_whole)] if p["tenant"] else []
    return [
        *to_tenant,
        *zip(map(reporter_payable, _reporters(p)), _bounties(bounty, p["reporters"]), strict=True),
        (fund_verification(), checks),
        (fund_insurance(), left - bounty - checks),
    ]


def _bounties(bounty: int, reporters: int) -> list[int]:
    """To each half of what the one before gets; what the floors leave to the largest fractions."""
    weights = [2 ** (reporters - 1 - number) for number in range(reporters)]
    whole = sum(weights)
    floors = [bounty * weight // whole for weight in weights]
    rests = sorted(range(reporters), key=lambda n: (-(bounty * weights[n] % whole), n))
    for number in rests[: bounty - sum(floors)]:
        floors[number] += 1
    return floors


def _write_case(call: Call, p: Params, state: SlashState, at: float) -> None:
    write_setting(call.tx, f"case.{p['id']}", (state.value, at), at=call.now)


def _case(call: Call, p: Params) -> tuple[SlashState, float]:
    state, at = read_setting(call.tx, f"case.{p['id']}", tuple[str, float], default=("", 0.0))
    return SlashState(state), at


def _learn_slash(people: People, p: Params, key: str) -> None:
    case = {**p, "id": f"k{key}"}
    people.add("case", case)
    people.shadow.told[f"case {case['id']}"] = ("proposed", people.shadow.told["now"])
    people.shadow.told[f"held {case['id']}"] = people.shadow.told["moved"]


def _appeal(call: Call, p: Params) -> None:
    state, at = _case(call, p)
    if not rules.may_appeal(state, type(call.now)(at), now=call.now):
        raise WrongState("too late")
    _write_case(call, p, SlashState.APPEALED, call.now)


def _expect_appeal(seen: Seen, p: Params) -> Moves | None:
    state, at = seen.shadow.told[f"case {p['id']}"]
    return moves() if state == "proposed" and seen.now - at < 3 * DAY else None


def _learn_appeal(people: People, p: Params, key: str) -> None:
    people.shadow.told[f"case {p['id']}"] = ("appealed", people.shadow.told["now"])
    people.add("appeal", p)


def _draw_settlement(people: People) -> Params | None:
    """Somebody asks whether silence has decided it by now; mostly when it has."""
    found = people.any("case")
    if found is None:
        return None
    _, at = people.shadow.told[f"case {found['id']}"]
    return found if people.now - at > 3 * DAY or people.chance(0.1) else None


def _settle(call: Call, p: Params) -> None:
    state, at = _case(call, p)
    appealed_at = type(call.now)(at) if state is SlashState.APPEALED else None
    after = rules.next_slash_state(state, type(call.now)(at), now=call.now, appealed_at=appealed_at)
    if after is state:
        raise WrongState(f"it is {state}")
    _end(call, p, after)


def _decide(call: Call, p: Params) -> None:
    state, at = _case(call, p)
    verdict = SlashState(p["verdict"])
    _end(call, p, rules.next_slash_state(state, type(call.now)(at), now=call.now, verdict=verdict))


def _end(call: Call, p: Params, state: SlashState) -> None:
    hold = entry_of(call.tx, f"slash:{p['id']}")
    if hold is not None and state is SlashState.UPHELD:
        post(call.tx, rules.uphold_slash(hold), call.now)
        fund = balance(call.tx, fund_insurance())
        post(call.tx, rules.cover_slash(_slash_terms(p), hold, fund=fund), call.now)
    elif hold is not None:
        post(call.tx, rules.reverse_slash(hold, reason="not proven"), call.now)
    _write_case(call, p, state, call.now)


def _expect_settlement(seen: Seen, p: Params) -> Moves | None:
    state, at = seen.shadow.told[f"case {p['id']}"]
    if state == "proposed" and seen.now - at >= 3 * DAY:
        return _expect_end(seen.shadow, p, "upheld")
    if state == "appealed" and seen.now - at >= 30 * DAY:
        return _expect_end(seen.shadow, p, "reversed")
    return None


def _expect_verdict(seen: Seen, p: Params) -> Moves | None:
    state, _ = seen.shadow.told[f"case {p['id']}"]
    return _expect_end(seen.shadow, p, p["verdict"]) if state == "appealed" else None


def _expect_end(shadow: Shadow, p: Params, verdict: str) -> Moves:
    held: Moves = shadow.told[f"held {p['id']}"]
    kind = POST_PENDING if verdict == "upheld" else VOID_PENDING
    made = Moves({(debit, credit, kind): amount for (debit, credit, _), amount in held.items()})
    if verdict == "upheld" and held and p["tenant"]:
        tenant = tenant_available(p["tenant"])
        got = sum(amount for (_, credit, _), amount in held.items() if credit == tenant)
        missing = min(p["made whole"] - got, shadow.available(fund_insurance()))
        made += moves((fund_insurance(), tenant, missing))
    return made


def _learn_end(people: People, p: Params, key: str) -> None:
    told = people.shadow.told
    state, _ = told[f"case {p['id']}"]
    verdict = p.get("verdict") or ("upheld" if state == "proposed" else "reversed")
    told[f"case {p['id']}"] = (verdict, told["now"])
    for what in ("case", "appeal"):
        people.drop(what, id=p["id"])
    if verdict == "upheld":
        people.add("upheld", {name: value for name, value in p.items() if name != "verdict"})
        for report in _reporters(p):
            people.add("bounty", {"report": report, "payer": provider_payable("p0")})


def _draw_verdict(people: People) -> Params | None:
    found = people.any("appeal")
    return found and {**found, "verdict": people.pick(("upheld", "reversed"))}


def _draw_wrong_slash(people: People) -> Params | None:
    found = people.any("upheld")
    if found is None or not people.shadow.told[f"held {found['id']}"]:
        return None
    return found


def _correct_slash(call: Call, p: Params) -> None:
    state, _ = _case(call, p)
    if state is not SlashState.UPHELD:
        raise WrongState(f"it is {state}")
    hold = entry_of(call.tx, f"slash:{p['id']}")
    assert isinstance(hold, Entry)
    post(call.tx, rules.correct(rules.uphold_slash(hold), why="heard again"), call.now)
    _write_case(call, p, SlashState.CORRECTED, call.now)


def _expect_slash_correction(seen: Seen, p: Params) -> Moves | None:
    if seen.shadow.told[f"case {p['id']}"][0] != "upheld":
        return None
    held: Moves = seen.shadow.told[f"held {p['id']}"]
    return moves(*((credit, debit, amount) for (debit, credit, _), amount in held.items()))


def _learn_slash_correction(people: People, p: Params, key: str) -> None:
    people.shadow.told[f"case {p['id']}"] = ("corrected", people.shadow.told["now"])
    people.drop("upheld", id=p["id"])


# Bonds and bounties


def _draw_bond(people: People) -> Params | None:
    payers = [*map(provider_payable, OWNERS), *map(tenant_available, TENANTS)]
    payer = people.pick(payers)
    amount = people.some_of(payer)
    return {"payer": payer, "amount": amount, "accused": people.pick(OWNERS)} if amount else None


def _bond(call: Call, p: Params) -> None:
    made = rules.post_bond(f"w{call.key}", AccountName(p["payer"]), amount_micro_usd=p["amount"])
    post(call.tx, made, call.now)


def _return_bond(call: Call, p: Params) -> None:
    made = rules.return_bond(p["id"], AccountName(p["payer"]), amount_micro_usd=p["amount"])
    post(call.tx, made, call.now)


def _forfeit_bond(call: Call, p: Params) -> None:
    post(call.tx, rules.forfeit_bond(p["id"], p["accused"], amount_micro_usd=p["amount"]), call.now)


def _expect_bond_end(seen: Seen, p: Params, *, is_lost: bool) -> Moves:
    if seen.shadow.told.get(f"bond {p['id']}") == is_lost:
        return moves()  # a repeat
    account = bond(p["id"])
    if not is_lost:
        return moves((account, p["payer"], p["amount"]))
    half = p["amount"] // 2
    return moves(
        (account, provider_payable(p["accused"]), half),
        (account, fund_verification(), p["amount"] - half),
    )


def _learn_bond_end(people: People, p: Params, *, is_lost: bool) -> None:
    people.shadow.told[f"bond {p['id']}"] = is_lost
    people.drop("bond", id=p["id"])


def _pay_bounty(call: Call, p: Params) -> None:
    there = balance(call.tx, reporter_payable(p["report"])).available_micro_usd
    made = rules.pay_bounty(p["report"], AccountName(p["payer"]), amount_micro_usd=there)
    post(call.tx, made, call.now)


def _expect_bounty(seen: Seen, p: Params) -> Moves:
    account = reporter_payable(p["report"])
    return moves((account, p["payer"], seen.shadow.available(account)))


VERBS: Final = (
    Verb(name="mature", weight=3, run=_mature,
         draw=lambda people: _draw_owner_of(provider_holdback, people), expect=_expect_matured),
    Verb(name="stake", draw=_draw_stake, run=_stake,
         expect=lambda seen, p: moves((provider_payable(p["owner"]), stake(p["owner"]), p["amount"]))),
    Verb(name="stake by rail", draw=_draw_stake_by_rail, run=_stake_by_rail,
         expect=lambda seen, p: moves((ext(p["rail"]), stake(p["owner"]), p["amount"]))),
    Verb(name="unbond", draw=_draw_unbonding, run=_unbond, learn=_learn_unbonding,
         expect=lambda seen, p: moves((stake(p["owner"]), stake_unbonding(p["owner"]), p["amount"]))),
    Verb(name="release stake", weight=2, run=_release,
         draw=lambda people: _draw_owner_of(stake_unbonding, people), expect=_expect_released,
         learn=_learn_released),
    Verb(name="slash", weight=2, draw=_draw_slash, run=_slash, expect=_expect_slash, learn=_learn_slash),
    Verb(name="appeal", weight=2, draw=lambda people: people.any("case"), run=_appeal, expect=_expect_appeal,
         learn=_learn_appeal),
    Verb(name="settle case", weight=2, draw=_draw_settlement, run=_settle, expect=_expect_settlement, learn=_learn_end),
    Verb(name="judge appeal", draw=_draw_verdict, run=_decide, expect=_expect_verdict, learn=_learn_end),
    Verb(name="correct slash", draw=_draw_wrong_slash, run=_correct_slash, expect=_expect_slash_correction,
         learn=_learn_slash_correction),
    Verb(name="bond", draw=_draw_bond, run=_bond,
         expect=lambda seen, p: moves((p["payer"], bond(f"w{seen.key}"), p["amount"])),
         learn=lambda people, p, key: people.add("bond", {**p, "id": f"w{key}"})),
    Verb(name="return bond", draw=lambda people: people.any("bond"), run=_return_bond,
         expect=lambda seen, p: _expect_bond_end(seen, p, is_lost=False),
         learn=lambda people, p, key: _learn_bond_end(people, p, is_lost=False)),
    Verb(name="forfeit bond", draw=lambda people: people.any("bond"), run=_forfeit_bond,
         expect=lambda seen, p: _expect_bond_end(seen, p, is_lost=True),
         learn=lambda people, p, key: _learn_bond_end(people, p, is_lost=True)),
    Verb(name="pay bounty", draw=lambda people: people.any("bounty"), run=_pay_bounty, expect=_expect_bounty,
         learn=lambda people, p, key: people.drop("bounty", report=p["report"])),
)  # fmt: skip
