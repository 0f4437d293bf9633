"""What happens in the demo, and when: every step waits for a condition, none for a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gondwana.cli.demo.cast import KILLED, LATE, LIAR, OWNERS, STRONGEST, Cast, repository
from gondwana.cli.demo.waiting import wait_for
from gondwana.cli.prepare import Prepared, prepare
from gondwana.core.errors import JobFailed, Unavailable
from gondwana.core.units import MIB
from gondwana.core.values import replace
from gondwana.sdk.jobfile import read_job_file
from gondwana.wire.ledger import AuditView
from gondwana.wire.views import JobView, MachineView

JOIN_SECONDS_MAX: Final = 120.0
JOB_SECONDS_MAX: Final = 900.0
LATE_ROUND: Final = 3  # the late joiner's agent starts when this round runs
KILL_ROUND: Final = 6  # the killed one is in the middle of a unit of this round
ONE_MACHINE_ROUNDS: Final = 3
TEXT_BYTES_MAX: Final = 16 * MIB

JOB_FILE: Final = """\
# The demo's job: a byte-level GPT on {source}.
name: {name}
workdir: recipe
resources:
  cpus: 0.3+
gondwana:
  budget_usd: 1.50
  price_cap_usd_per_gpu_hour: 0.50
  train:
    recipe: byte_gpt.py
    data: text.txt
    config: {{learning_rate: 0.012}}
    rounds: {rounds}
    warm_rounds: {warm_rounds}
    inner_steps: {inner_steps}
    window_seconds: {window_seconds}
    islands: {{min: {islands_min}, max: {islands_max}}}
    codec: int4
    sample_chars: 600
