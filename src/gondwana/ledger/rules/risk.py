"""How much unverified work an owner may hold, given what he would lose: pure arithmetic on whole numbers.

A cheat saves the cost c·R of work worth R, is checked with probability p and found out with d, and then loses the
reward, his future V here, and his stake S less the share β that comes back when he reports himself under another
name. So cheating loses where p·d·(R + (1-β)·S + V) > c·R (ledger reference; field notes, ledger §4).

R is all work that is given out and not yet verified. Counted as one unit this errs towards safety: who cheats in many
units is found out at least as often as who cheats in one of the same worth. Bounds are for checks that nobody can
foresee when the result is handed in; a check that can be foreseen has p = 0.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from gondwana.core.errors import InvalidValue
from gondwana.core.money import MICRO_USD_MAX
from gondwana.ledger.cases import BOUNTY_BPS_MAX
from gondwana.ledger.model import BASIS_POINTS, Balance

PPM: Final = 1_000_000
UNLIMITED_MICRO_USD: Final = MICRO_USD_MAX  # more than anybody has: no bound
_CERTAIN: Final = PPM * PPM  # a probability of one as the product of two rates


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSettings:
    """What a network assumes of cheats and decides about checks; the defaults are for new owners.

    The allowance is what a stranger may hold unverified before he has anything to lose: $25 is an hour of a node with
    eight of the fastest accelerators, so nobody has to put money down to begin, and a name that cheats gets no more
    than that. A network that strangers join by the thousand lowers it.
    """

    cost_bps: int = 8_000  # c/R: what honest work costs, of its reward
    check_ppm: int = 250_000  # p: of all units, checked; an owner with a record needs fewer
    detection_ppm: int = 950_000  # d: of wrong units that are checked, found out
    bounty_bps: int = BOUNTY_BPS_MAX  # β: of a slash, paid to who reported it
    false_positive_ppm: int = (
        1_000  # f: of right units that are checked, slashed even after an appeal
    )
    future_value_micro_usd: int = (
        0  # V: what being allowed here is worth; nothing where names are free
    )
    allowance_micro_usd: int = (
        25_000_000  # unverified work of who has nothing at stake; a name's cost
    )
    holdback_counts_bps: int = BASIS_POINTS  # of the holdback, as stake: new owners earn it
    unbonding_counts_bps: int = (
        0  # of stake on its way out; it may be gone before new work is checked
    )

    def __post_init__(self) -> None:
        bounds = {
            "cost_bps": (0, BASIS_POINTS),
            "check_ppm": (1, PPM),  # without checks no stake deters
            "detection_ppm": (1, PPM),
            "bounty_bps": (0, BOUNTY_BPS_MAX),
            "false_positive_ppm": (0, PPM),
            "future_value_micro_usd": (0, MICRO_USD_MAX),
            "allowance_micro_usd": (0, MICRO_USD_MAX),
            "holdback_counts_bps": (0, BASIS_POINTS),
            "unbonding_counts_bps": (0, BASIS_POINTS),
        }
        for field, (least, most) in bounds.items():
            value = getattr(self, field)
            if type(value) is not int or not least <= value <= most:
                raise InvalidValue(field=field, value=value, hint=f"{least} to {most}")


def cheating_gain_micro_usd(
    settings: RiskSettings, *, reward_micro_usd: int, at_stake_micro_usd: int
) -> Fraction:
    """What a cheat may expect to gain, exactly; below zero he expects to lose."""
    kept = Fraction(BASIS_POINTS - settings.bounty_bps, BASIS_POINTS)
    caught = Fraction(settings.check_ppm * settings.detection_ppm, _CERTAIN)
    loss = reward_micro_usd + kept * at_stake_micro_usd + settings.future_value_micro_usd
    return Fraction(settings.cost_bps, BASIS_POINTS) * reward_micro_usd - caught * loss


def least_stake_micro_usd(reward_micro_usd: int, settings: RiskSettings) -> int:
    """The least that must be at stake for cheating on unverified work of this reward to lose."""
    rate = _stake_rate(settings)
    missing = reward_micro_usd * _reward_rate(settings) - _future_loss(settings)
    return 0 if missing < 0 else missing // rate + 1


def unverified_work_max_micro_usd(at_stake_micro_usd: int, settings: RiskSettings) -> int:
    """The most unverified work an owner may hold with so much at stake, the allowance included.

    The most on which cheating loses, and UNLIMITED_MICRO_USD where it loses whatever the reward: checks alone deter
    then, as where every unit of a newcomer is checked. On the allowance cheating may pay; it bounds a name's damage.
    """
    rate = _reward_rate(settings)
    loss = at_stake_micro_usd * _stake_rate(settings) + _future_loss(settings)
    if rate < 0 or (rate == 0 and loss > 0):
        return UNLIMITED_MICRO_USD
    bound = (loss - 1) // rate if loss > 0 else 0
    return min(bound + settings.allowance_micro_usd, UNLIMITED_MICRO_USD)


def more_stake_micro_usd(
    work_micro_usd: int, settings: RiskSettings, *, at_stake_micro_usd: int
) -> int:
    """The least to put at stake beside what is there, to hold so much unverified work."""
    beyond = max(0, work_micro_usd - settings.allowance_micro_usd)
    least = least_stake_micro_usd(beyond, settings) if beyond else 0
    return max(0, least - at_stake_micro_usd)


def honest_work_pays(
    settings: RiskSettings, *, reward_micro_usd: int, at_stake_micro_usd: int
) -> bool:
    """Whether the margin of honest work is more than what false accusations cost: p·f·(R+S) < R-c·R."""
    lost = settings.check_ppm * settings.false_positive_ppm * BASIS_POINTS
    return lost * (reward_micro_usd + at_stake_micro_usd) < reward_micro_usd * _margin(settings)


def stake_max_micro_usd(reward_micro_usd: int, settings: RiskSettings) -> int:
    """The most at stake with which honest work still pays; zero where it does not pay with any."""
    lost = settings.check_ppm * settings.false_positive_ppm * BASIS_POINTS
    room = reward_micro_usd * (_margin(settings) - lost)
    if room <= 0:
        return 0
    return min((room - 1) // lost, UNLIMITED_MICRO_USD) if lost else UNLIMITED_MICRO_USD


def collateral_micro_usd(
    settings: RiskSettings, *, holdback: Balance, stake: Balance, unbonding: Balance
) -> int:
    """What an owner has at stake for new work: what can be taken from him now, as far as it counts."""
    held_back = holdback.available_micro_usd * settings.holdback_counts_bps // BASIS_POINTS
    leaving = unbonding.available_micro_usd * settings.unbonding_counts_bps // BASIS_POINTS
    return held_back + stake.available_micro_usd + leaving


# All below in units of 1e-16 micro-USD: probabilities are products of two rates in ppm, shares are basis points.


def _caught(settings: RiskSettings) -> int:
    return settings.check_ppm * settings.detection_ppm


def _reward_rate(settings: RiskSettings) -> int:
    """What cheating gains for each micro-USD of reward, before any stake."""
    return settings.cost_bps * _CERTAIN - BASIS_POINTS * _caught(settings)


def _stake_rate(settings: RiskSettings) -> int:
    """What cheating loses for each micro-USD at stake."""
    return (BASIS_POINTS - settings.bounty_bps) * _caught(settings)


def _future_loss(settings: RiskSettings) -> int:
    """What cheating loses of the future."""
    return BASIS_POINTS * _caught(settings) * settings.future_value_micro_usd


def _margin(settings: RiskSettings) -> int:
    """What honest work earns for each micro-USD of reward."""
    return (BASIS_POINTS - settings.cost_bps) * _CERTAIN
