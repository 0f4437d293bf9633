"""What somebody may have meant who wrote a word that is not known."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

WORD_CHARS_MAX: Final = (
    80  # nobody means so long a word, and comparing one takes its length squared
)


def did_you_mean(
    word: str, known: Collection[str], *, at: str = "", foreign: Collection[str] = ()
) -> str:
    """A hint: the nearest word that is known or foreign, with the path `at` before it; or all that are known."""
    close = get_close_matches(word[:WORD_CHARS_MAX], [*known, *foreign], n=1)
    return f"did you mean {at}{close[0]}?" if close else f"one of: {', '.join(known)}"
