"""The outer step: order does not matter, θ is what was published, a restart changes no bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gondwana.core.errors import InvalidBytes, InvalidValue
from gondwana.core.values import replace
from gondwana.training.codecs import Codec, Upload, decode_state
from gondwana.training.outer import (
    Delta,
    OuterSettings,
    apply_change,
    decode_outer_state,
    encode_outer_state,
    merge,
    start,
    step,
)


@pytest.fixture
def deltas(make_upload):
    return [
        Delta(unit_id=f"unit_{index}", upload=make_upload(index), tokens=100 * (index + 1))
        for index in range(5)
    ]


@pytest.fixture
def params(layout):
    return np.random.default_rng(5).normal(size=layout.size).astype(np.float32)


@given(order=st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_arrival_changes_no_bit_of_the_merge(order):
    random = np.random.default_rng(0)
    deltas = [
        Delta(
            unit_id=f"unit_{index}",
            upload=Upload(
                delta=random.normal(size=50).astype(np.float32),
                momentum=random.normal(size=50).astype(np.float32),
                second=random.uniform(size=9).astype(np.float32),
            ),
            tokens=10 + index,
        )
        for index in range(5)
    ]
    merged, shuffled = merge(deltas), merge([deltas[index] for index in order])
    for name in ("delta", "momentum", "second"):
        assert getattr(merged, name).tobytes() == getattr(shuffled, name).tobytes()
    assert merged.norms == shuffled.norms


def test_islands_count_by_their_tokens_and_late_ones_half(make_upload):
    upload, zero = make_upload(0), make_upload(1)
    zero = replace(zero, delta=np.zeros_like(zero.delta), momentum=np.zeros_like(zero.momentum))
    for late, share in ((False, 0.75), (True, 0.6)):
        merged = merge([
            Delta(unit_id="a", upload=upload, tokens=300, late=late), Delta(unit_id="b", upload=zero, tokens=100),
        ])  # fmt: skip
        np.testing.assert_allclose(merged.momentum, share * upload.momentum, rtol=1e-6)


def test_a_long_delta_is_clipped_to_the_median_norm(deltas):
    loud = replace(deltas[0].upload, delta=deltas[0].upload.delta * 2)
    plain = merge(deltas)
    clipped = merge([replace(deltas[0], upload=loud), *deltas[1:]])
    assert np.linalg.norm(clipped.delta - plain.delta) < 0.05 * np.linalg.norm(plain.delta)


def test_an_island_that_did_twice_the_steps_may_go_twice_as_far(make_upload):
    uploads = [make_upload(index) for index in range(3)]
    fast = replace(uploads[0], delta=uploads[0].delta * 2)
    merged = merge([
        Delta(unit_id="0", upload=fast, tokens=1, lr_sum=2.0),
        *[Delta(unit_id=str(i), upload=uploads[i], tokens=1, lr_sum=1.0) for i in (1, 2)],
    ])  # fmt: skip
    mean = (fast.delta + uploads[1].delta + uploads[2].delta) / 3
    np.testing.assert_allclose(merged.delta, mean, rtol=0.1, atol=1e-4)


def test_nothing_to_merge_is_an_error(deltas):
    with pytest.raises(InvalidValue):
        merge([])
    with pytest.raises(InvalidValue):
        merge([replace(deltas[0], tokens=0)])


def test_one_island_at_gain_one_without_momentum_is_a_plain_step(layout, params, make_upload):
    """M=1, η=1, μ=0, fp32: the outer step hands the island's own parameters on."""
    upload = make_upload(0)
    settings = OuterSettings(learning_rate=1.0, momentum=0.0, change_codec=Codec.FP32)
    merged = merge([Delta(unit_id="a", upload=upload, tokens=5)])
    stepped = step(start(params), merged, layout, settings)
    np.testing.assert_array_equal(stepped.state.params, params - upload.delta)
    assert not stepped.state.residual.any()


