"""`gondwana plan`"""

from pathlib import Path

import click

from gondwana.cli.plans import choice_options, show_accuracy, show_plan, wanted
from gondwana.cli.prepare import prepare
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidValue, NothingFits
from gondwana.sdk.jobfile import read_job_file
from gondwana.wire.plans import chosen


@shell_command(name="plan")
@click.argument("job", type=click.Path(path_type=Path), required=False)
@choice_options
@click.option("--accuracy", is_flag=True, help="How far off plans were so far, per device model.")
def command(
    shell: Shell, job: Path | None, *, fastest: bool, cheapest: bool, by_text: str | None, under_text: str | None,
    accuracy: bool,
) -> int:  # fmt: skip
    """Show ways to run a JOB file, time against cost; nothing is changed.

    `launch` takes the same choices. Ends with 6 where no machines fit.
    """
    if accuracy:
        told = shell.client.plans.accuracy()
        shell.result(told, lambda: show_accuracy(told))
        return 0
    if job is None:
        raise InvalidValue("which job?", field="JOB", hint="gondwana plan JOB")
    asked = wanted(fastest=fastest, cheapest=cheapest, by_text=by_text, under_text=under_text)
    spec = prepare(read_job_file(job)).spec
    plan = shell.client.plans.make(spec)
    option = chosen(plan.front, asked) if plan.fits and asked.is_choice else None
    shell.result(plan if option is None else option, lambda: show_plan(plan, spec, option))
    return 0 if plan.fits else NothingFits.exit_code
