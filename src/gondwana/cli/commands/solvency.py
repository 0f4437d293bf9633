"""`gondwana solvency`"""

from gondwana.cli.output import facts, moment
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.money import format_usd
from gondwana.wire.service import SolvencyView


@shell_command(name="solvency")
def command(shell: Shell) -> None:
    """Whether the insurance fund holds what it may have to pay. Anybody may ask; it is worked out each hour."""
    view = shell.client.service.solvency()
    shell.result(view, lambda: show_solvency(view))


def show_solvency(view: SolvencyView) -> str:
    """The fund as text."""
    enough = view.fund_micro_usd - view.open_claims_micro_usd >= view.required_micro_usd
    return facts(
        [
            ("insurance fund", _usd(view.fund_micro_usd)),
            ("has to hold", f"{_usd(view.required_micro_usd)}  {'it does' if enough else 'IT DOES NOT'}"),
            ("a month's losses", _usd(view.expected_monthly_loss_micro_usd)),
            ("largest owner", f"{_usd(view.largest_exposure_micro_usd)}  if all his machines vanished now"),
            ("open claims", _usd(view.open_claims_micro_usd)),
            ("paid in 30 days", _usd(view.claims_of_30_days_micro_usd)),
            ("paid in 90 days", _usd(view.claims_of_90_days_micro_usd)),
            ("premiums", f"{_usd(view.premiums_of_30_days_micro_usd)}  in 30 days"),
            ("as of", moment(view.at)),
        ]
    )  # fmt: skip


def _usd(micro_usd: int) -> str:
    return format_usd(micro_usd)
