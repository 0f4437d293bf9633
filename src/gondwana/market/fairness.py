"""Whose turn it is when supply is short: weighted dominant-resource fair shares over tenants, then over their projects.

A tenant's share is the largest part that he holds of anything: of the devices of one model, of all CPUs, of all memory
(Ghodsi et al., NSDI 2011). Who has the least of his due is next. Inside a tenant the same holds among his projects by
their weights; inside a project the higher priority goes first, then the older order. So a priority never passes another
tenant, and where everybody holds the same it is plain first come, first served. Prices are not touched: this decides
only who is served first where several orders could be.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from gondwana.core.clock import Instant
from gondwana.core.devices import CPU
from gondwana.market.model import Order

CPUS: Final = "cpus"  # thousandths; lower case, as no device model is
MEMORY: Final = "memory"  # bytes
ANY: Final = "devices"  # of whatever model
PARTS: Final = 1_000_000  # a share of 1 is so many: whole numbers, the same everywhere
WEIGHT_DEFAULT: Final = 1
WEIGHT_MAX: Final = 1_000
AGING_SECONDS: Final = 600.0
"""So long an order waits for one more point of priority: within 17 hours the lowest is as good as the highest."""

Amounts = Mapping[str, int]
"""Of each resource how much: devices by model, thousandths of CPUs, bytes."""


class Waiting(Struct, frozen=True, kw_only=True):
    """An open order in the queue."""

    order: Order
    asked: Amounts  # at least so much; what it gets may be more

    @property
    def tenant_id(self) -> str:
        """Whose it is."""
        return self.order.tenant_id

    @property
    def project(self) -> str:
        """Whose of his projects."""
        return self.order.project


def waiting(order: Order) -> Waiting:
    """An open order as the queue sees it."""
    wanted = order.resources
    model = wanted.accelerators[0].name or ANY if wanted.accelerators else CPU
    asked = {
        model: order.count_max * order.devices,
        CPUS: round(order.count_max * wanted.cpus_min * 1_000),
        MEMORY: order.count_max * wanted.memory_bytes_min,
    }
    return Waiting(order=order, asked={name: amount for name, amount in asked.items() if amount})


class Holding(Struct, frozen=True, kw_only=True):
    """What one live lease holds, and for whom."""

    id: str
    tenant_id: str
    project: str
    job_id: str
    machine_id: str
    devices: int


@dataclass(slots=True)
class _Held:
    amounts: dict[str, int] = field(default_factory=dict[str, int])
    jobs: dict[str, int] = field(default_factory=dict[str, int])  # leases of each
    devices: int = 0  # of all models
    share: int | None = None  # None: not reckoned since it changed


class Holdings:
    """What tenants and their projects hold by live leases; changes in small steps as leases come and go."""

    def __init__(self, totals: Amounts | None = None) -> None:
        self._totals: Amounts = totals or {}
        self.weights: Mapping[tuple[str, str], int] = {}  # by tenant ("": his own) and project
        self._tenants: dict[str, _Held] = {}
        self._projects: dict[tuple[str, str], _Held] = {}

    @property
    def totals(self) -> Amounts:
        """All there is of each resource, held or not."""
        return self._totals

    @totals.setter
    def totals(self, totals: Amounts) -> None:
        self._totals = totals
        for held in (*self._tenants.values(), *self._projects.values()):
            held.share = None

    def add(
        self, tenant_id: str, project: str, amounts: Amounts, *, job_id: str, sign: int = 1
    ) -> None:
        """One more lease of so much; with `sign` -1 one less."""
        totals = self._totals
        for held in (
            self._tenants.get(tenant_id) or self._tenants.setdefault(tenant_id, _Held()),
            self._projects.get((tenant_id, project))
            or self._projects.setdefault((tenant_id, project), _Held()),
        ):
            _count(held.jobs, job_id, sign)
            mine, share = held.amounts, held.share if sign > 0 else None
            for resource, amount in amounts.items():
                mine[resource] = holds = mine.get(resource, 0) + sign * amount
                if resource not in (CPUS, MEMORY):
                    held.devices += sign * amount
                if share is not None:  # what grew may be the largest part now
                    share = max(share, holds * PARTS // (totals.get(resource) or 1))
            held.share = None if share is None else min(PARTS, share)

    def devices(self, tenant_id: str, project: str | None, model: str) -> int:
        """Devices of a model ("": of any) that a tenant, or one of his projects, holds."""
        held = self._of(tenant_id, project)
        return held.amounts.get(model, 0) if model else held.devices

    def jobs(self, tenant_id: str, project: str | None) -> Mapping[str, int]:
        """The jobs that hold something, with their leases."""
        return self._of(tenant_id, project).jobs

    def projects(self, tenant_id: str) -> list[str]:
        """His projects that hold something."""
        return sorted(p for (t, p), held in self._projects.items() if t == tenant_id and held.jobs)

    def tenants(self) -> list[str]:
        """Who holds anything."""
        return sorted(name for name, held in self._tenants.items() if held.jobs)

    def share(self, tenant_id: str, project: str | None = None) -> int:
        """The largest part of anything that is held, in PARTS of all there is."""
        held = self._of(tenant_id, project)
        if held.share is None:
            held.share = part_of(held.amounts, self._totals)
        return held.share

    def due(self, tenant_id: str, project: str | None = None, *, more: int = 0) -> int:
        """The share, and `more` parts, over its weight: the least is next. What is of no project weighs 1."""
        share, weight = self.share(tenant_id, project), WEIGHT_DEFAULT
        if self.weights and project != "":
            weight = self.weights.get((tenant_id, project or ""), WEIGHT_DEFAULT)
        return (share + more) * WEIGHT_MAX // max(1, weight)

    def _of(self, tenant_id: str, project: str | None) -> _Held:
        if project is None:
            return self._tenants.get(tenant_id) or _NOTHING
        return self._projects.get((tenant_id, project)) or _NOTHING


_NOTHING: Final = _Held(share=0)


def part_of(amounts: Amounts, totals: Amounts) -> int:
    """The largest part of anything there is, in PARTS."""
    most = 0
    for resource, amount in amounts.items():
        part = amount * PARTS // (totals.get(resource) or 1)
        if part > most:
            most = part
    return min(PARTS, most)


def _count(counts: dict[str, int], name: str, amount: int) -> None:
    left = counts.get(name, 0) + amount
    if left:
        counts[name] = left
    else:
        counts.pop(name, 0)


def effective_priority(each: Waiting, now: Instant) -> int:
    """The priority, one higher for every AGING_SECONDS of waiting."""
    order = each.order
    return order.priority + int(max(0.0, now - order.created_at) // AGING_SECONDS)


_Entry = tuple[int, float, str, str]


@dataclass(slots=True)
class _Line:
    """The orders of one tenant that wait for their turn."""

    tenant_id: str
    projects: dict[str, list[tuple[int, float, str, Waiting]]]  # the last of each is next
    expected: int = 0  # parts of what was taken and is not settled yet
    expected_of: dict[str, int] = field(default_factory=dict[str, int])  # the same by project
    entry: _Entry | None = None  # the one in the heap that counts

    def expect(self, project: str, part: int) -> None:
        """So much more, or less, may be held soon."""
        self.expected += part
        self.expected_of[project] = self.expected_of.get(project, 0) + part


class Turns:
    """Open orders, one at a time, each whose turn it is; what an order got counts for the next.

    Several may be taken before it is known what they got: until `settle` each counts as if it got what it asks.
    """

    def __init__(self, waiting: Iterable[Waiting], holdings: Holdings, now: Instant) -> None:
        self._holdings = holdings
        self._parts: dict[str, int] = {}  # of what is not settled yet
        self._settled: dict[str, list[tuple[Waiting, Amounts]]] = {}  # by job
        queues: dict[str, dict[str, list[tuple[int, float, str, Waiting]]]] = {}
        for each in waiting:
            order = each.order
            key = (-effective_priority(each, now), order.created_at, order.id, each)
            queues.setdefault(each.tenant_id, {}).setdefault(each.project, []).append(key)
        for projects in queues.values():
            for queue in projects.values():
                queue.sort(key=_rank, reverse=True)
        self._lines = {
            tenant_id: _Line(tenant_id, projects) for tenant_id, projects in queues.items()
        }
        self._heap: list[_Entry] = []
        for line in self._lines.values():
            self._push(line)

    def __iter__(self) -> "Turns":
        return self

    def __next__(self) -> Waiting:
        """Whose turn it is now."""
        while True:
            if not self._heap:
                raise StopIteration
            entry = heapq.heappop(self._heap)
            line, project = self._lines[entry[2]], entry[3]
            if line.entry is entry:
                break
        line.entry = None
        queue = line.projects[project]
        each = queue.pop()[-1]
        if not queue:
            del line.projects[project]
        self._parts[each.order.id] = part = part_of(each.asked, self._holdings.totals)
        line.expect(project, part)
        self._push(line)
        return each

    def settle(self, each: Waiting, amounts: Amounts | None) -> None:
        """The order got so much, or nothing."""
        order = each.order
        line = self._lines[order.tenant_id]
        line.expect(order.project, -self._parts.pop(order.id))
        if amounts:
            self._add(each, amounts, 1)
            self._settled.setdefault(order.job_id, []).append((each, amounts))
        self._push(line)

    def counts_on(self, job_id: str) -> bool:
        """Whether one order of a job was settled, and no other: what it got counts on, as what was committed."""
        if len(self._settled.get(job_id, ())) != 1:
            return False
        del self._settled[job_id]
        return True

    def committed(self, job_id: str) -> None:
        """What came of a job's orders is counted as it was committed: forget what was settled."""
        for each, amounts in self._settled.pop(job_id, ()):
            self._add(each, amounts, -1)

    def close(self) -> None:
        """Forget all that was settled: whatever came of it is counted when it is committed."""
        for job_id in list(self._settled):
            self.committed(job_id)

    def _add(self, each: Waiting, amounts: Amounts, sign: int) -> None:
        order = each.order
        self._holdings.add(order.tenant_id, order.project, amounts, job_id=order.job_id, sign=sign)

    def _push(self, line: _Line) -> None:
        """Sort a tenant in anew: by his share, then by the age of his next order."""
        projects, due = line.projects, self._holdings.due
        if not projects:
            line.entry = None
            return
        if len(projects) == 1:
            (project,) = projects
        else:
            project = min(projects, key=lambda each: (
                due(line.tenant_id, each, more=line.expected_of.get(each, 0)), _rank(projects[each][-1])
            ))  # fmt: skip
        share = due(line.tenant_id, more=line.expected)
        entry = (share, projects[project][-1][1], line.tenant_id, project)
        if line.entry != entry:
            line.entry = entry
            heapq.heappush(self._heap, entry)


def _rank(entry: tuple[int, float, str, Waiting]) -> tuple[int, float, str]:
    return entry[:3]
