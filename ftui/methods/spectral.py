"""Adapters that train a few coefficients of a transform: Fourier, wavelet and circular convolution."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import Targeted, kind, whole
from ftui.methods.row import AdapterRow, Compared


class FourierftOptions(Targeted):
    """A few Fourier coefficients of the update."""

    kind: Literal["fourierft"] = kind("fourierft", "FourierFT trains a few Fourier coefficients of each update.",
                                      "FourierFT")
    frequencies: int = whole(1000, "Frequencies", "Trained coefficients of each module.", "More can learn more.")


class WaveftOptions(Targeted):
    """A few wavelet coefficients of the update."""

    kind: Literal["waveft"] = kind("waveft", "WaveFT trains a few wavelet coefficients of each update.", "WaveFT")
    frequencies: int = whole(2592, "Coefficients", "Trained coefficients of each module.", "More can learn more.")


class C3aOptions(Targeted):
    """Circular convolutions of blocks."""

    kind: Literal["c3a"] = kind("c3a", "C3A adds a circular convolution of each module's input.", "C3A")
    block_size: int = whole(
        256, "Block size", "Length of a convolution; it must divide every adapted width.",
        "Smaller blocks train more parameters.", most=65_536,
    )


Options = FourierftOptions | WaveftOptions | C3aOptions

ROWS = (
    AdapterRow(
        kind="fourierft", title="FourierFT", mergeable=True, on_nf4=True, on_int8=True,
        when="Adapter files must be tiny; the task is simple. It rebuilds each weight in every step.",
        formula="its frequencies per module",
        inference="none once merged",
        options=FourierftOptions, source="https://arxiv.org/abs/2405.03003",
        compared=Compared(0.096, 280_000, "5,000 frequencies"),
    ),
    AdapterRow(
        kind="waveft", title="WaveFT", mergeable=True, on_nf4=True, on_int8=True,
        when="As FourierFT, with local changes. It rebuilds each weight in every step.",
        formula="its coefficients per module",
        inference="none once merged",
        options=WaveftOptions, source="https://arxiv.org/abs/2505.12532",
        compared=Compared(0.403, 280_000, "5,000 coefficients"),
    ),
    AdapterRow(
        kind="c3a", title="C3A", mergeable=True, on_nf4=True, on_int8=False,
        when="A full-rank update at LoRA's size, and LoRA's low rank is the limit.",
        formula="d_in·d_out/b per module, b the block size",
        inference="none once merged",
        options=C3aOptions, source="https://arxiv.org/abs/2407.19342", compared=Compared(0.487, 5_505_024, rate=0.3),
    ),
)
