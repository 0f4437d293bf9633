"""`gondwana tag`"""

import time

import click

from gondwana.cli.days import end_of_day
from gondwana.cli.output import columns, moment, table
from gondwana.cli.shell import Shell, shell_command
from gondwana.wire.tags import SignedTagView

HEADS = columns("TAG", "MACHINE", "NAME", "SIGNER", "EXPIRES", "STANDS")


@click.group(name="tag")
def command() -> None:
    """What auditors signed of machines, such as gdpr; jobs ask for it: where: tags has gdpr.

    An operator appoints an auditor with a token of the scope auditor. docs/howto/find-machines.md
    """


@shell_command(name="list", group=command)
@click.option("--machine", default="", metavar="NAME", help="Only this machine's.")
def list_tags(shell: Shell, machine: str) -> None:
    """All tags, revoked and expired ones too."""
    found = list(shell.client.tags.list(machine=machine))
    shell.result(found, lambda: table(HEADS, [_row(each) for each in found], empty="no tags yet"))


@shell_command(group=command)
@click.argument("machine")
@click.argument("name")
@click.option(
    "--expires", required=True, metavar="YYYY-MM-DD", help="The last day on which it counts, UTC."
)
@click.option(
    "--evidence", default="", metavar="TEXT", help="The hash of what you saw, or where it is kept."
)
def sign(shell: Shell, machine: str, name: str, expires: str, evidence: str) -> None:
    """Sign NAME of MACHINE (its id, or its name where only one is called so); it renews yours of that name."""
    view = shell.client.tags.sign(
        machine, name, expires_at=end_of_day(expires, time.time()), evidence=evidence
    )
    shell.result(view, lambda: table(HEADS, [_row(view)], empty=""))


@shell_command(group=command)
@click.argument("tag")
def revoke(shell: Shell, tag: str) -> None:
    """Take TAG back: what runs goes on, and no new job that asks for it gets the machine."""
    view = shell.client.tags.revoke(tag)
    shell.result(view, lambda: table(HEADS, [_row(view)], empty=""))


def _row(view: SignedTagView) -> list[str]:
    stands = "yes" if view.stands else "revoked" if view.revoked_at is not None else "expired"
    return [view.id, view.machine, view.name, view.signer, moment(view.expires_at), stands]
