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
    loss_type: Literal["nll", "dft"] = setting(
        "nll",
        title="Loss",
        help="How a token counts: by its negative log-likelihood, or weighed by its probability as well (DFT).",
        why="'dft' forgets less and generalises further on reasoning; it hardly learns what the model finds unlikely.",
        term="DFT", advanced=True,
    )
    label_smoothing: float = setting(
        0.0,
        title="Label smoothing",
        help="The share of a token's probability that is spread over the whole vocabulary.",
        why="0.05 to 0.1 where the rows are doubtful; the answers get a little less sure.",
        term="label smoothing", advanced=True, ge=0, lt=1,
    )


ROW = ObjectiveRow(
    kind="sft",
    title="Supervised fine-tuning",
    when="You have examples of what the model should write: instructions with answers, chats, or plain text.",
    data=("conversation", "text", "class"),
    images=True,
    options=SftOptions,
    source="https://arxiv.org/abs/2203.02155",
)
