import pytest

from gondwana.core.devices import canonical_device, known_devices


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
