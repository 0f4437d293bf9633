import pytest
from hypothesis import given
from hypothesis import strategies as st

from gondwana.core.devices import (
    DEVICES,
    canonical_device,
    device,
    is_known_device,
    known_devices,
    meant_device,
)


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("RTX_4090", "RTX4090"),
        ("NVIDIA GeForce RTX 4090", "RTX4090"),
        ("NVIDIA-GeForce-RTX-4090", "RTX4090"),
        ("rtx4090", "RTX4090"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("H100_80GB", "H100"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("A100", "A100"),
        ("NVIDIA H200", "H200"),
        ("Tesla T4", "T4"),
        ("AMD Instinct MI300X", "MI300X"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX6000-Ada"),
        ("nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB", "A100-80GB"),  # a label of a node
        ("Tesla-T4-SHARED", "T4"),  # the same of a card in time slices
        ("cloud.google.com/gke-accelerator: nvidia-h100-mega-80gb", "H100"),
        ("nvidia-tesla-v100", "V100"),
        ("amd.com/gpu.product-name=AMD_Instinct_MI300X_OAM", "MI300X"),
        ("amd.com/gpu.device-id=74a1", "MI300X"),
        ("0x74a5", "MI325X"),
        ("A100:80GB", "A100-80GB"),  # dstack's
        ("RTX_4070S_Ti", "RTX4070TiS"),  # Vast's
        ("Q RTX 8000", "RTX8000"),
        ("RTX_6000Ada", "RTX6000-Ada"),
        ("H100_NVL", "H100"),
        ("", ""),
    ],
)
def test_every_spelling_of_a_device_gives_one_name(spelling, canonical):
    assert canonical_device(spelling) == canonical


def test_a_canonical_name_stays_as_it_is():
    assert [canonical_device(name) for name in known_devices()] == list(known_devices())


def test_an_unknown_device_keeps_its_own_name_and_is_stable():
    once = canonical_device("NVIDIA Foo 9000")
    assert once == "Foo-9000"
    assert canonical_device(once) == once


def test_a_card_of_eighty_gigabytes_is_not_the_one_of_forty():
    assert canonical_device("A100-80GB") != canonical_device("A100-40GB")


def test_a_slice_of_a_card_is_not_the_card_but_has_its_facts():
    part = canonical_device("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb")
    assert part == "A100-80GB-MIG-1g.10gb" == canonical_device(part)
    assert part != canonical_device("A100-80GB")
    assert device(part) == DEVICES["A100-80GB"]


def test_no_two_models_claim_one_spelling():
    claimed = [(name, each) for name, model in DEVICES.items() for each in (name, *model.spellings)]
    assert [(name, each) for name, each in claimed if canonical_device(each) != name] == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [("H10", "H100"), ("RTX4O90", "RTX4090"), ("mi300", "MI300A"), ("H100", None), ("cpu", None), ("XYZ 3", None),
     ("Apple-M2-Max", None), ("", None)],
)  # fmt: skip
def test_an_unknown_name_near_a_known_one_is_a_slip(name, meant):
    found = meant_device(name)
    assert found == meant or (meant == "MI300A" and found in ("MI300A", "MI300X"))
    assert is_known_device(name) is (name in ("H100", "cpu"))


@given(st.text(max_size=300))
def test_any_text_has_a_name_that_is_its_own_name(text):
    name = canonical_device(text)
    assert canonical_device(name) == name
