"""Tuning of a part of the model's own weights: chosen layers or modules of them, or the biases alone."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import AdapterOptions, kind
from ftui.methods.row import AdapterRow
from ftui.settings import setting


class FreezeOptions(AdapterOptions):
    """Some layers of the model train, the rest is frozen."""

    kind: Literal["freeze"] = kind("freeze", "Freeze tuning trains some of the model's own layers.", "freeze tuning")
    layers: int | None = setting(
        2, title="Layers", help="So many layers train; empty for all of them.",
        why="More learn more; each takes the gradients and optimizer states of all its weights.", ge=1, le=10_000,
    )
    end: Literal["last", "first"] = setting(
        "last", title="Which end", help="Whether these are the last layers or the first.",
        why="The last are the cheapest: no gradient goes below them.",
    )
    modules: str | tuple[str, ...] = setting(
        "all", title="Modules", help="What of these layers trains: 'all', or linear modules such as q_proj, down_proj.",
        why="'down_proj' alone trains a third of a layer.",
    )


class BitFitOptions(AdapterOptions):
    """The biases train, and nothing else."""

    kind: Literal["bitfit"] = kind("bitfit", "BitFit trains the model's biases alone.", "BitFit")


Options = FreezeOptions | BitFitOptions

ROWS = (
    AdapterRow(
        kind="freeze", title="Freeze tuning", mergeable=False, on_nf4=False, on_int8=False, saved="model",
        when="A whole model is wanted as the result, and the memory is too small for full tuning.",
        formula="the weights, biases and norms of the chosen layers, or the chosen modules of them",
        inference="none: the result is a model like its base", variants="the last or the first layers, modules by name",
        options=FreezeOptions, source="https://arxiv.org/abs/1911.03090",
    ),
    AdapterRow(
        kind="bitfit", title="BitFit", mergeable=False, on_nf4=False, on_int8=False, saved="model",
        when="The model has biases (GPT-2, NeoX, Qwen 2; Llama and most later ones have none), and rows are few.",
        formula="the biases of all linear modules and norms",
        inference="none: the result is a model like its base",
        options=BitFitOptions, source="https://arxiv.org/abs/2106.10199",
    ),
)
