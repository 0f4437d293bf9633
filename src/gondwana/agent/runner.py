"""One lease's work on this machine: fetch what it needs, run it in the sandbox, take what it leaves, deliver it."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gondwana.agent.cache import BlobCache
from gondwana.agent.checkpoints import CHECKPOINT_LIMITS, Checkpoints
from gondwana.agent.core import AgentCore, Report
from gondwana.agent.notices import NOTICE_FILE, Notices
from gondwana.core.errors import GondwanaError, InvalidValue, ManifestMismatch, SandboxUnavailable
from gondwana.core.units import MIB
from gondwana.core.values import replace
from gondwana.engines.archive import unpack
from gondwana.engines.base import INPUTS, WORK, Bind, End, EndKind, Engine, Limits, Process, Task
from gondwana.engines.harvest import TreeLimits, pack_outputs, read_output
from gondwana.engines.trees import remove_tree
from gondwana.engines.worker import UnitFailure, Worker
from gondwana.sdk.blobs import Blobs
from gondwana.wire.agent import LOG_CHUNK_BYTES_MAX, LeaseDuty, LeaseNotice, RunDuty
from gondwana.wire.manifests import batch_manifest, training_manifest
from gondwana.wire.units import UnitKind, UnitResult, UnitSpec, WorkerRequest

UNIT_COMMAND: Final = (sys.executable, "-m", "gondwana.training.unit")
OUTPUT_FOLDER: Final = "output"
CHECKPOINT_FOLDER: Final = "checkpoint"
SCRIPT_FOLDER: Final = ".gondwana"
OUTPUT_LIMITS: Final = TreeLimits(bytes_max=1024 * MIB, file_bytes_max=1024 * MIB)
UNREPORTED_MAX: Final = (
    256  # reports waiting for the control plane; past it a job's output waits in its pipe
)
LOG_PAUSE_SECONDS: Final = 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What leases share: engines, limits, the cache, the way to the control plane."""

    core: AgentCore
    engine: Engine | None  # for anybody's work
    own_engine: Engine | None  # for the owner's own jobs, where a plain process was allowed
    limits: Limits
    devices: tuple[Path, ...]
    cache: BlobCache
    blobs: Callable[[], Awaitable[Blobs]]  # waits for a link
    send: Callable[[Report | None], None]

    def engine_for(self, duty: LeaseDuty) -> Engine:
        """The engine that may run this lease's work; raises SandboxUnavailable."""
        engine = self.engine or (self.own_engine if duty.own else None)
        if engine is None:
            raise SandboxUnavailable(hint="gondwana doctor")
        return engine


