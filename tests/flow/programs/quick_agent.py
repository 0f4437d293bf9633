"""The agent with its speed measurement left out, which loads PyTorch once more, and with checkpoints sooner:
otherwise as people run it."""

import gondwana.agent.main as agent
from gondwana.agent import checkpoints
from gondwana.cli.main import main
from gondwana.wire.machines import MachineSpeed


async def known_speed(*_, **__):
    return MachineSpeed(steps_per_second=100.0)


agent.measure_speed = known_speed
checkpoints.REST_SECONDS = 1.0

if __name__ == "__main__":
    main()