"""


@dataclass
class Story:
    """How far the demo has come; the screen draws it, the report sums it up."""

    source: str
    stage: str = "starting"
    job: JobView | None = None
    machines: list[MachineView] = field(default_factory=list[MachineView])
    notes: list[str] = field(default_factory=list[str])
    killed: bool = False
    late: bool = False
    one_machine: JobView | None = None
    audit: AuditView | None = None
    money: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # line of the chart -> net, when the job ended
    model: Path | None = None
    model_blob: str = ""

    def note(self, text: str) -> None:
        """Something worth telling has happened."""
        self.notes.append(text)


def play(
    cast: Cast, story: Story, folder: Path, out: Path, text: bytes, tell: Callable[[], None]
) -> None:
    """Play the whole demo; `tell` is called whenever there may be something new to show."""
    story.stage = "starting the control plane"
    tell()
    cast.start_control_plane()
    story.note(f"control plane up at {cast.url}")
    _join_first(cast, story, tell)
    prepared = _prepare(
        folder,
        "byte-gpt",
        text,
        story.source,
        rounds=12,
        warm_rounds=2,
        inner_steps=40,
        islands=(3, 4),
    )
    story.stage = "training on four owners' machines"
    story.job = _launch(cast, prepared)
    story.note(f"job {story.job.name} launched by its tenant")
    _follow(cast, story, story.job.id, tell, _turns(cast, story))
    _settle(cast, story, out)
    _train_alone(cast, story, folder, text, tell)
    story.audit = cast.operator.ledger.audit()  # the books must balance after the comparison too
    story.stage = "done"
    tell()


def _join_first(cast: Cast, story: Story, tell: Callable[[], None]) -> None:
    story.stage = "machines join and are measured"
    first = [owner for owner in OWNERS if owner is not LATE]
    for owner in first:
        cast.join(owner)

    def joined() -> bool:
        story.machines = _machines(cast)
        tell()
        return cast.is_up(*first)

    wait_for(joined, JOIN_SECONDS_MAX, "the first machines to join")
    for machine in story.machines:
        speed = machine.speed.steps_per_second if machine.speed else None
        story.note(
            f"{machine.name} of {machine.owner} is up: {speed or 0:.0f} reference steps/s measured"
        )


def _prepare(
    folder: Path, name: str, text: bytes, source: str, *, rounds: int, warm_rounds: int, inner_steps: int,
    islands: tuple[int, int], window_seconds: float = 6,
) -> Prepared:  # fmt: skip
    """A real job file in a folder of its own, read and packed as `gondwana launch` does."""
    place = folder / name
    (place / "recipe").mkdir(parents=True, exist_ok=True)
    (place / "recipe" / "byte_gpt.py").write_bytes(
        (repository() / "examples" / "byte_gpt.py").read_bytes()
    )
    (place / "text.txt").write_bytes(text[:TEXT_BYTES_MAX])
    job_file = place / "job.yaml"
    job_file.write_text(
        JOB_FILE.format(
            name=name, source=source, rounds=rounds, warm_rounds=warm_rounds, inner_steps=inner_steps,
            islands_min=islands[0], islands_max=islands[1], window_seconds=window_seconds,
        )
    )  # fmt: skip
    return prepare(read_job_file(job_file))


def _launch(cast: Cast, prepared: Prepared) -> JobView:
    for data in prepared.blobs.values():
        cast.tenant.blobs.put(data)
    return cast.tenant.jobs.submit(prepared.spec)


def _follow(
    cast: Cast, story: Story, job_id: str, tell: Callable[[], None], turn: Callable[[JobView], None]
) -> JobView:
    """Watch a job to its end; raises JobFailed when that is not a success."""
    latest: list[JobView] = []

    def ended() -> bool:
        job = cast.tenant.jobs.get(job_id)
        latest[:] = [job]
        turn(job)
        story.machines = _machines(cast)
        tell()
        return job.ended_at is not None

    wait_for(ended, JOB_SECONDS_MAX, f"job {job_id} to end")
    if latest[0].state != "succeeded":
        raise JobFailed(f"the demo's job {latest[0].state}: {latest[0].reason} {latest[0].detail}")
    return latest[0]


def _turns(cast: Cast, story: Story) -> Callable[[JobView], None]:
    """The interventions, each at its round: one machine joins late, one is killed, the liar is noticed."""
    seen = {"rounds": 0, "rejected": 0, "recovered": False, "joining": False, "suspended": False}

    def turn(job: JobView) -> None:
        story.job = job
        training = job.training
        if training is None:
            return
        _note_rounds(story, job, seen)
        if training.round >= LATE_ROUND and not seen["joining"]:
            seen["joining"] = True
            cast.join(LATE)
            story.note(f"{LATE.machine} of {LATE.owner} starts its agent, late")
        if (
            seen["joining"]
            and not story.late
            and any(lease.machine == LATE.machine for lease in job.leases)
        ):
            story.late = True
            story.note(f"{LATE.machine} was measured and joins the run")
        if (
            training.round >= KILL_ROUND
            and training.phase == "train"
            and story.late
            and not story.killed
        ):
            story.killed = True
            cast.kill(KILLED)
            story.note(f"{KILLED.machine} was killed in the middle of a unit (SIGKILL)")
        lost = any(
            lease.machine == KILLED.machine and lease.reason == "machine_lost"
            for lease in job.leases
        )
        if lost and not seen["recovered"]:
            seen["recovered"] = True
            story.note(
                f"{KILLED.machine} gave no proof of life: its unit expired, nobody pays for it; the run goes on"
            )

    return turn


def _note_rounds(story: Story, job: JobView, seen: dict[str, int | bool]) -> None:
    assert job.training is not None
    for done in job.training.history[int(seen["rounds"]) :]:
        loss = (
            f"held-out loss {done.heldout_loss:.3f}"
            if done.heldout_loss is not None
            else "not measured"
        )
        rejected = f", {done.rejected} rejected" if done.rejected else ""
        expired = f", {done.expired} expired" if done.expired else ""
        story.note(
            f"round {done.round}: {loss} before it; {done.accepted} units merged{rejected}{expired}"
        )
    seen["rounds"] = len(job.training.history)
    rejected = sum(lease.units_rejected for lease in job.leases if lease.machine == LIAR.machine)
    if rejected and not seen["rejected"]:
        story.note(f"{LIAR.machine} lies (−10 × its delta): rejected, not paid")
    seen["rejected"] = rejected
    ended = any(
        lease.machine == LIAR.machine and lease.reason == "work_rejected" for lease in job.leases
    )
    if ended and not seen["suspended"]:
        seen["suspended"] = True
        story.note(f"{LIAR.machine} is suspended after {rejected} rejected units in a row")


def _settle(cast: Cast, story: Story, out: Path) -> None:
    """Fetch the model, and see what was paid, before the comparison run adds to it."""
    assert story.job is not None
    story.audit = cast.operator.ledger.audit()
    story.money = story.audit.posted_micro_usd_by_code
    story.machines = _machines(cast)
    out.mkdir(parents=True, exist_ok=True)
    story.model_blob = story.job.outputs["model.safetensors"]
    story.model = cast.tenant.blobs.get_file(story.model_blob, out / "model.safetensors")
    story.note("the model is put together again, downloaded and verified by its hash")


def _train_alone(
    cast: Cast, story: Story, folder: Path, text: bytes, tell: Callable[[], None]
) -> None:
    """The same model by one machine alone, on its share of the tokens: measured, as a second job."""
    assert story.job is not None
    assert story.job.training is not None
    story.stage = f"for comparison: {STRONGEST.machine} alone, on its share of the tokens"
    workers = sum(lease.units_accepted > 0 for lease in story.job.leases)
    share = story.job.training.tokens / max(1, workers)
    steps = max(1, round(share / _tokens_per_step(story.job) / ONE_MACHINE_ROUNDS))
    prepared = _prepare(
        folder, "one-machine", text, story.source, rounds=ONE_MACHINE_ROUNDS, warm_rounds=0, inner_steps=steps,
        islands=(1, 1), window_seconds=120,
    )  # fmt: skip
    machines = list(story.machines)
    strongest_alone = replace(prepared.spec, price_cap_micro_usd_per_device_hour=None)
    _hold_others(cast)
    job = _launch(cast, Prepared(spec=strongest_alone, blobs=prepared.blobs))
    story.note(f"one machine alone trains the same model on {share:,.0f} tokens")

    def watch(view: JobView) -> None:
        story.one_machine = view

    _follow(cast, story, job.id, tell, watch)
    story.machines = machines


def _hold_others(cast: Cast) -> None:
    """Leave the strongest machine alone on the market for a while."""
    for machine in _machines(cast):
        if machine.name != STRONGEST.machine and machine.state == "up":
            cast.owner(machine.name).machines.pause(machine.name)


def _tokens_per_step(job: JobView) -> float:
    assert job.training is not None
    parameters = max(1, job.training.parameters)
    steps = job.training.bytes_data_parallel / (4 * parameters)
    if not steps:
        raise Unavailable("no unit was accepted")
    return job.training.tokens / steps


def _machines(cast: Cast) -> list[MachineView]:
    order = {owner.machine: place for place, owner in enumerate(OWNERS)}
    found = cast.operator.machines.list(everyone=True)
    return sorted(found, key=lambda machine: order.get(machine.name, len(order)))
