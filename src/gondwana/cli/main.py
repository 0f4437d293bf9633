"""`gondwana`: finds the command, runs it, and turns every error into two lines and an exit code."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final, NoReturn

import click

import gondwana
from gondwana.cli.shell import EXIT_INTERRUPTED, Shell
from gondwana.core.errors import GondwanaError, ServerUnreachable

COMMANDS: Final = {
    "launch": "Run a job: shows machines and price, asks, starts it, follows it.",
    "plan": "Show what launching a job would do and cost; changes nothing.",
    "jobs": "List, show, follow, cancel and download your jobs.",
    "offers": "What the market sells now, the cheapest first.",
    "orders": "Jobs that are auctioned now: what they want, until when owners bid.",
    "prices": "What the market holds and asks, by model and region; how that went.",
    "provider": "Offer this machine, set its price, see what it earns.",
    "account": "Your balance, statement and invoices; record a deposit.",
    "budget": "Limit what jobs may spend: per month, per project, for good.",
    "quota": "Limit what jobs may hold at once, and how projects share.",
    "queue": "Who waits for machines: your jobs' places, and why.",
    "ledger": "The public books: recompute, check and export them.",
    "payout": "Have what you earned, or did not spend, paid out.",
    "deposit": "Pay money in: the code to write on a transfer, and what came.",
    "treasury": "Money in and out of the network, and the operator's own (operator).",
    "settings": "What the operator of this network decided about money (operator).",
    "solvency": "Whether the insurance fund holds what it may have to pay.",
    "stake": "What you put at stake for your work to be right.",
    "case": "Slashes for wrong work: see, appeal, report, judge them.",
    "subsidy": "Programs that bring scarce machines in (operator).",
    "tag": "What auditors signed of machines: see, sign, revoke.",
    "token": "Make, list and revoke tokens (operator).",
    "login": "Save a control plane's address and your token.",
    "serve": "Run a control plane on this machine.",
    "demo": "Four owners' machines, here on this one, train one model.",
    "doctor": "Check this machine and the connection; says what mends what.",
}
"""Name -> one line of help; the command itself is `command` in gondwana.cli.commands.<name>."""

EXIT_OUR_MISTAKE: Final = 70


class LazyGroup(click.Group):
    """A group that imports a command only when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"gondwana.cli.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion where a name is misspelt."""
        close = get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and not args[0].startswith("-") and close:
            raise click.UsageError(
                f"there is no command {args[0]!r}; did you mean {close[0]!r}?", ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gondwana.__version__, prog_name="gondwana")
def cli() -> None:
    """Gondwana turns GPUs that many people own into one cloud.

    Start with `gondwana demo`, or `gondwana login URL --token TOKEN` and `gondwana launch job.yaml`.
    """


def run(arguments: Sequence[str] | None = None, shell: Shell | None = None) -> int:
    """Run one command line; its exit code. Errors are told on standard error."""
    shell = shell or Shell()
    try:
        result: Any = cli.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="gondwana",
            standalone_mode=False,
            obj=shell,
        )
        sys.stdout.flush()
    except BrokenPipeError:  # `gondwana … | head` closed the pipe: nothing is wrong
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (Python flushes it once more as it exits)
        return 0
    except Exception as error:
        return _tell(error, shell)
    return result if isinstance(result, int) else 0


def main() -> NoReturn:
    """The console script."""
    sys.exit(run())


def _tell(error: Exception, shell: Shell) -> int:
    """Print what went wrong and what to do next; the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.ctx.get_help() if error.ctx else error.message)
        return 0
    if shell.traceback and not isinstance(error, click.ClickException | click.Abort):
        import traceback

        traceback.print_exception(error)
    match error:
        case click.Abort():
            shell.tell("stopped")
            return EXIT_INTERRUPTED
        case click.ClickException():
            usage = (
                error.ctx.command_path
                if isinstance(error, click.UsageError) and error.ctx
                else "gondwana"
            )
            told = error.format_message()
            if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
                told = f"{error.option_name} is taken for an option; no amount is below 0."
            shell.error(told, f"{usage} --help")
            return 2
        case GondwanaError():
            shell.error(error.message, error.hint or _usual_hint(error))
            return error.exit_code
        case OSError() if error.filename is not None:
            shell.error(f"{error.filename}: {error.strerror}", None)
            return 1
        case _:
            shell.error(
                f"a mistake of ours: {type(error).__name__}: {error}",
                "run it again with --traceback, and report it",
            )
            return EXIT_OUR_MISTAKE


def _usual_hint(error: GondwanaError) -> str | None:
    if error.code in {"missing_token", "invalid_token"}:
        return "gondwana login URL --token TOKEN"
    if isinstance(error, ServerUnreachable):
        return "gondwana doctor"
    return None
