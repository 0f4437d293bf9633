"""`gondwana launch`"""

from pathlib import Path

import click

from gondwana.cli.follow import follow
from gondwana.cli.plans import show_plan
from gondwana.cli.prepare import prepare, upload
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import NothingFits
from gondwana.core.money import format_usd
from gondwana.sdk.jobfile import read_job_file


@shell_command(name="launch")
@click.argument("job", type=click.Path(path_type=Path))
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money is held.")
@click.option(
    "--follow/--detach",
    "follows",
    default=True,
    help="Follow the job to its end (the default), or not.",
)
def command(shell: Shell, job: Path, *, yes: bool, follows: bool) -> int:
    """Run a JOB file: shows the plan, asks, uploads, starts, follows.

    Prints what the job prints, and ends with its exit code. Ctrl-C leaves the job running.
    """
    prepared = prepare(read_job_file(job))
    plan = shell.client.plans.make(prepared.spec)
    if not plan.fits:
        raise NothingFits(plan.why_not or None, hint=plan.hint or "gondwana offers")
    shell.tell(show_plan(plan, prepared.spec) + "\n")
    shell.ask(f"Launch {prepared.spec.name}, holding {format_usd(plan.hold_micro_usd)}?", yes=yes)
    upload(shell, prepared)
    view = shell.client.jobs.submit(prepared.spec)
    if not follows:
        shell.result(view, lambda: view.id)
        shell.tell(f"follow it: gondwana jobs logs -f {view.name}")
        return 0
    shell.tell(f"launched {view.name} ({view.id})")
    code = follow(shell, view.id)
    if shell.json:
        shell.result(shell.client.jobs.get(view.id), str)
    return code
