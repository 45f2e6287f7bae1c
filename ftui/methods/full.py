"""Full fine-tuning: no adapter, every weight is trained."""

from __future__ import annotations

from typing import Literal

from ftui.documents import Document
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import setting


class NoAdapterOptions(Document):
    """Every weight of the base model is trained."""

    kind: Literal["none"] = setting(
        "none",
        title="Adapter",
        help="No adapter: full fine-tuning of every weight.",
        why="For small models, much data, or a new language; it needs weights, gradients and optimizer states at once.",
        term="full fine-tuning",
    )


ROW = AdapterRow(
    kind="none",
    title="Full fine-tuning",
    when="The model is small or the data large, and the memory is there: it can learn most and forget most.",
    mergeable=False,
    on_nf4=False,
    on_int8=False,
    saved="model",
    options=NoAdapterOptions,
    formula="all of the model's",
    inference="none",
    source="https://arxiv.org/abs/2405.09673",
    compared=Compared(0.472, 3_212_749_824),
)
