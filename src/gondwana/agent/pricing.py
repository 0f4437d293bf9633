"""The owner's own pricing script, run on his machine in the sandbox: no network, ten seconds, JSON in and out.

Its input is one JSON object, the question; the last line it prints is the answer:
`{"price_micro_usd_per_device_hour": 250000}`. The control plane is told what it said, holds that at the owner's floor
and ceiling, and says so; when it fails the price stays, and the owner is told why.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gondwana.core.decoding import from_json
from gondwana.core.errors import GondwanaError
from gondwana.core.units import MIB
from gondwana.engines.base import Engine, Limits, Task
from gondwana.engines.collect import run_task
from gondwana.engines.trees import remove_tree
from gondwana.sdk import Client
from gondwana.wire.pricing import PolicyKind, PricingView, ScriptAnswer

LOOK_SECONDS: Final = 60.0  # between two questions
SCRIPT_SECONDS_MAX: Final = 10.0
ANSWER_BYTES_MAX: Final = 4_096
COMMAND: Final = ("python3", "-I", "price.py")
LIMITS: Final = Limits(
    memory_bytes_max=256 * MIB,
    pids_max=64,
    work_bytes_max=16 * MIB,
    work_entries_max=1_000,
    tmp_bytes_max=16 * MIB,
    shared_memory_bytes_max=16 * MIB,
    seconds_max=SCRIPT_SECONDS_MAX,
)
_log = logging.getLogger(__name__)


class _Told(msgspec.Struct, frozen=True):
    """What a script prints."""

    price_micro_usd_per_device_hour: int


async def follow_policy(
    client: Callable[[], Client], machine_id: str, engine: Engine, folder: Path
) -> None:
    """Ask the owner's script again and again, as long as a script sets the price; ends only when cancelled."""
    while True:
        try:
            machines = client().machines
            view = await asyncio.to_thread(machines.pricing, machine_id)
            if view.policy is not None and view.policy.kind is PolicyKind.SCRIPT:
                answer = await ask_script(engine, folder, view, name=f"price-{machine_id}")
                await asyncio.to_thread(machines.answer_pricing, machine_id, answer)
        except GondwanaError as error:  # the link is down, or the policy has just changed
            _log.info("pricing script: %s", error)
        except Exception:  # nothing about a price may stop the machine's work
            _log.exception("pricing script")
        await asyncio.sleep(LOOK_SECONDS)


async def ask_script(engine: Engine, folder: Path, view: PricingView, *, name: str) -> ScriptAnswer:
    """What the policy's script says to the question of this moment; a failure is an answer too."""
    assert view.policy is not None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "price.py").write_text(view.policy.script, encoding="utf-8")
        task = Task(name=name, command=COMMAND, work=folder, limits=LIMITS)
        done = await run_task(engine, task, stdin=question(view), bytes_max=ANSWER_BYTES_MAX)
    except GondwanaError as error:
        return ScriptAnswer(error=f"it could not be run: {error.message}")
    finally:
        remove_tree(folder)
    if not done.end.succeeded:
        words = done.end.detail or done.stderr.decode(errors="replace").strip().split("\n")[-1]
        return ScriptAnswer(error=f"{done.end.kind.replace('_', ' ')}: {words}".rstrip(": "))
    try:
        told = from_json(done.stdout.strip().split(b"\n")[-1], _Told)
    except msgspec.MsgspecError as error:
        return ScriptAnswer(error=f"its last line is no answer: {error}")
    return ScriptAnswer(price_micro_usd_per_device_hour=told.price_micro_usd_per_device_hour)


def question(view: PricingView) -> bytes:
    """What a script reads on its input: the market's depth and its own machine's state, one JSON object."""
    assert view.policy is not None
    facts = {} if view.facts is None else msgspec.to_builtins(view.facts)
    asked = {
        name: value
        for name, value in facts.items()
        if not name.startswith("answer") and name != "answered_at"
    }
    asked["machine"] = view.machine
    asked["floor_micro_usd_per_device_hour"] = view.policy.floor_micro_usd_per_device_hour
    asked["ceiling_micro_usd_per_device_hour"] = view.policy.ceiling_micro_usd_per_device_hour
    return msgspec.json.encode(asked) + b"\n"
