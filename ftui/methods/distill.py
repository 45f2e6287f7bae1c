"""Distillation on the student's own answers: the objective's options and its row; names and defaults are trl 1.16's."""

from __future__ import annotations

from typing import Literal

from ftui.methods.row import ObjectiveRow
from ftui.methods.scoring import CompletionOptions, beta, completion_length, temperature
from ftui.settings import setting


class DistillOptions(CompletionOptions):
    """A small model that learns a large one's distribution on answers it writes itself."""

    kind: Literal["distill"] = setting(
        "distill",
        title="Objective",
        help="Distillation: a teacher says how it would have gone on with the student's answers, token by token.",
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
    max_completion_length: int = completion_length()
    temperature: float = temperature()
    beta: float = beta(
        1.0, "The divergence: 0 covers all that the teacher might say, 1 keeps to what it would say, between is mixed.",
        "0 for variety, 1 for the teacher's best; values between take a second pass over the vocabulary.",
    )


ROW = ObjectiveRow(
    kind="distill",
    title="Distillation",
    when="You have prompts and a larger model of the same vocabulary whose skill a small one should get.",
    data=("prompt", "conversation", "preference"),
    form="prompt",
    options=DistillOptions,
    source="https://arxiv.org/abs/2306.13649",
    trains=False,
)
