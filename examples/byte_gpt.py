"""A small GPT over bytes, trained over islands: `gondwana launch examples/byte_gpt.yaml`.

Plain and modern: rotary positions, RMS norm without weights, squared ReLU, no biases.
Shapes: B batch, T time, D width, H heads, K head width, V vocabulary (256 bytes).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gondwana.training.recipe import OptimizerSpec


@dataclass(frozen=True)
class Config:
    """Half a million parameters by default: it learns to write words within two minutes on slow cores."""

    width: int = 128
    layers: int = 3
    heads: int = 4
    time: int = 96
    batch: int = 8
    learning_rate: float = 12e-3


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


class Block(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        width = config.width
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x_BTD: Tensor, turn_TK: tuple[Tensor, Tensor]) -> Tensor:
        x_BTD = x_BTD + self.attend(norm(x_BTD), turn_TK)
        return x_BTD + self.down(F.relu(self.up(norm(x_BTD))).square())

    def attend(self, x_BTD: Tensor, turn_TK: tuple[Tensor, Tensor]) -> Tensor:
        split = (*x_BTD.shape[:2], self.heads, -1)
        q_BHTK, k_BHTK, v_BHTK = (
            part(x_BTD).view(split).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        q_BHTK, k_BHTK = rotate(norm(q_BHTK), turn_TK), rotate(norm(k_BHTK), turn_TK)
        y_BHTK = F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True)
        return self.out(y_BHTK.transpose(1, 2).flatten(2))


def turns(time: int, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's angles (rotary position embedding, arXiv 2104.09864)."""
    speed = 1000.0 ** -torch.linspace(0, 1, head_width // 2)
    angle_TK = torch.arange(time).float()[:, None] * speed
    return angle_TK.cos(), angle_TK.sin()


def rotate(x_BHTK: Tensor, turn_TK: tuple[Tensor, Tensor]) -> Tensor:
    cos_TK, sin_TK = turn_TK
    a, b = x_BHTK.chunk(2, dim=-1)
    return torch.cat([a * cos_TK - b * sin_TK, a * sin_TK + b * cos_TK], dim=-1)


class ByteGPT(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, 256, bias=False)
        cos_TK, sin_TK = turns(config.time, config.width // config.heads)
        self.register_buffer("cos_TK", cos_TK, persistent=False)
        self.register_buffer("sin_TK", sin_TK, persistent=False)
        nn.init.zeros_(self.head.weight)
        for block in self.blocks:  # each block starts as the identity
            nn.init.zeros_(block.out.weight)
            nn.init.zeros_(block.down.weight)

    def forward(self, ids_BT: Tensor) -> Tensor:
        turn_TK = self.cos_TK[: ids_BT.size(1)], self.sin_TK[: ids_BT.size(1)]
        x_BTD = norm(self.embed(ids_BT))
        for block in self.blocks:
            x_BTD = block(x_BTD, turn_TK)
        return self.head(norm(x_BTD))


def model(config: Config) -> nn.Module:
    return ByteGPT(config)


def batches(data: np.ndarray, seed: int, config: Config) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows at random places of the data, for ever; data and seed decide everything."""
    bytes_N = torch.from_numpy(data.astype(np.int64))
    generator = np.random.default_rng(seed)
    window_T = torch.arange(config.time + 1)
    while True:
        starts_B = torch.from_numpy(generator.integers(0, len(data) - config.time, config.batch))
        ids_BT = bytes_N[starts_B[:, None] + window_T]
        yield ids_BT[:, :-1], ids_BT[:, 1:]


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    ids_BT, next_BT = batch
    return F.cross_entropy(model(ids_BT).flatten(0, 1), next_BT.flatten())


def optimizer(config: Config) -> OptimizerSpec:
    return OptimizerSpec(kind="muon", lr=config.learning_rate)


def sample(model: nn.Module, config: Config, *, chars: int, seed: int) -> str:
    """What the model writes, one byte at a time, a little cooler than it thinks."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    ids_T = torch.tensor([10])  # a newline
    for _ in range(chars):
        logits_V = model(ids_T[None, -config.time :].to(device))[0, -1].cpu() / 0.8
        ids_T = torch.cat([ids_T, torch.multinomial(logits_V.softmax(-1), 1, generator=generator)])
    return bytes(ids_T[1:].tolist()).decode("utf-8", "replace")
