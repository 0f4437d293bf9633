"""`gondwana serve`"""

import os
import re
from pathlib import Path

import click
from click.core import ParameterSource

from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import InvalidValue, Unavailable
from gondwana.sdk.config import PORT_DEFAULT


def data_folder() -> Path:
    """Where a control plane keeps its books and blobs unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "gondwana"


@shell_command(name="serve", remote=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT_DEFAULT, show_default=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help="Where everything is kept; ~/.local/share/gondwana by default.",
)
@click.option(
    "--database",
    metavar="URL",
    envvar="GONDWANA_DATABASE_URL",
    default=None,
    help="Keep the books in PostgreSQL instead: postgresql://USER@HOST/NAME. Also GONDWANA_DATABASE_URL.",
)
@click.option(
    "--list-prices",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="What others ask, for plans to compare with; the table that comes with Gondwana by default.",
)
def command(
    shell: Shell,
    host: str,
    port: int,
    data: Path | None,
    database: str | None,
    list_prices: Path | None,
) -> int | None:
    """Run a control plane on this machine, until Ctrl-C."""
    if database:
        _check_url(database)
    try:
        from gondwana.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gondwana"):
            raise
        raise Unavailable(
            f"the control plane needs {error.name}, which is not installed",
            hint="in Gondwana's folder: pip install '.[server]'",
        ) from None
    return serve.run(host, port, data or data_folder(), database, list_prices)


def _check_url(url: str) -> None:
    """Refuse what is no URL of PostgreSQL, and a password where everybody on this machine can read it."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise InvalidValue(field="database", hint="like postgresql://USER@HOST/NAME")
    source = click.get_current_context().get_parameter_source("database")
    if source is ParameterSource.COMMANDLINE and re.search(r"//[^/@]*:[^/@]+@|[?&]password=", url):
        raise InvalidValue(
            "Everybody on this machine can read a password in a command line.",
            hint="set GONDWANA_DATABASE_URL, or keep the password in the file that PGPASSFILE names",
        )
