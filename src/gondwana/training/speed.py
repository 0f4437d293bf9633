"""How fast this machine trains: `python -m gondwana.training.speed` prints a `MachineSpeed` as one line of JSON.

Three numbers, each measured for about a second on the device that training would use: a matrix product (float32 on a
processor, bfloat16 on an accelerator), a copy in memory, and steps of a fixed small transformer trained by AdamW.
Work is counted over whole stretches of time, so that a limit on processor time shows in full.
"""

import importlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gondwana.wire.machines import MachineSpeed

SECONDS_EACH: Final = 1.2
MATRIX_SIDE: Final = {
    "cpu": 768,
    "cuda": 8192,
}  # large enough for full speed, small enough for a slow machine
COPY_BYTES: Final = 64 * 1024**2
WIDTH, HEADS, LAYERS, CONTEXT, BATCH, SYMBOLS = (
    128,
    4,
    2,
    64,
    8,
    256,
)  # the reference step, never to be changed


def measure(seconds_each: float = SECONDS_EACH) -> MachineSpeed:
    """What can be measured here; nothing but None without PyTorch."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        return MachineSpeed()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(int(os.environ.get("GONDWANA_THREADS", "1")))  # as for units
    torch.manual_seed(0)
    finish = torch.cuda.synchronize if device == "cuda" else _nothing
    side = MATRIX_SIDE[device]
    products = _rate(_matmul(torch, device, side), finish, seconds_each)
    copies = _rate(_copy(torch, device), finish, seconds_each)
    steps = _rate(_training_step(torch, device), finish, seconds_each)
    return MachineSpeed(
        matmul_gflops=round(products * 2 * side**3 / 1e9, 2),
        memory_bytes_per_second=round(copies * 2 * COPY_BYTES),
        steps_per_second=round(steps, 3),
        torch=str(torch.__version__),
    )


def _rate(act: Callable[[], object], finish: Callable[[], object], seconds: float) -> float:
    """How often per second `act` can be done, after one time to warm up."""
    act()
    finish()
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        act()
        finish()
        count += 1
    return count / spent


def _nothing() -> None:
    return None


def _matmul(torch: Any, device: str, side: int) -> Callable[[], object]:
    kind = torch.float32 if device == "cpu" else torch.bfloat16
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    return lambda: left @ right


def _copy(torch: Any, device: str) -> Callable[[], object]:
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _training_step(torch: Any, device: str) -> Callable[[], object]:
    nn = torch.nn
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
    )
    model = nn.Sequential(
        nn.Embedding(SYMBOLS, WIDTH),
        nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False),
        nn.Linear(WIDTH, SYMBOLS),
    ).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens_BT = torch.randint(SYMBOLS, (BATCH, CONTEXT), device=device)

    def step() -> None:
        logits_BTV = model(tokens_BT)
        loss = nn.functional.cross_entropy(logits_BTV.flatten(0, 1), tokens_BT.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(measure()).decode() + "\n")
