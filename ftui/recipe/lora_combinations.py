"""Options of LoRA that can't stand together, each with the reason and what to write.

Where peft refuses (its ValueErrors stand in `peft/tuners/lora`), the same is said here before anything loads; where it
would silently do something else, it is said here alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ftui.errors import BadInput
from ftui.methods.layers import ranges
from ftui.methods.lora import CHANGES_BASE, LoraOptions, pattern_of, ranks_of
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""

TITLES = {
    "pissa": "PiSSA", "olora": "OLoRA", "corda": "CorDA", "lora_ga": "LoRA-GA", "mica": "MiCA", "loftq": "LoftQ",
    "orthogonal": "an orthogonal start", "eva": "EVA", "gaussian": "a Gaussian start", "default": "LoRA's own start",
}
PLAIN = ("default", "gaussian")
"""Starts that read nothing but the sizes."""
REFERENCED = ("grpo", "rloo", "online_dpo", "ppo")
"""Objectives that hold the model against what it was (those with a beta, where it isn't 0), and keep no copy of a start
as DPO and KTO do."""
HEADS = ("lm_head", "embed_out", "score", "output_layer")
EMBEDDINGS = ("embed_tokens", "wte", "wpe", "embed_in", "word_embeddings", "embed_positions")


def wrong_lora(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in `recipe` that its LoRA can't be; nothing where another adapter is asked for."""
    options = recipe.adapter
    if isinstance(options, LoraOptions):
        for rule in RULES:
            yield from rule(options, recipe)


def _base(o: LoraOptions, recipe: Recipe) -> Iterator[Wrong]:
    quantization, title = recipe.model.quantization, TITLES[o.init]
    quantized = quantization not in ("none", "auto")
    if quantized and o.init in CHANGES_BASE:
        yield (f"{title} takes a part out of the base's weights, which {quantization} would round away again.",
               "Write model.quantization: none, or adapter.init: loftq, eva or default.")
    if quantized and o.init in ("mica", "orthogonal"):
        yield (f"adapter.init {o.init} needs the base's own weights in their own number format, not {quantization}.",
               "Write model.quantization: none, or adapter.init: default.")
    if o.init == "loftq" and quantization not in ("nf4", "fp4", "auto"):
        yield (f"LoftQ makes up for what 4 bits lose, and model.quantization is {quantization}.",
               "Write model.quantization: nf4, or adapter.init: default.")


def _dora(o: LoraOptions, recipe: Recipe) -> Iterator[Wrong]:
    if not o.dora:
        return
    if o.bias:
        yield "peft has no DoRA with a bias on B.", "Write adapter.bias: false, or adapter.dora: false."
    if o.init in (*CHANGES_BASE, "mica", "loftq"):
        yield (f"DoRA learns the magnitudes of the base's weights, and {TITLES[o.init]} has others put in their place.",
               "Write adapter.init: default, or adapter.dora: false.")
    if o.qalora_group:
        yield "QALoRA and DoRA can't be put on one module.", "Write adapter.qalora_group: null, or adapter.dora: false."
    if o.update == "fa":
        yield ("LoRA-FA pairs each A with its B and would take DoRA's magnitudes for one of them.",
               "Write adapter.update: plain, or adapter.dora: false.")


def _start(o: LoraOptions, recipe: Recipe) -> Iterator[Wrong]:
    title = TITLES[o.init]
    if o.bias and o.init != "default":
        yield (f"A bias on B goes with LoRA's own start only, and adapter.init is {o.init}.",
               "Write adapter.init: default, or adapter.bias: false.")
    if o.init == "orthogonal" and any(rank % 2 for rank in ranks_of(o)):
        yield "An orthogonal start needs even ranks.", "Write even numbers for adapter.rank and adapter.rank_pattern."
    if o.pissa_iterations is not None and o.init != "pissa":
        yield (f"adapter.pissa_iterations belongs to PiSSA, and adapter.init is {o.init}.",
               "Write adapter.init: pissa, or adapter.pissa_iterations: null.")
    if o.layer_replication and o.init not in (*PLAIN, "orthogonal", "eva"):
        yield (f"Replicated layers share their weights, which {title} would change or measure once for each copy.",
               "Write adapter.init: default, or adapter.layer_replication: null.")
    if o.qalora_group and o.init not in PLAIN:
        yield (f"QALoRA's first matrix sees averages of the inputs, for which {title} has no start.",
               "Write adapter.init: default, or adapter.qalora_group: null.")
    if o.init == "mica" and o.update == "fa":
        yield ("MiCA trains A alone and LoRA-FA B alone: together nothing would train.",
               "Write adapter.update: plain, or adapter.init: default.")
    if o.init == "mica" and o.update == "riemannian":
        yield ("The Riemannian update needs both matrices trained, and MiCA freezes B.",
               "Write adapter.update: plain, or adapter.init: default.")


def _reference(o: LoraOptions, recipe: Recipe) -> Iterator[Wrong]:
    objective: Any = recipe.objective
    if o.init in CHANGES_BASE and objective.kind in REFERENCED and getattr(objective, "beta", True):
        yield (f"{objective.kind} takes the switched-off adapter for its reference, and {TITLES[o.init]} leaves a base "
               "without what the adapter began with.", "Write adapter.init: default or eva.")


def _update(o: LoraOptions, recipe: Recipe) -> Iterator[Wrong]:
    if o.update == "fa" and recipe.train.optimizer not in ("auto", "adamw"):
        yield (f"LoRA-FA has an AdamW of its own, and train.optimizer is {recipe.train.optimizer}.",
               "Write train.optimizer: adamw, or adapter.update: plain or plus.")
    if o.update == "fa" and o.bias:
        yield ("LoRA-FA pairs each A with its B and would take a bias for one of them.",
               "Write adapter.bias: false, or adapter.update: plain.")
    if o.update in ("fa", "riemannian") and o.parameters:
        yield (f"adapter.update {o.update} scales by one module's matrices, but experts lie stacked in a tensor.",
               "Write adapter.update: plain or plus, or leave adapter.parameters empty.")


def _targets(o: LoraOptions, recipe: Recipe) -> Iterator[Wrong]:
    written = (o.targets,) if isinstance(o.targets, str) else o.targets
    names = [name.strip().rsplit(".", 1)[-1] for one in written for name in one.split(",")]
    pattern = pattern_of(o)
    if pattern is not None and (problem := _pattern_problem(pattern)):
        yield f"adapter.targets is no pattern: {problem}.", "Write it as in re:.*layers\\.[0-3]\\..*_proj."
        return
    if not isinstance(o.targets, str) and any(name.startswith("re:") for name in o.targets):
        yield ("A pattern stands alone, and adapter.targets is a list.", "Write one pattern, with | between its parts.")
    if any(head in names or (pattern and re.fullmatch(pattern, head)) for head in HEADS):
        yield ("LoRA on the head would be lost: the loss reads the head's weights directly, and a tied head is the "
               "embedding.", "Leave it out of adapter.targets; adapter.modules_to_save: [lm_head] trains it whole.")
    if any(name in EMBEDDINGS for name in names):
        yield ("ftui puts LoRA on the layers' linear modules, not on an embedding.",
               "Name single tokens in adapter.tokens, or write adapter.modules_to_save: [embed_tokens].")
    if o.layers is not None and (problem := _layers_problem(o.layers)):
        yield f"adapter.layers: {problem}", "Write 0-7, or last 4, or first 2, 10, 12-15."
    if o.layer_replication is not None and (problem := _layers_problem(o.layer_replication)):
        yield f"adapter.layer_replication: {problem}", "Write the old layers in their new order: 0-15, 8-23."
    if o.layers is not None and o.layer_replication is not None:
        yield ("Copies of layers differ by their adapters alone, and adapter.layers leaves some without one.",
               "Write adapter.layers: null, or adapter.layer_replication: null.")


def _patterns(o: LoraOptions, recipe: Recipe) -> Iterator[Wrong]:
    for path, pattern in (("rank_pattern", o.rank_pattern), ("alpha_pattern", o.alpha_pattern)):
        for name, value in pattern.items():
            if problem := _pattern_problem(name):
                yield f"adapter.{path}: {name!r} is neither a name nor a pattern: {problem}.", "Write down_proj: 32."
            if value <= 0:
                yield f"adapter.{path}: {name} is {value:g}, which must be above zero.", f"Write {name}: 16."


def _beside(o: LoraOptions, recipe: Recipe) -> Iterator[Wrong]:
    whole = {name.rsplit(".", 1)[-1] for name in o.modules_to_save}
    if o.tokens and whole & set(EMBEDDINGS):
        yield ("adapter.modules_to_save trains the embedding whole, and adapter.tokens some rows of it.",
               "Keep one of the two.")
    targets = (o.targets,) if isinstance(o.targets, str) else o.targets
    if both := whole & set(targets):
        yield (f"{', '.join(sorted(both))} can't get an adapter and train whole.",
               "Leave it out of adapter.targets, or out of adapter.modules_to_save.")
    if not o.parameters:
        return
    for stated, path, plain in (
        (bool(o.dropout) and o.dropout != "auto", "dropout", "0"), (o.dora, "dora", "false"), (o.bias, "bias", "false"),
        (o.init not in PLAIN, "init", "default"), (bool(o.qalora_group), "qalora_group", "null"),
        (bool(o.layers), "layers", "null"),
    ):
        if stated:
            yield (f"peft's LoRA on bare tensors (adapter.parameters) has no {path}.",
                   f"Write adapter.{path}: {plain}, or leave adapter.parameters empty.")


def _pattern_problem(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return None


def _layers_problem(text: str) -> str | None:
    try:
        ranges(text)
    except BadInput as error:
        return error.what
    return None


RULES: tuple[Callable[[LoraOptions, Recipe], Iterator[Wrong]], ...] = (
    _base, _dora, _start, _reference, _update, _targets, _patterns, _beside,
)
