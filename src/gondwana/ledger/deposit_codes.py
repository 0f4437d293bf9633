"""The code that a tenant writes on a bank transfer, so that the money finds its account: `GW-7K3M9-QX24H`.

Nine characters of chance and a check: every wrong character and every swap of neighbours is noticed. As a number in
base 32, read whole, a code is divisible by 37: a difference of one character is d·32^k with |d| < 37, a swap is
31·d·32^k, and 37 is a prime that divides neither.
"""

import re
from typing import Final

from gondwana.core.random import Random

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U to misread
_PREFIX: Final = "GW"
_CHARS: Final = 10
_PRIME: Final = 37
_MISREAD: Final = str.maketrans({"I": "1", "L": "1", "O": "0"})
_HALF: Final = f"([0-9A-Z]{{{_CHARS // 2}}})"
_SHOWN: Final = re.compile(rf"(?<![0-9A-Z]){_PREFIX}[- ]?{_HALF}[- ]?{_HALF}(?![0-9A-Z])")
_TAKEN: Final = "\0"
_CANDIDATE: Final = re.compile(rf"(?={_PREFIX}([0-9A-Z]{{{_CHARS}}}))")


def new_code(random: Random) -> str:
    """A new code, in the form that is stored: ten characters."""
    while True:
        stem = random.bits(5 * (_CHARS - 1)) << 5
        check = -stem % _PRIME
        if check < len(_ALPHABET):  # five of 37 stems have no character that makes them whole
            return _written(stem + check)


def shown(code: str) -> str:
    """A stored code as people read and write it."""
    return f"{_PREFIX}-{code[: _CHARS // 2]}-{code[_CHARS // 2 :]}"


def codes_in(text: str) -> list[str]:
    """The codes that a payer's text holds, as they are stored; case, blanks and dashes do not matter.

    What is written as we show it is read first, and is no part of another code: one that ends in GWY, with the words
    after it, looks like a second one now and then.
    """
    found: list[str] = []

    def take(match: re.Match[str]) -> str:
        code = (match[1] + match[2]).translate(_MISREAD)
        if not _is_whole(code):
            return match[0]
        found.append(code)
        return _TAKEN

    for rest in _SHOWN.sub(take, text.upper()).split(_TAKEN):
        plain = re.sub(r"[^0-9A-Z]", "", rest)
        loose = (match.group(1).translate(_MISREAD) for match in _CANDIDATE.finditer(plain))
        found += filter(_is_whole, loose)
    return list(dict.fromkeys(found))


def _is_whole(code: str) -> bool:
    number = 0
    for char in code:
        if char not in _ALPHABET:
            return False
        number = 32 * number + _ALPHABET.index(char)
    return number % _PRIME == 0


def _written(number: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(_CHARS)))
