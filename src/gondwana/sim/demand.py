"""Tenants: they deposit, launch, cancel, lose patience, and run out of money."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gondwana.api.routes import accounts, jobs
from gondwana.core.clock import Instant
from gondwana.core.errors import GondwanaError, Unavailable
from gondwana.core.random import SeededRandom
from gondwana.jobs import store
from gondwana.jobs.model import JobState
from gondwana.market import store as market
from gondwana.market.model import OrderState
from gondwana.policy.model import Caller
from gondwana.sim.plane import ControlPlane
from gondwana.wire.jobs import JobSpec
from gondwana.wire.views import DepositRequest

RETRY_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 30.0
WAITING: Final = frozenset({JobState.ADMITTED, JobState.PROVISIONING, JobState.RECOVERING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One job that a tenant launches."""

    at: float
    tenant: int  # which of the tenants
    spec: JobSpec
    cancel_after: float | None = None
    patience_seconds: float | None = (
        300.0  # a job that waits longer for machines is cancelled; None: never
    )


class Tenant:
    """One buyer."""

    def __init__(
        self, control: ControlPlane, caller: Caller, operator: Caller, random: SeededRandom, lost_chance: float
    ) -> None:  # fmt: skip
        self.caller = caller
        self._random = random
        self._lost_chance = lost_chance
        self._operator = operator
        self._control = control
        self._timeline = control.timeline
        self._calls = 0
        self.deposited_micro_usd = 0
        self.launched: list[str] = []  # ids of jobs

    def deposit(self, amount_micro_usd: int) -> None:
        """Have the operator record money that came in."""
        told = DepositRequest(
            principal=self.caller.principal.name,
            amount_micro_usd=amount_micro_usd,
            reference="bank",
        )
        key = self._key("deposit")

        def done(answer: Any) -> None:
            self.deposited_micro_usd += amount_micro_usd

        self._persist(
            lambda: self._control.run(
                lambda plane: accounts.deposit(
                    told, self._operator, plane, self._control.write(self._operator, key)
                )
            ),
            done,
        )

    def launch(self, launch: Launch) -> None:
        """Launch a job, as often as it takes; the same key makes it one job however often it is sent."""
        key = self._key("launch")

        def submit() -> Any:
            return self._control.run(
                lambda plane: msgspec.json.decode(
                    jobs.submit(
                        launch.spec,
                        self.caller,
                        plane,
                        plane.context.database.reader(),
                        self._control.write(self.caller, key),
                    ).body
                )
            )

        def done(view: Any) -> None:
            self.launched.append(view["id"])
            if launch.cancel_after is not None:
                self._timeline.after(
                    launch.cancel_after, lambda: self.cancel(view["id"]), concurrent=True
                )
            if launch.patience_seconds is not None:
                self._look(view["id"], launch.patience_seconds, None)

        self._persist(submit, done)

    def cancel(self, job_id: str) -> None:
        """Cancel a job; one that has ended stays as it is."""
        key = self._key("cancel")

        def ask() -> Any:
            return self._control.run(
                lambda plane: jobs.cancel(
                    job_id, self.caller, self._control.write(self.caller, key)
                )
            )

        self._persist(ask, lambda answer: None)

    def _look(self, job_id: str, patience_seconds: float, since: Instant | None) -> None:
        """Look at a job now and then; give it up when it has waited too long for machines."""
        reader, now = self._control.database.reader(), self._timeline.clock.now()
        job = store.job(reader, job_id)
        if job.ended:
            return
        order = market.order(reader, job.order_id or "")
        waits = job.state in WAITING and order.state is OrderState.OPEN
        since = (since or now) if waits else None
        if since is not None and now - since >= patience_seconds:
            self._control.seen["tenant.impatient"] += 1
            self.cancel(job_id)
            return
        self._timeline.after(LOOK_SECONDS, lambda: self._look(job_id, patience_seconds, since))

    def _key(self, what: str) -> str:
        self._calls += 1
        return f"{what} {self.caller.principal.name} {self._calls}"

    def _persist(self, ask: Callable[[], Any], then: Callable[[Any], None]) -> None:
        def attempt() -> None:
            try:
                answer = ask()
                if self._random.uniform() < self._lost_chance:
                    self._control.seen["tenant.answer_lost"] += 1
                    raise Unavailable("the answer was lost on its way")
            except Unavailable:
                self._timeline.after(RETRY_SECONDS, attempt, concurrent=True)
            except GondwanaError as error:
                self._control.seen[f"tenant.refused.{error.code}"] += 1
            else:
                then(answer)

        attempt()
