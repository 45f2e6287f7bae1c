"""The smallest adapters: trained scales, shifts and norms."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import AdapterOptions, Targeted, kind
from ftui.methods.row import AdapterRow, Compared


class Ia3Options(Targeted):
    """Scales of keys, values and the feed-forward part."""

    kind: Literal["ia3"] = kind("ia3", "IA³ scales attention's outputs and the feed-forward part's inputs.", "IA³")


class BeftOptions(Targeted):
    """A trained bias."""

    kind: Literal["beft"] = kind("beft", "BEFT adds a trained bias to each module's output.", "BEFT")


class LnTuningOptions(AdapterOptions):
    """The norms of the base model."""

    kind: Literal["ln_tuning"] = kind("ln_tuning", "LN tuning trains the model's norms over the hidden width.",
                                      "LN tuning")


Options = Ia3Options | BeftOptions | LnTuningOptions

ROWS = (
    AdapterRow(
        kind="ia3", title="IA³", mergeable=True, on_nf4=True, on_int8=True,
        when="A few examples of a simple task; a vector per module is all that trains.",
        formula="d_out per module of attention, d_in per module of the MLP",
        inference="none once merged",
        options=Ia3Options, source="https://arxiv.org/abs/2205.05638",
        compared=Compared(0.455, 630_784, "all linear modules", rate=5e-3),
    ),
    AdapterRow(
        kind="beft", title="BEFT", mergeable=False, on_nf4=True, on_int8=True,
        when="A few examples, and nothing may cost memory; a model without biases can't take it up.",
        formula="d_out per module",
        inference="one addition per module, for ever",
        options=BeftOptions, source="https://arxiv.org/abs/2509.15974", compared=Compared(0.321, 28_672, "on v_proj"),
    ),
    AdapterRow(
        kind="ln_tuning", title="LN tuning", mergeable=True, on_nf4=True, on_int8=True,
        when="Only the tone should change, with as little trained as possible.",
        formula="h per norm; 2h where it has a bias",
        inference="none once merged",
        options=LnTuningOptions, source="https://arxiv.org/abs/2312.11420", compared=Compared(0.0, 175_104),
    ),
)
