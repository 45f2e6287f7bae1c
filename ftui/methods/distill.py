"""Distillation on the student's own answers and the data's: options and row.  Names and defaults are trl 1.16's."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import CompletionOptions, beta, completion_length
from ftui.settings import setting


class DistillOptions(CompletionOptions):
    """A small model that learns a large one's distribution on answers it writes itself, or on the data's."""

    kind: Literal["distill"] = setting(
        "distill",
        title="Objective",
        help="Distillation: a teacher says of each token of an answer how it would have gone on there.",
        why="It brings a large model's skill into a small one that shares its vocabulary.",
        term="distillation",
    )
    teacher: str = setting(
        "",
        title="Teacher",
        help="The larger model, by hub id or folder; it must have the student's vocabulary.",
        why="The best model of the same family that fits beside the student.",
    )
    teacher_parameters: float | None = setting(
        None,
        title="Teacher's size",
        help="Billions of parameters of the teacher, held in 16 bits; empty takes it to be as large as the student.",
        why="The memory plan needs it, since the teacher itself is only looked up when the run starts.",
        unit="billion",
        gt=0,
        le=2000,
    )
    teacher_quantization: Literal["none", "nf4", "int8"] = setting(
        "none",
        title="Teacher's quantization",
        help="The teacher's number format: 16 bits ('none'), or fewer by bitsandbytes.",
        why="'nf4' brings a teacher onto the card that else doesn't fit; what it teaches is a little coarser.",
        advanced=True,
    )
    on_policy: float = setting(
        1.0,
        title="On-policy share",
        help="The share of batches whose answers the student writes itself; the others' are the data's.",
        why="1 mends the student's own mistakes; 0 generates nothing, and is several times as fast.",
        term="on-policy", ge=0, le=1,
    )
    hard_labels: float = setting(
        0.0,
        title="Hard labels",
        help="The weight of the plain loss on the data's answers, mixed with the divergence where they are read.",
        why="Raise it where the data's answers are better than the teacher's; it needs an on-policy share below 1.",
        ge=0, lt=1,
    )
    max_completion_length: int = completion_length()
    temperature: float = setting(
        1.0, title="Temperature", help="Softens the two distributions that are compared, and samples the answers.",
        why="1.5 to 4 shows more of what the teacher finds possible; own answers fall apart where it is high.",
        advanced=True, gt=0, le=10,
    )
    beta: float = beta(
        1.0, "The divergence: 0 covers all that the teacher might say, 1 keeps to what it would say, between is mixed.",
        "0 for variety, 1 for the teacher's best; values between take a second pass over the vocabulary.",
    )


ROW = ObjectiveRow(
    kind="distill",
    title="Distillation",
    when="You have prompts and a larger model of the same vocabulary whose skill a small one should get.",
    data=("prompt", "conversation", "preference"),
    form="answered",
    options=DistillOptions,
    source="https://arxiv.org/abs/2306.13649",
)
