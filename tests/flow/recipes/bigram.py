"""The smallest model that learns to write: which byte follows which."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from gondwana.training.recipe import OptimizerSpec


@dataclass(frozen=True)
class Config:
    width: int = 16
    batch: int = 256
    learning_rate: float = 0.02
    pause_seconds: float = 0.0  # each training step takes this much longer


def model(config: Config) -> nn.Module:
    return nn.Sequential(nn.Embedding(256, config.width), nn.Linear(config.width, 256, bias=False))


def batches(data: np.ndarray, seed: int, config: Config) -> Iterator[tuple]:
    bytes_N = torch.from_numpy(data.astype(np.int64))
    generator = np.random.default_rng(seed)
    while True:
        if torch.is_grad_enabled():
            time.sleep(config.pause_seconds)
        places_B = torch.from_numpy(generator.integers(0, len(data) - 1, config.batch))
        yield bytes_N[places_B], bytes_N[places_B + 1]


def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
    ids_B, next_B = batch
    return nn.functional.cross_entropy(model(ids_B), next_B)


def optimizer(config: Config) -> OptimizerSpec:
    return OptimizerSpec(kind="adamw", lr=config.learning_rate)


def sample(model: nn.Module, config: Config, *, chars: int, seed: int) -> str:
    generator = torch.Generator().manual_seed(seed)
    ids = [32]
    for _ in range(chars):
        chances_V = model(torch.tensor(ids[-1:]))[0].softmax(-1)
        ids.append(int(torch.multinomial(chances_V, 1, generator=generator)))
    return bytes(ids[1:]).decode("utf-8", "replace")
