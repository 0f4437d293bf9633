"""Machines, what they sell, what they earn."""

import re
from typing import Annotated, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import APIRouter, Query, Response

from gondwana.api import views
from gondwana.api.deps import (
    LIMIT_MAX,
    OperatorDep,
    PlaneDep,
    ProviderDep,
    ReaderDep,
    WriteDep,
    answer,
    page_of,
    strict,
)
from gondwana.core.clock import Instant
from gondwana.core.errors import BadSignature, InvalidValue
from gondwana.core.ids import MachineId, OfferId, new_id
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import end
from gondwana.market import store as market
from gondwana.market.model import CloseReason
from gondwana.policy import rules as policy_rules
from gondwana.policy.model import Caller, Scope
from gondwana.supply import rules, store
from gondwana.supply.model import Machine, MachineState, Offer, OfferState
from gondwana.supply.pricing import store as pricing
from gondwana.wire.views import MachineRegistration, MachineView, TermsRequest

KEY_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
router = APIRouter(prefix="/v1", tags=["machines"])


@router.post("/machines", response_model=MachineView)
def register(
    told: Annotated[MachineRegistration, strict(MachineRegistration)],
    caller: ProviderDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Join a machine under its owner's terms; the same key joins again with new ones."""
    rules.check_terms(
        told.price_micro_usd_per_device_hour,
        told.devices,
        cpus_max=told.cpus_max,
        memory_bytes_max=told.memory_bytes_max,
    )
    policy_rules.check_name(told.name, field="name")
    policy_rules.check_name(told.region, field="region")
    _check_key(told)

    def run(tx: Transaction, now: Instant) -> Any:
        random = plane.context.random
        machine = Machine(
            id=MachineId(new_id("mac", now, random)),
            owner_id=caller.principal.id,
            name=told.name,
            region=told.region,
            country=rules.country_code(told.country),
            public_key=told.public_key,
            state=MachineState.JOINING,
            devices=told.devices,
            cpus_max=told.cpus_max,
            memory_bytes_max=told.memory_bytes_max,
            sla=rules.sla_class(told.sla),
            joined_at=now,
        )
        offer = Offer(
            id=OfferId(new_id("off", now, random)),
            machine_id=machine.id,
            state=OfferState.PAUSED,
            price_micro_usd_per_device_hour=told.price_micro_usd_per_device_hour,
        )
        return views.machine_view(tx, store.register(tx, machine, offer, now))

    return write(run)


@router.get("/machines")
def list_machines(
    caller: ProviderDep, reader: ReaderDep, all: bool = False, cursor: str = "",
    limit: int = Query(LIMIT_MAX, ge=1, le=LIMIT_MAX),
) -> Response:  # fmt: skip
    """The caller's machines; with `all`, an operator sees everybody's."""
    if all:
        policy_rules.require(caller, Scope.OPERATOR)
    found = store.machines(reader, None if all else caller.principal.id, after=cursor, limit=limit)
    return page_of(found, limit, lambda each: views.machine_view(reader, each))


@router.get("/machines/{name}", response_model=MachineView)
def show(name: str, caller: ProviderDep, reader: ReaderDep) -> Response:
    """One machine, by name or id."""
    return answer(views.machine_view(reader, machine_for(reader, caller, name)))


@router.patch("/machines/{name}", response_model=MachineView)
def set_terms(
    name: str,
    told: Annotated[TermsRequest, strict(TermsRequest)],
    caller: ProviderDep,
    write: WriteDep,
) -> Response:
    """Ask another price, promise another class of service or another notice, sell on spot or no more, take reservations
    that end within some time, give discounts to leases that are agreed for long: from now on.

    What runs or is reserved keeps what was agreed; with `no_spot` what runs on spot has its notice.
    """
    price, floor = told.price_micro_usd_per_device_hour, told.spot_floor_micro_usd_per_device_hour
    if told == TermsRequest():
        hint = "e.g. price_micro_usd_per_device_hour, sla, notice_seconds, reserve_seconds_max or discounts"
        raise InvalidValue(field="terms", hint=hint)
    if told.notice_seconds is not None:
        rules.check_notice(told.notice_seconds)
    if price is not None:
        rules.check_terms(price, 1)
    if floor is not None:
        rules.check_floor(floor, no_spot=told.no_spot)
    if told.reserve_seconds_max is not None:
        rules.check_ahead(told.reserve_seconds_max)
    ladder = None if told.discounts is None else rules.ladder(told.discounts)
    promised = None if told.sla is None else rules.sla_class(told.sla)

    def run(tx: Transaction, now: Instant) -> Any:
        machine = machine_for(tx, caller, name)
        if price is not None:
            pricing.forget(tx, machine.id)  # who types a price sets it himself
            store.set_price(tx, now, machine, price)
        if told.notice_seconds is not None:
            store.set_notice(tx, now, machine, told.notice_seconds)
        if floor is not None or told.no_spot:
            store.set_spot_floor(tx, now, machine, floor)
        if told.reserve_seconds_max is not None or ladder is not None:
            store.set_ahead(
                tx, now, machine, reserve_seconds_max=told.reserve_seconds_max, discounts=ladder
            )
        if promised is not None:
            machine = store.set_sla(tx, now, machine, promised)
        return views.machine_view(tx, machine)

    return write(run)


@router.post("/machines/{name}/reinstate", response_model=MachineView)
def reinstate(name: str, caller: OperatorDep, write: WriteDep) -> Response:
    """Let a suspended machine back; it comes up with its next heartbeat."""

    def run(tx: Transaction, now: Instant) -> Any:
        machine = store.machine(tx, name)
        if machine.state is not MachineState.SUSPENDED:
            raise InvalidValue(
                field="machine", value=machine.state, hint="only a suspended machine is reinstated"
            )
        moved = store.move(tx, now, machine, MachineState.DOWN, reason="reinstated")
        return views.machine_view(tx, store.save(tx, store.replace(moved, rejections_in_row=0)))

    return write(run)


@router.post("/machines/{name}/{verb}", response_model=MachineView)
def owner_verb(name: str, verb: str, caller: ProviderDep, write: WriteDep) -> Response:
    """pause, resume, drain or leave."""

    def run(tx: Transaction, now: Instant) -> Any:
        machine = machine_for(tx, caller, name)
        leased = bool(market.live_leases_of_machine(tx, machine.id))
        to = rules.owner_verb(machine, verb, leased=leased)
        if to is MachineState.LEFT:
            return views.machine_view(
                tx, end.lose_machine(tx, now, machine, to, CloseReason.OWNER_LEFT)
            )
        moved = store.move(tx, now, machine, to)
        if to is MachineState.DRAINING and moved.reason:  # of a stopped agent: it would come back
            moved = store.save(tx, store.replace(moved, reason=""))
        return views.machine_view(tx, moved)

    return write(run)


def machine_for(reader: Reader, caller: Caller, name: str) -> Machine:
    """The caller's machine by name or id, or any for an operator; raises NoSuchThing."""
    if Scope.OPERATOR in caller.scopes and name.startswith("mac_"):
        return store.machine(reader, name)
    return store.machine_of(reader, caller.principal.id, name)


def _check_key(told: MachineRegistration) -> None:
    if not KEY_PATTERN.fullmatch(told.public_key):  # written one way only: a key is one machine
        raise BadSignature("a public key is 64 lower-case hexadecimal digits")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(told.public_key))
        key.verify(bytes.fromhex(told.signature), f"{told.name}|{told.public_key}".encode())
    except (ValueError, InvalidSignature):
        raise BadSignature("the registration is not signed by the machine's key") from None
