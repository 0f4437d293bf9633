"""Where the control plane is and the token to use: flags over environment over the saved login."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gondwana.core.errors import InvalidValue

PORT_DEFAULT: Final = 8470
URL_DEFAULT: Final = f"http://127.0.0.1:{PORT_DEFAULT}"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
PLAIN_HTTP_VARIABLE: Final = "GONDWANA_PLAIN_HTTP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the control plane is, who we are there, and where each of the two came from."""

    url: str
    token: str | None
    url_origin: str  # "flag" | "environment" | "file" | "default"
    token_origin: str  # "flag" | "environment" | "file" | "none"


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file with the saved login: `$XDG_CONFIG_HOME/gondwana/config.toml`, below ~/.config by default."""
    base = environ.get("XDG_CONFIG_HOME") or str(
        Path(environ.get("HOME", "~")).expanduser() / ".config"
    )
    return Path(base) / "gondwana" / "config.toml"


def load_settings(
    *, url: str | None = None, token: str | None = None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings to use: a value given here, else the environment's, else the saved one, else the default.

    A saved token belongs to the saved address: it is never sent to another one. Raises InvalidValue for an address
    that is not http(s), for one in the clear beyond this machine, and for a file that cannot be read.
    """
    saved = _read_file(config_path(environ))
    found_url, url_origin = _first(
        ("flag", url), ("environment", environ.get("GONDWANA_URL")), ("file", saved.get("url"))
    ) or (URL_DEFAULT, "default")
    address = check_url(found_url, environ=environ)
    saved_token = saved.get("token") if same_address(saved.get("url"), address) else None
    found_token, token_origin = _first(
        ("flag", token), ("environment", environ.get("GONDWANA_TOKEN")), ("file", saved_token)
    ) or (None, "none")
    return Settings(
        url=address, token=found_token, url_origin=url_origin, token_origin=token_origin
    )


def save_settings(url: str, token: str, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Keep a login for later, readable by its owner alone; the path it was written to."""
    path = config_path(environ)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".toml.new")
    text = f"url = {_toml_text(check_url(url, environ=environ))}\ntoken = {_toml_text(token)}\n"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
    return path


def check_url(url: str, *, environ: Mapping[str, str] = os.environ) -> str:
    """The address without a trailing slash; raises InvalidValue where a token must not be sent to it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise InvalidValue(
            f"{url!r} is not the address of a control plane",
            field="url", value=url, hint=f"write it like https://gondwana.example or {URL_DEFAULT}",
        )  # fmt: skip
    if parts.scheme == "http" and host not in LOOPBACK and environ.get(PLAIN_HTTP_VARIABLE) != "1":
        raise InvalidValue(
            f"{url} would send your token in the clear over the network",
            field="url", value=url,
            hint=f"use https://, or export {PLAIN_HTTP_VARIABLE}=1 on a network you trust",
        )  # fmt: skip
    return url.rstrip("/")


def same_address(one: str | None, other: str) -> bool:
    """True where both name the same server."""
    return one is not None and one.rstrip("/") == other.rstrip("/")


def _first(*found: tuple[str, str | None]) -> tuple[str, str] | None:
    return next(((value, origin) for origin, value in found if value), None)


def _read_file(path: Path) -> dict[str, str]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidValue(
            f"{path} cannot be read: {error}",
            field="config", value=str(path), hint="write it anew: gondwana login URL --token TOKEN",
        ) from None  # fmt: skip
    return {key: str(values[key]) for key in ("url", "token") if values.get(key)}


def _toml_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        raise InvalidValue("a token or address has no control characters", field="config")
    return f'"{escaped}"'