def test_the_step_is_nesterov_momentum_as_the_architecture_writes_it(layout, params, deltas):
    settings = OuterSettings(learning_rate=0.8, momentum=0.7, change_codec=Codec.FP32)
    merged = merge(deltas)
    theta, m = params.astype(np.float64), np.zeros(layout.size)
    state = start(params)
    for _ in range(3):
        m = 0.7 * m + merged.delta
        theta = theta - 0.8 * (merged.delta + 0.7 * m)
        state = step(state, merged, layout, settings).state
    np.testing.assert_allclose(state.params, theta, atol=1e-6)
    assert state.round == 3


def test_what_the_encoding_lost_is_made_up_for_in_the_next_rounds(layout, params, deltas):
    exact = OuterSettings(learning_rate=0.8, momentum=0.7, change_codec=Codec.FP32)
    coarse = replace(exact, change_codec=Codec.INT4)
    merged = merge(deltas)
    states = {codec: start(params) for codec in (Codec.FP32, Codec.INT4)}
    for _ in range(8):
        states[Codec.FP32] = step(states[Codec.FP32], merged, layout, exact).state
        states[Codec.INT4] = step(states[Codec.INT4], merged, layout, coarse).state
    lost = states[Codec.FP32].params - states[Codec.INT4].params
    np.testing.assert_allclose(lost, states[Codec.INT4].residual, atol=1e-5)


def test_islands_that_apply_the_change_hold_the_coordinators_parameters(layout, params, deltas):
    stepped = step(start(params), merge(deltas), layout, OuterSettings())
    assert apply_change(params, stepped.change, layout).tobytes() == stepped.state.params.tobytes()


def test_a_restart_between_any_two_rounds_changes_no_bit(layout, params, make_upload):
    settings = OuterSettings()
    straight, resumed = start(params), start(params)
    for number in range(4):
        merged = merge(
            [Delta(unit_id=f"{i}", upload=make_upload(10 * number + i), tokens=7) for i in range(3)]
        )
        resumed = decode_outer_state(encode_outer_state(resumed))
        first, second = step(straight, merged, layout, settings), step(resumed, merged, layout, settings)  # fmt: skip
        assert first.state.hash == second.state.hash
        assert first.change == second.change
        assert first.published == second.published
        straight, resumed = first.state, second.state
    assert encode_outer_state(straight) == encode_outer_state(resumed)
    assert resumed.history.norms == straight.history.norms


def test_an_island_that_trains_alone_is_taken_as_it_is_and_hands_its_state_on(
    layout, params, make_upload
):
    upload = make_upload(0)
    settings = OuterSettings(learning_rate=1.0, momentum=0.0, change_codec=Codec.FP32)
    stepped = step(start(params), merge([Delta(unit_id="a", upload=upload, tokens=5)]), layout, settings)  # fmt: skip
    np.testing.assert_array_equal(stepped.state.params, params - upload.delta)
    assert not stepped.state.momentum.any()
    state = decode_state(stepped.published, layout)
    assert np.linalg.norm(state.momentum - upload.momentum) < 0.15 * np.linalg.norm(upload.momentum)


def test_cold_rounds_are_gentle_and_publish_no_state(layout, params, deltas):
    settings = OuterSettings(
        cold_rounds=2, learning_rate_cold=0.5, momentum_cold=0.0, change_codec=Codec.FP32
    )
    state, merged = start(params), merge(deltas)
    stepped = step(state, merged, layout, settings)
    np.testing.assert_allclose(stepped.state.params, params - 0.5 * merged.delta, atol=1e-6)
    assert stepped.published is None
    assert step(stepped.state, merged, layout, settings).published is not None


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\0" * 64])
def test_bytes_that_are_no_outer_state_are_refused(data):
    with pytest.raises(InvalidBytes):
        decode_outer_state(data)


def test_an_outer_state_with_vectors_of_different_sizes_is_refused(layout, params):
    state = replace(start(params), momentum=np.zeros(3, np.float32))
    with pytest.raises(InvalidBytes, match="different sizes"):
        decode_outer_state(encode_outer_state(state))
