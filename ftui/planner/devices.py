"""What devices can do by their data sheets, and what training steps reach of it.

`half` is TFLOP/s of dense matrix products in 16 bits with float32 sums, `single` of plain float32 (torch's default; no
TF32), `bandwidth` GB/s.  What is reached stands per class of card, with where it was read: published tokens per second
of training runs, less the time that their element-wise traffic takes (`benchmarks/planner/speed.py` derives it again
and leaves each row out in turn), and published measurements of the largest matrix products.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ftui.hardware.document import Gpu, Hardware
from ftui.planner.calibration import Calibration, Learned, Measured

BANDWIDTH = 0.80
"""Share of the data sheet's bandwidth that a stream of large tensors reaches."""
SINGLE = 0.80
"""Share of the float32 rate that large products reach."""
LAUNCH = 5e-6
"""Seconds that a kernel takes at least, its start included."""
FILL_TOKENS = 256
"""Tokens at which a matrix product reaches half of its rate: fewer leave multiprocessors idle."""
STEP_SHARE = 0.83
"""What the products of whole steps reach of the rate of the largest single product: 0.72 of 0.87 on an A100."""
GUESS = 0.40
"""Share of the 16-bit rate where nothing is known of a card's class."""

CPU_CORE_TFLOPS = 0.04
"""float32 TFLOP/s of one core's matrix products: measured on a shared EPYC core, 36–80 GFLOP/s by shape."""
CPU_HALF = 0.3
"""A CPU's 16-bit rate over its float32 one: a bfloat16 step of a 48 M-parameter model took 3.5 times as long."""
CPU_BANDWIDTH = 8.0
"""GB/s: 4.4 for large tensors, 16 for such as fit the cache, measured there too."""
CPU_LAUNCH = 12e-6
THREADS = 0.85
"""Exponent by which a CPU's products become faster with threads: they share its caches and its memory."""
CPU_DEQUANTIZATION = 0.26
"""GB/s read and written per core where 4 bits become 16: a step of that model took 0.75 s longer in nf4."""


@dataclass(frozen=True)
class Rate:
    """Rates that a step can count on: `half` and `single` in TFLOP/s achieved by large products, `bandwidth` GB/s,
    `launch` seconds per kernel.

    `doubt` is the factor by which the whole may be slower or faster; `watts` is the power limit; `name` the device's,
    under which measurements of it are kept.
    """

    half: float
    single: float
    bandwidth: float
    launch: float
    doubt: float
    source: str
    cache: float = 0.0
    """MB of cache that a tensor can stay in between two operations."""
    dequantization: float | None = None
    """GB/s read and written when a quantized weight is turned into 16 bits, where it isn't the bandwidth."""
    fill: float = FILL_TOKENS
    watts: float | None = None
    name: str = ""
    basis: str = ""
    """What the rates rest on; see `Calibration.basis`."""
    learned: Learned | None = None
    """What finished runs on this device say of estimates on this basis."""


@dataclass(frozen=True)
class Class:
    """What cards of one kind reach of their 16-bit rate, how far off it may be, and who says so."""

    share: float
    doubt: float
    source: str


MAMF = "https://github.com/stas00/ml-engineering/tree/master/compute/accelerator"
HBM_A100 = Class(0.72, 1.25, "27 published runs on A100s of torchtune and LLaMA-Factory")
HBM_HOPPER = Class(0.66, 1.4, f"0.83 as on the A100 of the 80 % that large products reach: {MAMF}")
HBM_BLACKWELL = Class(0.64, 1.5, f"0.83 as on the A100 of the 78 % that large products reach: {MAMF}")
HBM_CDNA = Class(0.43, 1.6, f"0.83 as on the A100 of the 51 % that large products reach on an MI300X: {MAMF}")
HBM_OLD = Class(0.60, 1.5, "a guess between the A100 and the T4")
GEFORCE = Class(1.0, 1.3, "torchtune's runs on an RTX 4090; archived runs on an RTX 4080 fit 99 of 97 TFLOP/s")
GEFORCE_OLD = Class(0.90, 1.5, "as newer GeForce cards, whose data sheets state the same halved rate")
WORKSTATION = Class(0.64, 1.35, "7 published runs of PEFT's method comparison on an L40S")
LOW_POWER = Class(0.45, 1.6, "a guess between the L40S and the T4, whose power limits bind")
T4 = Class(0.29, 1.4, "fitted on 59 archived runs on T4s, whose 70 W bind")


