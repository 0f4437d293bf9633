"""Run an agent: join, measure, serve until the owner stops it. Ctrl-C finishes what runs; twice stops at once."""

import asyncio
import hashlib
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from gondwana.agent import core as decisions
from gondwana.agent.cache import BlobCache
from gondwana.agent.identity import Identity
from gondwana.agent.inventory import device_files, take_inventory
from gondwana.agent.link import Link
from gondwana.agent.options import AgentOptions
from gondwana.agent.pricing import follow_policy
from gondwana.agent.probe import measure_speed
from gondwana.agent.runner import LeaseRunner, Machine
from gondwana.core.errors import Unavailable
from gondwana.core.units import GIB
from gondwana.engines.base import Engine, Limits
from gondwana.engines.detect import SandboxReport, detect
from gondwana.engines.plain import Plain
from gondwana.engines.trees import remove_tree
from gondwana.sdk import Client
from gondwana.sdk.blobs import Blobs
from gondwana.wire import agent as wire
from gondwana.wire.machines import MachineInventory, MachineSpeed
from gondwana.wire.views import MachineRegistration

LINK_SECONDS_MAX: Final = (
    300.0  # a delivery waits so long for a link; the unit has expired long before
)
MEMORY_FRACTION: Final = (
    0.9  # of the machine's memory offered by default; the rest keeps the machine alive
)
DRAIN_POLL_SECONDS: Final = 0.2
_log = logging.getLogger(__name__)


