"""A model's answers to prompts: the samples of a training, what `ftui try` shows, what a constitution revises."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from ftui.data import Prepared, Tokenizer
from ftui.data.canonical import RowError
from ftui.data.images import MARKER, ImageSlot
from ftui.data.template import ChatTemplate
from ftui.errors import BadInput
from ftui.methods import OBJECTIVES
from ftui.recipe.document import Recipe

EXCERPT_TOKENS = 16
"""How much of a held-out text is given to be continued, where the data has no prompts of its own."""
PROMPTS = 3


class Task(NamedTuple):
    """One of the tasks that an adapter tells apart."""

    number: int
    name: str


@dataclass(frozen=True)
class Prompt:
    """`shown` is what a person reads, `text` what the template makes of it.

    `task` is the one that it is asked for, where the adapter tells several apart; `images` are the files of the images
    that stand in it, in order.
    """

    shown: str
    text: str
    task: Task | None = None
    images: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, Any]:
        """What an event says of it."""
        beside: dict[str, Any] = {"task": self.task.name} if self.task else {}
        return {"prompt": self.shown, **beside, **({"images": list(self.images)} if self.images else {})}


def prompts_of(recipe: Recipe, prepared: Prepared) -> list[Prompt]:
    """The recipe's own prompts, else those of held-out conversations, else the beginnings of held-out texts.

    The recipe's own are asked for each task that the adapter tells apart.  None for a model that gives scores: it
    writes no answers.
    """
    if OBJECTIVES[recipe.objective.kind].head == "scores":
        return []
    tasks = [Task(*each) for each in enumerate(prepared.tasks)] if hasattr(recipe.adapter, "tasks") else []
    if recipe.evaluate.prompts:
        every: Sequence[Task | None] = tasks or [None]
        return [asked(prompt, prepared.template, task) for prompt in recipe.evaluate.prompts for task in every]
    if prepared.samples:
        by_name = {task.name: task for task in tasks}
        return [
            Prompt(sample.messages[-1]["content"], sample.prompt, by_name.get(sample.task or ""), tuple(sample.images))
            for sample in prepared.samples[:PROMPTS]
        ]
    rows = prepared.validation if len(prepared.validation) else prepared.train
    excerpts = []
    for index in range(min(PROMPTS, len(rows))):
        ids = rows[index]["input_ids"]
        text = prepared.tokenizer.backend.decode(ids[: min(EXCERPT_TOKENS, max(1, len(ids) // 2))])
        excerpts.append(Prompt(text, text))
    return excerpts


def asked(question: str, template: Any, task: Task | None = None) -> Prompt:
    """A question as the first turn of a conversation."""
    return Prompt(question, template.render([{"role": "user", "content": question}], prompt=True), task)


def asked_about(question: str, images: Sequence[str], template: Any, slot: ImageSlot) -> Prompt:
    """A question about images, which stand before it unless it says itself where; BadInput where it says other ones."""
    shown = question if MARKER in question else MARKER * len(images) + question
    try:
        text, _ = slot.expand(template.render([{"role": "user", "content": shown}], prompt=True), (), len(images))
    except RowError as error:
        raise BadInput(f"The prompt can't be asked: {error}.", f"Write {MARKER} once for each image, or leave it out.",
                       ) from None  # fmt: skip
    return Prompt(question, text, images=tuple(images))


def stops(rules: Tokenizer, template: ChatTemplate) -> tuple[int, ...]:
    """The tokens at which an answer ends: the tokenizer's own, and the end of a turn where it is one token."""
    end = rules.id_of(template.end_of_turn.strip())
    return tuple(dict.fromkeys((*rules.eos_ids, *(() if end is None else (end,)))))


def answer(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], *, stop_ids: Sequence[int], max_new_tokens: int,
    autocast: torch.dtype | None = None, temperature: float = 0.0, should_stop: Callable[[], bool] | None = None,
) -> list[str]:
    """The model's answer to each prompt, all in one batch; prompts are padded on the left.

    It is the most likely one at temperature 0, else drawn with torch's random numbers; where `should_stop` comes true
    on the way, answers are cut off there.
    """
    if not prompts:
        return []
    chance: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if temperature > 0:
        chance = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
    if should_stop is not None:
        chance["stopping_criteria"] = [lambda ids, _, **__: torch.full((len(ids),), should_stop(), device=ids.device)]
    ids, mask = _padded(model, tokenizer, prompts)
    with _asked(model, autocast):
        made = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=max_new_tokens, num_beams=1, use_cache=True,
            pad_token_id=tokenizer.pad_token_id, eos_token_id=list(stop_ids) or None,
            **_beside(model, prompts, ids.device), **chance,
        )
    return [_text(tokenizer, row[ids.shape[1]:].tolist(), stop_ids) for row in made]


def of_base(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts as a base model is asked, which knows no tasks."""
    return [replace(prompt, task=None) for prompt in prompts]


def _beside(model: Any, prompts: Sequence[Prompt], device: torch.device) -> dict[str, Any]:
    """What a model is given beside the tokens: each prompt's task, and all images in order."""
    made: dict[str, Any] = {}
    if any(prompt.task for prompt in prompts):
        made["task_ids"] = torch.tensor([prompt.task.number if prompt.task else 0 for prompt in prompts], device=device)
    if files := [file for prompt in prompts for file in prompt.images]:
        from ftui.worker.pictures import pictures_of

        made["pixel_values"] = pictures_of(model)(files).to(device)
    return made


def first_shares(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], tokens: Sequence[int]
) -> list[tuple[float, ...]]:
    """For each prompt how likely each of `tokens` is to come next, out of these alone: they add up to 1."""
    if not prompts:
        return []
    ids, mask = _padded(model, tokenizer, prompts)
    with _asked(model, None):
        # generate() counts the positions of padded prompts as each architecture wants it.
        made = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=1, do_sample=False, temperature=None, top_p=None,
            top_k=None, pad_token_id=tokenizer.pad_token_id, output_logits=True, return_dict_in_generate=True,
        )
    return [tuple(row) for row in made.logits[0][:, list(tokens)].float().softmax(-1).tolist()]


def _padded(model: Any, tokenizer: Any, prompts: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
    """(token ids, attention mask), each (prompts, longest prompt), padded on the left."""
    encoded = [tokenizer(prompt.text, add_special_tokens=False)["input_ids"] for prompt in prompts]
    width = max(map(len, encoded))
    pad = tokenizer.pad_token_id
    device = next(model.parameters()).device
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in encoded], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in encoded], device=device)
    return ids, mask


@contextlib.contextmanager
def _asked(model: Any, autocast: torch.dtype | None) -> Iterator[None]:
    """The model in evaluation, without gradients; it trains on afterwards if it did before."""
    was_training = model.training
    model.eval()
    context = torch.autocast(next(model.parameters()).device.type, autocast) if autocast else contextlib.nullcontext()
    try:
        with torch.no_grad(), context:
            yield
    finally:
        model.train(was_training)


def _text(tokenizer: Any, ids: list[int], stop_ids: Sequence[int]) -> str:
    end = next((index for index, token in enumerate(ids) if token in stop_ids), len(ids))
    return str(tokenizer.decode(ids[:end], skip_special_tokens=True)).strip()
