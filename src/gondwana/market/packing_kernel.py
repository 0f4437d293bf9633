"""The loops of `packing`, compiled by numba; `packing_twin` gives the very same answers in plain numpy.

Everything is an integer, so that the two agree to the last unit. Tables and suffixes are those of `packing_tables`.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

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


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, kept on disk for the next process where a folder can be written."""
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # no such folder: compile each time
        return numba.njit(function)


@compiled
def has_room(shape_5: Integers, cpu: int, memory: int, idle_G: Integers, model: int) -> bool:
    """Whether the shape fits a node; a share fits one GPU, several GPUs are whole ones."""
    if cpu < shape_5[CPU] or memory < shape_5[MEMORY] or not (shape_5[MODELS] & model):
        return False
    wanted = shape_5[GPUS]
    for idle in idle_G:
        if wanted == 0:
            return True
        if idle >= shape_5[MILLI]:
            wanted -= 1
    return wanted == 0


@compiled
def take_whole(idle_G: Integers, count: int, wanted: int) -> int:
    """The mask of as many whole idle GPUs, now taken; 0, and nothing taken, where there are fewer."""
    whole = 0
    for j in range(count):
        if idle_G[j] == WHOLE:
            whole += 1
    if whole < wanted:
        return 0
    mask = 0
    for j in range(count):
        if wanted > 0 and idle_G[j] == WHOLE:
            idle_G[j] = 0
            mask |= 1 << j
            wanted -= 1
    return mask


@compiled
def expected_idle(
    cpu: int, memory: int, idle_G: Integers, model: int, outlook: Outlook, scratch_3G: Integers
) -> int:
    """GPU milli that stay idle after each future, summed: who arrives and fits is placed, best fit among the GPUs."""
    level_V, cpu_least_B, next_MBL = outlook.level_V, outlook.cpu_least_B, outlook.next_MBL
    typical_T5, draw_ML = outlook.typical_T5, outlook.draw_ML
    futures, arrivals = draw_ML.shape
    start_G, now_G = scratch_3G[0], scratch_3G[1]
    count, left_before, most_before = 0, 0, 0
    for idle in idle_G:
        if idle > 0:
            start_G[count] = idle
            count += 1
            left_before += idle
            most_before = max(most_before, idle)
    if level_V[most_before] < 0 or cpu < cpu_least_B[level_V[most_before]]:
        return left_before * futures
    total = 0
    for m in range(futures):
        for j in range(count):
            now_G[j] = start_G[j]
        cpu_left, memory_left, left, most, at = cpu, memory, left_before, most_before, 0
        while level_V[most] >= 0 and cpu_left >= cpu_least_B[level_V[most]]:
            at = next_MBL[m, level_V[most], at]
            if at >= arrivals:
                break
            shape = draw_ML[m, at]
            at += 1
            if (cpu_left < typical_T5[shape, CPU] or memory_left < typical_T5[shape, MEMORY]
                    or not (typical_T5[shape, MODELS] & model)):  # fmt: skip
                continue
            wanted, milli = typical_T5[shape, GPUS], typical_T5[shape, MILLI]
            least = WHOLE
            if wanted == 1:
                best, least = -1, WHOLE + 1
                for j in range(count):
                    if milli <= now_G[j] < least:
                        best, least = j, now_G[j]
                now_G[best] = least - milli
            elif left < wanted * WHOLE or take_whole(now_G, count, wanted) == 0:
                continue
            cpu_left -= typical_T5[shape, CPU]
            memory_left -= typical_T5[shape, MEMORY]
            left -= wanted * milli
            if least == most:
                most = 0
                for j in range(count):
                    most = max(most, now_G[j])
        total += left
    return total


@compiled
def fragment(cpu: int, memory: int, idle_G: Integers, model: int, outlook: Outlook) -> int:
    """The FGD paper's fragment: idle milli that a typical shape cannot use, times the shape's count, summed."""
    left, total = idle_G.sum(), 0
    for t in range(outlook.typical_T5.shape[0]):
        shape_5 = outlook.typical_T5[t]
        lost = left
        if shape_5[GPUS] > 0 and has_room(shape_5, cpu, memory, idle_G, model):
            lost = 0
            for idle in idle_G:
                if idle < shape_5[MILLI]:
                    lost += idle
        total += outlook.count_T[t] * lost
    return total


