"""`gondwana launch`"""

from pathlib import Path

import click

from gondwana.cli.follow import follow
from gondwana.cli.jobviews import reserved_words
from gondwana.cli.plans import choice_options, show_plan, wanted
from gondwana.cli.prepare import prepare, upload
from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import NothingFits
from gondwana.core.money import format_usd
from gondwana.core.values import replace
from gondwana.sdk.jobfile import read_job_file
from gondwana.wire.plans import bound, chosen


@shell_command(name="launch")
@click.argument("job", type=click.Path(path_type=Path))
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money is held.")
@click.option(
    "--follow/--detach",
    "follows",
    default=True,
    help="Follow the job to its end (the default), or not.",
)
@click.option(
    "--now",
    "at_once",
    is_flag=True,
    help="End with 6 rather than wait for machines that are taken.",
)
@choice_options
def command(
    shell: Shell, job: Path, *, yes: bool, follows: bool, at_once: bool, fastest: bool, cheapest: bool,
    by_text: str | None, under_text: str | None,
) -> int:  # fmt: skip
    """Run a JOB file: shows the plan, asks, uploads, starts, follows.

    Prints what the job prints, and ends with its exit code. Ctrl-C leaves the job running. Where the machines that fit
    are taken it waits for them; with --now it is not launched then. With --fastest, --cheapest, --by or --under the job
    is bound to that plan: its price cap, its speed, its kind of machine, and of a training its islands and rounds.
    """
    asked = wanted(fastest=fastest, cheapest=cheapest, by_text=by_text, under_text=under_text)
    prepared = prepare(read_job_file(job))
    plan = shell.client.plans.make(prepared.spec)
    waits = plan.waits and not at_once
    if not plan.fits and not waits and not prepared.spec.market.is_standing:
        raise NothingFits(plan.why_not or None, hint=plan.hint or "gondwana offers")
    option = chosen(plan.front, asked) if asked.is_choice else None
    shell.tell(show_plan(plan, prepared.spec, option) + "\n")
    if option is not None:
        prepared = replace(prepared, spec=bound(prepared.spec, option))
        plan = shell.client.plans.make(prepared.spec)
        if not plan.fits:  # taken meanwhile
            raise NothingFits(plan.why_not or None, hint=plan.hint or "gondwana plan JOB")
    shell.ask(f"Launch {prepared.spec.name}, holding {format_usd(plan.hold_micro_usd)}?", yes=yes)
    upload(shell, prepared)
    view = shell.client.jobs.submit(prepared.spec)
    if words := reserved_words(view):
        shell.tell(words)
    if not follows:
        shell.result(view, lambda: view.id)
        shell.tell(f"follow it: gondwana jobs logs -f {view.name}")
        return 0
    shell.tell(f"launched {view.name} ({view.id})")
    code = follow(shell, view.id)
    if shell.json:
        shell.result(shell.client.jobs.get(view.id), str)
    return code
