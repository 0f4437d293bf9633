"""The same placements as `packing_kernel` in plain numpy: for machines without numba, and to test the kernel against.

Where the kernel goes through nodes, GPUs and futures one by one, this takes them all at once. S suffixes the states
that are reckoned together (a node after a placement); the other suffixes are those of `packing_tables`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gondwana.market.packing_tables import (
    CPU,
    CPU_MILLI_FULL,
    EXPECTED,
    FRAGMENT,
    FULLNESS,
    GPU_MILLI_FULL,
    GPUS,
    MEMORY,
    MILLI,
    MODELS,
    NOWHERE,
    WHOLE,
    Columns,
    Integers,
    Outlook,
    Rules,
    Scores,
)

Booleans = NDArray[np.bool_]


class States(NamedTuple):
    """Nodes as they are, or would be after a placement."""

    cpu_S: Integers
    memory_S: Integers
    idle_SG: Integers
    model_S: Integers


def states_of(columns: Columns, row_S: Integers) -> States:
    """The nodes of these rows, copied."""
    return States(columns.cpu_N[row_S], columns.memory_N[row_S], columns.idle_NG[row_S],
                  columns.model_N[row_S])  # fmt: skip


def has_room(shape_5: Integers, states: States, *, memory: int) -> Booleans:
    """Which states the shape fits, if it asks this much memory; a share fits one GPU, several GPUs are whole ones."""
    return (
        (states.cpu_S >= shape_5[CPU])
        & (states.memory_S >= memory)
        & ((states.model_S & shape_5[MODELS]) != 0)
        & ((states.idle_SG >= shape_5[MILLI]).sum(axis=1) >= shape_5[GPUS])
    )


def whole_taken(idle_SG: Integers, wanted_S: Integers) -> Booleans:
    """Which GPUs to take: the first whole idle ones, as many as are wanted."""
    is_whole = idle_SG == WHOLE
    return is_whole & (is_whole.cumsum(axis=1) <= wanted_S[:, None])


def expected_idle(states: States, outlook: Outlook) -> Integers:
    """GPU milli that stay idle after each future, summed: who arrives and fits is placed, best fit among the GPUs."""
    futures, arrivals = outlook.draw_ML.shape
    cpu_SM = np.repeat(states.cpu_S[:, None], futures, axis=1)
    memory_SM = np.repeat(states.memory_S[:, None], futures, axis=1)
    idle_SMG = np.repeat(states.idle_SG[:, None], futures, axis=1)
    for at in range(arrivals):
        shape_M5 = outlook.typical_T5[outlook.draw_ML[:, at]]
        has_room_SM = (
            ((idle_SMG >= shape_M5[:, MILLI, None]).sum(axis=2) >= shape_M5[:, GPUS])
            & (cpu_SM >= shape_M5[:, CPU]) & (memory_SM >= shape_M5[:, MEMORY])
            & ((states.model_S[:, None] & shape_M5[:, MODELS]) != 0) & (shape_M5[:, GPUS] > 0)
        )  # fmt: skip
        s, m = has_room_SM.nonzero()
        if not len(s):
            continue
        wanted, milli, idle_G = shape_M5[m, GPUS], shape_M5[m, MILLI], idle_SMG[s, m]
        best = np.where(idle_G >= milli[:, None], idle_G, NOWHERE).argmin(axis=1)
        taken_G = np.where(
            wanted[:, None] == 1, np.arange(idle_G.shape[1]) == best[:, None], whole_taken(idle_G, wanted)
        )  # fmt: skip
        idle_SMG[s, m] = idle_G - taken_G * milli[:, None]
        cpu_SM[s, m] -= shape_M5[m, CPU]
        memory_SM[s, m] -= shape_M5[m, MEMORY]
    return idle_SMG.sum(axis=(1, 2))


def fragment(states: States, outlook: Outlook) -> Integers:
    """The FGD paper's fragment: idle milli that a typical shape cannot use, times the shape's count, summed."""
    left_S = states.idle_SG.sum(axis=1)
    total_S = np.zeros(len(left_S), np.int64)
    for shape_5, count in zip(outlook.typical_T5, outlook.count_T, strict=True):
        fits_S = has_room(shape_5, states, memory=shape_5[MEMORY]) & (shape_5[GPUS] > 0)
        unfit_S = np.where(states.idle_SG < shape_5[MILLI], states.idle_SG, 0).sum(axis=1)
        total_S += count * np.where(fits_S, unfit_S, left_S)
    return total_S


def counted(counts: int, states: States, outlook: Outlook) -> Integers:
    """What the policy counts of nodes in these states; the less it grows, the better."""
    if counts == EXPECTED:
        return expected_idle(states, outlook)
    if counts == FRAGMENT:
        return fragment(states, outlook)
    if counts == FULLNESS:
        return states.cpu_S * GPU_MILLI_FULL + states.idle_SG.sum(axis=1) * CPU_MILLI_FULL
    return np.zeros(len(states.cpu_S), np.int64)


def stepped(before_S: Integers, after_S: Integers, outlook: Outlook, rules: Rules) -> Integers:
    """The growth as small integers, so that what differs little is a tie."""
    if rules.counts == FRAGMENT:
        return -np.searchsorted(outlook.sigmoid_99, before_S - after_S, side="right")
    if rules.counts == FULLNESS:
        return -(-after_S // rules.step)
    return (after_S - before_S) // rules.step


def candidates(
    shape_5: Integers, states: States, *, gpu_best_fit: bool
) -> tuple[Integers, Integers, States]:
    """(which of these states, GPU of a share or -1, the state after) of each way to place the shape."""
    if shape_5[GPUS] == 1 and shape_5[MILLI] < WHOLE:
        fits_SG = states.idle_SG >= shape_5[MILLI]
        if gpu_best_fit:
            best_S = np.where(fits_SG, states.idle_SG, NOWHERE).argmin(axis=1)
            fits_SG = np.arange(fits_SG.shape[1]) == best_S[:, None]
        at, gpu = fits_SG.nonzero()
        idle_SG = states.idle_SG[at]
        idle_SG[np.arange(len(at)), gpu] -= shape_5[MILLI]
    else:
        at, gpu = np.arange(len(states.cpu_S)), np.full(len(states.cpu_S), -1)
        wanted_S = np.full(len(at), shape_5[GPUS])
        idle_SG = np.where(whole_taken(states.idle_SG, wanted_S), 0, states.idle_SG)
    cpu_S, memory_S = states.cpu_S[at] - shape_5[CPU], states.memory_S[at] - shape_5[MEMORY]
    return at, gpu, States(cpu_S, memory_S, idle_SG, states.model_S[at])


def refresh(k: int, columns: Columns, scores: Scores, outlook: Outlook, rules: Rules) -> None:
    """Reckon shape k anew on all nodes that changed; of untouched nodes that are the same only on one."""
    stale = (scores.seen_KN[k] != columns.version_N).nonzero()[0]
    alike = np.where(columns.version_N[stale] == 0, -1 - columns.same_N[stale], stale)
    _, first, copies = np.unique(alike, return_index=True, return_inverse=True)
    row_S, shape_5 = stale[first], scores.shape_K5[k]
    states = states_of(columns, row_S)
    score_S, gpu_S = np.full(len(row_S), NOWHERE), np.full(len(row_S), -1)
    fits = has_room(shape_5, states, memory=np.iinfo(np.int64).min).nonzero()[0]
    if len(fits):
        row_S, states = row_S[fits], States(*(column[fits] for column in states))
        old = (scores.before_version_N[row_S] != columns.version_N[row_S]).nonzero()[0]
        if len(old):
            before = counted(rules.counts, States(*(column[old] for column in states)), outlook)
            scores.before_N[row_S[old]] = before
            scores.before_version_N[row_S[old]] = columns.version_N[row_S[old]]
        at, gpu, after = candidates(shape_5, states, gpu_best_fit=rules.gpu_best_fit)
        found = stepped(
            scores.before_N[row_S[at]], counted(rules.counts, after, outlook), outlook, rules
        )
        best_first = np.lexsort((gpu, found, at))
        best = best_first[np.searchsorted(at, np.arange(len(row_S)))]
        score_S[fits], gpu_S[fits] = found[best], gpu[best]
    scores.score_KN[k, stale], scores.gpu_KN[k, stale] = score_S[copies], gpu_S[copies]
    scores.seen_KN[k, stale] = columns.version_N[stale]


def choose(
    k: int, memory: int, columns: Columns, scores: Scores, outlook: Outlook, rules: Rules
) -> int:
    """The row of the best node for shape k, or -1."""
    refresh(k, columns, scores, outlook, rules)
    rows = ((scores.score_KN[k] != NOWHERE) & (columns.memory_N >= memory)).nonzero()[0]
    if not len(rows):
        return -1
    rows = rows[scores.score_KN[k, rows] == scores.score_KN[k, rows].min()]
    if rules.node_ties_to_fuller:
        rows = rows[columns.left_N[rows] == columns.left_N[rows].min()]
        rows = rows[columns.cpu_N[rows] == columns.cpu_N[rows].min()]
    return int(rows[0])


def place(
    order_R: Integers, memory_R: Integers, columns: Columns, scores: Scores, outlook: Outlook, rules: Rules
) -> tuple[Integers, Integers]:  # fmt: skip
    """(node, mask of its GPUs) of each request in order, taken from the columns; the node is -1 where nothing fits."""
    node_R, gpus_R = np.full(len(order_R), -1), np.zeros(len(order_R), np.int64)
    for r, (k, memory) in enumerate(zip(order_R, memory_R, strict=True)):
        row = choose(k, memory, columns, scores, outlook, rules)
        if row < 0:
            continue
        shape_5, gpu, idle_G = scores.shape_K5[k], int(scores.gpu_KN[k, row]), columns.idle_NG[row]
        if shape_5[GPUS] == 1 and shape_5[MILLI] < WHOLE:
            taken_G = np.arange(len(idle_G)) == gpu
        else:
            taken_G = whole_taken(idle_G[None], shape_5[GPUS : GPUS + 1])[0]
        node_R[r], gpus_R[r] = row, (taken_G << np.arange(len(idle_G))).sum()
        idle_G -= taken_G * shape_5[MILLI]
        columns.cpu_N[row] -= shape_5[CPU]
        columns.memory_N[row] -= memory
        columns.left_N[row] -= shape_5[GPUS] * shape_5[MILLI]
        columns.version_N[row] += 1
    return node_R, gpus_R
