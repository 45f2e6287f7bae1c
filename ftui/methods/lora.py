"""LoRA: the adapter's options and its row.  On a base of 4 bits it is QLoRA."""

from __future__ import annotations

from typing import Literal

from ftui.documents import Document
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import Auto, setting


class LoraOptions(Document):
    """Low-rank matrices beside chosen linear modules; the base stays frozen."""

    kind: Literal["lora"] = setting(
        "lora",
        title="Adapter",
        help="LoRA trains two thin matrices beside each target module and leaves the base model frozen.",
        why="'none' trains every weight, which takes about eight times the memory of the model.",
        term="LoRA",
    )
    rank: int | Auto = setting(
        "auto",
        title="Rank",
        help="The inner width of the adapter's matrices: how much it can learn.",
        why="Raise it for complex tasks with many rows, lower it for few rows or a small card.",
        term="rank",
        ge=1,
        le=1024,
    )
    alpha: float | Auto = setting(
        "auto",
        title="Alpha",
        help="The adapter's output is scaled by alpha / rank.",
        why="Keep it at twice the rank unless a recipe that you follow says otherwise.",
        term="alpha",
        gt=0,
        le=4096,
    )
    dropout: float | Auto = setting(
        "auto",
        title="Dropout",
        help="Share of the adapter's inputs that are zeroed at random while training.",
        why="Raise it towards 0.1 when the validation loss rises while the training loss falls.",
        term="dropout",
        ge=0,
        lt=1,
    )
    targets: str | tuple[str, ...] = setting(
        "all-linear",
        title="Targets",
        help="The modules that get an adapter: 'all-linear', or names such as q_proj, v_proj.",
        why="Attention only (q_proj, v_proj) saves memory and costs some quality.",
        term="target modules",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        title="Adapter precision",
        help="The number format of the adapter's matrices.",
        why="float32 is peft's default on a 16-bit base; 16 bits halve its states and save casts.",
        advanced=True,
    )
    rslora: bool = setting(
        False,
        title="Rank-stabilized scaling",
        help="Scales by alpha / sqrt(rank) in place of alpha / rank.",
        why="Worth it at ranks of 64 and more, where plain scaling starves the adapter.",
        advanced=True,
        term="rsLoRA",
    )
    dora: bool = setting(
        False,
        title="DoRA",
        help="Learns each weight's magnitude apart from its direction.",
        why="Sometimes better at low ranks; slower, and it keeps more activations.",
        advanced=True,
        term="DoRA",
    )


ROW = AdapterRow(
    kind="lora",
    title="LoRA",
    when="The default: close to full tuning at a few percent of its optimizer memory, and the result is a small file.",
    mergeable=True,
    on_nf4=True,
    on_int8=True,
    options=LoraOptions,
    source="https://arxiv.org/abs/2106.09685",
    compared=Compared(0.513, 18_350_080, "rank 64, rank-stabilized"),
)
