"""Classification: the objective's options and its row."""

from __future__ import annotations

from typing import Literal

from ftui.documents import Document
from ftui.methods.row import ObjectiveRow
from ftui.settings import setting


class ClassifyOptions(Document):
    """A model that gives a text one score for each label, learned from texts with their labels."""

    kind: Literal["classify"] = setting(
        "classify",
        title="Objective",
        help="Classification: in place of its words the model gets a head with one score for each label.",
        why="It answers with one of your labels, always, with its probability, and in one pass.",
        term="classification",
    )
    class_weights: Literal["none", "balanced"] = setting(
        "none",
        title="Class weights",
        help="How much a row counts: the same, or the more the rarer its label is ('balanced').",
        why="'balanced' where rare labels matter as much as frequent ones; it costs some accuracy on those.",
    )
    label_smoothing: float = setting(
        0.0,
        title="Label smoothing",
        help="The share of the probability that is spread over all labels; only where a text has one label.",
        why="0.05 to 0.1 where labels are doubtful, or probabilities come out too sure of themselves.",
        term="label smoothing", advanced=True, ge=0, lt=1,
    )

    @property
    def loss_on(self) -> Literal["all"]:
        """The whole text is read; no token of it is trained to be written."""
        return "all"


ROW = ObjectiveRow(
    kind="classify",
    title="Classification",
    when="You have texts with one or several labels each, and want new texts sorted the same way.",
    data=("class",),
    form="class",
    head="scores",
    options=ClassifyOptions,
    source="https://huggingface.co/docs/transformers/tasks/sequence_classification",
    best="f1",
)
