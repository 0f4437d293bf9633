"""Decisions about quotas: how many devices and jobs an account may hold at once; pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gondwana.core.clock import Instant
from gondwana.core.errors import InvalidValue, QuotaTooSmall
from gondwana.core.ids import PrincipalId
from gondwana.policy.model import Quota

DEVICES_MAX: Final = 1_000_000  # that a quota may name
JOBS_MAX: Final = 10_000
WEIGHT_MAX: Final = 1_000  # as far as one project may outweigh another
DEVICES_MAX_DEFAULT: Final = 10_000
"""What an account may hold at once where no operator said otherwise."""

_DEFAULT: Final = Quota(
    tenant_id=PrincipalId(""), is_operators=True, devices_max=DEVICES_MAX_DEFAULT,
    set_by=PrincipalId(""), set_at=Instant(0.0),
)  # fmt: skip

DevicesHeld = Callable[[str | None, str], int]
"""Of a project (None: of the whole account) and a model ("": any) the devices that are held."""
JobsHeld = Callable[[str | None], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many more devices may be held; where it is a quota that says so, which."""

    devices: int
    quota: Quota | None = None


def check_quota(*, devices_max: int | None, jobs_max: int | None, weight: int | None) -> None:
    """Raise InvalidValue for a quota that limits nothing, or that cannot be."""
    if devices_max is None and jobs_max is None and weight is None:
        raise InvalidValue(
            "the quota says nothing", hint="give --devices-max, --jobs-max or --weight"
        )
    for field, value, low, high in (
        ("devices_max", devices_max, 0, DEVICES_MAX),
        ("jobs_max", jobs_max, 0, JOBS_MAX),
        ("weight", weight, 1, WEIGHT_MAX),
    ):
        if value is not None and not low <= value <= high:
            raise InvalidValue(field=field, value=value, hint=f"from {low} to {high}")


def applying(quotas: Iterable[Quota], project: str) -> list[Quota]:
    """Those that a job of the project counts against."""
    return [each for each in quotas if each.project in ("", project)]


def room(quotas: Sequence[Quota], model: str, held: DevicesHeld) -> Room:
    """How many more devices of a model the quotas allow; the tightest decides."""
    found = Room(devices=DEVICES_MAX)
    for each in _with_default(quotas):
        if each.devices_max is None or each.model not in ("", model):
            continue
        left = each.devices_max - held(each.project or None, each.model)
        if left < found.devices:
            found = Room(devices=left, quota=each)
    return found


def blocked_jobs(quotas: Sequence[Quota], held: JobsHeld) -> Quota | None:
    """The quota under which one more job may not hold machines now."""
    return next(_full(quotas, held), None)


def _full(quotas: Sequence[Quota], held: JobsHeld) -> Iterator[Quota]:
    for each in quotas:
        if each.jobs_max is not None and held(each.project or None) >= each.jobs_max:
            yield each


def stopping(
    quotas: Sequence[Quota], *, devices: int, models: Sequence[str], held: DevicesHeld, jobs_held: JobsHeld | None
) -> list[Quota]:  # fmt: skip
    """The quotas without room for so many devices of one of these models; `jobs_held`: where it is one job more."""
    found = [
        each
        for each in _with_default(quotas)
        if each.devices_max is not None
        and (not each.model or each.model in models)
        and each.devices_max - held(each.project or None, each.model) < devices
    ]
    return found if jobs_held is None else [*found, *_full(quotas, jobs_held)]


def _with_default(quotas: Sequence[Quota]) -> Sequence[Quota]:
    """These, and where no operator said how much an account may hold in all, what holds then."""
    is_said = any(each.is_operators and not each.project and not each.model for each in quotas)
    return quotas if is_said else (_DEFAULT, *quotas)


def concerns(quota: Quota, project: str, models: Sequence[str]) -> bool:
    """Whether a job of a project, on one of these models (none: on any), may take room of a quota."""
    of_project = quota.project in ("", project)
    return of_project and (not quota.model or not models or quota.model in models)


def why_waiting(quota: Quota | None) -> str:
    """The reason that people are shown."""
    if quota is None or not quota.set_by:
        return f"quota: this account holds {DEVICES_MAX_DEFAULT} devices already"
    whose = f"project {quota.project}" if quota.project else "this account"
    if quota.devices_max is None:
        return f"quota: {whose} runs {quota.jobs_max} jobs at once, no more"
    kind = f" {quota.model}" if quota.model else ""
    return f"quota: {whose} may hold {quota.devices_max}{kind} devices at once"


def check_ever(quotas: Sequence[Quota], *, devices: int, models: Sequence[str]) -> None:
    """Raise QuotaTooSmall for a job that could never run: it needs more than a quota will ever allow.

    `models`: those that would do, where the job named them; one of them within the quotas is enough.
    """
    for each in quotas:
        if each.jobs_max == 0:
            raise QuotaTooSmall(
                f"{_whose(each)} may run no jobs",
                hint="gondwana quota list, then gondwana quota set",
            )
    wanted = models or ("",)
    stops = [_never(quotas, devices, model) for model in wanted]
    if all(stops):
        stop = stops[0]
        assert stop is not None
        kind = f" {stop.model}" if stop.model else ""
        raise QuotaTooSmall(
            f"the job needs {devices}{kind} devices at once, the quota of {_whose(stop)} allows "
            f"{stop.devices_max}",
            hint="gondwana quota list; ask for fewer, or raise it with gondwana quota set",
        )


def _never(quotas: Sequence[Quota], devices: int, model: str) -> Quota | None:
    return next(
        (
            each
            for each in quotas
            if each.devices_max is not None
            and devices > each.devices_max
            and each.model in ("", model)
        ),
        None,
    )


def _whose(quota: Quota) -> str:
    return f"project {quota.project}" if quota.project else "this account"
