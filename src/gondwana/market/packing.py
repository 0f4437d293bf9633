"""Fractions of machines: where a request for CPU, memory and whole GPUs or a share of one goes, so that little is lost.

Policy `gondwana` is fragmentation gradient descent (Weng et al., USENIX ATC'23) looked further ahead. FGD counts what
of a node the next typical request could not use; we count what would stay idle in the end. A node is filled, in 16
imagined futures, with typical requests as they come, until nothing that arrives fits; the mean of what is still idle is
the node's expected loss, and a request goes where it grows least. The rest is ties: growth counts in steps of 50 milli,
and of equals the fuller node wins. What that buys and what it costs is in docs/adr/0009-packing.md.

It is online (one request at a time, no look at those to come, no reordering) and refuses nothing that fits. It reckons
incrementally: a score is kept per (shape, node), and only nodes that changed since a shape last came are looked at. All
are integers: the compiled loops (`packing_kernel`, with numba) and the numpy twin place the same to the last unit.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import numpy as np

from gondwana.core.errors import InvalidValue, TooLarge
from gondwana.market import packing_tables as tables
from gondwana.market import packing_twin as twin
from gondwana.market.packing_tables import EXPECTED, FRAGMENT, FULLNESS, NOTHING, WHOLE, Rules

TYPICAL_PERCENT: Final = 95  # of what is asked: the most frequent shapes, as in the paper
GPUS_MAX: Final = 32  # of a node; they are bits of a mask
MODELS_MAX: Final = 62  # bits of a mask again
AMOUNT_MAX: Final = 1 << 30  # of CPU milli or MiB on a node: products with it fit 64 bits
SCORES_MAX: Final = (
    1 << 26
)  # (shape, node) kept, 9 bytes each; when there are more, all are forgotten
ANY_MODEL: Final = (1 << MODELS_MAX) - 1


class Policy(StrEnum):
    """By what a node is chosen."""

    GONDWANA = "gondwana"  # the least growth of what is expected to stay idle
    FGD = "fgd"  # the least growth of the mean fragment, as in the paper
    BEST_FIT = "best-fit"  # the least left of CPU and GPUs together, as in the paper
    FIRST_FIT = "first-fit"  # the first that has room
    RANDOM = "random"  # any that has room


RULES: Final = {
    Policy.GONDWANA: Rules(EXPECTED, tables.STEP_MILLI * tables.FUTURES, node_ties_to_fuller=True,
                           gpu_best_fit=True),
    Policy.FGD: Rules(FRAGMENT, 1, node_ties_to_fuller=False, gpu_best_fit=False),
    Policy.BEST_FIT: Rules(FULLNESS, tables.FULLNESS_STEP, node_ties_to_fuller=False, gpu_best_fit=True),
    Policy.FIRST_FIT: Rules(NOTHING, 1, node_ties_to_fuller=False, gpu_best_fit=True),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What is idle on one machine. Raises `InvalidValue`."""

    cpu_milli: int
    memory_mib: int
    idle_milli: tuple[int, ...]  # of each GPU, 1,000 a whole one
    model: str

    def __post_init__(self) -> None:
        _check(self, "cpu_milli", self.cpu_milli, AMOUNT_MAX)
        _check(self, "memory_mib", self.memory_mib, AMOUNT_MAX)
        _check(self, "GPUs", len(self.idle_milli), GPUS_MAX)
        for idle in self.idle_milli:
            _check(self, "idle_milli", idle, WHOLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one tenant asks of one node: a share of one GPU, or whole ones, or none. Raises `InvalidValue`."""

    cpu_milli: int
    memory_mib: int = 0
    num_gpu: int = 0
    gpu_milli: int = 0  # of each GPU: below 1,000 only of a single one
    models: frozenset[str] = frozenset()  # any of these; empty: any at all

    def __post_init__(self) -> None:
        _check(self, "cpu_milli", self.cpu_milli, AMOUNT_MAX)
        _check(self, "memory_mib", self.memory_mib, AMOUNT_MAX)
        _check(self, "num_gpu", self.num_gpu, GPUS_MAX)
        _check(self, "gpu_milli", self.gpu_milli, WHOLE if self.num_gpu else 0)
        if self.num_gpu and self.gpu_milli < (1 if self.num_gpu == 1 else WHOLE):
            raise InvalidValue(
                f"{self.num_gpu} GPU(s) of {self.gpu_milli} milli cannot be asked.",
                hint="a share is of one GPU, 1 to 999 milli; several GPUs are whole: 1000 each",
            )

    @property
    def total_milli(self) -> int:
        """Milli of all GPUs together."""
        return self.num_gpu * self.gpu_milli


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a request went: the node's row and its GPUs."""

    node: int
    gpus: tuple[int, ...]


class Packer:
    """Nodes with what is idle on them, and a policy that places requests there; not for several threads at once."""

    def __init__(
        self, nodes: Sequence[Node], usual: Iterable[Request], *,
        policy: Policy = Policy.GONDWANA, compiled: bool | None = None, chance: np.random.Generator | None = None,
    ) -> None:  # fmt: skip
        """`usual` is a sample of what is asked: the last hundred requests do. Compiled where numba is installed.

        `chance` is what policy `random` draws from. Raises `InvalidValue`, `TooLarge`; `ImportError` where `compiled`
        is demanded and numba is absent.
        """
        assert (chance is not None) == (policy is Policy.RANDOM)
        self._nodes, self._chance, self._compiled = nodes, chance, compiled
        self._rules = RULES.get(policy, RULES[Policy.FIRST_FIT])
        self._bits: dict[str, int] = {}
        self._columns = self._columns_of(nodes)
        counts = Counter(usual)
        self._memory_usual = _memory_usual(counts)
        self._outlook = self._outlook_of(counts)
        self._forget()

    @property
    def idle_milli(self) -> int:
        """Milli of all GPUs that nobody has."""
        return int(self._columns.left_N.sum())

    def node(self, row: int) -> Node:
        """What is idle on this node now."""
        columns = self._columns
        idle = tuple(columns.idle_NG[row, : len(self._nodes[row].idle_milli)].tolist())
        return Node(cpu_milli=int(columns.cpu_N[row]), memory_mib=int(columns.memory_N[row]), idle_milli=idle,
                    model=self._nodes[row].model)  # fmt: skip

    def place(self, request: Request) -> Placement | None:
        """Where the request goes, taken at once; None where nothing has room."""
        return self.place_all([request])[0]

    def place_all(self, requests: Sequence[Request]) -> list[Placement | None]:
        """Each request in order, as `place` would; many at once are faster."""
        if self._chance is not None:
            return [self._place_anywhere(request, self._chance) for request in requests]
        placed: list[Placement | None] = []
        for first, last in self._batches(requests):
            batch = requests[first:last]
            order_R = np.array([self._rows[request] for request in batch], np.int64)
            memory_R = np.array([request.memory_mib for request in batch], np.int64)
            node_R, gpus_R = self._place(
                order_R, memory_R, self._columns, self._scores, self._outlook, self._rules
            )
            placed += [
                None if row < 0 else Placement(node=row, gpus=_bits_of(mask))
                for row, mask in zip(node_R.tolist(), gpus_R.tolist(), strict=True)
            ]
        return placed

    def give_back(self, placement: Placement, request: Request) -> None:
        """Make idle again what the request had there."""
        columns, row, gpus = self._columns, placement.node, list(placement.gpus)
        assert len(gpus) == request.num_gpu, "a placement of another request"
        columns.cpu_N[row] += request.cpu_milli
        columns.memory_N[row] += request.memory_mib
        columns.idle_NG[row, gpus] += request.gpu_milli
        assert (columns.idle_NG[row] <= WHOLE).all(), "given back twice"
        columns.left_N[row] += request.total_milli
        columns.version_N[row] += 1

    @cached_property
    def _place(self) -> Any:
        """The loops: compiled, or their twin."""
        if self._compiled is False:
            return twin.place
        try:
            from gondwana.market import packing_kernel
        except ImportError:
            if self._compiled:
                raise
            return twin.place
        return packing_kernel.place

    def _place_anywhere(self, request: Request, chance: np.random.Generator) -> Placement | None:
        columns, shape_5 = self._columns, np.array(self._row(_shape(request)), np.int64)
        states = twin.states_of(columns, np.arange(len(self._nodes)))
        rows = twin.has_room(shape_5, states, memory=request.memory_mib).nonzero()[0]
        if not len(rows):
            return None
        row = int(chance.choice(rows))
        has_room = (columns.idle_NG[row] >= request.gpu_milli).nonzero()[0]
        gpus = chance.choice(has_room, request.num_gpu, replace=False) if request.num_gpu else []
        placement = Placement(node=row, gpus=tuple(sorted(int(gpu) for gpu in gpus)))
        columns.cpu_N[row] -= request.cpu_milli
        columns.memory_N[row] -= request.memory_mib
        columns.idle_NG[row, list(placement.gpus)] -= request.gpu_milli
        columns.left_N[row] -= request.total_milli
        columns.version_N[row] += 1
        return placement

    def _batches(self, requests: Sequence[Request]) -> Iterable[tuple[int, int]]:
        """Runs of requests whose shapes have rows in the table of scores; it is grown, or forgotten, between them."""
        first, most = 0, max(1, SCORES_MAX // max(1, len(self._nodes)))
        for at, request in enumerate(requests):
            if request in self._rows:
                continue
            shape = _shape(request)
            if shape not in self._shapes:
                if len(self._shapes) == most:
                    yield first, at
                    first = at
                    self._forget()
                if len(self._shapes) == len(self._scores.shape_K5):
                    self._scores = _grown(self._scores, min(most, max(64, 2 * len(self._shapes))))
                self._scores.shape_K5[len(self._shapes)] = self._row(shape, request.memory_mib)
                self._shapes[shape] = len(self._shapes)
            self._rows[request] = self._shapes[shape]
        yield first, len(requests)

    def _forget(self) -> None:
        """Begin anew with the table of scores."""
        self._shapes: dict[Request, int] = {}  # its rows
        self._rows: dict[Request, int] = {}  # the same by request, with its memory
        self._scores = _no_scores(0, len(self._nodes))

    def _row(self, shape: Request, memory_mib: int = 0) -> tuple[int, ...]:
        """A shape as a row of a table, with the memory that its requests usually ask."""
        known = sum(self._bits.get(model, 0) for model in shape.models)
        memory = self._memory_usual.get(shape, memory_mib)
        return (
            shape.cpu_milli,
            memory,
            shape.num_gpu,
            shape.gpu_milli,
            known if shape.models else ANY_MODEL,
        )

    def _columns_of(self, nodes: Sequence[Node]) -> tables.Columns:
        gpus = max([1, *(len(node.idle_milli) for node in nodes)])
        idle_NG = np.zeros((len(nodes), gpus), np.int64)
        for row, node in enumerate(nodes):
            idle_NG[row, : len(node.idle_milli)] = node.idle_milli
        firsts: dict[Node, int] = {}
        model_N = [self._bits.setdefault(node.model, 1 << len(self._bits)) for node in nodes]
        if len(self._bits) > MODELS_MAX:
            raise TooLarge(f"{len(self._bits)} models of devices are more than {MODELS_MAX}.")
        return tables.Columns(
            cpu_N=np.array([node.cpu_milli for node in nodes], np.int64),
            memory_N=np.array([node.memory_mib for node in nodes], np.int64),
            idle_NG=idle_NG,
            left_N=idle_NG.sum(axis=1),
            model_N=np.array(model_N, np.int64),
            version_N=np.zeros(len(nodes), np.int32),
            same_N=np.array([firsts.setdefault(node, row) for row, node in enumerate(nodes)], np.int64),
        )  # fmt: skip

    def _outlook_of(self, counts: Mapping[Request, int]) -> tables.Outlook:
        """The most frequent shapes to `TYPICAL_PERCENT` of the requests, and futures drawn from them."""
        rows, total = Counter[tuple[int, ...]](), sum(counts.values())
        for request, count in counts.items():
            rows[self._row(_shape(request))] += count
        shapes = sorted(rows, key=lambda row: (-rows[row], row))
        reached = np.cumsum([rows[row] for row in shapes]) * 100 < total * TYPICAL_PERCENT
        typical = shapes[: int(reached.sum()) + 1]
        return tables.outlook(typical, [rows[row] for row in typical], total)


def _check(what: Node | Request, field: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise InvalidValue(f"{field} of a {type(what).__name__.lower()} is 0 to {most:,}, not {value:,}.")  # fmt: skip


def _shape(request: Request) -> Request:
    """The request without its memory: requests of one shape share their scores."""
    return Request(cpu_milli=request.cpu_milli, num_gpu=request.num_gpu, gpu_milli=request.gpu_milli,
                   models=request.models)  # fmt: skip


def _memory_usual(counts: Mapping[Request, int]) -> dict[Request, int]:
    """The mean memory by shape."""
    asked, times = Counter[Request](), Counter[Request]()
    for request, count in counts.items():
        asked[_shape(request)] += count * request.memory_mib
        times[_shape(request)] += count
    return {shape: asked[shape] // times[shape] for shape in times}


def _no_scores(shapes: int, nodes: int) -> tables.Scores:
    return tables.Scores(
        shape_K5=np.zeros((shapes, 5), np.int64),
        score_KN=np.zeros((shapes, nodes), np.int32),
        gpu_KN=np.zeros((shapes, nodes), np.int8),
        seen_KN=np.full((shapes, nodes), -1, np.int32),
        before_N=np.zeros(nodes, np.int64),
        before_version_N=np.full(nodes, -1, np.int32),
    )


def _grown(scores: tables.Scores, shapes: int) -> tables.Scores:
    """The same scores with room for so many shapes."""
    kept, grown = len(scores.shape_K5), _no_scores(shapes, len(scores.before_N))
    for old, new in zip(scores[:4], grown[:4], strict=True):
        new[:kept] = old
    return grown._replace(before_N=scores.before_N, before_version_N=scores.before_version_N)


def _bits_of(mask: int) -> tuple[int, ...]:
    return tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)