class LeaseRunner:
    """Serves one lease until it is stopped."""

    def __init__(self, machine: Machine, folder: Path, duty: LeaseDuty) -> None:
        self._machine = machine
        self._folder = folder
        self._duty = duty
        self._worker: Worker | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._notices = Notices(folder / "notices")
        self._seconds_max: dict[str, float] = {}  # run -> how long it may take by now
        self._processes: dict[str, Process] = {}

    def warn(self, notice: LeaseNotice | None, seconds_left: float) -> None:
        """Tell the lease's work that it is about to end, or that it goes on after all."""
        self._notices.tell(notice, seconds_left)

    def start_run(self, run: RunDuty) -> None:
        """Execute a batch run, and report what comes of it."""
        self._tasks[run.run_id] = asyncio.create_task(self._run(run))

    def extend(self, run_id: str, seconds_max: float) -> None:
        """Let a run take so much time in all."""
        self._seconds_max[run_id] = seconds_max
        if run_id in self._processes:
            self._processes[run_id].extend(seconds_max)

    def start_unit(self, unit: UnitSpec) -> None:
        """Do a unit, and deliver it."""
        self._tasks[unit.id] = asyncio.create_task(self._unit(unit))

    def warm(self) -> None:
        """Start the training worker before its first unit comes."""
        self._tasks["warm"] = asyncio.create_task(self._warm())

    def stop_unit(self, unit_id: str) -> None:
        """Give up a unit."""
        task = self._tasks.pop(unit_id, None)
        if task is not None:
            task.cancel()

    async def stop(self) -> None:
        """Stop everything of this lease and remove its files."""
        self._notices.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._worker is not None:
            await self._worker.close()
        await asyncio.to_thread(remove_tree, self._folder)

    async def deliver(self, unit: UnitSpec, work: Path) -> str | None:
        """Take the unit's output from the hostile work folder and upload it; its blob's name."""
        if unit.kind is UnitKind.EVALUATE:
            return None
        data = await asyncio.to_thread(
            read_output, work, f"out/{unit.id}", bytes_max=unit.output_bytes_max
        )
        return await self._upload(data)

    async def _upload(self, data: bytes) -> str:
        blobs = await self._machine.blobs()
        return await asyncio.to_thread(blobs.put, data)

    async def _warm(self) -> None:
        try:
            worker = await self._training_worker()
            await worker.warm()
        except (GondwanaError, OSError) as error:
            _log.warning(
                "the worker of lease %s could not be warmed up: %s", self._duty.lease_id, error
            )

    async def _unit(self, unit: UnitSpec) -> None:
        core, lease_id = self._machine.core, self._duty.lease_id
        try:
            check_manifest(self._duty, unit)
            worker = await self._training_worker()
            await self._fetch(unit)
            core.set_alive(lease_id, alive=True)
            request = self._request(unit)
            answer = await worker.run(request, seconds_max=unit.seconds_max)
            if isinstance(answer, UnitResult):
                output = await self.deliver(unit, self._work)
                self._machine.send(
                    core.report_unit(lease_id, unit.id, output=output, result=answer)
                )
            else:
                self._machine.send(core.report_unit(lease_id, unit.id, failure=_failure(answer)))
        except Exception as error:  # whatever it is: a unit without a word would be waited for
            _log.warning("unit %s failed: %s", unit.id, error, exc_info=_surprise(error))
            self._machine.send(core.report_unit(lease_id, unit.id, failure=_agent_failure(error)))
        finally:
            core.set_alive(lease_id, alive=False)

    def _request(self, unit: UnitSpec) -> WorkerRequest:
        inside = self._machine.engine is not None
        inputs = INPUTS if inside else str(self._inputs)
        work = WORK if inside else str(self._work)
        return WorkerRequest(unit=unit, inputs=inputs, output=f"{work}/out/{unit.id}")

    async def _training_worker(self) -> Worker:
        if self._worker is None:
            engine = self._machine.engine_for(self._duty)
            self._inputs.mkdir(parents=True, exist_ok=True)
            self._inputs.chmod(0o755)
            (self._work / "out").mkdir(parents=True, exist_ok=True)
            task = Task(
                name=self._duty.lease_id,
                command=UNIT_COMMAND,
                work=self._work,
                read_only=(Bind(outside=self._inputs, inside=INPUTS),),
                devices=self._machine.devices,
                environment=_threads(self._machine.limits),
                limits=self._machine.limits,
            )
            self._worker = Worker(engine, task, on_log=lambda line: _log.debug("worker: %s", line))
        return self._worker

    async def _fetch(self, unit: UnitSpec) -> None:
        """Put every blob the unit names into the folder that the worker may read."""
        blobs = await self._machine.blobs()
        names = _blobs_of(unit)

        def fetch() -> None:
            for name in names:
                self._machine.cache.put_into(blobs, name, self._inputs)
            code = self._inputs / "code"
            if not code.exists():
                unpack(self._machine.cache.get(blobs, unit.code), code)

        await asyncio.to_thread(fetch)

    async def _run(self, run: RunDuty) -> None:
        core, lease_id = self._machine.core, self._duty.lease_id
        send = self._machine.send
        try:
            check_manifest(self._duty, run)
            send(core.report_run(lease_id, run.run_id, "preparing"))
            task = await self._prepare(run)
            process = await self._machine.engine_for(self._duty).start(task)
            self._processes[run.run_id] = process
            process.extend(self._seconds_max.get(run.run_id, run.seconds_max))
            core.set_alive(lease_id, alive=True)
            send(core.report_run(lease_id, run.run_id, "running"))
            end = await self._follow_and_save(run, process)
            core.set_alive(lease_id, alive=False)
            output = await self._outputs(run)
            reason = "" if end.kind is EndKind.EXITED else str(end.kind)
            code = end.exit_code if end.exit_code is not None else 137
            send(
                core.report_run(
                    lease_id, run.run_id, "exited", exit_code=code, reason=reason, output=output
                )
            )
        except Exception as error:  # whatever it is: a run without a word would be waited for
            _log.warning("run %s failed: %s", run.run_id, error, exc_info=_surprise(error))
            send(core.report_run(lease_id, run.run_id, "exited", reason=_agent_failure(error)))
        finally:
            core.set_alive(lease_id, alive=False)

    async def _follow_and_save(self, run: RunDuty, process: Process) -> End:
        """Follow a run to its end, keeping what it saves; a run that did not succeed has saved its last, too."""
        checkpoints = self._checkpoints(run)
        await asyncio.to_thread(checkpoints.begin)
        beside = [
            asyncio.create_task(checkpoints.keep(self._notices.last_call)),
            asyncio.create_task(self._pass_on(process)),
        ]
        try:
            end = await self._follow(run, process)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        if not end.succeeded:
            await checkpoints.save()
        return end

    def _checkpoints(self, run: RunDuty) -> Checkpoints:
        def saved(blob: str) -> None:
            report = self._machine.core.report_checkpoint(self._duty.lease_id, run.run_id, blob)
            self._machine.send(report)

        folder, archive = self._work / CHECKPOINT_FOLDER, self._folder / "checkpoint.tar"
        return Checkpoints(folder, archive, self._machine.blobs, saved)

    async def _pass_on(self, process: Process) -> None:
        """The last call, once, to what catches it; once more where the lease was extended after it."""
        while True:
            await self._notices.last_call.wait()
            told = await asyncio.to_thread(process.warn)
            _log.info("lease %s is about to end: %d processes told", self._duty.lease_id, told)
            await self._notices.taken_back.wait()

    async def _follow(self, run: RunDuty, process: Process) -> End:
        """Pass a run's output on until its end; stopping this stops the run."""
        offset = 0
        try:
            process.stdin.close()
            async for data in _merged(process):
                while self._machine.core.unreported > UNREPORTED_MAX:
                    await asyncio.sleep(
                        LOG_PAUSE_SECONDS
                    )  # the link is down or slow: let the job wait
                self._machine.send(
                    self._machine.core.report_log(self._duty.lease_id, run.run_id, offset, data)
                )
                offset += len(data)
            return await process.wait()
        except BaseException:
            await process.kill()
            raise

    async def _prepare(self, run: RunDuty) -> Task:
        blobs = await self._machine.blobs()
        inside = self._machine.engine is not None
        work = WORK if inside else str(self._work)

        def fetch() -> tuple[Bind, ...]:
            self._work.mkdir(parents=True, exist_ok=True)
            if run.workdir is not None:
                unpack(self._machine.cache.get(blobs, run.workdir), self._work / "workdir")
            (self._work / "workdir").mkdir(exist_ok=True)
            (self._work / OUTPUT_FOLDER).mkdir(exist_ok=True)
            self._restore(blobs, run.checkpoint)
            self._notices.folder.mkdir(parents=True, exist_ok=True)
            self._notices.folder.chmod(0o755)
            script = self._work / SCRIPT_FOLDER / "run.sh"
            script.parent.mkdir(exist_ok=True)
            script.write_text(_script(run))
            return tuple(
                self._mount(blobs, path, name, inside=inside)
                for path, name in run.file_mounts.items()
            )

        binds = await asyncio.to_thread(fetch)
        notices = Bind(outside=self._notices.folder, inside=INPUTS)
        told = INPUTS if inside else str(self._notices.folder)
        return Task(
            name=run.run_id,
            command=("/bin/bash", f"{work}/{SCRIPT_FOLDER}/run.sh"),
            work=self._work,
            folder="workdir",
            read_only=(*binds, notices),
            devices=self._machine.devices,
            environment={
                **run.envs,
                **run.environment,
                **_threads(self._machine.limits),
                "GONDWANA_OUTPUT": f"{work}/{OUTPUT_FOLDER}",
                "GONDWANA_CHECKPOINT": f"{work}/{CHECKPOINT_FOLDER}",
                "GONDWANA_NOTICE": f"{told}/{NOTICE_FILE}",
            },
            limits=replace(self._machine.limits, seconds_max=run.seconds_max),
        )

    def _restore(self, blobs: Blobs, checkpoint: str | None) -> None:
        """What an earlier attempt saved is there before the command starts."""
        folder = self._work / CHECKPOINT_FOLDER
        if checkpoint is None:
            folder.mkdir(exist_ok=True)
        elif not folder.exists():
            unpack(self._machine.cache.get(blobs, checkpoint), folder, CHECKPOINT_LIMITS)

    def _mount(self, blobs: Blobs, path: str, name: str, *, inside: bool) -> Bind:
        if not inside:
            raise InvalidValue("file_mounts need a sandbox", field="file_mounts", value=path)
        folder = self._folder / "mounts" / name
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            unpack(self._machine.cache.get(blobs, name), folder)
        target = f"{WORK}/{path[2:]}" if path.startswith("~/") else path
        return Bind(
            outside=folder, inside=target if target.startswith("/") else f"{WORK}/workdir/{target}"
        )

    async def _outputs(self, run: RunDuty) -> str | None:
        """What the run left in its output folder, as an uploaded tar; None when it left nothing."""
        archive = self._folder / "output.tar"
        harvest = await asyncio.to_thread(
            pack_outputs, self._work / OUTPUT_FOLDER, archive, OUTPUT_LIMITS
        )
        for left in harvest.left_out[:5]:
            _log.info("run %s: not taken: %s", run.run_id, left)
        if not harvest.files:
            return None
        blobs = await self._machine.blobs()
        return await asyncio.to_thread(blobs.put_file, archive)

    @property
    def _work(self) -> Path:
        return self._folder / "work"

    @property
    def _inputs(self) -> Path:
        return self._folder / "inputs"


