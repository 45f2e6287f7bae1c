"""What devices can do by their data sheets: dense 16-bit and float32 rates, memory bandwidth.

`half` is TFLOP/s of dense matrix products in 16 bits with float32 sums, `single` of plain float32 (torch's default; no
TF32), `bandwidth` GB/s.  A training step reaches a share of `half`: 0.3–0.5 is usual, so the middle is taken and the
interval is wide.  On a CPU nothing is published per core that would help: a labelled guess from one measured LoRA step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ftui.hardware.document import Gpu, Hardware

ACHIEVED = 0.40
ACHIEVED_LOW, ACHIEVED_HIGH = 0.25, 0.60
"""Share of the data sheet's 16-bit rate that training steps reach: fitted 0.29 on a T4 over 59 archived runs; published
model-FLOPs utilisations lie between 0.3 and 0.6."""

CPU_CORE_TFLOPS = 0.025
"""float32 TFLOP/s that one core achieves in a training step: a guess, near what a 14 M-parameter LoRA step showed."""
CPU_BANDWIDTH = 12.0


@dataclass(frozen=True)
class Rate:
    """Rates that a step can count on: `half` and `single` in TFLOP/s achieved, `bandwidth` GB/s, `launch` seconds.

    `doubt` is the factor by which the whole may be slower or faster.
    """

    half: float
    single: float
    bandwidth: float
    launch: float
    doubt: float
    source: str


@dataclass(frozen=True)
class Sheet:
    """One line of the table; `names` are words of the driver's name for the card, in lower case."""

    names: tuple[str, ...]
    half: float
    single: float
    bandwidth: float
    source: str


NVIDIA = "https://www.nvidia.com/en-us/data-center/"
ADA = "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf"
AMPERE = "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf"

# The first line whose name stands in the card's name counts, so longer names stand first.
SHEETS = (
    Sheet(("b200", "gb200"), 2250, 75, 8000, NVIDIA + "dgx-b200/"),
    Sheet(("h200",), 989, 67, 4800, NVIDIA + "h200/"),
    Sheet(("h100 nvl",), 835, 60, 3900, NVIDIA + "h100/"),
    Sheet(("h100 pcie",), 756, 51, 2000, NVIDIA + "h100/"),
    Sheet(("h100", "h800", "gh200"), 989, 67, 3350, NVIDIA + "h100/"),
    Sheet(("a100", "a800"), 312, 19.5, 1935, NVIDIA + "a100/"),
    Sheet(("a30",), 165, 10.3, 933, NVIDIA + "products/a30-gpu/"),
    Sheet(("a40",), 150, 37.4, 696, NVIDIA + "a40/"),
    Sheet(("a10g",), 70, 31.5, 600, NVIDIA + "products/a10-gpu/"),
    Sheet(("a10",), 125, 31.2, 600, NVIDIA + "products/a10-gpu/"),
    Sheet(("l40s",), 362, 91.6, 864, NVIDIA + "l40s/"),
    Sheet(("l40",), 181, 90.5, 864, NVIDIA + "l40/"),
    Sheet(("l4",), 121, 30.3, 300, NVIDIA + "l4/"),
    Sheet(("v100", "v100s"), 125, 15.7, 900, NVIDIA + "v100/"),
    Sheet(("p100",), 19, 9.5, 732, NVIDIA + "tesla-p100/"),
    Sheet(("t4",), 65, 8.1, 300, NVIDIA + "tesla-t4/"),
    Sheet(("rtx 6000 ada",), 364, 91.1, 960, "https://www.nvidia.com/en-us/design-visualization/rtx-6000/"),
    Sheet(("a6000",), 155, 38.7, 768, "https://www.nvidia.com/en-us/design-visualization/rtx-a6000/"),
    Sheet(("a5000",), 111, 27.8, 768, "https://www.nvidia.com/en-us/design-visualization/rtx-a5000/"),
    Sheet(("5090",), 209, 104.8, 1792, "https://www.nvidia.com/en-us/geforce/graphics-cards/50-series/rtx-5090/"),
    Sheet(("4090",), 165, 82.6, 1008, ADA),
    Sheet(("4080",), 97, 48.7, 717, ADA),
    Sheet(("4070",), 80, 40.1, 504, ADA),
    Sheet(("4060",), 44, 22.1, 288, ADA),
    Sheet(("3090",), 71, 35.6, 936, AMPERE),
    Sheet(("3080",), 60, 29.8, 760, AMPERE),
    Sheet(("3070",), 41, 20.3, 448, AMPERE),
    Sheet(("3060",), 26, 12.7, 360, AMPERE),
    Sheet(("2080",), 54, 13.4, 616, "https://www.nvidia.com/en-us/geforce/20-series/"),
    Sheet(("mi300x",), 1307, 163.4, 5300, "https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html"),
    Sheet(("mi250", "mi250x"), 362, 45.3, 3277, "https://www.amd.com/en/products/accelerators/instinct/mi200/mi250x.html"),
)


def rate(hardware: Hardware, *, cpu: bool, threads: int = 1) -> Rate:
    """What the device of a run achieves; a card that the table lacks is taken for a middling one and said to be so."""
    gpu = hardware.gpu
    if cpu or gpu is None:
        half = CPU_CORE_TFLOPS * max(1.0, min(threads, hardware.cpu.cores))
        return Rate(half * 0.3, half, CPU_BANDWIDTH, 20e-6, 2.5,
                    f"a guess: {CPU_CORE_TFLOPS * 1000:g} GFLOP/s per CPU thread")
    name = gpu.name.lower()
    sheet = next((sheet for sheet in SHEETS if any(_names(part, name) for part in sheet.names)), None)
    if sheet is None:
        return Rate(40 * ACHIEVED, 10.0, 300, 6e-6, 3.0, f"a guess: {gpu.name} is not in ftui's table of devices")
    slice_of, part = _slice(gpu)
    doubt = (ACHIEVED_HIGH / ACHIEVED_LOW) ** 0.5
    return Rate(
        sheet.half * ACHIEVED * slice_of, sheet.single * 0.6 * slice_of, sheet.bandwidth * 0.7 * slice_of, 6e-6, doubt,
        f"data sheet {sheet.half:g} TFLOP/s in 16 bits × {ACHIEVED:g} achieved{part} ({sheet.source})",
    )


def _names(part: str, name: str) -> bool:
    """Whether `part` stands in `name` as words of its own: "a40" is no part of "a4000"."""
    return re.search(rf"(?<![a-z0-9]){re.escape(part)}(?![a-z0-9])", name) is not None


def _slice(gpu: Gpu) -> tuple[float, str]:
    """A MIG slice's share of the whole card's rates, and it in words; 1 for a whole card.

    A profile such as 3g.20gb names its compute slices, of which a card has seven and the A30 four: NVIDIA
    Multi-Instance GPU User Guide, "Supported MIG Profiles".  A slice whose name doesn't say is taken for the smallest.
    """
    if not gpu.mig:
        return 1.0, ""
    named = re.search(r"\b(\d)g\.", gpu.name)
    of = 4 if _names("a30", gpu.name.lower()) else 7
    slices = min(int(named[1]), of) if named else 1
    return slices / of, f", {slices} of {of} slices"
