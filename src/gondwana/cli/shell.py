"""What one command line shares: its options, the client, and where output goes."""

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from gondwana.core.errors import Unavailable

if TYPE_CHECKING:
    from gondwana.sdk import Client

EXIT_INTERRUPTED: Final = 130  # as a shell says it: 128 + SIGINT
CONTROL_CHARACTERS: Final = dict.fromkeys(
    [*range(32), 127, *range(128, 160)], "�"
)  # but not in our own output


class Shell:
    """One run of the command line."""

    def __init__(self) -> None:
        self.json = False
        self.traceback = False
        self.url: str | None = None
        self.token: str | None = None

    @functools.cached_property
    def client(self) -> "Client":
        """The client for the address and token asked for; imported and made on first use."""
        from gondwana.sdk import Client

        return Client(self.url, self.token)

    def result(self, value: object, show: Callable[[], str]) -> None:
        """The command's result on standard output: JSON with --json, else the text of `show()`."""
        if self.json:
            import msgspec

            click.echo(msgspec.json.encode(value))
        elif text := show():
            click.echo(text)

    def tell(self, text: str) -> None:
        """Progress, on standard error."""
        click.echo(text, err=True)

    def error(self, message: str, hint: str | None) -> None:
        """What went wrong and what to type next, on standard error."""
        click.echo(
            f"{click.style('error:', fg='red', bold=True)} {message}",
            err=True,
            color=colour(sys.stderr),
        )
        if hint:
            click.echo(
                f"{click.style('hint:', fg='cyan')} {hint}", err=True, color=colour(sys.stderr)
            )

    def ask(self, question: str, *, yes: bool) -> None:
        """Go on only after a yes; raises Unavailable where nobody can answer, Abort after a no."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise Unavailable(
                "nobody is there to answer the question", hint="say yes beforehand: --yes"
            )
        if not click.confirm(question, default=False, err=True):
            raise click.Abort


def colour(stream: Any) -> bool | None:
    """False where NO_COLOR says so, True on a terminal."""
    import os

    return False if os.environ.get("NO_COLOR") else stream.isatty()


def clean(text: str) -> str:
    """Somebody else's text as it may be shown on a terminal: no control characters."""
    return text.translate(CONTROL_CHARACTERS)


def shell_command(
    *, remote: bool = True, name: str | None = None, group: click.Group | None = None
) -> Callable[[Callable[..., Any]], click.Command]:
    """A click command (of `group`) that is given the Shell first.

    It takes --json and --traceback, and --url and --token where it talks to a control plane (`remote`).
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(**values: Any) -> Any:
            shell = click.get_current_context().ensure_object(Shell)
            shell.json = values.pop("as_json")
            shell.traceback = values.pop("traceback")
            if remote:
                shell.url, shell.token = values.pop("url"), values.pop("token")
            return function(shell, **values)

        wrapped: Any = run
        for option in _REMOTE if remote else ():
            wrapped = option(wrapped)
        for option in _ALWAYS:
            wrapped = option(wrapped)
        made = click.command(name=name)(wrapped)
        if group is not None:
            group.add_command(made)
        return made

    return decorate


_ALWAYS: Final = (
    click.option(
        "--traceback", is_flag=True, help="On an error, show where in the code it happened."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as one line of JSON."),
)
_REMOTE: Final = (
    click.option("--token", metavar="TOKEN", help="Your token, instead of the saved one."),
    click.option("--url", metavar="URL", help="The control plane, instead of the saved one."),
)