@dataclass(frozen=True)
class Sheet:
    """One line of the table; `names` are words of the driver's name for the card, in lower case.

    `watts` is the board's power limit, `cache` MB of second-level cache that one multiprocessor reaches at full speed.
    """

    names: tuple[str, ...]
    half: float
    single: float
    bandwidth: float
    watts: float
    cache: float
    reached: Class
    source: str


NVIDIA = "https://www.nvidia.com/en-us/data-center/"
ADA = "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf"
AMPERE = "https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf"

# The first line whose name stands in the card's name counts, so longer names stand first.
SHEETS = (
    Sheet(("b200", "gb200"), 2250, 75, 8000, 1000, 63, HBM_BLACKWELL, NVIDIA + "dgx-b200/"),
    Sheet(("h200",), 989, 67, 4800, 700, 25, HBM_HOPPER, NVIDIA + "h200/"),
    Sheet(("h100 nvl",), 835, 60, 3900, 400, 25, HBM_HOPPER, NVIDIA + "h100/"),
    Sheet(("h100 pcie",), 756, 51, 2000, 350, 25, HBM_HOPPER, NVIDIA + "h100/"),
    Sheet(("h100", "h800", "gh200"), 989, 67, 3350, 700, 25, HBM_HOPPER, NVIDIA + "h100/"),
    Sheet(("a100", "a800"), 312, 19.5, 1935, 400, 20, HBM_A100, NVIDIA + "a100/"),
    Sheet(("a30",), 165, 10.3, 933, 165, 12, HBM_OLD, NVIDIA + "products/a30-gpu/"),
    Sheet(("a40",), 150, 37.4, 696, 300, 6, WORKSTATION, NVIDIA + "a40/"),
    Sheet(("a10g",), 70, 31.5, 600, 150, 6, GEFORCE_OLD, NVIDIA + "products/a10-gpu/"),
    Sheet(("a10",), 125, 31.2, 600, 150, 6, LOW_POWER, NVIDIA + "products/a10-gpu/"),
    Sheet(("l40s",), 362, 91.6, 864, 350, 96, WORKSTATION, NVIDIA + "l40s/"),
    Sheet(("l40",), 181, 90.5, 864, 300, 96, WORKSTATION, NVIDIA + "l40/"),
    Sheet(("l4",), 121, 30.3, 300, 72, 48, LOW_POWER, NVIDIA + "l4/"),
    Sheet(("v100", "v100s"), 125, 15.7, 900, 300, 6, HBM_OLD, NVIDIA + "v100/"),
    Sheet(("p100",), 19, 9.5, 732, 250, 4, HBM_OLD, NVIDIA + "tesla-p100/"),
    Sheet(("t4",), 65, 8.1, 300, 70, 4, T4, NVIDIA + "tesla-t4/"),
    Sheet(("rtx 6000 ada",), 364, 91.1, 960, 300, 96, WORKSTATION,
          "https://www.nvidia.com/en-us/design-visualization/rtx-6000/"),
    Sheet(("a6000",), 155, 38.7, 768, 300, 6, WORKSTATION,
          "https://www.nvidia.com/en-us/design-visualization/rtx-a6000/"),
    Sheet(("a5000",), 111, 27.8, 768, 230, 6, WORKSTATION,
          "https://www.nvidia.com/en-us/design-visualization/rtx-a5000/"),
    Sheet(("5090",), 209, 104.8, 1792, 575, 96, GEFORCE,
          "https://www.nvidia.com/en-us/geforce/graphics-cards/50-series/rtx-5090/"),
    Sheet(("4090",), 165, 82.6, 1008, 450, 72, GEFORCE, ADA),
    Sheet(("4080",), 97, 48.7, 717, 320, 64, GEFORCE, ADA),
    Sheet(("4070",), 80, 40.1, 504, 200, 36, GEFORCE, ADA),
    Sheet(("4060",), 44, 22.1, 288, 115, 24, GEFORCE, ADA),
    Sheet(("3090",), 71, 35.6, 936, 350, 6, GEFORCE_OLD, AMPERE),
    Sheet(("3080",), 60, 29.8, 760, 320, 5, GEFORCE_OLD, AMPERE),
    Sheet(("3070",), 41, 20.3, 448, 220, 4, GEFORCE_OLD, AMPERE),
    Sheet(("3060",), 26, 12.7, 360, 170, 3, GEFORCE_OLD, AMPERE),
    Sheet(("2080",), 54, 13.4, 616, 215, 4, GEFORCE_OLD, "https://www.nvidia.com/en-us/geforce/20-series/"),
    Sheet(("mi300x",), 1307, 163.4, 5300, 750, 256, HBM_CDNA,
          "https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html"),
    Sheet(("mi250", "mi250x"), 362, 45.3, 3277, 560, 8, HBM_CDNA,
          "https://www.amd.com/en/products/accelerators/instinct/mi200/mi250x.html"),
)


