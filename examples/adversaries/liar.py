"""An owner who lies: a patched agent that trains honestly and then delivers −10 times its delta.

The product's agent has no switch for this. Whoever controls a machine can change what runs on it, as this file does,
so the network must find out by itself: `gondwana demo` lets it join and shows what becomes of it.

    GONDWANA_TOKEN=… python examples/adversaries/liar.py URL NAME PRICE_USD CPUS STATE_FOLDER
"""

import asyncio
import os
import sys
from pathlib import Path

from blake3 import blake3

from gondwana.agent.main import Agent, run
from gondwana.agent.options import AgentOptions
from gondwana.agent.runner import LeaseRunner
from gondwana.core.money import parse_usd
from gondwana.core.values import replace
from gondwana.engines.harvest import read_output
from gondwana.training.codecs import Codec, decode_upload, encode_upload
from gondwana.training.manifest import decode_checkpoint
from gondwana.wire.units import UnitKind, UnitSpec

FACTOR = -10.0


class LyingRunner(LeaseRunner):
    async def deliver(self, unit: UnitSpec, work: Path) -> str | None:
        if unit.kind is not UnitKind.TRAIN or unit.params is None:
            return await super().deliver(unit, work)
        honest = await asyncio.to_thread(
            read_output, work, f"out/{unit.id}", bytes_max=unit.output_bytes_max
        )
        blobs = await self._machine.blobs()
        _, layout = decode_checkpoint(await asyncio.to_thread(blobs.get, unit.params.checkpoint))
        upload = decode_upload(honest, layout, Codec(unit.codec))
        lie = encode_upload(replace(upload, delta=upload.delta * FACTOR), layout, Codec(unit.codec))
        name = await asyncio.to_thread(blobs.put, lie)
        assert name == blake3(lie).hexdigest()
        return name


class LyingAgent(Agent):
    runner_class = LyingRunner


def main() -> None:
    url, name, price, cpus, state, *flags = sys.argv[1:]
    options = AgentOptions(
        url=url,
        token=os.environ["GONDWANA_TOKEN"],
        name=name,
        price_micro_usd_per_device_hour=parse_usd(price, field="price"),
        cpus_max=float(cpus),
        state_dir=Path(state),
        plain_for_own_jobs="--own-jobs-without-sandbox" in flags,
    )
    run(options, agent_class=LyingAgent)


if __name__ == "__main__":
    main()
