"""One name per accelerator, whatever a driver, a cloud, Kubernetes or a person calls it.

Canonical names are SkyPilot's (`RTX4090`, `A100-80GB`), so that its task files mean the same here. A model this table
does not know keeps its own name, tidied: it still matches itself.
"""

import re
from typing import Final

CPU: Final = "CPU"
"""What a machine without accelerators sells."""

# canonical name -> other spellings, compared without vendor words, spaces, dashes and case
_SPELLINGS: Final = {
    "B300": ("B300 SXM6 AC", "B300 288GB"),
    "B200": ("B200 180GB", "B200 SXM", "B200 192GB"),
    "GB200": (),
    "H200": ("H200 141GB", "H200 SXM", "H200 SXM5", "H200 141GB HBM3e", "H200 NVL"),
    "GH200": ("GH200 480GB", "GH200 96GB"),
    "H100": ("H100 80GB HBM3", "H100 SXM", "H100 SXM5", "H100 SXM5 80GB", "H100 PCIe", "H100 80GB", "H100 NVL",
             "H100 PCIe 80GB"),
    "H800": ("H800 SXM", "H800 PCIe"),
    "A100-80GB": ("A100 80GB PCIe", "A100 SXM4 80GB", "A100 SXM 80GB", "A100 80GB SXM4", "A100 PCIe 80GB"),
    "A100": ("A100 40GB", "A100 SXM4 40GB", "A100 PCIE 40GB", "A100 SXM4", "A100 PCIe"),
    "A10G": (),
    "A10": ("A10 24GB",),
    "A16": (),
    "A30": ("A30 24GB",),
    "A40": ("A40 48GB",),
    "L4": ("L4 24GB",),
    "L40": ("L40 48GB",),
    "L40S": ("L40S 48GB",),
    "T4": ("T4 16GB",),
    "V100": ("V100 SXM2 16GB", "V100 PCIE 16GB", "V100 SXM2", "V100 16GB"),
    "V100-32GB": ("V100 SXM2 32GB", "V100 PCIE 32GB", "V100 SXM3 32GB"),
    "P100": ("P100 PCIE 16GB", "P100 SXM2 16GB"),
    "P4": (),
    "RTXPRO6000": ("RTX PRO 6000 Blackwell Workstation Edition", "RTX PRO 6000 Blackwell Server Edition",
                   "RTX PRO 6000 Blackwell", "RTX PRO 6000"),
    "RTX6000-Ada": ("RTX 6000 Ada Generation", "RTX 6000 Ada", "RTX6000Ada"),
    "RTXA6000": ("RTX A6000", "A6000"),
    "RTXA5000": ("RTX A5000", "A5000"),
    "RTXA4000": ("RTX A4000", "A4000"),
    "RTX5090": (), "RTX5080": (), "RTX5070Ti": ("RTX 5070 Ti",), "RTX5070": (), "RTX5060Ti": ("RTX 5060 Ti",),
    "RTX4090": ("4090",), "RTX4080": (), "RTX4080S": ("RTX 4080 SUPER",), "RTX4070Ti": ("RTX 4070 Ti",),
    "RTX4070": (), "RTX4060Ti": ("RTX 4060 Ti",), "RTX4060": (),
    "RTX3090": ("3090",), "RTX3090Ti": ("RTX 3090 Ti",), "RTX3080": (), "RTX3080Ti": ("RTX 3080 Ti",),
    "RTX3070": (), "RTX3060": (), "RTX2080Ti": ("RTX 2080 Ti",),
    "MI355X": (), "MI325X": (), "MI300X": ("MI300X VF", "MI300X OAM"), "MI250X": (), "MI210": (),
    "Gaudi3": ("HL-325L",), "Gaudi2": ("HL-225", "HL-225H"),
}  # fmt: skip
_VENDOR_WORDS: Final = re.compile(r"\b(nvidia|geforce|tesla|amd|instinct|radeon|intel|graphics)\b")


def _key(name: str) -> str:
    words = _VENDOR_WORDS.sub(" ", re.sub(r"[\s_\-]+", " ", name.lower()))
    return re.sub(r"[^a-z0-9]", "", words)


_CANONICAL: Final = {
    _key(spelling): name
    for name, spellings in _SPELLINGS.items()
    for spelling in (name, *spellings)
}


def canonical_device(name: str) -> str:
    """The canonical name of an accelerator: `NVIDIA GeForce RTX 4090`, `rtx_4090` and `RTX4090` give `RTX4090`.

    An unknown model gives its own name without spaces and vendor words; an empty name stays empty (any accelerator).
    """
    known = _CANONICAL.get(_key(name))
    if known is not None:
        return known
    words = re.sub(r"[\s_]+", " ", name)
    return "-".join(
        re.sub(r"\b(nvidia|geforce|tesla|amd|instinct)\b", " ", words, flags=re.I).split()
    )


def known_devices() -> tuple[str, ...]:
    """Every canonical name in the table, sorted."""
    return tuple(sorted(_SPELLINGS))
