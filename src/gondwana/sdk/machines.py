"""The caller's own machines."""

from collections.abc import Iterator, Sequence

from gondwana.sdk.pages import every, segment
from gondwana.sdk.transport import Transport
from gondwana.wire.calendar import BookingView, CalendarView, Discount, MaintenanceRequest
from gondwana.wire.leases import ServedLease, ServedLeases
from gondwana.wire.pricing import PricePolicy, PricingView, ScriptAnswer
from gondwana.wire.views import MachineRegistration, MachineView, TermsRequest


class Machines:
    """The caller's machines; `machine` is an id or a name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def register(self, registration: MachineRegistration) -> MachineView:
        """The machine that joined, or the same one when its key is known already."""
        return self._transport.write("POST", "/v1/machines", registration).decode(MachineView)

    def get(self, machine: str) -> MachineView:
        """One machine as it stands."""
        return self._transport.get(f"/v1/machines/{segment(machine)}").decode(MachineView)

    def list(self, *, everyone: bool = False) -> Iterator[MachineView]:
        """The caller's machines; with `everyone` all of them (operator)."""
        return every(self._transport, "/v1/machines", MachineView, all=1 if everyone else None)

    def pause(self, machine: str) -> MachineView:
        """Sell nothing new from now on; what runs goes on."""
        return self._act(machine, "pause")

    def resume(self, machine: str) -> MachineView:
        """Sell again."""
        return self._act(machine, "resume")

    def drain(self, machine: str) -> MachineView:
        """Finish what runs, take nothing new, then leave."""
        return self._act(machine, "drain")

    def leave(self, machine: str) -> MachineView:
        """Leave now; jobs recover elsewhere."""
        return self._act(machine, "leave")

    def reinstate(self, machine: str) -> MachineView:
        """Lift a suspension (operator)."""
        return self._act(machine, "reinstate")

    def set_price(self, machine: str, price_micro_usd_per_device_hour: int) -> MachineView:
        """Ask this price of leases made from now on."""
        return self._change(
            machine, TermsRequest(price_micro_usd_per_device_hour=price_micro_usd_per_device_hour)
        )

    def pricing(self, machine: str) -> PricingView:
        """The machine's price, the policy that sets it, and why it is this."""
        return self._transport.get(f"/v1/machines/{segment(machine)}/pricing").decode(PricingView)

    def set_pricing(self, machine: str, policy: PricePolicy) -> PricingView:
        """Have the price set by a policy, within its floor and ceiling."""
        path = f"/v1/machines/{segment(machine)}/pricing"
        return self._transport.write("PUT", path, policy).decode(PricingView)

    def answer_pricing(self, machine: str, answer: ScriptAnswer) -> PricingView:
        """Tell what the owner's script said, or how it failed."""
        path = f"/v1/machines/{segment(machine)}/pricing/answer"
        return self._transport.write("POST", path, answer).decode(PricingView)

    def set_sla(self, machine: str, sla: str) -> MachineView:
        """Promise this class of service in leases made from now on."""
        return self._change(machine, TermsRequest(sla=sla))

    def set_notice(self, machine: str, notice_seconds: int) -> MachineView:
        """Promise, in leases made from now on, to say so long before the machine is taken back."""
        return self._change(machine, TermsRequest(notice_seconds=notice_seconds))

    def set_spot_floor(self, machine: str, floor_micro_usd_per_device_hour: int) -> MachineView:
        """Sell on spot from now on, at this or more."""
        return self._change(
            machine,
            TermsRequest(spot_floor_micro_usd_per_device_hour=floor_micro_usd_per_device_hour),
        )

    def sell_no_spot(self, machine: str) -> MachineView:
        """Sell on spot no more: what runs there has its notice."""
        return self._change(machine, TermsRequest(no_spot=True))

    def set_ahead(
        self, machine: str, *, reserve_seconds_max: int | None = None, discounts: Sequence[Discount] | None = None
    ) -> MachineView:  # fmt: skip
        """Take reservations that end within so long; give leases that are agreed for long these discounts."""
        ladder = None if discounts is None else tuple(discounts)
        return self._change(
            machine, TermsRequest(reserve_seconds_max=reserve_seconds_max, discounts=ladder)
        )

    def calendar(self, machine: str) -> CalendarView:
        """What a machine is promised for ahead."""
        return self._transport.get(f"/v1/machines/{segment(machine)}/calendar").decode(CalendarView)

    def announce_maintenance(self, machine: str, starts_at: float, ends_at: float) -> BookingView:
        """Announce when it is worked on (seconds since 1970): nobody is leased it then."""
        path = f"/v1/machines/{segment(machine)}/maintenance"
        told = MaintenanceRequest(starts_at=starts_at, ends_at=ends_at)
        return self._transport.write("POST", path, told).decode(BookingView)

    def cancel_maintenance(self, machine: str, booking: str) -> BookingView:
        """Take an announced window back."""
        path = f"/v1/machines/{segment(machine)}/maintenance/{segment(booking)}/cancel"
        return self._transport.write("POST", path).decode(BookingView)

    def leases(self, machine: str) -> ServedLeases:
        """What a machine serves now."""
        return self._transport.get(f"/v1/machines/{segment(machine)}/leases").decode(ServedLeases)

    def reclaim(self, machine: str) -> ServedLeases:
        """Take the machine back: it sells nothing new, and its leases end when their notices are over."""
        path = f"/v1/machines/{segment(machine)}/reclaim"
        return self._transport.write("POST", path).decode(ServedLeases)

    def reclaim_lease(self, lease: str) -> ServedLease:
        """Take back what one lease holds, with the notice that was agreed."""
        path = f"/v1/leases/{segment(lease)}/reclaim"
        return self._transport.write("POST", path).decode(ServedLease)

    def _change(self, machine: str, terms: TermsRequest) -> MachineView:
        path = f"/v1/machines/{segment(machine)}"
        return self._transport.write("PATCH", path, terms).decode(MachineView)

    def _act(self, machine: str, verb: str) -> MachineView:
        path = f"/v1/machines/{segment(machine)}/{verb}"
        return self._transport.write("POST", path).decode(MachineView)
