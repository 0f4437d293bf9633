"""`gondwana token`"""

import click

from gondwana.cli.output import columns, facts, moment, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.wire.views import TokenView

HEADS = columns("ID", "NAME", "SCOPES", "CREATED", "REVOKED")
SCOPES = {
    "tenant": "launch jobs, spend money",
    "provider": "join machines",
    "auditor": "sign compliance tags of machines",
    "operator": "make tokens, record deposits, see everything",
}


@click.group(name="token")
def command() -> None:
    """Make, list and revoke tokens (operator)."""


@shell_command(group=command)
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice(list(SCOPES)),
    help="What it allows; may be given more than once.",
)  # fmt: skip
def create(shell: Shell, name: str, scopes: tuple[str, ...]) -> None:
    """Make a token for the person or machine owner NAME; it is shown this once."""
    made = shell.client.tokens.create(name, scopes)
    shell.result(made, lambda: made.token or "")
    shell.tell(
        facts(
            [
                ("id", made.id),
                ("scopes", ", ".join(made.scopes)),
                ("keep it", "it is not shown again"),
            ]
        )
    )


@shell_command(name="list", group=command)
def list_tokens(shell: Shell) -> None:
    """Every token, without its text."""
    found = list(shell.client.tokens.list())
    shell.result(found, lambda: table(HEADS, [_row(token) for token in found], empty="no tokens"))


@shell_command(group=command)
@click.argument("token_id", metavar="ID")
def revoke(shell: Shell, token_id: str) -> None:
    """End a token: its next request is refused."""
    shell.client.tokens.revoke(token_id)
    shell.result({"revoked": token_id}, lambda: f"{token_id} is revoked")


def _row(token: TokenView) -> list[str]:
    return [
        token.id,
        token.name,
        ", ".join(token.scopes),
        moment(token.created_at),
        moment(token.revoked_at),
    ]
