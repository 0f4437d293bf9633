"""Bytes that travel: exact sizes, bounded errors, and nothing but InvalidBytes for whatever else arrives."""

import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gondwana.core.errors import InvalidBytes
from gondwana.training import codecs
from gondwana.training.codecs import (
    BLOCK,
    Codec,
    State,
    Upload,
    decode_change,
    decode_state,
    decode_upload,
    encode_change,
    encode_state,
    encode_upload,
    upload_bytes,
)
from gondwana.training.manifest import Group, Layout, Tensor

LAYOUT = Layout(tensors=(
    Tensor(name="embed", shape=(17, 20)),
    Tensor(name="matrix", shape=(24, 40), group=Group.MUON),
    Tensor(name="gain", shape=(33,)),
))  # fmt: skip
VECTORS = arrays(
    np.float32,
    LAYOUT.size,
    elements=st.floats(-1e6, 1e6, width=32),
    fill=st.floats(-1, 1, width=32),
)


def spiked():
    """One number so large that the scales of the other blocks have few bits left."""
    vector = np.full(LAYOUT.size, 0.390625, np.float32)
    vector[0] = 9.17505e5
    vector[400] = 1.0
    return vector


NORMAL_MIN = np.finfo(np.float32).tiny  # numbers below 1e-38 may become 0
LEVELS = {Codec.INT8: 127, Codec.INT4: 7}


def an_upload(codec: Codec = Codec.INT4) -> bytes:
    random = np.random.default_rng(1)
    upload = Upload(
        delta=random.normal(size=LAYOUT.size).astype(np.float32),
        momentum=random.normal(size=LAYOUT.size).astype(np.float32),
        second=random.uniform(size=LAYOUT.second_size).astype(np.float32),
    )
    return encode_upload(upload, LAYOUT, codec)


def with_header(data: bytes, change) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    text = json.dumps(change(header), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def without_second(header):
    return {name: entry for name, entry in header.items() if name != "second"}


def with_more(header):
    first = header["second"]["data_offsets"][0]
    return header | {"more": {"dtype": "U8", "shape": [0], "data_offsets": [first, first]}}


def changed(header, name, **entry):
    return header | {name: header[name] | entry}


@pytest.mark.parametrize("codec", Codec)
def test_an_upload_has_exactly_the_size_that_was_foretold(codec, make_upload, layout):
    for seed in range(3):
        assert len(encode_upload(make_upload(seed), layout, codec)) == upload_bytes(layout, codec)


@pytest.mark.parametrize("codec", [Codec.INT8, Codec.INT4])
@given(vector=VECTORS)
@settings(max_examples=100, deadline=None)
@example(vector=spiked())
def test_no_number_is_off_by_more_than_half_a_step(codec, vector):
    """The step is the block's largest number over 7 or 127, rounded up to fp16 of the vector's unit."""
    _, decoded = encode_change(vector, LAYOUT, codec)
    for _, span in LAYOUT.spans():
        for first in range(span.start, span.stop, BLOCK):
            block = slice(first, min(first + BLOCK, span.stop))
            step = np.abs(vector[block]).max() / LEVELS[codec] * (1 + 2**-10)
            quantum = np.abs(vector).max() / LEVELS[codec] * 2.0**-23  # fp16's smallest
            error = np.abs(vector[block] - decoded[block]).max()
            assert error <= (step + quantum) / 2 * (1 + 1e-5) + NORMAL_MIN


@given(vector=VECTORS)
@settings(max_examples=30, deadline=None)
def test_a_change_decodes_to_what_the_encoder_said(vector):
    data, decoded = encode_change(vector, LAYOUT)
    assert decode_change(data, LAYOUT).tobytes() == decoded.tobytes()


def test_fp32_loses_nothing(make_upload, layout):
    upload = make_upload(0)
    decoded = decode_upload(encode_upload(upload, layout, Codec.FP32), layout, Codec.FP32)
    assert decoded.delta.tobytes() == upload.delta.tobytes()
    assert decoded.momentum.tobytes() == upload.momentum.tobytes()


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12])
def test_the_size_of_the_numbers_does_not_matter(scale, make_upload, layout):
    upload = make_upload(0, size=scale)
    decoded = decode_upload(encode_upload(upload, layout, Codec.INT4), layout, Codec.INT4)
    error = np.linalg.norm(
        (decoded.delta / np.float32(scale) - upload.delta / np.float32(scale)).astype(np.float64)
    )
    assert error < 0.15 * np.linalg.norm(upload.delta / np.float32(scale))


def test_zeros_stay_zeros_and_small_second_moments_stay_above_them(layout):
    zeros = np.zeros(layout.size, np.float32)
    second = np.full(layout.second_size, 1e-20, np.float32)
    state = decode_state(encode_state(State(momentum=zeros, second=second), layout), layout)
    assert not state.momentum.any()
    assert (state.second > 0).all()
    empty = decode_state(encode_state(State(momentum=zeros, second=second * 0), layout), layout)
    assert not empty.second.any()


def test_second_moments_keep_three_digits(make_upload, layout):
    upload = make_upload(3)
    decoded = decode_upload(encode_upload(upload, layout, Codec.INT4), layout, Codec.INT4)
    np.testing.assert_allclose(decoded.second, upload.second, rtol=2e-3, atol=1e-12)


