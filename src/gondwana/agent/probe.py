"""How fast this machine is, measured in a child process under its owner's terms."""

import sys
from pathlib import Path
from typing import Final

import msgspec

from gondwana.core.decoding import from_json
from gondwana.core.errors import Unavailable
from gondwana.core.units import MIB
from gondwana.core.values import replace
from gondwana.engines.base import Engine, Limits, Task
from gondwana.engines.collect import run_task
from gondwana.wire.machines import MachineSpeed

PROBE_COMMAND: Final = (sys.executable, "-m", "gondwana.training.speed")
PROBE_SECONDS_MAX: Final = 120.0  # loading PyTorch from a cold, slow disk under half a processor
PROBE_WORK_BYTES_MAX: Final = 64 * MIB


async def measure_speed(
    engine: Engine, work: Path, *, name: str, limits: Limits, devices: tuple[Path, ...] = ()
) -> MachineSpeed:
    """What a tenant's training would get here: measured through `engine` under the owner's `limits`.

    `work` is a folder of its own for the probe, `name` the task's. Raises Unavailable when nothing was measured.
    """
    own = replace(limits, seconds_max=PROBE_SECONDS_MAX, work_bytes_max=PROBE_WORK_BYTES_MAX)
    task = Task(name=name, command=PROBE_COMMAND, work=work, devices=devices, limits=own)
    done = await run_task(engine, task)
    if not done.end.succeeded:
        words = done.end.detail or done.stderr.decode(errors="replace").strip()[-300:]
        raise Unavailable(f"this machine's speed could not be measured: {done.end.kind}: {words}")
    try:
        return from_json(done.stdout.splitlines()[-1], MachineSpeed)
    except (msgspec.MsgspecError, IndexError) as error:
        raise Unavailable(
            "this machine's speed could not be measured: no numbers came back"
        ) from error
