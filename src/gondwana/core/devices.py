"""One name per accelerator, whatever a driver, a cloud, Kubernetes or a person calls it.

Canonical names are SkyPilot's (`RTX4090`, `A100-80GB`), so that its task files mean the same here. The one table
below knows the spellings of SkyPilot, dstack (gpuhunt), Vast, NVML, Kubernetes' labels (GPU feature discovery's
`nvidia.com/gpu.product`, `cloud.google.com/gke-accelerator`, `amd.com/gpu.product-name`, `.device-id`) and people.
A model it does not know keeps its own name, tidied: it still matches itself.
"""

import functools
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

CPU: Final = "CPU"
"""What a machine without accelerators sells."""
NAME_CHARS_MAX: Final = 100  # of a name that is compared with the table; longer ones are nobody's


@dataclass(frozen=True, slots=True)
class Device:
    """One model: who makes it, what its compute capability is (NVIDIA's word; "" for others), what others call it."""

    vendor: str
    compute_capability: str = ""
    spellings: tuple[str, ...] = ()  # compared without vendor words, spaces, dashes and case


def _nvidia(capability: str, *spellings: str) -> Device:
    return Device("nvidia", capability, spellings)


def _amd(*spellings: str) -> Device:
    return Device("amd", "", spellings)


DEVICES: Final = {
    # Blackwell
    "GB300": _nvidia("10.3"),
    "GB200": _nvidia("10.0", "GB200 192GB", "GB200 186GB"),
    "B300": _nvidia("10.3", "B300 SXM6 AC", "B300 288GB", "B300 SXM", "HGX B300"),
    "B200": _nvidia("10.0", "B200 180GB", "B200 SXM", "B200 192GB", "HGX B200", "B200 183GB"),
    "RTXPRO6000": _nvidia("12.0", "RTX PRO 6000 Blackwell Workstation Edition", "RTX PRO 6000 Blackwell Server Edition",
                          "RTX PRO 6000 Blackwell Max Q Workstation Edition", "RTX PRO 6000 Blackwell", "RTX PRO 6000",
                          "RTX PRO 6000 WS", "RTX PRO 6000 S", "RTXPRO6000WK", "RTX PRO 6000 96GB"),
    "RTXPRO5000": _nvidia("12.0", "RTX PRO 5000 Blackwell", "RTX PRO 5000"),
    "RTXPRO4500": _nvidia("12.0", "RTX PRO 4500 Blackwell", "RTX PRO 4500"),
    "RTXPRO4000": _nvidia("12.0", "RTX PRO 4000 Blackwell", "RTX PRO 4000"),
    "RTX5090": _nvidia("12.0", "5090", "RTX 5090 32GB"), "RTX5080": _nvidia("12.0", "5080"),
    "RTX5070Ti": _nvidia("12.0", "RTX 5070 Ti", "5070 Ti"), "RTX5070": _nvidia("12.0", "5070"),
    "RTX5060Ti": _nvidia("12.0", "RTX 5060 Ti", "5060 Ti"), "RTX5060": _nvidia("12.0", "5060"),
    # Hopper
    "H200": _nvidia("9.0", "H200 141GB", "H200 SXM", "H200 SXM5", "H200 141GB HBM3e", "H200 NVL", "H200 PCIe"),
    "GH200": _nvidia("9.0", "GH200 480GB", "GH200 96GB", "GH200 SXM"),
    "H100": _nvidia("9.0", "H100 80GB HBM3", "H100 SXM", "H100 SXM5", "H100 SXM5 80GB", "H100 PCIe", "H100 80GB",
                    "H100 NVL", "H100 PCIe 80GB", "H100 NVL 94GB", "H100 94GB", "H100 MEGA", "H100 MEGA 80GB",
                    "H100 80GB PCIe", "H100 SXM 80GB"),
    "H800": _nvidia("9.0", "H800 SXM", "H800 PCIe", "H800 80GB"),
    "H20": _nvidia("9.0", "H20 96GB", "H20 3e", "H20 141GB"),
    # Ada
    "L40S": _nvidia("8.9", "L40S 48GB"), "L40": _nvidia("8.9", "L40 48GB"), "L4": _nvidia("8.9", "L4 24GB"),
    "RTX6000-Ada": _nvidia("8.9", "RTX 6000 Ada Generation", "RTX 6000 Ada", "RTX6000Ada", "RTX 6000 Ada 48GB"),
    "RTX5000-Ada": _nvidia("8.9", "RTX 5000 Ada Generation", "RTX 5000 Ada", "RTX5000Ada"),
    "RTX4500-Ada": _nvidia("8.9", "RTX 4500 Ada Generation", "RTX4500Ada"),
    "RTX4000-Ada": _nvidia("8.9", "RTX 4000 Ada Generation", "RTX 4000 Ada", "RTX4000Ada", 
                           "RTX 4000 SFF Ada Generation"),
    "RTX4090": _nvidia("8.9", "4090", "RTX 4090 24GB"), "RTX4090D": _nvidia("8.9", "RTX 4090 D", "4090D"),
    "RTX4080S": _nvidia("8.9", "RTX 4080 SUPER", "4080 SUPER"), "RTX4080": _nvidia("8.9", "4080"),
    "RTX4070TiS": _nvidia("8.9", "RTX 4070 Ti SUPER", "RTX 4070S Ti", "4070 Ti SUPER"),
    "RTX4070Ti": _nvidia("8.9", "RTX 4070 Ti", "4070 Ti"),
    "RTX4070S": _nvidia("8.9", "RTX 4070 SUPER", "4070 SUPER"), "RTX4070": _nvidia("8.9", "4070"),
    "RTX4060Ti": _nvidia("8.9", "RTX 4060 Ti", "4060 Ti"), "RTX4060": _nvidia("8.9", "4060"),
    # Ampere
    "A100-80GB": _nvidia("8.0", "A100 80GB PCIe", "A100 SXM4 80GB", "A100 SXM 80GB", "A100 80GB SXM4",
                         "A100 PCIe 80GB", "A100 80GB SXM"),
    "A100": _nvidia("8.0", "A100 40GB", "A100 SXM4 40GB", "A100 PCIE 40GB", "A100 SXM4", "A100 PCIe", "A100 SXM"),
    "A800": _nvidia("8.0", "A800 80GB PCIe", "A800 SXM4 80GB", "A800 PCIE"),
    "A30": _nvidia("8.0", "A30 24GB"),
    "A10G": _nvidia("8.6", "A10G 24GB"), "A10": _nvidia("8.6", "A10 24GB"), "A16": _nvidia("8.6", "A16 16GB"),
    "A2": _nvidia("8.6", "A2 16GB"), "A40": _nvidia("8.6", "A40 48GB", "A40 PCIe"),
    "RTXA6000": _nvidia("8.6", "RTX A6000", "A6000", "A6000 48GB"), "RTXA5500": _nvidia("8.6", "RTX A5500", "A5500"),
    "RTXA5000": _nvidia("8.6", "RTX A5000", "A5000"), "RTXA4500": _nvidia("8.6", "RTX A4500", "A4500"),
    "RTXA4000": _nvidia("8.6", "RTX A4000", "A4000"), "RTXA2000": _nvidia("8.6", "RTX A2000", "A2000"),
    "RTX3090Ti": _nvidia("8.6", "RTX 3090 Ti", "3090 Ti"), "RTX3090": _nvidia("8.6", "3090", "RTX 3090 24GB"),
    "RTX3080Ti": _nvidia("8.6", "RTX 3080 Ti", "3080 Ti"), "RTX3080": _nvidia("8.6", "3080"),
    "RTX3070Ti": _nvidia("8.6", "RTX 3070 Ti", "3070 Ti"), "RTX3070": _nvidia("8.6", "3070"),
    "RTX3060Ti": _nvidia("8.6", "RTX 3060 Ti", "3060 Ti"), "RTX3060": _nvidia("8.6", "3060"),
    # Turing and before
    "T4": _nvidia("7.5", "T4 16GB"), "RTX8000": _nvidia("7.5", "Quadro RTX 8000", "Q RTX 8000"),
    "RTX6000": _nvidia("7.5", "Quadro RTX 6000", "Q RTX 6000"), "TITANRTX": _nvidia("7.5", "TITAN RTX"),
    "RTX2080Ti": _nvidia("7.5", "RTX 2080 Ti", "2080 Ti"), "GTX1660Ti": _nvidia("7.5", "GTX 1660 Ti"),
    "V100-32GB": _nvidia("7.0", "V100 SXM2 32GB", "V100 PCIE 32GB", "V100 SXM3 32GB", "V100 SXM2 32GB LS"),
    "V100": _nvidia("7.0", "V100 SXM2 16GB", "V100 PCIE 16GB", "V100 SXM2", "V100 16GB", "V100 PCIe"),
    "TITANV": _nvidia("7.0", "TITAN V"),
    "P100": _nvidia("6.0", "P100 PCIE 16GB", "P100 SXM2 16GB", "P100 16GB"), "P40": _nvidia("6.1", "P40 24GB"),
    "P4": _nvidia("6.1", "P4 8GB"), "GTX1080Ti": _nvidia("6.1", "GTX 1080 Ti", "1080 Ti"),
    # AMD
    "MI355X": _amd("MI355X OAM", "75a3", "MI355X 288GB"), "MI350X": _amd("MI350X OAM", "75a0"),
    "MI325X": _amd("MI325X OAM", "74a5", "MI325X 256GB"),
    "MI300X": _amd("MI300X VF", "MI300X OAM", "74a1", "74b5", "MI300X 192GB"), "MI300A": _amd("74a0"),
    "MI250X": _amd("MI250X OAM", "7408"), "MI250": _amd("MI250 OAM", "740c"), "MI210": _amd("740f", "MI210 64GB"),
    "MI100": _amd("738c"), "RX7900XTX": _amd("RX 7900 XTX"),
    # others
    "Gaudi3": Device("intel", "", ("HL-325L", "gaudi3")), "Gaudi2": Device("intel", "", ("HL-225", "HL-225H")),
}  # fmt: skip
"""Canonical name -> what is known of the model. The only table of device names in Gondwana."""

