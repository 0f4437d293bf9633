"""Following a job to its end: what it prints, or its rounds; Ctrl-C leaves it running."""

import sys

import click

from gondwana.cli.jobviews import ROUND_HEADS, exit_code_of, round_cells, round_line
from gondwana.cli.shell import EXIT_INTERRUPTED, Shell, clean
from gondwana.core.money import format_usd
from gondwana.sdk.jobs import ENDED
from gondwana.wire.views import JobView

LOG_POLL_SECONDS = 3.0  # how long the state may be behind while nothing is printed
EVENTS_POLL_SECONDS = 20.0


def follow(shell: Shell, job: str, *, rank: int = 0) -> int:
    """Show the job as it goes; the exit code for its end. Its output goes to standard output (with --json: error)."""
    try:
        view = shell.client.jobs.get(job)
        view = (
            _follow_rounds(shell, view)
            if view.kind == "train"
            else _follow_output(shell, view, rank)
        )
    except KeyboardInterrupt:
        shell.tell(f"\nthe job goes on: gondwana jobs logs -f {job}")
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    shell.tell(ending(view))
    return exit_code_of(view)


def ending(view: JobView) -> str:
    """How a job ended, in a line or two."""
    paid = f"paid {format_usd(view.paid_micro_usd, decimals=6)}"
    why = ": ".join(clean(part) for part in (view.reason, view.detail) if part)
    code = "" if view.exit_code is None else f", exit code {view.exit_code}"
    succeeded = view.state == "succeeded"
    text = f"{view.name} {view.state}{'' if succeeded else code + (f' ({why})' if why else '')}; {paid}"
    fetch = f"\nfetch what it left: gondwana jobs download {view.name}"
    return text + fetch if view.outputs else text


class _States:
    """Tells each change of a job's state once, and from the second look on what it waits for."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._state = self._waits = ""

    def seen(self, view: JobView) -> None:
        """Tell what is new."""
        if view.state in ENDED:
            return
        if view.state != self._state:
            machines = ", ".join(lease.machine for lease in view.leases if lease.state != "closed")
            self._shell.tell(
                f"{view.name}: {view.state}{f' on {clean(machines)}' if machines else ''}"
            )
        elif view.waits_for and view.waits_for != self._waits:
            self._shell.tell(f"{view.name}: waits for {clean(view.waits_for)}")
            self._waits = view.waits_for
        self._state = view.state


def _follow_output(shell: Shell, view: JobView, rank: int) -> JobView:
    states = _States(shell)
    output = sys.stderr.buffer if shell.json else sys.stdout.buffer
    offset = 0
    while True:
        states.seen(view)
        piece = shell.client.jobs.read_log(
            view.id, rank=rank, offset=offset, wait_seconds=LOG_POLL_SECONDS
        )
        output.write(piece.data)
        output.flush()
        offset = piece.next_offset
        if piece.ended or not piece.data:
            view = shell.client.jobs.get(view.id)
            if piece.ended and view.state in ENDED:
                return view


def _follow_rounds(shell: Shell, view: JobView) -> JobView:
    states = _States(shell)
    shown = 0
    for current in shell.client.jobs.watch(view.id):
        view = current
        states.seen(view)
        history = view.training.history if view.training else ()
        for done in history[shown:]:
            if shown == 0:
                _line(shell, [head.title for head in ROUND_HEADS])
            _line(shell, round_cells(done))
            shown += 1
    if view.training and view.training.sample and not shell.json:
        click.echo(f"\nit writes:\n{view.training.sample}")
    return view


def _line(shell: Shell, cells: list[str]) -> None:
    click.echo(round_line(cells), err=shell.json)
