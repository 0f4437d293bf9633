"""Functions compiled by numba, kept on disk where that can be written: a start then costs no compiling."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function as machine code; it runs beside other threads."""
    try:
        made: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder of this user's can be written
        made = numba.njit(nogil=True)(function)
    return made
