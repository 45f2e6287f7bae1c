"""A model that is asked by a job: conversations go in, what it says next comes out, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ftui.data.canonical import Message, RowError
from ftui.data.template import ChatTemplate
from ftui.worker.answers import Prompt, answer

THOUGHT = "</think>"
"""What stands before it is a reasoning model's thinking, and no part of its answer."""


class Asked(Protocol):
    """Whatever is worked on; `problem` says why nothing came of it."""

    problem: str | None


@dataclass(frozen=True)
class Speaker:
    """A model with all that it takes to have it say something; `room` is the longest text it reads, in tokens."""

    model: Any
    tokenizer: Any
    template: ChatTemplate
    stop_ids: Sequence[int]
    max_new_tokens: int
    temperature: float
    room: int | None
    should_stop: Callable[[], bool]

    def say(self, rows: Sequence[Asked], asked: Sequence[list[Message]], seed: int) -> list[str]:
        """What the model says next in each of `asked`; a row that can't go on gets its problem, and an empty text."""
        prompts = [self.prompt(row, messages, self.max_new_tokens) for row, messages in zip(rows, asked, strict=True)]
        torch.manual_seed(seed)
        said = iter(answer(
            self.model, self.tokenizer, [prompt for prompt in prompts if prompt is not None], stop_ids=self.stop_ids,
            max_new_tokens=self.max_new_tokens, temperature=self.temperature, should_stop=self.should_stop,
        ))
        texts = ["" if prompt is None else next(said).rpartition(THOUGHT)[2].strip() for prompt in prompts]
        for row, text in zip(rows, texts, strict=True):
            if not text and row.problem is None:
                row.problem = "the model said nothing"
        return texts

    def cut_off(self, text: str) -> bool:
        """Whether something that was said is as long as it may get, and so most likely ends in the midst."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"]) >= self.max_new_tokens

    def prompt(self, row: Asked, messages: list[Message], more: int) -> Prompt | None:
        """The rendered turns; None, with the row's problem, where it has one, they can't be written or are too long."""
        if row.problem is not None:
            return None
        try:
            text = self.template.render(messages, prompt=True)
        except RowError as error:
            row.problem = str(error)
            return None
        length = len(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if self.room is not None and length + more > self.room:
            row.problem = f"it gets longer than the {self.room:,} tokens that the model reads"
            return None
        return Prompt(str(messages[-1]["content"]), text)
