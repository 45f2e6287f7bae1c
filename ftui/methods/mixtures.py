"""Adapters that mix several: skills that tasks share, and finished adapters joined by a learned gate."""

from __future__ import annotations

from typing import Literal

from ftui.methods.options import AdapterOptions, Targeted, kind, rank, tasks, whole
from ftui.methods.row import AdapterRow
from ftui.settings import setting


class PolyOptions(Targeted):
    """A few LoRAs per module, mixed by task."""

    kind: Literal["poly"] = kind("poly", "Poly trains a few LoRAs per module and mixes them by task.", "Poly")
    rank: int = rank(8)
    skills: int = whole(4, "Skills", "How many LoRAs a module has.", "More for tasks that differ more.", most=256)
    tasks: int = tasks()
    splits: int = whole(
        1, "Splits", "Each module's inputs and outputs are split into so many parts, which mix on their own.",
        "More for a finer mixture; it must divide every adapted width.", most=256,
    )


class XloraOptions(AdapterOptions):
    """Finished LoRAs, mixed token by token by a learned gate."""

    kind: Literal["xlora"] = kind("xlora", "X-LoRA learns to mix finished LoRAs, token by token.", "adapter fusion")
    adapters: tuple[str, ...] = setting(
        (), title="Adapters", help="Output folders of finished LoRA runs on this base model.",
        why="Two or more whose skills are to be joined.",
    )
    expert_parameters: float | None = setting(
        None, title="Adapters' size", help="Millions of parameters of each, for the plan; empty takes rank 16 "
        "on all linear modules.", why="State it where the finished LoRAs are larger or smaller.", advanced=True,
        gt=0, le=100_000,
    )
    depth: int = whole(1, "Depth", "Layers of the gate.", "Deeper for mixtures that depend on more.", most=64)
    width: int = whole(2048, "Width", "Inner width of a gate of two or more layers.", "Smaller trains less.",
                       most=1 << 20)
    temperature: float = setting(
        1.0, title="Temperature", help="How evenly the gate mixes: low takes one adapter, high all alike.",
        why="Lower it for sharper choices.", advanced=True, gt=0, le=100,
    )
    top: int | None = setting(
        None, title="Only the best", help="So many adapters are mixed for a token; empty mixes all.",
        why="1 or 2 spare products where many are mixed.", advanced=True, ge=1, le=256,
    )


Options = PolyOptions | XloraOptions

ROWS = (
    AdapterRow(
        kind="poly", title="Poly", mergeable=False, on_nf4=True, on_int8=True,
        when="Several tasks that share skills, each with little data.",
        formula="skills·r·(d_in + d_out) + tasks·skills·splits per module",
        inference="thin products per module, for ever; a call names its task (task_ids)",
        options=PolyOptions, source="https://arxiv.org/abs/2202.13914",
    ),
    AdapterRow(
        kind="xlora", title="X-LoRA", mergeable=False, on_nf4=False, on_int8=False,
        when="Adapter fusion: finished LoRAs hold the skills, and which is needed depends on the text.",
        formula="n·(h + 1) for n adapters; deeper w·(h + 1) + (depth − 2)·w·(w + 1) + n·(w + 1), w the width",
        inference="a second forward pass of the base for the gate, and all the adapters' products",
        options=XloraOptions, source="https://arxiv.org/abs/2402.07148",
    ),
)
