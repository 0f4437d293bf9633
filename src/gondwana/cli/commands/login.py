"""`gondwana login`"""

import sys

import click

from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import MissingToken


@shell_command(name="login", remote=False)
@click.argument("url")
@click.option("--token", metavar="TOKEN", help="Your token; asked for when it is missing.")
def command(shell: Shell, url: str, token: str | None) -> None:
    """Save the control plane at URL and your token, after trying them."""
    from gondwana.sdk import Client, save_settings

    if token is None and sys.stdin.isatty():
        token = click.prompt("token", hide_input=True, err=True)
    if not token:
        raise MissingToken(hint=f"gondwana login {url} --token TOKEN")
    me = Client(url, token).me()
    path = save_settings(url, token)
    shell.result(me, lambda: f"you are {me.name} ({', '.join(me.scopes)})")
    shell.tell(f"saved in {path}")
