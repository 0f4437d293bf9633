"""How a machine's price is set: the owner's policy, why the price is what it is, what his script said."""

from typing import Annotated, Any

from fastapi import APIRouter, Response

from gondwana.api.deps import PlaneDep, ProviderDep, ReaderDep, WriteDep, answer, strict
from gondwana.api.plane import Plane
from gondwana.api.routes.machines import machine_for
from gondwana.core.clock import Instant
from gondwana.db.transaction import Reader, Transaction
from gondwana.jobs import pricing
from gondwana.supply import store as supply
from gondwana.supply.model import Machine
from gondwana.supply.pricing import rules, store
from gondwana.wire.pricing import PricePolicy, PricingView, ScriptAnswer

router = APIRouter(prefix="/v1", tags=["machines"])


@router.get("/machines/{name}/pricing", response_model=PricingView)
def show(name: str, caller: ProviderDep, plane: PlaneDep, reader: ReaderDep) -> Response:
    """A machine's price, the policy that sets it, what that is told, and why the price is this."""
    return answer(_view(reader, plane, machine_for(reader, caller, name)))


@router.put("/machines/{name}/pricing", response_model=PricingView)
def set_policy(
    name: str,
    policy: Annotated[PricePolicy, strict(PricePolicy)],
    caller: ProviderDep,
    plane: PlaneDep,
    write: WriteDep,
) -> Response:
    """Have a machine's price set by a policy, within its floor and ceiling; running leases keep their price."""
    rules.check_policy(policy)

    def run(tx: Transaction, now: Instant) -> Any:
        machine = machine_for(tx, caller, name)
        store.set_policy(tx, now, machine, policy)
        price = supply.offer_of(tx, machine.id).price_micro_usd_per_device_hour
        return PricingView(
            machine=machine.name, price_micro_usd_per_device_hour=price, policy=policy
        )

    return write(run)


@router.post("/machines/{name}/pricing/answer", response_model=PricingView)
def script_answer(
    name: str,
    told: Annotated[ScriptAnswer, strict(ScriptAnswer)],
    caller: ProviderDep,
    write: WriteDep,
) -> Response:
    """What the owner's script said, told by the machine's agent; it counts from the next look on."""

    def run(tx: Transaction, now: Instant) -> Any:
        machine = machine_for(tx, caller, name)
        kept = store.answer(tx, now, machine, told)
        price = supply.offer_of(tx, machine.id).price_micro_usd_per_device_hour
        return PricingView(
            machine=machine.name,
            price_micro_usd_per_device_hour=price,
            policy=kept.policy,
            reason=kept.reason,
            changed_at=kept.changed_at,
        )

    return write(run)


def _view(reader: Reader, plane: Plane, machine: Machine) -> PricingView:
    price = supply.offer_of(reader, machine.id).price_micro_usd_per_device_hour
    found, now = store.of_machine(reader, machine.id), plane.clock.now()
    if found is None:
        return PricingView(machine=machine.name, price_micro_usd_per_device_hour=price)
    facts = pricing.facts_of(reader, plane.context.shelf, [found], now).get(machine.id)
    return PricingView(
        machine=machine.name,
        price_micro_usd_per_device_hour=price,
        policy=found.policy,
        reason=found.reason,
        changed_at=found.changed_at if found.reason else None,
        next_reason="" if facts is None else rules.decide(found.policy, facts, now).reason,
        facts=facts,
    )
