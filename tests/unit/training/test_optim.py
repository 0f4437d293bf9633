"""The inner optimisers: AdamW is torch's, Muon's steps are orthogonal, published state continues a run."""

import numpy as np
import pytest
import torch
from torch import nn

from gondwana.core.errors import InvalidValue
from gondwana.core.values import replace
from gondwana.training.codecs import State
from gondwana.training.manifest import Group, Tensor
from gondwana.training.optim import InnerOptimizer, layout_of, orthogonal, reconstruct, trainable
from gondwana.training.recipe import OptimizerKind, OptimizerSpec

pytestmark = pytest.mark.torch
ADAMW = OptimizerSpec(kind=OptimizerKind.ADAMW, lr=1e-2, weight_decay=0.0, clip_norm=1e9)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(5, 4)
        self.inner = nn.Linear(4, 6)
        self.head = nn.Linear(6, 5, bias=False)

    def forward(self, ids):
        return self.head(torch.tanh(self.inner(self.embed(ids))))


def run(model, optimizer, steps, first=0):
    for index in range(first, first + steps):
        generator = torch.Generator().manual_seed(index)
        ids = torch.randint(0, 5, (16,), generator=generator)
        model.zero_grad()
        nn.functional.cross_entropy(model(ids), (ids * 2) % 5).backward()
        optimizer.step() if isinstance(optimizer, torch.optim.Optimizer) else optimizer.step(1.0)


def optimizer_for(model, spec, state=None):
    parameters = [parameter for _, parameter in trainable(model)]
    return InnerOptimizer(parameters, layout_of(model, spec), spec, state)


def test_adamw_is_torchs():
    ours, theirs = Small(), Small()
    run(ours, optimizer_for(ours, ADAMW), 10)
    run(theirs, torch.optim.AdamW(theirs.parameters(), lr=1e-2, betas=ADAMW.betas, weight_decay=0.0), 10)  # fmt: skip
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_weight_decay_shrinks_matrices_and_leaves_vectors_alone():
    model = Small()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer_for(model, replace(ADAMW, weight_decay=0.5)).step(1.0)
    for old, new in zip(before, model.parameters(), strict=True):
        torch.testing.assert_close(new, old * (1 - 1e-2 * 0.5) if old.ndim > 1 else old)


def test_gradients_are_clipped_to_the_norm():
    model = Small()
    optimizer = optimizer_for(model, replace(ADAMW, clip_norm=1e-3))
    run(model, optimizer, 1)
    norm = torch.cat([p.grad.reshape(-1) for p in model.parameters()]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-2)


def test_muon_takes_matrices_and_leaves_embeddings_heads_and_vectors_to_adamw():
    groups = {tensor.name: tensor.group for tensor in layout_of(Small(), OptimizerSpec()).tensors}
    assert groups == {
        "embed.weight": Group.ADAMW, "inner.weight": Group.MUON, "inner.bias": Group.ADAMW, "head.weight": Group.ADAMW,
    }  # fmt: skip
    assert {t.group for t in layout_of(Small(), ADAMW).tensors} == {Group.ADAMW}


@pytest.mark.parametrize("shapes", [[(8, 8)], [(8, 24), (24, 8), (8, 24)], [(4, 9), (6, 6)]])
def test_a_muon_step_is_nearly_orthogonal_and_keeps_each_matrix_own_directions(shapes):
    torch.manual_seed(0)
    matrices = [torch.randn(shape) for shape in shapes]
    for matrix, result in zip(matrices, orthogonal(matrices), strict=True):
        assert result.shape == matrix.shape
        values = torch.linalg.svdvals(result)
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
        u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
        assert float((result * (u @ vh)).sum()) / min(matrix.shape) > 0.8


def test_row_and_column_means_give_back_what_has_rank_one():
    rows, columns = np.array([1.0, 2, 3], np.float32), np.array([4.0, 5], np.float32)
    matrix = np.outer(rows, columns)
    means = np.concatenate([matrix.mean(1), matrix.mean(0)]).astype(np.float32)
    tensor = Tensor(name="w", shape=(3, 2))
    np.testing.assert_allclose(reconstruct(means, tensor), matrix, rtol=1e-6)
    assert not reconstruct(np.zeros(5, np.float32), tensor).any()


def apart(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return float(torch.cat([(a - b).reshape(-1) for a, b in pairs]).norm().detach())


def test_a_run_that_hands_its_state_over_goes_on_as_if_it_had_not():
    """Vectors and Muon's momentum lose nothing; what row and column means lose, the benchmark measures."""
    spec = replace(ADAMW, kind=OptimizerKind.MUON, lr=3e-3)
    models = [Small() for _ in range(3)]
    for model in models:
        model.embed.weight.requires_grad_(False)
        model.head.weight.requires_grad_(False)
        optimizer = optimizer_for(model, spec)
        run(model, optimizer, 60)
        if model is not models[0]:
            state = optimizer.export() if model is models[1] else None
            optimizer = optimizer_for(model, spec, state)
        run(model, optimizer, 10, first=60)
    straight, handed, reset = models
    assert apart(handed, straight) < 0.05 * apart(reset, straight)


def test_the_state_of_an_optimizer_that_did_nothing_is_zero():
    model = Small()
    state = optimizer_for(model, ADAMW).export()
    assert isinstance(state, State)
    assert not state.momentum.any()
    assert not state.second.any()


def test_a_parameter_that_gets_no_gradient_is_left_alone():
    model = Small()
    model.unused = nn.Parameter(torch.ones(3))
    run(model, optimizer_for(model, ADAMW), 2)
    assert model.unused.tolist() == [1, 1, 1]


def test_frozen_parameters_are_no_part_of_the_run():
    model = Small()
    model.embed.weight.requires_grad_(False)
    assert "embed.weight" not in [tensor.name for tensor in layout_of(model, ADAMW).tensors]


def test_a_model_that_cannot_be_trained_is_refused():
    with pytest.raises(InvalidValue, match="no trainable parameters"):
        layout_of(nn.Module(), ADAMW)
    with pytest.raises(InvalidValue, match=r"is torch.float16"):
        layout_of(Small().half(), ADAMW)