def test_the_safetensors_library_reads_what_we_write():
    tensors = safetensors.numpy.load(an_upload())
    assert tensors["delta"].shape == ((LAYOUT.size + 1) // 2,)
    assert tensors["second"].dtype == np.float16


def test_int4_of_the_notes_model_is_half_a_byte_per_number():
    big = Layout(tensors=(Tensor(name="w", shape=(1000, 1000), group=Group.MUON),))
    assert 2 * 0.5078 < upload_bytes(big, Codec.INT4) / big.size < 2 * 0.5084


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda d: d[:-1], "bytes instead of"),
        (lambda d: d + b"\0", "bytes instead of"),
        (lambda d: d[:100], "cut off"),
        (lambda d: b"", "cut off"),
        (lambda d: b"\xff" * 7 + b"\x7f" + d[8:], "says its header has"),
        (lambda d: d[:8] + b"[" + d[9:], "not JSON"),
        (lambda d: with_header(d, without_second), "lacks the tensor 'second'"),
        (lambda d: with_header(d, with_more), "overlap"),
        (lambda d: with_header(d, lambda h: changed(h, "second", dtype="F64")), "dtype we do not take"),
        (lambda d: with_header(d, lambda h: changed(h, "delta", dtype="I8")), "'delta' as I8 instead of U8"),
        (lambda d: with_header(d, lambda h: h | {"delta": h["delta"] | {"shape": [-1]}}), "shape that cannot be"),
        (lambda d: with_header(d, lambda h: h | {"delta": h["delta"] | {"data_offsets": [0, 9]}}), "overlap"),
        (lambda d: with_header(d, lambda h: {"__metadata__": {"format": "pt"}} | h), "other metadata"),
        (lambda d: with_header(d, lambda h: {"__metadata__": 3} | h), "metadata that is not text"),
        (lambda d: with_header(d, lambda h: [h]), "not an object"),
        (lambda d: b"\x10\x27" + b"\0" * 6 + b"[" * 10_000, "not JSON"),
        (lambda d: b"\x10\x27" + b"\0" * 6 + b"9" * 10_000, "not JSON"),
    ],
)  # fmt: skip
def test_an_upload_that_is_broken_is_refused_with_the_reason(broken, words):
    with pytest.raises(InvalidBytes, match=words):
        decode_upload(broken(an_upload()), LAYOUT, Codec.INT4)


def test_an_extra_tensor_is_named():
    data = an_upload()
    end = len(data) - 8 - int.from_bytes(data[:8], "little")
    more = {"dtype": "U8", "shape": [3], "data_offsets": [end, end + 3]}
    extra = with_header(data, lambda header: header | {"more": more})
    with pytest.raises(InvalidBytes, match="extra tensor 'more'"):
        decode_upload(extra + b"abc", LAYOUT, Codec.INT4)


def replaced(array_name: str, value: float, index: int = 0, codec: Codec = Codec.INT4) -> bytes:
    data = bytearray(an_upload(codec))
    size = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + size])[array_name]
    dtype = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I8": np.int8}[entry["dtype"]]
    first = 8 + size + entry["data_offsets"][0] + index * np.dtype(dtype).itemsize
    data[first : first + np.dtype(dtype).itemsize] = np.array(value, dtype).tobytes()
    return bytes(data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
@pytest.mark.parametrize("name", ["delta.unit", "delta.scale", "momentum.scale", "second"])
def test_a_scale_or_statistic_that_is_not_a_finite_size_is_refused(name, value):
    with pytest.raises(InvalidBytes, match=r"finite|negative"):
        decode_upload(replaced(name, value), LAYOUT, Codec.INT4)


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (replaced("delta", np.nan, 5, Codec.FP32), Codec.FP32),
        (replaced("momentum", np.inf, 5, Codec.FP32), Codec.FP32),
        (replaced("delta", -128, 5, Codec.INT8), Codec.INT8),
        (replaced("delta", 0x08, 5), Codec.INT4),
        (replaced("delta", 0x80, 5), Codec.INT4),
        (replaced("delta", 0x10, (LAYOUT.size + 1) // 2 - 1), Codec.INT4),
        (replaced("delta.unit", 3e38), Codec.INT4),
    ],
)
def test_a_value_that_no_encoder_writes_is_refused(data, codec):
    with pytest.raises(InvalidBytes):
        decode_upload(data, LAYOUT, codec)


@given(position=st.integers(0, len(an_upload()) - 1), value=st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_refused_or_decodes_to_finite_numbers(position, value):
    data = bytearray(an_upload())
    data[position] = value
    try:
        upload = decode_upload(bytes(data), LAYOUT, Codec.INT4)
    except InvalidBytes:
        return
    assert np.isfinite(upload.delta).all()
    assert np.isfinite(upload.momentum).all()
    assert (upload.second >= 0).all()


@given(data=st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused(data):
    for decode in (
        lambda: decode_upload(data, LAYOUT, Codec.INT4),
        lambda: decode_state(data, LAYOUT),
        lambda: decode_change(data, LAYOUT),
    ):
        with pytest.raises(InvalidBytes):
            decode()


def test_a_block_never_spans_two_tensors():
    starts = codecs._block_starts(LAYOUT).tolist()  # pyright: ignore[reportPrivateUsage]
    for _, span in LAYOUT.spans():
        assert span.start in starts
