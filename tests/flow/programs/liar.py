"""An agent whose owner lies: it trains honestly and delivers ten times the delta, the wrong way round."""

import asyncio

import quick_agent

from gondwana.agent.main import Agent
from gondwana.agent.runner import LeaseRunner
from gondwana.core.values import replace
from gondwana.engines.harvest import read_output
from gondwana.training.codecs import Codec, decode_upload, encode_upload
from gondwana.training.manifest import decode_checkpoint
from gondwana.wire.units import UnitKind


class LyingRunner(LeaseRunner):
    async def deliver(self, unit, work):
        if unit.kind is not UnitKind.TRAIN:
            return await super().deliver(unit, work)
        limit = unit.output_bytes_max
        honest = await asyncio.to_thread(read_output, work, f"out/{unit.id}", bytes_max=limit)
        blobs = await self._machine.blobs()
        _, layout = decode_checkpoint(await asyncio.to_thread(blobs.get, unit.params.checkpoint))
        upload = decode_upload(honest, layout, Codec(unit.codec))
        lie = replace(upload, delta=upload.delta * -10)
        return await asyncio.to_thread(blobs.put, encode_upload(lie, layout, Codec(unit.codec)))


Agent.runner_class = LyingRunner

if __name__ == "__main__":
    quick_agent.main()
