"""The tables that `packing` reckons on: numpy columns of integers, passed to the compiled loops or to their twin.

Suffixes: N nodes, G GPUs of a node, K shapes asked so far, T typical shapes, M imagined futures, L arrivals in one,
B levels of GPU shares, R requests. A shape's row is (CPU, memory, number of GPUs, milli of each, mask of models).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.signedinteger]

WHOLE: Final = 1_000  # milli of one GPU
NOWHERE: Final = (1 << 31) - 1  # the score of a node that has no room
CPU, MEMORY, GPUS, MILLI, MODELS = range(5)  # columns of a shape
NOTHING, FULLNESS, FRAGMENT, EXPECTED = range(4)  # what a policy counts, see `packing.Policy`

CPU_MILLI_FULL: Final = 128_000  # the largest node as best-fit weighs it (Weng et al.)
GPU_MILLI_FULL: Final = 8_000
FULLNESS_STEP: Final = 2 * CPU_MILLI_FULL * GPU_MILLI_FULL // 100

FUTURES: Final = 16  # with 8 the chance in the draws shows, with 32 nothing is gained
ARRIVALS: Final = (
    100  # a node's patience; 40 expects too little, 1,000 counts on rare shapes for every node
)
WINDOW: Final = 20  # of so many the larger come first, as requests choose among nodes; with 4 whole nodes break up
STEP_MILLI: Final = 50  # a smaller difference in what stays idle is chance; best fit breaks the tie


class Columns(NamedTuple):
    """What is idle on each node."""

    cpu_N: Integers
    memory_N: Integers
    idle_NG: Integers  # milli of each GPU; 0 where there is none
    left_N: Integers  # the sum of a node's idle milli
    model_N: Integers  # a bit of the mask
    version_N: Integers  # grows with each change
    same_N: Integers  # the first untouched node with the same resources


class Scores(NamedTuple):
    """What was reckoned of (shape, node), and at which version of the node."""

    shape_K5: Integers
    score_KN: Integers
    gpu_KN: Integers  # which GPU a share would go to; -1 for what takes none or whole ones
    seen_KN: Integers
    before_N: Integers  # what the policy counts of the node as it stands
    before_version_N: Integers


class Outlook(NamedTuple):
    """What usually arrives: the typical shapes with their counts, and futures drawn from them."""

    typical_T5: Integers
    count_T: Integers
    sigmoid_99: Integers  # the drop of the fragment from which FGD's score is 1, 2, … 99
    draw_ML: Integers  # rows of `typical_T5`
    next_MBL: Integers  # from arrival L on, the next that asks a GPU, and at most level B of it
    level_V: Integers  # the level that V idle milli reach; -1 where nothing typical fits
    cpu_least_B: Integers  # the least CPU that a shape of at most this level asks


class Rules(NamedTuple):
    """How a policy counts and breaks ties."""

    counts: int
    step: int  # differences within one step are a tie
    node_ties_to_fuller: bool  # else to the first
    gpu_best_fit: bool  # a share goes to the fullest GPU of a node; else each is tried, and the first best is taken


def outlook(shapes: Sequence[tuple[int, ...]], counts: Sequence[int], total: int) -> Outlook:
    """The outlook on these typical shapes; `total` counts the shapes too rare to be typical as well."""
    typical_T5 = np.array(shapes, np.int64).reshape(-1, 5)
    count_T = np.array(counts, np.int64)
    draw_ML = _futures(typical_T5, count_T)
    asks_gpu_T = typical_T5[:, GPUS] > 0
    levels = np.unique(typical_T5[asks_gpu_T, MILLI])
    next_MBL = np.full((FUTURES, len(levels), draw_ML.shape[1] + 1), draw_ML.shape[1], np.int64)
    cpu_least_B = np.zeros(len(levels), np.int64)
    for level, milli in enumerate(levels):
        asks_T = asks_gpu_T & (typical_T5[:, MILLI] <= milli)
        cpu_least_B[level] = typical_T5[asks_T, CPU].min()
        for at in reversed(range(draw_ML.shape[1])):
            next_MBL[:, level, at] = np.where(
                asks_T[draw_ML[:, at]], at, next_MBL[:, level, at + 1]
            )
    score = np.arange(1, 100)
    return Outlook(
        typical_T5=typical_T5,
        count_T=count_T,
        sigmoid_99=np.ceil(WHOLE * total * np.log(score / (100 - score))).astype(np.int64),
        draw_ML=draw_ML,
        next_MBL=next_MBL,
        level_V=np.searchsorted(levels, np.arange(WHOLE + 1), side="right").astype(np.int64) - 1,
        cpu_least_B=cpu_least_B,
    )


def _futures(typical_T5: Integers, count_T: Integers) -> Integers:
    """Rows of typical shapes as they may arrive (M, L): drawn by their counts, always the same draws."""
    if not len(count_T):
        return np.zeros((FUTURES, 0), np.int64)
    chance = _mixed(np.arange(1, FUTURES * ARRIVALS + 1, dtype=np.uint64)) % np.uint64(
        count_T.sum()
    )
    draws = np.searchsorted(count_T.cumsum(), chance.astype(np.int64), side="right")
    asked = typical_T5[draws, GPUS] * typical_T5[draws, MILLI]
    waiting = np.arange(len(draws)) // WINDOW
    return draws[np.lexsort((-asked, waiting))].reshape(FUTURES, ARRIVALS).astype(np.int64)


def _mixed(number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers without a pattern (splitmix64 of Steele et al.): the same on every machine and in every numpy."""
    number = number * np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))