def check_manifest(duty: LeaseDuty, work: RunDuty | UnitSpec) -> None:
    """Raise ManifestMismatch for work that is not what was ordered; orders from before manifests have no hash."""
    if isinstance(work, UnitSpec):
        found = training_manifest(code=work.code, recipe=work.recipe)
    else:
        found = batch_manifest(
            setup=work.setup, run=work.run, envs=work.envs, workdir=work.workdir, file_mounts=work.file_mounts
        )  # fmt: skip
    if duty.manifest_hash not in ("", found):
        raise ManifestMismatch(ordered=duty.manifest_hash, arrived=found)


def _script(run: RunDuty) -> str:
    """Set-up, then the command: as in a SkyPilot task, a failing set-up ends the run with its code."""
    setup = f"(\n{run.setup}\n) || exit $?\n" if run.setup.strip() else ""
    return f"{setup}{run.run}\n"


def _threads(limits: Limits) -> Mapping[str, str]:
    return {"GONDWANA_THREADS": str(max(1, round(limits.cpus)))} if limits.cpus else {}


def _blobs_of(unit: UnitSpec) -> list[str]:
    names = [*unit.shards, *unit.heldout, *unit.unassigned]
    if unit.params is not None:
        names += [unit.params.checkpoint, *unit.params.changes]
    if unit.state is not None:
        names.append(unit.state)
    for candidate in unit.candidates:
        names += [candidate.delta, *candidate.shards]
    return list(dict.fromkeys(names))


