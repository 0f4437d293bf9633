"""`gondwana offers`"""

from gondwana.cli.output import columns, price, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd
from gondwana.core.units import GIB
from gondwana.wire.views import OfferView

HEADS = columns(
    "MACHINE",
    "REGION",
    "ACCELERATOR",
    ">FREE",
    ">CPUS",
    ">MEMORY GB",
    ">STEPS/S",
    ">$/HOUR",
    ">$/M STEPS",
    "SLA",
)


@shell_command(name="offers")
def command(shell: Shell) -> None:
    """What the market sells now, the cheapest first.

    $/HOUR is for one accelerator, or for a whole machine without any. STEPS/S was measured on each machine with the
    same small training step; $/M STEPS is what a million of them cost there. SLA is what the owner promises: see
    docs/explanation/service-credits.md.
    """
    found = sorted(
        shell.client.offers.list(),
        key=lambda offer: (offer.price_micro_usd_per_device_hour, offer.machine),
    )
    shell.result(
        found,
        lambda: table(
            HEADS, [_row(offer) for offer in found], empty="nothing is on offer right now"
        ),
    )


def _row(offer: OfferView) -> list[str]:
    per_million = offer.price_micro_usd_per_million_steps
    return [
        offer.machine,
        offer.region,
        offer.accelerator,
        f"{offer.devices_free}/{offer.devices}",
        f"{offer.cpus:g}",
        f"{offer.memory_bytes / GIB:.1f}",
        f"{offer.steps_per_second:,.1f}",
        price(offer.price_micro_usd_per_device_hour),
        "" if per_million is None else format_usd(per_million, decimals=4),
        offer.sla,
    ]
