"""Subsidies that bring scarce machines in: a budgeted top-up of proven, idle capacity to a floor, in money.

Presence pays nothing, only proven time does. What a machine earns, from anybody, lowers what it is given, so buying
from oneself only costs the fees. All machines of an owner share one stake: a thousand names need a thousand stakes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue
from gondwana.core.money import MICRO_USD_MAX
from gondwana.ledger.accounts import fund_subsidy as subsidy_fund
from gondwana.ledger.accounts import fund_treasury, provider_payable, subsidy_vesting
from gondwana.ledger.model import Balance, Entry, Leg
from gondwana.ledger.rules.entries import Move, largest_remainder, legs
from gondwana.ledger.service import PPM

MS_PER_HOUR: Final = 3_600_000
SECONDS_MAX: Final = 10 * 366 * 86_400  # ten years: of an epoch, of vesting
DEVICES_MAX: Final = 1_000_000_000  # more than anybody wants of one model
EPOCHS_MAX: Final = 100_000  # far beyond any program; bounds the exact power of the decay


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClass:
    """What a program pays for one model of device."""

    name: str  # "RTX4090"
    floor_micro_usd_per_hour: int  # of one device: what an idle, proven hour is topped up to
    electricity_micro_usd_per_hour: int
    market_price_micro_usd_per_hour: int
    devices_target: int  # as many as the program wants; nothing is scarce any more at that number

    def __post_init__(self) -> None:
        floor = self.floor_micro_usd_per_hour
        if (
            floor < 0
            or floor * 10 > self.electricity_micro_usd_per_hour * 12
            or floor * 2 > self.market_price_micro_usd_per_hour
        ):
            raise InvalidValue(
                field="floor_micro_usd_per_hour",
                value=floor,
                hint="at most 1.2 times the electricity and half the market price: idling is no business",
            )
        if not 0 <= self.devices_target <= DEVICES_MAX:
            raise InvalidValue(field="devices_target", value=self.devices_target)
        prices = (self.electricity_micro_usd_per_hour, self.market_price_micro_usd_per_hour)
        if max(prices) > MICRO_USD_MAX:
            raise InvalidValue(field="micro_usd", hint="less than that")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsidyProgram:
    """The settings of one program; fixed while it runs."""

    id: str
    budget_micro_usd: int  # of the first epoch
    classes: tuple[DeviceClass, ...]
    stake_micro_usd_min: int  # per device, posted before its first hour
    epoch_seconds: int = 86_400
    decay_ppm: int = 0  # what each epoch's budget is smaller by than the one before
    alpha_ppm: int | None = (
        None  # budget at most this part of the last epoch's fees; None: no such cap
    )
    vest_now_ppm: int = 250_000
    vest_seconds: int = 90 * 86_400

    def __post_init__(self) -> None:
        parts = (self.decay_ppm, self.vest_now_ppm, self.alpha_ppm or 0)
        if not all(0 <= part <= PPM for part in parts):
            raise InvalidValue(field="ppm", value=parts, hint=f"0 to {PPM}")
        amounts = (self.budget_micro_usd, self.stake_micro_usd_min)
        if not 0 <= min(amounts) <= max(amounts) <= MICRO_USD_MAX:
            raise InvalidValue(field="micro_usd", hint=f"0 to {MICRO_USD_MAX}")
        seconds = (self.epoch_seconds, self.vest_seconds)
        if not 0 < min(seconds) <= max(seconds) <= SECONDS_MAX:
            raise InvalidValue(field="seconds", hint=f"1 to {SECONDS_MAX}")
        if len({each.name for each in self.classes}) < len(self.classes):
            raise InvalidValue(field="classes", hint="name each device class once")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCapacity:
    """What is proven of one machine in one epoch."""

    provider_id: str
    machine_id: str
    device_class: str
    verified_ms: (
        int  # proven by challenges run at one instant on all machines of the class, or by work the
    )
    # network checked; work that only its buyer accepted proves nothing, since the buyer may be the owner
    earned_micro_usd: int  # from anybody, himself included: nobody can tell
    staked_micro_usd: int  # the owner's stake, the least of the epoch; all his machines share it
    devices: int = 1

    def __post_init__(self) -> None:
        facts = (self.verified_ms, self.earned_micro_usd, self.staked_micro_usd, self.devices)
        if min(facts) < 0:
            raise InvalidValue(field="capacity", value=facts, hint="at least zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class Award:
    """What one owner is given for one epoch."""

    provider_id: str
    micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vesting:
    """The part of an award that becomes its owner's bit by bit."""

    awarded_at: Instant
    micro_usd: int
    vest_seconds: int


