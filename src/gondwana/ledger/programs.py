"""The values of subsidy programs: where they and their epochs stand, and what their owners were given."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gondwana.core.clock import Instant
from gondwana.ledger.rules.subsidies import SubsidyProgram


class ProgramState(StrEnum):
    """Where a subsidy program stands."""

    RUNNING = "running"  # gives at the end of each epoch
    STOPPED = "stopped"  # gives no more; what was given goes on vesting


PROGRAM_TRANSITIONS: Final = {
    ProgramState.RUNNING: {ProgramState.STOPPED},
    ProgramState.STOPPED: set[ProgramState](),
}


class EpochState(StrEnum):
    """How far an epoch's money has come; each step is a transaction of its own, and goes on after a crash."""

    FUNDED = "funded"  # its money is set aside, and who gets how much is decided
    AWARDED = "awarded"  # everybody has it
    CLOSED = "closed"  # the rest is back in the treasury


EPOCH_TRANSITIONS: Final = {
    EpochState.FUNDED: {EpochState.AWARDED},
    EpochState.AWARDED: {EpochState.CLOSED},
    EpochState.CLOSED: set[EpochState](),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program."""

    id: str
    settings: SubsidyProgram
    state: ProgramState
    began_at: Instant
    stopped_at: Instant | None = None

    def epoch_begins(self, number: int) -> Instant:
        """When its epoch, counted from 0, begins."""
        return Instant(self.began_at + number * self.settings.epoch_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch of a program that has ended."""

    program_id: str
    number: int
    state: EpochState
    began_at: Instant
    ended_at: Instant
    budget_micro_usd: int
    funded_micro_usd: int
    awarded_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerAward:
    """What one owner was given for one epoch."""

    program_id: str
    epoch: int
    provider_id: str
    micro_usd: int
    vesting_micro_usd: int  # of it
    vest_seconds: int
    awarded_at: Instant | None = None  # when it was posted


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityCheck:
    """A challenge that ran at one instant on all machines of a class."""

    id: str
    device_class: str
    at: Instant
    seconds: float  # that it took
