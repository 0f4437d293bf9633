"""What machines deliver that do not do, or do not tell, what they should."""

from enum import StrEnum
from typing import Final

import numpy as np

from gondwana.core.random import SeededRandom
from gondwana.core.values import replace
from gondwana.sim.learning import LAYOUT
from gondwana.training import codecs
from gondwana.wire.units import UnitKind, UnitResult, UnitSpec


class Behaviour(StrEnum):
    """How a machine behaves."""

    HONEST = "honest"  # does what it is asked
    SLOW = "slow"  # honest, but becomes twenty times slower while it works
    MISER = "miser"  # honest, but its clock is a tenth as fast as it should be
    BROKEN = "broken"  # honest, but its sandbox fails on everything
    INVERTED = "inverted"  # delivers -10 times its delta
    GARBAGE = "garbage"  # delivers random bytes
    WRONG_SIZE = "wrong_size"  # delivers too many bytes
    NOT_A_NUMBER = "not_a_number"  # delivers deltas that are not finite
    ZEROS = "zeros"  # delivers that nothing changed, without working
    BOASTER = "boaster"  # says that its work took no time, or a time that is none
    GLUTTON = "glutton"  # says that it worked through more tokens than there are
    SLANDERER = "slanderer"  # as an evaluator says of everybody that they made it worse
    NUMBERLESS = "numberless"  # says of its speed that it is not a number
    QUITTER = "quitter"  # reports run states that are not its to report
    SLEEPER = "sleeper"  # takes work and never delivers, while it proves to be alive


HONEST: Final = frozenset({Behaviour.HONEST, Behaviour.SLOW, Behaviour.MISER, Behaviour.BROKEN})
MALFORMED: Final = frozenset({Behaviour.GARBAGE, Behaviour.WRONG_SIZE, Behaviour.NOT_A_NUMBER})
TWISTED: Final = frozenset({Behaviour.INVERTED, Behaviour.ZEROS})
_INT64_MAX: Final = 2**63 - 1
_CLAIMED_SECONDS: Final = (1e-12, 0.0, -1.0, float("inf"), float("nan"))


def claimed_speed(behaviour: Behaviour, steps_per_second: float, random: SeededRandom) -> float:
    """The measured speed that a machine tells."""
    if behaviour is not Behaviour.NUMBERLESS:
        return steps_per_second
    return random.sample((float("nan"), float("inf"), -1.0, 1e308), 1)[0]


def deliver(
    behaviour: Behaviour,
    spec: UnitSpec,
    output: bytes | None,
    result: UnitResult,
    random: SeededRandom,
) -> tuple[bytes | None, UnitResult]:
    """What the machine delivers in place of `output` and `result`."""
    if spec.kind is UnitKind.EVALUATE:
        return output, _slander(behaviour, result)
    assert output is not None
    if behaviour is Behaviour.BOASTER:
        return output, replace(result, seconds=random.sample(_CLAIMED_SECONDS, 1)[0])
    if behaviour is Behaviour.GLUTTON:
        tokens = random.sample((_INT64_MAX, -5, 10**12), 1)[0]
        return output, replace(result, tokens=tokens, steps=random.sample((0, -3, 10**15), 1)[0])
    if behaviour is Behaviour.GARBAGE:
        return random.token(len(output)), result
    if behaviour is Behaviour.WRONG_SIZE:
        return output + b"\0" * 8, result
    if spec.kind is UnitKind.INIT:
        return output, result
    return _twist(behaviour, spec, output), result


def _twist(behaviour: Behaviour, spec: UnitSpec, output: bytes) -> bytes:
    codec = codecs.Codec(spec.codec)
    if behaviour is Behaviour.NOT_A_NUMBER:
        return output[:-2] + np.array([np.nan], "<f2").tobytes()
    factor = {Behaviour.INVERTED: -10.0, Behaviour.ZEROS: 0.0}.get(behaviour)
    if factor is None:
        return output
    honest = codecs.decode_upload(output, LAYOUT, codec)
    return codecs.encode_upload(
        replace(honest, delta=honest.delta * np.float32(factor)), LAYOUT, codec
    )


def _slander(behaviour: Behaviour, result: UnitResult) -> UnitResult:
    if behaviour is Behaviour.NOT_A_NUMBER:
        return replace(result, heldout_loss=float("nan"))
    if behaviour is not Behaviour.SLANDERER:
        return result
    worse = tuple(replace(loss, heldout=loss.heldout * 2) for loss in result.candidates)
    return replace(result, candidates=worse)