def epoch_budget(program: SubsidyProgram, epoch: int, *, fees_last_epoch_micro_usd: int = 0) -> int:
    """What a program may give in its `epoch`-th epoch, counted from 0, rounded down."""
    if not 0 <= epoch <= EPOCHS_MAX:
        raise InvalidValue(field="epoch", value=epoch, hint=f"0 to {EPOCHS_MAX}")
    budget = program.budget_micro_usd * (PPM - program.decay_ppm) ** epoch // PPM**epoch
    if program.alpha_ppm is None:
        return budget
    return min(budget, fees_last_epoch_micro_usd * program.alpha_ppm // PPM)


def scarcity_ppm(target: int, active: int) -> int:
    """How much of a target is missing: everything without active devices, nothing at the target or above it."""
    return max(0, target - active) * PPM // target if target else 0


def active_devices(
    program: SubsidyProgram, device_class: str, facts: Iterable[VerifiedCapacity]
) -> int:
    """How many devices of a class were there, by their proven time, rounded down."""
    proven = (each for each in facts if each.device_class == device_class)
    return sum(_device_ms(program, each) for each in proven) // (program.epoch_seconds * 1_000)


def needs(program: SubsidyProgram, facts: Sequence[VerifiedCapacity]) -> list[int]:
    """What each machine's earnings are short of the floor for its proven time; nothing without a stake.

    Raises InvalidValue where a machine appears twice.
    """
    if len({each.machine_id for each in facts}) < len(facts):
        raise InvalidValue(field="facts", hint="each machine counts once an epoch")
    floors = {each.name: each.floor_micro_usd_per_hour for each in program.classes}
    staked = _staked_machines(program, facts)
    return [
        max(
            0,
            floors.get(each.device_class, 0) * _device_ms(program, each) // MS_PER_HOUR
            - each.earned_micro_usd,
        )
        if each.machine_id in staked
        else 0
        for each in facts
    ]


def award(
    program: SubsidyProgram, facts: Sequence[VerifiedCapacity], *, budget_micro_usd: int
) -> list[Award]:
    """What each owner is given out of an epoch's budget, by provider id; owners who get nothing are left out.

    By need times scarcity (largest remainder), never above a machine's need, never above the budget. What a
    scarce class does not need goes to the others.
    """
    facts = sorted(facts, key=lambda each: each.machine_id)
    need = needs(program, facts)
    scarce = {
        each.name: scarcity_ppm(each.devices_target, active_devices(program, each.name, facts))
        for each in program.classes
    }
    weights = [n * scarce.get(each.device_class, 0) for n, each in zip(need, facts, strict=True)]
    given: dict[str, int] = {}
    for each, paid in zip(facts, _fill(budget_micro_usd, need, weights), strict=True):
        given[each.provider_id] = given.get(each.provider_id, 0) + paid
    return [Award(provider_id=who, micro_usd=paid) for who, paid in sorted(given.items()) if paid]


def fund_subsidy(program: SubsidyProgram, epoch: int, amount_micro_usd: int) -> Entry:
    """Set an epoch's budget aside out of the operator's money; once per epoch."""
    fund = subsidy_fund(program.id, str(epoch))
    moves = [Move(fund_treasury(), fund, amount_micro_usd)]
    return _of_epoch("subsidy.fund", program, epoch, moves=moves)


def award_subsidy(program: SubsidyProgram, epoch: int, awarded: Award) -> Entry:
    """Give an owner's award: a part at once, the rest vests; once per owner and epoch."""
    fund = subsidy_fund(program.id, str(epoch))
    now, later = vest_parts(program, awarded.micro_usd)
    moves = [
        Move(fund, subsidy_vesting(awarded.provider_id), later),
        Move(fund, provider_payable(awarded.provider_id), now),
    ]
    return _of_epoch("subsidy.award", program, epoch, moves=moves, key=f":{awarded.provider_id}")


def vest_parts(program: SubsidyProgram, micro_usd: int) -> tuple[int, int]:
    """What of an award is its owner's at once, and what vests."""
    now = micro_usd * program.vest_now_ppm // PPM
    return now, micro_usd - now


def return_subsidy(program: SubsidyProgram, epoch: int, amount_micro_usd: int) -> Entry:
    """The rest of an epoch's fund back to the operator; once per epoch."""
    fund = subsidy_fund(program.id, str(epoch))
    moves = [Move(fund, fund_treasury(), amount_micro_usd)]
    return _of_epoch("subsidy.return", program, epoch, moves=moves)


def vest(provider_id: str, awards: Iterable[Vesting], *, now: Instant, vesting: Balance) -> Entry:
    """Pay what has vested by now, in a straight line over the seconds, less what already left the account.

    `awards` are those that still vest, at least; what older ones brought has vested. What was taken back counts as the
    oldest. The event is named by all that left, so a repeat posts nothing and the sum never depends on how often
    this is run.
    """
    unvested = sum(_unvested(each, now) for each in awards)
    gone = vesting.debits_posted + vesting.debits_pending
    amount = max(0, vesting.credits_posted - unvested - gone)
    move = Move(subsidy_vesting(provider_id), provider_payable(provider_id), amount)
    return Entry(
        event_id=f"subsidy.vest:{provider_id}:{vesting.debits_posted + amount}",
        kind="subsidy.vest",
        subject=provider_id,
        legs=legs([move]),
    )


def clawback(provider_id: str, amount_micro_usd: int, *, key: str, reason: str) -> Entry:
    """What an owner was awarded and does not own yet, taken back on proven fraud; `key` names the case."""
    if not reason:
        raise InvalidValue(field="reason", value=reason, hint="say what was proven")
    leg = Leg(
        debit=subsidy_vesting(provider_id),
        credit=fund_treasury(),
        amount_micro_usd=amount_micro_usd,
    )
    return Entry(
        event_id=f"subsidy.clawback:{provider_id}:{key}",
        kind="subsidy.clawback",
        subject=provider_id,
        legs=(leg,),
        facts=(reason,),
    )


def _device_ms(program: SubsidyProgram, capacity: VerifiedCapacity) -> int:
    """The proven time of all a machine's devices; each epoch has only so much."""
    return min(capacity.verified_ms, program.epoch_seconds * 1_000) * capacity.devices


def _staked_machines(program: SubsidyProgram, facts: Sequence[VerifiedCapacity]) -> set[str]:
    """The machines that their owners' stakes cover, in order of their ids."""
    left: dict[str, int] = {}
    for each in facts:
        stake = left.get(each.provider_id, each.staked_micro_usd)
        left[each.provider_id] = min(stake, each.staked_micro_usd)
    covered: set[str] = set()
    for each in sorted(facts, key=lambda each: each.machine_id):
        cost = program.stake_micro_usd_min * each.devices
        if left[each.provider_id] >= cost:
            left[each.provider_id] -= cost
            covered.add(each.machine_id)
    return covered


def _fill(budget: int, need: list[int], weights: list[int]) -> list[int]:
    """The budget cut by weight, no part above its need; what one does not need is cut among the others."""
    paid = [0] * len(need)
    open_ = [n for n, weight in enumerate(weights) if weight]
    left = min(budget, sum(need[n] for n in open_))
    while open_:
        parts = dict(zip(open_, largest_remainder(left, [weights[n] for n in open_]), strict=True))
        full = [n for n in open_ if parts[n] > need[n]]
        for n in full or open_:
            paid[n] = min(parts[n], need[n])
            left -= paid[n]
        open_ = [n for n in open_ if n not in set(full)] if full else []
    assert sum(paid) <= budget
    return paid


def _unvested(award: Vesting, now: Instant) -> int:
    """What of an award is not its owner's yet, rounded up."""
    seconds = math.ceil(award.awarded_at + award.vest_seconds - now)
    remaining = min(max(0, seconds), award.vest_seconds)
    return -(-award.micro_usd * remaining // award.vest_seconds)


def _of_epoch(
    kind: str, program: SubsidyProgram, epoch: int, *, moves: Iterable[Move], key: str = ""
) -> Entry:
    return Entry(
        event_id=f"{kind}:{program.id}:{epoch}{key}",
        kind=kind,
        subject=program.id,
        legs=legs(moves),
        facts=(epoch,),
    )
