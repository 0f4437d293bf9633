"""`gondwana serve`"""

import os
from pathlib import Path

import click

from gondwana.cli.shell import Shell, shell_command
from gondwana.core.errors import Unavailable
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
def command(shell: Shell, host: str, port: int, data: Path | None) -> int | None:
    """Run a control plane on this machine, until Ctrl-C."""
    try:
        from gondwana.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gondwana"):
            raise
        raise Unavailable(
            f"the control plane needs {error.name}, which is not installed",
            hint="in Gondwana's folder: pip install '.[server]'",
        ) from None
    return serve.run(host, port, data or data_folder())
