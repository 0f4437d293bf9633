"""`gondwana jobs`"""

import sys
from pathlib import Path

import click

from gondwana.cli.follow import ending, follow
from gondwana.cli.jobviews import LIST_HEADS, exit_code_of, list_row, show_job, show_training
from gondwana.cli.output import table
from gondwana.cli.shell import EXIT_INTERRUPTED, Shell, shell_command
from gondwana.cli.text import safe_file_name
from gondwana.core.errors import Conflict, NoSuchThing
from gondwana.core.units import format_bytes, parse_seconds


@click.group(name="jobs")
def command() -> None:
    """List, show, follow, cancel and download your jobs. JOB is a name or an id."""


@shell_command(name="list", group=command)
def list_jobs(shell: Shell) -> None:
    """Your jobs, the newest first."""
    found = list(shell.client.jobs.list())
    empty = "no jobs yet; start one: gondwana launch job.yaml"
    shell.result(found, lambda: table(LIST_HEADS, [list_row(job) for job in found], empty=empty))


@shell_command(group=command)
@click.argument("job")
def show(shell: Shell, job: str) -> None:
    """One job: where it stands, its money, machines and rounds."""
    view = shell.client.jobs.get(job)
    shell.result(view, lambda: show_job(view))


@shell_command(group=command)
@click.argument("job")
@click.option(
    "--follow",
    "-f",
    "follows",
    is_flag=True,
    help="Go on until the job ends; end with its exit code.",
)
@click.option(
    "--rank",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Whose output: the node's number.",
)
def logs(shell: Shell, job: str, *, follows: bool, rank: int) -> int:
    """What a job printed; for a training, its rounds."""
    if follows:
        code = follow(shell, job, rank=rank)
        if shell.json:
            shell.result(shell.client.jobs.get(job), str)
        return code
    view = shell.client.jobs.get(job)
    if view.training is not None:
        training = view.training
        shell.result(training.history, lambda: show_training(training))
        return 0
    pieces = shell.client.jobs.logs(job, rank=rank)
    if shell.json:
        shell.result({"rank": rank, "text": b"".join(pieces).decode(errors="replace")}, str)
        return 0
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    return 0


@shell_command(group=command)
@click.argument("job")
def cancel(shell: Shell, job: str) -> None:
    """Stop a job; money that it did not use comes back."""
    view = shell.client.jobs.cancel(job)
    shell.result(view, lambda: f"{view.name} is {view.state}")


@shell_command(group=command)
@click.argument("job")
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    help="How much longer, e.g. 2.",
)
def extend(shell: Shell, job: str, hours: float) -> None:
    """Give a running job more time, at the price that was agreed: its run may take it, its leases last for it."""
    view = shell.client.jobs.extend(job, round(hours * 3600))
    shell.result(view, lambda: f"{view.name} has {hours:g} hours more")


@shell_command(group=command)
@click.argument("job")
@click.option("--nodes", type=click.IntRange(min=1), required=True, help="How many machines.")
def resize(shell: Shell, job: str, nodes: int) -> None:
    """Give a running job more or fewer machines: islands of a training, nodes of an elastic job."""
    view = shell.client.jobs.resize(job, nodes)
    shell.result(view, lambda: f"{view.name} wants {nodes} machines")


@shell_command(group=command)
@click.argument("job")
@click.option("--timeout", metavar="TIME", help="Give up after 90s, 15m or 2h; the job goes on.")
def wait(shell: Shell, job: str, timeout: str | None) -> int:
    """Wait until a job has ended; end with its exit code."""
    seconds_max = None if timeout is None else parse_seconds(timeout, field="--timeout")
    try:
        view = shell.client.jobs.wait(job, seconds_max=seconds_max)
    except KeyboardInterrupt:
        shell.tell(f"\nthe job goes on: gondwana jobs wait {job}")
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    shell.result(view, lambda: ending(view))
    return exit_code_of(view)


@shell_command(group=command)
@click.argument("job")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="The folder to write into; the job's name by default.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def download(shell: Shell, job: str, folder: Path | None, *, force: bool) -> None:
    """Fetch what a job left."""
    view = shell.client.jobs.get(job)
    if not view.outputs:
        raise NoSuchThing(
            f"{view.name} has left nothing; it is {view.state}",
            hint=f"gondwana jobs show {view.name}",
        )
    folder = folder or Path(safe_file_name(view.name))
    paths = _paths(view.outputs, folder)
    taken = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if taken and not force:
        raise Conflict(
            f"{', '.join(taken)} would be overwritten", hint="another folder: --to DIR, or: --force"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path, blob in paths.items():
        shell.client.blobs.get_file(blob, path)
        shell.tell(f"{path}  {format_bytes(path.stat().st_size)}")
    shell.result([str(path) for path in paths], lambda: str(folder))


def _paths(outputs: dict[str, str], folder: Path) -> dict[Path, str]:
    """Where each output goes; two names that become one are told apart by their blob."""
    paths: dict[Path, str] = {}
    for name, blob in sorted(outputs.items()):
        path = folder / safe_file_name(name)
        paths[path if path not in paths else folder / f"{blob[:8]}-{path.name}"] = blob
    return paths
