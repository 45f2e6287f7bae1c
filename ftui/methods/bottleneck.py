"""Small networks behind or beside the blocks of a layer, and hybrids with LoRA: what peft lacks (`ftui.tuners`)."""

from __future__ import annotations

from typing import Any, Literal

from ftui.methods.options import AdapterOptions, Targeted, kind, rank, whole
from ftui.methods.row import AdapterRow
from ftui.settings import setting

Placement = Literal["houlsby", "pfeiffer", "parallel"]


def _placement() -> Any:
    return setting(
        "houlsby", title="Placement",
        help="Behind attention and MLP (houlsby), behind the MLP (pfeiffer), or beside it on its input (parallel).",
        why="'pfeiffer' trains half of it for little less; 'parallel' with a scale of 4 did best in He et al.",
    )


def _width(default: int) -> Any:
    return whole(default, "Width", "The width of the narrow middle.", "Raise it to let the adapter learn more.",
                 most=65_536)


def _activation(default: str) -> Any:
    return setting(
        default, title="Activation", help="The function in the narrow middle.", why="The papers' own is the default.",
        advanced=True,
    )


def _scale() -> Any:
    return setting(
        1.0, title="Scale", help="The adapter's output is multiplied by this.",
        why="4 for the parallel placement, as its authors took.", advanced=True, gt=0, le=1000,
    )


def _alpha() -> Any:
    return setting(
        32.0, title="Alpha", help="LoRA's output is scaled by alpha / rank.",
        why="The default is right for every rank at the learning rate that the planner picks.", term="alpha", gt=0,
        le=4096,
    )


class BottleneckOptions(AdapterOptions):
    """A network of two layers behind or beside the blocks of every layer."""

    kind: Literal["bottleneck"] = kind("bottleneck", "A bottleneck adapter is a narrow network behind each block.",
                                       "bottleneck adapter")
    placement: Placement = _placement()
    width: int = _width(64)
    activation: Literal["relu", "gelu", "silu", "tanh"] = _activation("relu")
    scale: float = _scale()


class CompacterOptions(AdapterOptions):
    """A bottleneck adapter whose matrices are sums of Kronecker products."""

    kind: Literal["compacter"] = kind("compacter", "Compacter makes a bottleneck adapter's matrices of shared factors.",
                                      "Compacter")
    placement: Placement = _placement()
    width: int = _width(32)
    products: int = whole(
        4, "Kronecker products", "So many products make up each matrix; their left factors are the whole model's.",
        "More train more of what all layers share; it must divide the model's width and the adapter's.", most=64,
    )
    rank: int = rank(1, "Rank of the products' right factors.")
    activation: Literal["relu", "gelu", "silu", "tanh"] = _activation("gelu")
    scale: float = _scale()


class LoraBottleneckOptions(Targeted):
    """LoRA on the linear modules and a bottleneck adapter behind the blocks, as one adapter."""

    kind: Literal["lora_bottleneck"] = kind(
        "lora_bottleneck", "LoRA and a bottleneck adapter that train, save and switch as one.", "hybrid adapter"
    )
    rank: int = rank(16)
    alpha: float = _alpha()
    placement: Placement = _placement()
    width: int = _width(64)
    activation: Literal["relu", "gelu", "silu", "tanh"] = _activation("relu")
    scale: float = _scale()


class LoraPromptOptions(Targeted):
    """LoRA on the linear modules and trained vectors before the text, as one adapter."""

    kind: Literal["lora_prompt"] = kind(
        "lora_prompt", "LoRA and a soft prompt that train, save and switch as one.", "hybrid adapter"
    )
    rank: int = rank(16)
    alpha: float = _alpha()
    virtual_tokens: int = whole(20, "Virtual tokens", "Trained vectors that stand before every row.",
                                "More can learn more, and lengthen every row.", most=65_536)


Options = BottleneckOptions | CompacterOptions | LoraBottleneckOptions | LoraPromptOptions

_FOR_EVER = "a narrow network behind each adapted block, for ever"

ROWS = (
    AdapterRow(
        kind="bottleneck", title="Bottleneck adapter", mergeable=False, on_nf4=True, on_int8=True, tuners=True,
        when="A nonlinear adapter is wanted, many tasks are to be switched on one base, and nothing needs merging.",
        formula="w·(2h + 1) + h per adapted block: two of a layer for houlsby, else one (w is the width)",
        inference=_FOR_EVER, variants="placement houlsby, pfeiffer or parallel",
        options=BottleneckOptions, source="https://arxiv.org/abs/1902.00751",
    ),
    AdapterRow(
        kind="compacter", title="Compacter", mergeable=False, on_nf4=True, on_int8=True, tuners=True,
        when="As a bottleneck adapter, with far fewer parameters: many adapters are to be stored, or rows are few.",
        formula="n³ + (2r·(h + w) + h + w) per adapted block, n the products, w the width",
        inference=_FOR_EVER, variants="placement pfeiffer is the paper's Compacter++",
        options=CompacterOptions, source="https://arxiv.org/abs/2106.04647",
    ),
    AdapterRow(
        kind="lora_bottleneck", title="LoRA + bottleneck adapter", mergeable=False, on_nf4=True, on_int8=True,
        tuners=True,
        when="LoRA alone has stopped gaining with its rank, and the result needn't be merged.",
        formula="r·(d_in + d_out) per module, and w·(2h + 1) + h per adapted block",
        inference=f"LoRA's two thin products per module and {_FOR_EVER}", variants="the bottleneck's placement",
        options=LoraBottleneckOptions, source="https://arxiv.org/abs/2110.04366",
    ),
    AdapterRow(
        kind="lora_prompt", title="LoRA + soft prompt", mergeable=False, on_nf4=True, on_int8=True, tuners=True,
        when="One LoRA is to begin from an instruction that is learnt with it.",
        formula="r·(d_in + d_out) per module, and h per virtual token",
        inference="LoRA's two thin products per module, and longer rows",
        options=LoraPromptOptions, source="https://arxiv.org/abs/2110.07577",
    ),
)