NOTHING_KNOWN = Calibration()


def rate(hardware: Hardware, *, cpu: bool, threads: int = 1, calibration: Calibration | None = None) -> Rate:
    """What the device of a run achieves; what was measured on it comes before what its class reaches.

    A card that the table lacks is taken for a middling one and said to be so.
    """
    found = _cpu(hardware, threads) if cpu or hardware.gpu is None else _gpu(hardware.gpu)
    calibration = calibration or NOTHING_KNOWN
    if (measured := calibration.measured.get(found.name)) is not None:
        found = _calibrated(found, measured, threads)
    return replace(found, basis=calibration.basis(found.name), learned=calibration.learned.get(found.name))


def _cpu(hardware: Hardware, threads: int) -> Rate:
    used = max(1.0, min(threads, hardware.cpu.cores))
    single = CPU_CORE_TFLOPS * used**THREADS
    return Rate(
        single * CPU_HALF, single, CPU_BANDWIDTH * min(used, 4.0) ** 0.5, CPU_LAUNCH, 2.5,
        f"a guess: {CPU_CORE_TFLOPS * 1000:g} GFLOP/s per CPU thread", dequantization=CPU_DEQUANTIZATION * used, fill=8,
        name=hardware.cpu.name,
    )


def _gpu(gpu: Gpu) -> Rate:
    name = gpu.name.lower()
    sheet = next((sheet for sheet in SHEETS if any(_names(part, name) for part in sheet.names)), None)
    if sheet is None:
        return Rate(40 * GUESS, 10.0, 300, LAUNCH, 3.0, f"a guess: {gpu.name} is not in ftui's table of devices",
                    watts=gpu.power_limit_w, name=gpu.name)
    of, part = _slice(gpu)
    reached = sheet.reached
    return Rate(
        sheet.half * reached.share * of, sheet.single * SINGLE * of, sheet.bandwidth * BANDWIDTH * of, LAUNCH,
        reached.doubt if of == 1 else reached.doubt * 1.2,
        f"data sheet {sheet.half:g} TFLOP/s in 16 bits × {reached.share:g} achieved{part} ({sheet.source}); "
        f"{reached.source}", cache=sheet.cache * of, watts=(gpu.power_limit_w or sheet.watts) * of, name=gpu.name,
    )


def _calibrated(found: Rate, measured: Measured, threads: int) -> Rate:
    """`found` with the rates that `ftui calibrate` measured on this device in place of what its class reaches.

    A whole step reaches less in its products than one large product does; the probe, where it ran, says how much less.
    """
    share = 1.0 if measured.threads is None else (threads / measured.threads) ** THREADS
    products = share * STEP_SHARE / measured.factor
    return replace(
        found, half=measured.half * products, single=measured.single * products,
        bandwidth=measured.bandwidth / measured.factor, launch=measured.launch * measured.factor,
        dequantization=measured.dequantization and measured.dequantization * share / measured.factor,
        doubt=min(found.doubt, measured.doubt), source=f"measured on this machine on {measured.day}",
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