def _failure(failure: UnitFailure) -> str:
    return f"{failure.reason}: {failure.detail}"[:2000]


def _surprise(error: Exception) -> bool:
    """Whether an error is none that this program foresees, so that its log should say where it came from."""
    return not isinstance(error, GondwanaError | OSError)


def _agent_failure(error: Exception) -> str:
    """A failure of this machine's, or of what a job left where its output should be."""
    if not isinstance(error, GondwanaError):
        return f"agent: {type(error).__name__}: {error}"[:2000]
    if isinstance(error, ManifestMismatch):
        return f"{error.code}: {error.message}"
    if isinstance(error, SandboxUnavailable):
        return f"sandbox_unavailable: {error.message}"
    blame = "job" if error.status in (404, 413, 422) else "agent"
    return f"{blame}: {type(error).__name__}: {error.message}"[:2000]


async def _merged(process: Process) -> AsyncIterator[bytes]:
    """Standard output and error as they come."""
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(16)

    async def pump(stream: asyncio.StreamReader) -> None:
        while data := await stream.read(LOG_CHUNK_BYTES_MAX):
            await pieces.put(data)
        await pieces.put(None)

    pumps = [asyncio.create_task(pump(stream)) for stream in (process.stdout, process.stderr)]
    try:
        for _ in pumps:
            while (data := await pieces.get()) is not None:
                yield data
    finally:
        for task in pumps:
            task.cancel()
