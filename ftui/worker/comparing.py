"""A chat model that is asked which of two answers is better: the question, in both orders, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftui.data.canonical import Message
from ftui.data.template import ChatTemplate

LETTERS = "AB"


def letters(tokenizer: Any, template: ChatTemplate) -> list[int]:
    """The tokens that A and B are, where the assistant begins with one of them."""
    return [tokenizer(template.generation_prompt + letter, add_special_tokens=False)["input_ids"][-1]
            for letter in LETTERS]  # fmt: skip


def asked_which(question: Sequence[Message], one: str, other: str, measure: str) -> list[Message]:
    """What is asked about answer A, `one`, and answer B, `other`; `measure` says what makes one the better."""
    talk = "\n\n".join(f"{message['role']}: {message['content']}" for message in question)
    return [{"role": "user", "content": (
        f"Here is a conversation, with two answers to its last turn.\n\n{talk}\n\n"
        f"Answer A: {one}\n\nAnswer B: {other}\n\n"
        f"{measure}\n\n"
        "Which answer is better? Say A or B, nothing else."
    )}]  # fmt: skip
