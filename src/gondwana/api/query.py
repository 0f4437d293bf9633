"""Query parameters that no route reads are refused, as fields of bodies are: a misspelt filter filters nothing."""

from typing import Any, Final

from starlette.requests import HTTPConnection

from gondwana.api.told import plain, shown
from gondwana.core.errors import UnknownKey
from gondwana.core.meant import did_you_mean

OF_LISTS: Final = ("cursor", "limit")  # whoever pages sends them to lists that come whole, too


async def known_only(connection: HTTPConnection) -> None:
    """A dependency of every route; raises UnknownKey, which names the parameter and the nearest one."""
    is_link = connection.scope["type"] != "http"  # an agent's, which reads none
    if is_link or not connection.query_params:
        return
    route = connection.scope["route"]
    known = sorted(_read_by(route.dependant))
    for name, value in connection.query_params.items():
        if name not in (*known, *OF_LISTS):
            field = plain(name)
            told = f"There is no query parameter {field}."
            hint = did_you_mean(name, known) if known else f"{route.path} has none"
            raise UnknownKey(told, field=field, value=shown(value), hint=hint)


def _read_by(dependant: Any) -> set[str]:
    """The query parameters that a route reads, or what it depends on."""
    own = {each.alias for each in dependant.query_params}
    return own.union(*map(_read_by, dependant.dependencies))
