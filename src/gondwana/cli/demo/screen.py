"""What a person sees while the demo runs: one live screen on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

import click

from gondwana.cli.demo.story import Story
from gondwana.core.clock import Clock
from gondwana.core.money import format_usd
from gondwana.core.units import format_bytes, format_seconds
from gondwana.wire.views import JobView, MachineView

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

NOTES_SHOWN: Final = 8
CHART_ROWS: Final = 8
CHART_COLUMN: Final = 4  # characters a round takes
STATE_STYLES: Final = {
    "up": "green",
    "down": "red",
    "suspended": "red bold",
    "probing": "yellow",
    "joining": "yellow",
}


class Screen(Protocol):
    """Somewhere to show the story."""

    def show(self, story: Story) -> None:
        """Draw the story as it stands."""
        ...


class PlainScreen(AbstractContextManager["PlainScreen"]):
    """A line per event, for logs and pipes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.now()
        self._told = 0
        self._stage = ""

    def show(self, story: Story) -> None:
        """Print what is new."""
        if story.stage != self._stage:
            self._stage = story.stage
            self._say(f"── {story.stage}")
        for note in story.notes[self._told :]:
            self._say(note)
        self._told = len(story.notes)

    def _say(self, text: str) -> None:
        click.echo(f"{format_seconds(self._clock.now() - self._started):>12}  {text}", err=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class LiveScreen(AbstractContextManager["LiveScreen"]):
    """The whole story on one screen, redrawn in place."""

    def __init__(self, clock: Clock) -> None:
        from rich.console import Console
        from rich.live import Live

        self._clock = clock
        self._started = clock.now()
        self._live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)

    def __enter__(self) -> "LiveScreen":
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, story: Story) -> None:
        """Redraw."""
        self._live.update(draw(story, self._clock.now() - self._started))


def make_screen(clock: Clock) -> PlainScreen | LiveScreen:
    """A live screen on a terminal, lines elsewhere."""
    return LiveScreen(clock) if sys.stderr.isatty() else PlainScreen(clock)


def draw(story: Story, seconds: float) -> "RenderableType":
    """The story as one picture."""
    from rich.columns import Columns
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    head = Text.assemble(
        ("Gondwana", "bold cyan"),
        "  one model, four owners   ",
        (story.stage, "bold"),
        f"   {format_seconds(seconds)}",
    )
    parts: list[RenderableType] = [Panel(head, border_style="cyan")]
    job = story.one_machine or story.job
    if job is not None and job.training is not None:
        losses = [
            done.heldout_loss for done in job.training.history if done.heldout_loss is not None
        ]
        if job.training.heldout_loss is not None:
            losses = [*losses, job.training.heldout_loss]
        chart = Panel(
            "\n".join(chart_lines(losses)),
            title="held-out loss by round",
            border_style="dim",
            expand=False,
        )
        parts.append(
            Columns(
                [chart, Panel(_progress(job), title=job.name, border_style="dim", expand=False)]
            )
        )
    if story.machines:
        parts.append(Panel(_machines(story.machines), title="machines", border_style="dim"))
    notes = Text("\n".join(story.notes[-NOTES_SHOWN:]), overflow="ellipsis", no_wrap=True)
    parts.append(Panel(notes, title="what happened", border_style="dim"))
    return Group(*parts)


def chart_lines(values: Sequence[float]) -> list[str]:
    """A bar chart of the values in characters, the highest at the top, one column each."""
    if not values:
        return ["waiting for the first evaluation"]
    low, high = min(values), _top(values)
    span = (high - low) or 1.0
    levels = [1 + round((CHART_ROWS * 8 - 1) * min(1.0, (value - low) / span)) for value in values]
    lines: list[str] = []
    for row in reversed(range(CHART_ROWS)):
        cells = [_cell(level - row * 8).ljust(CHART_COLUMN) for level in levels]
        label = high if row == CHART_ROWS - 1 else low if row == 0 else None
        lines.append(
            f"{label:6.3f} │" + "".join(cells) if label is not None else "       │" + "".join(cells)
        )
    if values[0] > high:
        lines[0] = lines[0].replace("███", f"▲{values[0]:.1f}"[:4].rstrip("."), 1)
    numbers = "".join(str(index).ljust(CHART_COLUMN) for index in range(len(values)))
    return [*lines, "       └" + "─" * len(numbers), "        " + numbers]


def _top(values: Sequence[float]) -> float:
    """The top of the scale: untrained parameters tower over all that follows, so what is far above is cut off."""
    low = min(values)
    return min(max(values), low + 2.5 * (median(values) - low)) if len(values) > 3 else max(values)


def _cell(eighths: int) -> str:
    return " " if eighths <= 0 else " ▁▂▃▄▅▆▇█"[min(8, eighths)] * 3


def _progress(job: JobView) -> str:
    training = job.training
    assert training is not None
    less = training.bytes_data_parallel / max(1, training.bytes_up)
    lines = [
        f"round       {min(training.round + 1, training.rounds)} of {training.rounds}  ({training.phase})",
        f"parameters  {training.parameters:,}",
        f"tokens      {training.tokens:,}",
        f"sent up     {format_bytes(training.bytes_up)}",
        f"sent down   {format_bytes(training.bytes_down)}",
        f"data-parallel would send {format_bytes(training.bytes_data_parallel)} up ({less:.0f}×)",
        "",
        f"held        {format_usd(job.held_micro_usd, decimals=4)}",
        f"paid        {format_usd(job.paid_micro_usd, decimals=4)}",
    ]
    return "\n".join(lines)


def _machines(machines: Sequence[MachineView]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for title in ("machine", "owner", "state"):
        drawn.add_column(title)
    for title in ("$/hour", "steps/s", "accepted", "rejected", "proven s", "earned"):
        drawn.add_column(title, justify="right")
    for machine in machines:
        speed = machine.speed.steps_per_second if machine.speed else None
        drawn.add_row(
            machine.name,
            machine.owner,
            Text(machine.state, style=STATE_STYLES.get(machine.state, "")),
            f"{machine.price_micro_usd_per_device_hour / 1e6:.2f}",
            f"{speed:.0f}" if speed else "…",
            str(machine.units_accepted),
            Text(
                str(machine.units_rejected), style="red bold" if machine.units_rejected else "dim"
            ),
            str(machine.seconds_proven),
            format_usd(machine.earned_micro_usd, decimals=4),
        )
    return drawn
