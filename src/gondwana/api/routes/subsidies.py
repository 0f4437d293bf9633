"""Subsidy programs, and the checks that prove capacity."""

from typing import Annotated, Any

from fastapi import APIRouter, Response

from gondwana.api.deps import CallerDep, OperatorDep, ReaderDep, WriteDep, answer, page, strict
from gondwana.core.clock import Instant
from gondwana.core.devices import canonical_device
from gondwana.core.ids import PrincipalId
from gondwana.db.transaction import Reader, Transaction
from gondwana.ledger import subsidies
from gondwana.ledger.programs import CapacityCheck, Epoch, Program
from gondwana.ledger.rules import DeviceClass, SubsidyProgram
from gondwana.policy import store as policy
from gondwana.supply import store as supply
from gondwana.wire.subsidies import (
    CapacityCheckRequest,
    ClawbackRequest,
    ClawbackView,
    SubsidyClass,
    SubsidyEpoch,
    SubsidyRequest,
    SubsidyView,
)

EPOCHS_SHOWN: int = 30
router = APIRouter(prefix="/v1", tags=["subsidies"])


@router.post("/subsidies", response_model=SubsidyView)
def create(
    told: Annotated[SubsidyRequest, strict(SubsidyRequest)], caller: OperatorDep, write: WriteDep
) -> Response:
    """Start a program; its money comes out of the treasury at the end of each epoch."""
    settings = _settings(told)

    def run(tx: Transaction, now: Instant) -> Any:
        return _view(tx, subsidies.create(tx, now, settings))

    return write(run)


@router.get("/subsidies")
def list_programs(caller: CallerDep, reader: ReaderDep) -> Response:
    """All programs, with their newest epochs."""
    return page([_view(reader, each) for each in subsidies.programs(reader)])


@router.get("/subsidies/{program}", response_model=SubsidyView)
def show(program: str, caller: CallerDep, reader: ReaderDep) -> Response:
    """One program, with its newest epochs."""
    return answer(_view(reader, subsidies.program(reader, program)))


@router.post("/subsidies/{program}/stop", response_model=SubsidyView)
def stop(program: str, caller: OperatorDep, write: WriteDep) -> Response:
    """Give no more after the last whole epoch; what was given goes on vesting."""
    return write(lambda tx, now: _view(tx, subsidies.stop(tx, now, program)))


@router.post("/clawbacks", response_model=ClawbackView)
def claw_back(
    told: Annotated[ClawbackRequest, strict(ClawbackRequest)], caller: OperatorDep, write: WriteDep
) -> Response:
    """Take back what an owner was given and does not own yet, on proven fraud."""

    def run(tx: Transaction, now: Instant) -> Any:
        owner = policy.principal_named(tx, told.principal)
        owner_id = owner.id if owner else policy.principal(tx, PrincipalId(told.principal)).id
        amount = subsidies.claw_back(
            tx, now, owner_id, told.amount_micro_usd, key=told.case, reason=told.reason
        )
        return ClawbackView(principal=told.principal, case=told.case, amount_micro_usd=amount)

    return write(run)


@router.post("/capacity-checks", response_model=CapacityCheckRequest)
def record_check(
    told: Annotated[CapacityCheckRequest, strict(CapacityCheckRequest)],
    caller: OperatorDep,
    write: WriteDep,
) -> Response:
    """Record what a challenge found that ran at one instant on all machines of a class."""

    def run(tx: Transaction, now: Instant) -> Any:
        for machine_id in (*told.passed, *told.failed):
            supply.machine(tx, machine_id)
        check = CapacityCheck(
            id=told.id, device_class=told.device_class, at=Instant(told.at), seconds=told.seconds
        )
        subsidies.record_check(tx, now, check, passed=told.passed, failed=told.failed)
        return told

    return write(run)


def _settings(told: SubsidyRequest) -> SubsidyProgram:
    return SubsidyProgram(
        id=told.id,
        budget_micro_usd=told.budget_micro_usd,
        classes=tuple(
            DeviceClass(
                name=canonical_device(each.name),
                floor_micro_usd_per_hour=each.floor_micro_usd_per_hour,
                electricity_micro_usd_per_hour=each.electricity_micro_usd_per_hour,
                market_price_micro_usd_per_hour=each.market_price_micro_usd_per_hour,
                devices_target=each.devices_target,
            )
            for each in told.classes
        ),
        stake_micro_usd_min=told.stake_micro_usd_min,
        epoch_seconds=told.epoch_seconds,
        decay_ppm=told.decay_ppm,
        alpha_ppm=told.alpha_ppm,
        vest_now_ppm=told.vest_now_ppm,
        vest_seconds=told.vest_seconds,
    )


def _view(reader: Reader, program: Program) -> SubsidyView:
    settings = program.settings
    return SubsidyView(
        id=program.id,
        state=program.state,
        began_at=program.began_at,
        stopped_at=program.stopped_at,
        settings=SubsidyRequest(
            id=program.id,
            budget_micro_usd=settings.budget_micro_usd,
            classes=tuple(
                SubsidyClass(
                    name=each.name,
                    floor_micro_usd_per_hour=each.floor_micro_usd_per_hour,
                    electricity_micro_usd_per_hour=each.electricity_micro_usd_per_hour,
                    market_price_micro_usd_per_hour=each.market_price_micro_usd_per_hour,
                    devices_target=each.devices_target,
                )
                for each in settings.classes
            ),
            stake_micro_usd_min=settings.stake_micro_usd_min,
            epoch_seconds=settings.epoch_seconds,
            decay_ppm=settings.decay_ppm,
            alpha_ppm=settings.alpha_ppm,
            vest_now_ppm=settings.vest_now_ppm,
            vest_seconds=settings.vest_seconds,
        ),
        epochs=tuple(
            _epoch(reader, each)
            for each in subsidies.epochs(reader, program.id, limit=EPOCHS_SHOWN)
        ),
    )


def _epoch(reader: Reader, epoch: Epoch) -> SubsidyEpoch:
    return SubsidyEpoch(
        number=epoch.number,
        state=epoch.state,
        ended_at=epoch.ended_at,
        budget_micro_usd=epoch.budget_micro_usd,
        funded_micro_usd=epoch.funded_micro_usd,
        awarded_micro_usd=epoch.awarded_micro_usd,
        owners=len(subsidies.awards(reader, epoch.program_id, epoch.number)),
    )
