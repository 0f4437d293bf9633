"""`gondwana plan`"""

from pathlib import Path

import click

from gondwana.cli.plans import show_plan
from gondwana.cli.prepare import prepare
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import NothingFits
from gondwana.sdk.jobfile import read_job_file


@shell_command(name="plan")
@click.argument("job", type=click.Path(path_type=Path))
def command(shell: Shell, job: Path) -> int:
    """Show the machines, the price and the time of a JOB file; nothing is changed.

    Ends with 6 where no machines fit.
    """
    spec = prepare(read_job_file(job)).spec
    plan = shell.client.plans.make(spec)
    shell.result(plan, lambda: show_plan(plan, spec))
    return 0 if plan.fits else NothingFits.exit_code