def run(options: AgentOptions, agent_class: "type[Agent] | None" = None) -> None:
    """Serve until stopped. Raises GondwanaError when the machine cannot join, or is refused for good."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    asyncio.run((agent_class or Agent)(options).run())


class Agent:
    """One machine's agent."""

    runner_class: type[LeaseRunner] = LeaseRunner

    def __init__(self, options: AgentOptions) -> None:
        self._options = options
        self._folder = options.state_dir
        self._runners: dict[str, LeaseRunner] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        self._token = ""

    async def run(self) -> None:
        """Join, measure, serve."""
        identity = Identity.open(self._folder)
        try:
            report = await asyncio.to_thread(
                detect, owner=_owner_of(self._folder), hidden=(self._folder,)
            )
            engine, own_engine = _engines(
                report, plain_for_own_jobs=self._options.plain_for_own_jobs
            )
            inventory = await asyncio.to_thread(take_inventory, self._folder)
            for left in (self._folder / "leases").glob("*"):
                remove_tree(left)  # an earlier agent died here
            machine_id = await asyncio.to_thread(self._register, identity, inventory)
            await self._serve(identity, machine_id, inventory, engine, own_engine, report)
        finally:
            identity.close()

    async def _serve(
        self, identity: Identity, machine_id: str, inventory: MachineInventory, engine: Engine | None,
        own_engine: Engine | None, report: SandboxReport,
    ) -> None:  # fmt: skip
        self._core = decisions.AgentCore(machine_id, identity.sign)
        self._link = Link(
            self._options.url,
            identity,
            self._core,
            on_welcome=self._welcomed,
            on_desired=self._desired,
            peers=self._options.peers,
        )
        self._machine = Machine(
            core=self._core,
            engine=engine,
            own_engine=own_engine,
            limits=_limits(self._options, inventory),
            devices=device_files(self._indices(inventory)),
            cache=BlobCache(self._folder / "cache"),
            blobs=self._blobs,
            send=self._link.send,
        )
        linked = asyncio.create_task(self._link.run())
        working = asyncio.create_task(self._work(inventory, report))
        priced = self._priced()
        self._listen_for_signals(working)
        try:
            done, _ = await asyncio.wait({linked, working}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with suppress(asyncio.CancelledError):
                    task.result()
        finally:
            working.cancel()
            await asyncio.gather(
                *(runner.stop() for runner in self._runners.values()), return_exceptions=True
            )
            linked.cancel()
            priced.cancel()
            await asyncio.gather(linked, working, priced, return_exceptions=True)

    def _priced(self) -> asyncio.Task[None]:
        """Runs the owner's pricing script, if one sets the price and it can be run apart from everything else."""
        engine = self._machine.engine
        if engine is None:
            return asyncio.create_task(asyncio.sleep(0))
        return asyncio.create_task(
            follow_policy(
                lambda: Client(self._options.url, self._options.token),
                self._core.machine_id,
                engine,
                self._folder / "price",
            )
        )

    async def _work(self, inventory: MachineInventory, report: SandboxReport) -> None:
        """Measure the machine, offer it, and finish what runs once the owner wants it back."""
        speed = await self._measure()
        usable = self._machine.engine is not None
        isolation = "sandbox" if usable else "plain" if self._machine.own_engine else "none"
        self._link.send(wire.Facts(inventory=inventory, speed=speed, isolation=isolation))
        _log.info(
            "ready: %s, %s training steps/s measured; %s",
            self._options.name,
            f"{speed.steps_per_second:.1f}" if speed.steps_per_second else "no",
            "other people's work runs in a sandbox"
            if usable
            else f"no sandbox: {report.missing}. {report.hint}",
        )
        await self._draining.wait()
        self._link.send(wire.Draining())
        while self._core.serving or self._core.unreported:
            await asyncio.sleep(DRAIN_POLL_SECONDS)

    async def _measure(self) -> MachineSpeed:
        engine = self._machine.engine or self._machine.own_engine
        if engine is None:
            return MachineSpeed()
        folder = self._folder / "probe"
        try:
            return await measure_speed(
                engine, folder, name=f"probe-{self._core.machine_id}", limits=self._machine.limits,
                devices=self._machine.devices,
            )  # fmt: skip
        except Unavailable as error:
            _log.warning("%s", error)
            return MachineSpeed()
        finally:
            remove_tree(folder)

    def _welcomed(self, welcome: wire.Welcome) -> None:
        self._token = welcome.blob_token

    def _desired(self, message: wire.Desired) -> None:
        for action in self._core.desired(message):
            self._act(action)

    def _act(self, action: decisions.Action) -> None:
        match action:
            case decisions.Serve(duty=duty):
                folder = self._folder / "leases" / f"{duty.lease_id}-{duty.epoch}"
                runner = self.runner_class(self._machine, folder, duty)
                self._runners[duty.lease_id] = runner
                if duty.code is not None:
                    runner.warm()
            case decisions.StartRun(duty=duty):
                if duty.run is not None:
                    self._runners[duty.lease_id].start_run(duty.run)
            case decisions.StartUnit(lease_id=lease_id, unit=unit):
                self._runners[lease_id].start_unit(unit)
            case decisions.StopUnit(lease_id=lease_id, unit_id=unit_id):
                self._runners[lease_id].stop_unit(unit_id)
            case decisions.Warn(lease_id=lease_id, notice=notice, seconds_left=seconds_left):
                self._runners[lease_id].warn(notice, seconds_left)
            case decisions.Extend(lease_id=lease_id, run_id=run_id, seconds_max=seconds_max):
                self._runners[lease_id].extend(run_id, seconds_max)
            case decisions.StopLease(lease_id=lease_id):
                stopping = asyncio.create_task(self._runners.pop(lease_id).stop())
                self._stopping.add(stopping)
                stopping.add_done_callback(self._stopping.discard)

    async def _blobs(self) -> Blobs:
        try:
            async with asyncio.timeout(LINK_SECONDS_MAX):
                await self._link.welcomed.wait()
        except TimeoutError:
            raise Unavailable("the link to the control plane is down") from None
        return Client(self._options.url, self._token).blobs

    def _register(self, identity: Identity, inventory: MachineInventory) -> str:
        options, public_key = self._options, identity.public_key
        told = MachineRegistration(
            name=options.name,
            region=options.region or "home",
            public_key=public_key,
            signature=identity.sign(f"{options.name}|{public_key}".encode()).hex(),
            price_micro_usd_per_device_hour=options.price_micro_usd_per_device_hour,
            devices=max(1, len(self._indices(inventory))),
            cpus_max=options.cpus_max,
            memory_bytes_max=options.memory_bytes_max,
            sla=options.sla,
            country=options.country,
        )
        return Client(options.url, options.token).machines.register(told).id

    def _indices(self, inventory: MachineInventory) -> tuple[int, ...]:
        return (
            self._options.devices
            if self._options.devices is not None
            else tuple(range(len(inventory.accelerators)))
        )

    def _listen_for_signals(self, working: asyncio.Task[None]) -> None:
        def asked_to_stop() -> None:
            if self._draining.is_set():
                working.cancel()
                return
            self._draining.set()
            _log.info("finishing what runs, taking nothing new; press Ctrl-C again to stop at once")

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked_to_stop)


def _owner_of(folder: Path) -> str:
    """What this agent's tasks are marked with on this machine: by its folder, since two agents may share a name."""
    return hashlib.blake2b(str(folder.resolve()).encode(), digest_size=8).hexdigest()


def _engines(
    report: SandboxReport, *, plain_for_own_jobs: bool
) -> tuple[Engine | None, Engine | None]:
    if report.available:
        sandbox = report.sandbox()
        sandbox.sweep()
        return sandbox, None
    return None, Plain(trusted=True) if plain_for_own_jobs else None


def _limits(options: AgentOptions, inventory: MachineInventory) -> Limits:
    memory = options.memory_bytes_max or int(inventory.memory_bytes * MEMORY_FRACTION)
    return Limits(
        memory_bytes_max=memory,
        cpus=options.cpus_max,
        work_bytes_max=max(GIB, min(inventory.disk_free_bytes // 2, 100 * GIB)),
    )
