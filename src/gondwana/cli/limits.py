"""Options of the commands that set limits, on spending and on what is held."""

import click

project = click.option("--project", default="", help="Only jobs with gondwana.project: NAME.")
principal = click.option(
    "--principal", default="", metavar="NAME", help="Whose; yours by default (operator)."
)