@compiled
def counted(
    counts: int, state: tuple[int, int, Integers, int], outlook: Outlook, scratch_3G: Integers
) -> int:
    """What the policy counts of a node in this state (CPU, memory, GPUs, model); the less it grows, the better."""
    cpu, memory, idle_G, model = state
    if counts == EXPECTED:
        return expected_idle(cpu, memory, idle_G, model, outlook, scratch_3G)
    if counts == FRAGMENT:
        return fragment(cpu, memory, idle_G, model, outlook)
    if counts == FULLNESS:
        return cpu * GPU_MILLI_FULL + idle_G.sum() * CPU_MILLI_FULL
    return 0


@compiled
def stepped(before: int, after: int, outlook: Outlook, rules: Rules) -> int:
    """The growth as a small integer, so that what differs little is a tie."""
    if rules.counts == FRAGMENT:
        return -int(np.searchsorted(outlook.sigmoid_99, before - after, side="right"))
    if rules.counts == FULLNESS:
        return -(-after // rules.step)
    return (after - before) // rules.step


@compiled
def fullest_gpu(idle_G: Integers, milli: int) -> int:
    """The GPU with the least idle milli that are enough, or -1."""
    best = -1
    for j in range(idle_G.shape[0]):
        if idle_G[j] >= milli and (best < 0 or idle_G[j] < idle_G[best]):
            best = j
    return best


@compiled
def reckon(
    row: int, shape_5: Integers, columns: Columns, before: int, outlook: Outlook, rules: Rules, scratch_3G: Integers
) -> tuple[int, int]:  # fmt: skip
    """(score, GPU of a share or -1) of placing the shape on the node of this row, which has room."""
    cpu, memory = columns.cpu_N[row] - shape_5[CPU], columns.memory_N[row] - shape_5[MEMORY]
    idle_G, after_G, model = columns.idle_NG[row], scratch_3G[2], columns.model_N[row]
    after_G[:] = idle_G
    if shape_5[GPUS] == 0 or shape_5[MILLI] == WHOLE:
        take_whole(after_G, after_G.shape[0], shape_5[GPUS])
        after = counted(rules.counts, (cpu, memory, after_G, model), outlook, scratch_3G)
        return stepped(before, after, outlook, rules), -1
    score, best, fullest = NOWHERE, -1, fullest_gpu(idle_G, shape_5[MILLI])
    for j in range(idle_G.shape[0]):
        if idle_G[j] < shape_5[MILLI] or (rules.gpu_best_fit and j != fullest):
            continue
        after_G[j] -= shape_5[MILLI]
        after = counted(rules.counts, (cpu, memory, after_G, model), outlook, scratch_3G)
        after_G[j] = idle_G[j]
        found = stepped(before, after, outlook, rules)
        if found < score:
            score, best = found, j
    return score, best


@compiled
def refresh(
    k: int, row: int, columns: Columns, scores: Scores, outlook: Outlook, rules: Rules, scratch_3G: Integers
) -> None:  # fmt: skip
    """Reckon (shape, node) anew, unless an untouched node just like it has the answer."""
    version, same = columns.version_N[row], columns.same_N[row]
    cpu, memory, model = columns.cpu_N[row], columns.memory_N[row], columns.model_N[row]
    idle_G, shape_5 = columns.idle_NG[row], scores.shape_K5[k]
    scores.seen_KN[k, row] = version
    if version == 0 and same < row and columns.version_N[same] == 0 and scores.seen_KN[k, same] == 0:  # fmt: skip
        scores.score_KN[k, row] = scores.score_KN[k, same]
        scores.gpu_KN[k, row] = scores.gpu_KN[k, same]
    elif not has_room(shape_5, cpu, NOWHERE, idle_G, model):
        scores.score_KN[k, row] = NOWHERE
    else:
        if scores.before_version_N[row] != version:
            scores.before_N[row] = counted(
                rules.counts, (cpu, memory, idle_G, model), outlook, scratch_3G
            )
            scores.before_version_N[row] = version
        before = scores.before_N[row]
        scores.score_KN[k, row], scores.gpu_KN[k, row] = reckon(
            row, shape_5, columns, before, outlook, rules, scratch_3G
        )


@compiled
def is_fuller(row: int, other: int, columns: Columns) -> bool:
    """Whether this node has less left than the other: of its GPUs, or as much and less CPU."""
    if columns.left_N[row] != columns.left_N[other]:
        return columns.left_N[row] < columns.left_N[other]
    return columns.cpu_N[row] < columns.cpu_N[other]


@compiled
def choose(
    k: int, memory: int, columns: Columns, scores: Scores, outlook: Outlook, rules: Rules
) -> int:
    """The row of the best node for shape k, or -1; only nodes that changed since it last came are reckoned anew."""
    scratch_3G = np.empty((3, columns.idle_NG.shape[1]), np.int64)
    seen_N, score_N, version_N = scores.seen_KN[k], scores.score_KN[k], columns.version_N
    cpu_N, left_N, memory_N = columns.cpu_N, columns.left_N, columns.memory_N
    cpu, milli = scores.shape_K5[k, CPU], scores.shape_K5[k, GPUS] * scores.shape_K5[k, MILLI]
    best, best_score = -1, NOWHERE
    for row in range(version_N.shape[0]):
        if seen_N[row] != version_N[row]:
            if cpu_N[row] < cpu or left_N[row] < milli:
                score_N[row], seen_N[row] = NOWHERE, version_N[row]
            else:
                refresh(k, row, columns, scores, outlook, rules, scratch_3G)
        score = score_N[row]
        if score > best_score or score == NOWHERE or memory_N[row] < memory:
            continue
        if score < best_score or (rules.node_ties_to_fuller and is_fuller(row, best, columns)):
            best, best_score = row, score
    return best


@compiled
def hand_on(row: int, columns: Columns, scores: Scores) -> None:
    """Give what was reckoned of an untouched node, which now changed, to the next that is as it was."""
    heir = -1
    for other in range(row + 1, columns.same_N.shape[0]):
        if columns.same_N[other] == row and columns.version_N[other] == 0:
            heir = other if heir < 0 else heir
            columns.same_N[other] = heir
    if heir < 0:
        return
    for k in range(scores.seen_KN.shape[0]):
        if scores.seen_KN[k, row] == 0:
            scores.score_KN[k, heir] = scores.score_KN[k, row]
            scores.gpu_KN[k, heir] = scores.gpu_KN[k, row]
            scores.seen_KN[k, heir] = 0


@compiled
def place(
    order_R: Integers, memory_R: Integers, columns: Columns, scores: Scores, outlook: Outlook, rules: Rules
) -> tuple[Integers, Integers]:  # fmt: skip
    """(node, mask of its GPUs) of each request in order, taken from the columns; the node is -1 where nothing fits."""
    node_R, gpus_R = np.full(order_R.shape[0], -1), np.zeros(order_R.shape[0], np.int64)
    for r in range(order_R.shape[0]):
        k, memory = order_R[r], memory_R[r]
        row = choose(k, memory, columns, scores, outlook, rules)
        if row < 0:
            continue
        shape_5, gpu = scores.shape_K5[k], scores.gpu_KN[k, row]
        node_R[r] = row
        if shape_5[GPUS] == 1 and shape_5[MILLI] < WHOLE:
            columns.idle_NG[row, gpu] -= shape_5[MILLI]
            gpus_R[r] = 1 << gpu
        else:
            gpus_R[r] = take_whole(columns.idle_NG[row], columns.idle_NG.shape[1], shape_5[GPUS])
        columns.cpu_N[row] -= shape_5[CPU]
        columns.memory_N[row] -= memory
        columns.left_N[row] -= shape_5[GPUS] * shape_5[MILLI]
        columns.version_N[row] += 1
        if columns.version_N[row] == 1 and columns.same_N[row] == row:
            hand_on(row, columns, scores)
    return node_R, gpus_R
