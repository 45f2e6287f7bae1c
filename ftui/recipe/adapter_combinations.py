"""Adapters beside settings that they can't stand with: packed rows, losses, tasks, checkpointing, other heads.

What peft refuses only after the model is loaded, or does silently wrong, is said here before anything loads; which
bases an adapter works on is among the pairs (`ftui.recipe.pairs`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

IN_FRONT = frozenset({
    "prompt_tuning", "multitask_prompt_tuning", "p_tuning", "prefix_tuning", "cartridge", "cpt", "lora_prompt",
})
"""Adapters that put vectors, or keys and values, before a row."""

LENGTHENING = IN_FRONT - {"prefix_tuning", "cartridge"}
"""Those whose vectors lengthen the row, and so the logits."""

UNCHECKPOINTED = frozenset({"prefix_tuning", "cartridge", "xlora"})
"""Adapters that can't be computed again going backward."""

WORDS_ONLY = frozenset({"cpt", "adaption_prompt", "cartridge", "xlora"})
"""Adapters that peft has for language models only."""

def wrong_adapter(recipe: Recipe) -> Iterator[Wrong]:
    """Everything beside which the adapter of `recipe` can't stand."""
    for rule in (_rows, _objective, _checkpointing, _loss, _own):
        yield from rule(recipe)


def _rows(recipe: Recipe) -> Iterator[Wrong]:
    if recipe.adapter.kind not in IN_FRONT:
        return
    title = ADAPTERS[recipe.adapter.kind].title
    if recipe.data.packing is True:
        yield (f"{title} puts its vectors before a sequence once, and packed rows would see each other: peft drops the "
               "positions that keep them apart.", "Write data.packing: false.")
    if recipe.data.padding == "free":
        yield (f"{title} puts its vectors before a sequence once, and rows laid end to end would see each other: peft "
               "drops the positions that keep them apart.", "Write data.padding: longest.")


def _objective(recipe: Recipe) -> Iterator[Wrong]:
    kind, objective = recipe.adapter.kind, OBJECTIVES[recipe.objective.kind]
    title = ADAPTERS[kind].title
    if objective.head == "scores" and kind in WORDS_ONLY:
        yield (f"{title} is for language models only, and {objective.title.lower()} trains a model that gives scores.",
               "Write adapter: {kind: lora}.")
    if objective.head == "scores" and kind in LENGTHENING:
        yield (f"{title} hands the model vectors in place of tokens, which then can't tell a row's last token from its "
               f"padding: {objective.title.lower()} would score that.",
               "Write adapter: {kind: prefix_tuning}, or adapter: {kind: lora}.")
    if objective.head == "scores" and kind == "trainable_tokens":
        yield (f"{title} trains rows of the embeddings and nothing else, and {objective.title.lower()} begins with a "
               "new head, which would stay random.", "Write adapter: {kind: lora}.")
    told_apart = objective.form in ("pair", "labelled") and kind not in ("cpt", "multitask_prompt_tuning")
    if objective.head == "words" and objective.kind != "sft" and kind in LENGTHENING and not told_apart:
        yield (f"{title} lengthens every row, and {objective.title.lower()} reads its probabilities by their place.",
               "Write adapter: {kind: prefix_tuning}, or adapter: {kind: lora}.")


def _checkpointing(recipe: Recipe) -> Iterator[Wrong]:
    kind = recipe.adapter.kind
    wanted = recipe.train.checkpointing is True or recipe.train.checkpoint_layers is not None
    if not wanted or kind not in UNCHECKPOINTED:
        return
    why = ("the gate's mixture is gone when the layers are computed again" if kind == "xlora"
           else "it drops the cache that the keys and values are in")
    yield (f"{ADAPTERS[kind].title} can't train with gradient checkpointing: {why}.",
           "Write train.checkpointing: false, and no train.checkpoint_layers.")


def _loss(recipe: Recipe) -> Iterator[Wrong]:
    if recipe.adapter.kind == "trainable_tokens" and recipe.train.loss == "tiled":
        yield ("trl's tiled loss reads the head past the tokens that train, where it is tied to the embeddings.",
               "Write train.loss: chunked or full.")


def _own(recipe: Recipe) -> Iterator[Wrong]:
    """Options of one adapter that belong together."""
    o = recipe.adapter
    match o.kind:
        case "adalora" if o.final_rank > o.rank:
            yield (f"adapter.target_rank {o.final_rank} is more than the first rank, {o.rank}.",
                   "Write a larger adapter.rank, or a smaller adapter.target_rank.")
        case "cartridge" if o.frozen_tokens >= o.virtual_tokens:
            yield (f"{o.frozen_tokens} of the cartridge's {o.virtual_tokens} virtual tokens are frozen: none trains.",
                   "Write a smaller adapter.frozen_tokens.")
        case "cpt" if not o.prompts or len(o.prompts) != len(o.answers):
            yield (f"CPT needs worked examples: there are {len(o.prompts)} prompts and {len(o.answers)} answers.",
                   "Write as many adapter.prompts as adapter.answers, one or more.")
        case "xlora" if len(o.adapters) < 2:
            yield (f"X-LoRA mixes finished adapters, and adapter.adapters names {len(o.adapters)}.",
                   "Name the output folders of two or more LoRA runs on this base model.")