_VENDOR_WORDS: Final = re.compile(
    r"\b(nvidia|geforce|tesla|amd|instinct|radeon|intel|habana|graphics)\b"
)
_LABEL: Final = re.compile(r"^[a-z0-9.-]+/[a-z0-9._-]+\s*[=:]\s*", re.I)  # nvidia.com/gpu.product=
_SHARED: Final = re.compile(r"-SHARED$")  # of the GPU feature discovery: a card in time slices
_SLICE: Final = re.compile(r"[-\s_]MIG[-\s_](\d+g\.\d+gb)(?:[-\s_]?(?:me|\+me))?$", re.I)


def _key(name: str) -> str:
    words = _VENDOR_WORDS.sub(" ", re.sub(r"[\s_\-:]+", " ", name.lower().removeprefix("0x")))
    return re.sub(r"[^a-z0-9]", "", words)


_CANONICAL: Final = {
    _key(spelling): name
    for name, device in DEVICES.items()
    for spelling in (name, *device.spellings)
}


def canonical_device(name: str) -> str:
    """The canonical name of an accelerator: `NVIDIA GeForce RTX 4090`, `rtx_4090` and `RTX4090` give `RTX4090`.

    A slice of a card (MIG) is not that card: `A100-80GB-MIG-1g.10gb`. An unknown model gives its own name without
    spaces and vendor words; an empty name stays empty (any accelerator).
    """
    told = name[:NAME_CHARS_MAX]
    told = _SHARED.sub("", _LABEL.sub("", told.strip()))
    known = _CANONICAL.get(_key(told))
    if known is not None:
        return known
    part = _SLICE.search(told)
    if part is not None:
        return f"{canonical_device(told[: part.start()])}-MIG-{part[1].lower()}"
    words = re.sub(r"[\s_]+", " ", name)
    return "-".join(
        re.sub(r"\b(nvidia|geforce|tesla|amd|instinct)\b", " ", words, flags=re.I).split()
    )


@functools.lru_cache(maxsize=4_096)  # every look at an offer asks
def device(name: str) -> Device | None:
    """What is known of a model in any spelling; None where it is not in the table. A slice has its card's."""
    canonical = canonical_device(name)
    return DEVICES.get(canonical.partition("-MIG-")[0])


def is_known_device(name: str) -> bool:
    """Whether the table has this model, or it is a machine without accelerators."""
    return device(name) is not None or name.strip().upper() == CPU


def meant_device(name: str) -> str | None:
    """The model of the table that an unknown name may have meant; None for a known one, or where none is near."""
    if is_known_device(name) or not name.strip():
        return None
    close = get_close_matches(_key(name[:NAME_CHARS_MAX]), _CANONICAL, n=1, cutoff=0.75)
    return _CANONICAL[close[0]] if close else None


def known_devices() -> tuple[str, ...]:
    """Every canonical name in the table, sorted."""
    return tuple(sorted(DEVICES))
