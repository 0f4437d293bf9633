"""`gondwana demo`"""

import tempfile
from pathlib import Path

import click

from gondwana.cli.shell import Shell, shell_command


@shell_command(name="demo", remote=False)
@click.option(
    "--text",
    type=click.Path(exists=True, path_type=Path),
    help="A file or folder of text to learn from; else the language reference that comes with Python.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo-out"),
    show_default=True,
    help="Where the model goes.",
)
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep all that ran, logs too, in this folder."
)
def command(shell: Shell, *, text: Path | None, out: Path, keep: Path | None) -> int:
    """The main job, end to end, on this machine: four owners, one model.

    A real control plane and four real agents: one machine is killed, one joins late, one lies. About four minutes.
    """
    from gondwana.cli.demo import report, text_source
    from gondwana.cli.demo.cast import Cast
    from gondwana.cli.demo.screen import make_screen
    from gondwana.cli.demo.story import Story, play
    from gondwana.core.clock import SystemClock
    from gondwana.engines.detect import detect

    clock = SystemClock()
    started = clock.now()
    source, data = text_source.read(text)
    sandbox = detect()
    if not sandbox.available:
        shell.tell(
            click.style(
                f"no sandbox here: {sandbox.missing}. The demo runs with --own-jobs-without-sandbox: all machines "
                f"belong to the tenant, and nothing separates its code from this machine. {sandbox.hint}",
                fg="red",
            )
        )
    with tempfile.TemporaryDirectory(prefix="gondwana-demo-") as temporary:
        folder = (keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        story = Story(source=source)
        cast = Cast(folder, sandboxed=sandbox.available)
        try:
            with make_screen(clock) as screen:
                play(cast, story, folder, out.resolve(), data, lambda: screen.show(story))
        finally:
            cast.stop()
    seconds = clock.now() - started
    click.echo(report.as_text(story, seconds), err=shell.json)
    if shell.json:
        shell.result(report.as_json(story, seconds), str)
    return 0
