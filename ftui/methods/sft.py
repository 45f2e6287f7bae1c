"""Supervised fine-tuning: the objective's options and its row."""

from __future__ import annotations

from typing import Literal

from ftui.documents import Document
from ftui.methods.row import ObjectiveRow
from ftui.settings import setting


class SftOptions(Document):
    """Next-token training on conversations or plain text."""

    kind: Literal["sft"] = setting(
        "sft",
        title="Objective",
        help="Supervised fine-tuning: the model learns to continue rows as they are written.",
        why="It is the objective for examples of the wanted behaviour and for plain text.",
        term="SFT",
    )
    loss_on: Literal["assistant", "completion", "all"] = setting(
        "assistant",
        title="Loss on",
        help="Which tokens are trained: every assistant turn, the last answer only, or the whole text.",
        why="'all' for continued pre-training on plain text; 'completion' when only the final answer is good.",
        term="loss mask",
    )


ROW = ObjectiveRow(
    kind="sft",
    title="Supervised fine-tuning",
    when="You have examples of what the model should write: instructions with answers, chats, or plain text.",
    data=("conversation", "text", "class"),
    options=SftOptions,
    source="https://arxiv.org/abs/2203.02155",
)
