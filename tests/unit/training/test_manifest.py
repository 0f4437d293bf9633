"""Layouts, checkpoints and data ranges."""

import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.errors import InvalidBytes, InvalidValue
from gondwana.training import container
from gondwana.training.container import Field
from gondwana.training.manifest import (
    PARAMS_MAX,
    Group,
    Layout,
    Tensor,
    checkpoint_bytes,
    decode_checkpoint,
    draw_shards,
    draw_unassigned,
    encode_checkpoint,
    params_hash,
)

NAMES = [f"{index:064x}" for index in range(40)]


def test_a_checkpoint_comes_back_bit_for_bit_with_its_layout(layout):
    params = np.random.default_rng(0).normal(size=layout.size).astype(np.float32)
    data = encode_checkpoint(params, layout)
    decoded, found = decode_checkpoint(data, layout)
    assert decoded.tobytes() == params.tobytes()
    assert found == layout
    assert len(data) == checkpoint_bytes(layout)
    tensors = safetensors.numpy.load(data)
    assert tensors["matrix"].shape == (24, 40)
    np.testing.assert_array_equal(tensors["gain"], params[-33:])


def test_a_checkpoint_of_another_layout_is_refused(layout):
    other = Layout(tensors=layout.tensors[:2])
    data = encode_checkpoint(np.zeros(other.size, np.float32), other)
    with pytest.raises(InvalidBytes, match="another layout"):
        decode_checkpoint(data, layout)


def test_a_checkpoint_with_a_value_that_is_not_finite_is_refused(layout):
    params = np.zeros(layout.size, np.float32)
    params[5] = np.nan
    with pytest.raises(InvalidBytes, match="not finite"):
        decode_checkpoint(encode_checkpoint(params, layout))


def test_a_checkpoint_must_say_its_layout_and_keep_to_it(layout):
    field = Field(name="w", dtype="F32", shape=(2,))
    zeros = [np.zeros(2, np.float32)]
    with pytest.raises(InvalidBytes, match="does not say"):
        decode_checkpoint(container.write([field], zeros))
    with pytest.raises(InvalidBytes, match="not those of its layout"):
        decode_checkpoint(container.write([field], zeros, {"layout": layout.to_json()}))


@pytest.mark.parametrize(
    "text",
    ["", "{", "3", "[3]", '[["w"]]', '[["w",[2],"sgd"]]', '[["w",2,"muon"]]', "[]", '[["w",[0],"muon"]]',
     '[["w",[true],"muon"]]', '[["w",[2],"muon"],["w",[2],"muon"]]', '[["",[2],"muon"]]', '[[5,[2],"muon"]]',
     '[["__metadata__",[2],"muon"]]', json.dumps([["w", [PARAMS_MAX, 2], "muon"]]), "[" * 100_000],
)  # fmt: skip
def test_a_layout_that_cannot_be_is_refused(text):
    with pytest.raises(InvalidBytes):
        Layout.from_json(text)


def test_the_hash_is_of_the_little_endian_numbers(layout):
    from blake3 import blake3

    params = np.arange(4, dtype=np.float32)
    assert params_hash(params) == blake3(params.astype("<f4").tobytes()).hexdigest()
    assert params_hash(params) == params_hash(np.arange(8, dtype=np.float32)[:4])
    assert params_hash(params) != params_hash(-params)


def test_row_and_column_means_are_kept_for_adamw_alone(layout):
    assert [tensor.second_size for tensor in layout.tensors] == [17 + 20, 0, 33]
    assert Tensor(name="w", shape=(4, 3, 2), group=Group.ADAMW).second_size == 4 + 6
    assert Tensor(name="w", shape=()).second_size == 1


@given(seed=st.integers(0, 2**40), round_number=st.integers(0, 1000), count=st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_the_units_of_a_round_share_no_data_and_leave_some_unassigned(seed, round_number, count):
    drawn = [
        draw_shards(NAMES, seed=seed, round_number=round_number, slot=slot, count=count)
        for slot in range(7)
    ]
    flat = [name for shards in drawn for name in shards]
    assert len(flat) == len(set(flat)) == 7 * count
    free = draw_unassigned(NAMES, flat, seed=seed, round_number=round_number, count=4)
    assert len(free) == 4
    assert not set(free) & set(flat)


def test_over_the_rounds_every_shard_is_drawn():
    drawn = {
        name
        for number in range(40)
        for name in draw_shards(NAMES, seed=1, round_number=number, slot=0, count=4)
    }
    assert drawn == set(NAMES)


def test_a_unit_gets_no_shard_twice_however_few_there_are():
    assert sorted(draw_shards(NAMES[:3], seed=1, round_number=0, slot=5, count=8)) == NAMES[:3]
    assert draw_unassigned(NAMES[:3], NAMES[:3], seed=1, round_number=0, count=2) == ()


def test_parameters_that_do_not_fit_the_layout_are_not_written(layout):
    with pytest.raises(InvalidValue):
        encode_checkpoint(np.zeros(3, np.float32), layout)
