"""Greedy answers of a model to prompts: the samples of a training, and what `ftui try` shows."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ftui.data import Prepared
from ftui.methods import OBJECTIVES
from ftui.recipe.document import Recipe

EXCERPT_TOKENS = 16
"""How much of a held-out text is given to be continued, where the data has no prompts of its own."""
PROMPTS = 3


@dataclass(frozen=True)
class Prompt:
    """`shown` is what a person reads, `text` what the template makes of it."""

    shown: str
    text: str


def prompts_of(recipe: Recipe, prepared: Prepared) -> list[Prompt]:
    """The recipe's own prompts, else those of held-out conversations, else the beginnings of held-out texts.

    None for a model that gives scores: it writes no answers.
    """
    if OBJECTIVES[recipe.objective.kind].head == "scores":
        return []
    if recipe.evaluate.prompts:
        return [asked(prompt, prepared.template) for prompt in recipe.evaluate.prompts]
    if prepared.samples:
        return [Prompt(sample.messages[-1]["content"], sample.prompt) for sample in prepared.samples[:PROMPTS]]
    rows = prepared.validation if len(prepared.validation) else prepared.train
    excerpts = []
    for index in range(min(PROMPTS, len(rows))):
        ids = rows[index]["input_ids"]
        text = prepared.tokenizer.backend.decode(ids[: min(EXCERPT_TOKENS, max(1, len(ids) // 2))])
        excerpts.append(Prompt(text, text))
    return excerpts


def asked(question: str, template: Any) -> Prompt:
    """A question as the first turn of a conversation."""
    return Prompt(question, template.render([{"role": "user", "content": question}], prompt=True))


def answer(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], *, stop_ids: Sequence[int], max_new_tokens: int,
    autocast: torch.dtype | None = None,
) -> list[str]:
    """The model's most likely answer to each prompt, all in one batch; prompts are padded on the left."""
    if not prompts:
        return []
    encoded = [tokenizer(prompt.text, add_special_tokens=False)["input_ids"] for prompt in prompts]
    width = max(map(len, encoded))
    pad = tokenizer.pad_token_id
    device = next(model.parameters()).device
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in encoded], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in encoded], device=device)
    was_training = model.training
    model.eval()
    context = torch.autocast(device.type, autocast) if autocast else contextlib.nullcontext()
    try:
        with torch.no_grad(), context:
            made = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False, num_beams=1,
                temperature=None, top_p=None, top_k=None, use_cache=True, pad_token_id=pad,
                eos_token_id=list(stop_ids) or None,
            )
    finally:
        model.train(was_training)
    return [_text(tokenizer, row[width:].tolist(), stop_ids) for row in made]


def _text(tokenizer: Any, ids: list[int], stop_ids: Sequence[int]) -> str:
    end = next((index for index, token in enumerate(ids) if token in stop_ids), len(ids))
    return str(tokenizer.decode(ids[:end], skip_special_tokens=True)).strip()
