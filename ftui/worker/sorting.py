"""What a finished classifier says of texts: each label with its probability."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ftui.data.tokenizer import Tokenizer
from ftui.methods import ADAPTERS
from ftui.paths import METADATA
from ftui.recipe.document import Recipe
from ftui.worker.adapters.results import with_adapter
from ftui.worker.base import device_of, load_model, load_tokenizer, set_threads
from ftui.worker.class_scores import THRESHOLD
from ftui.worker.precision import choose


def sort(
    recipe: Recipe, folder: Path, result: Path, rules: Tokenizer, texts: Sequence[str],
    tasks: Sequence[int | None] = (),
) -> list[tuple[str, dict[str, float]]]:
    """For each text what it is in a few words, and the probability of each label, the likeliest first; `tasks` are
    the numbers of the texts' tasks, where the adapter tells several apart.

    `folder` holds the base, `result` the output of the run, `rules` are its tokenizer.  The probabilities
    add up to 1 where a text has one label, and are each between 0 and 1 where it may have several.
    """
    said = json.loads((result / METADATA).read_text(encoding="utf-8"))
    labels, multi = tuple(said["labels"]), bool(said["multi_label"])
    device, bf16 = device_of(recipe)
    precision = choose(recipe, cuda=device == "cuda", bf16=bf16)
    whole = ADAPTERS[recipe.adapter.kind].saved == "model"
    model: Any = load_model(recipe, result if whole else folder, precision, device, labels)
    set_threads(recipe, model.num_parameters())
    model.config.get_text_config().pad_token_id = load_tokenizer(result, None).pad_token_id
    model = (model if whole else with_adapter(model, result)).eval()
    before = [rules.bos_id] if rules.adds_bos and rules.bos_id is not None else []
    most = recipe.data.max_length if isinstance(recipe.data.max_length, int) else None
    found = []
    device = next(model.parameters()).device
    for ids, task in zip(rules.encode_batch(list(texts)), tasks or [None] * len(texts), strict=True):
        given = torch.tensor([[*before, *ids][:most]], device=device)
        beside = {} if task is None else {"task_ids": torch.tensor([task], device=device)}
        with torch.no_grad():
            scores = model(input_ids=given, attention_mask=torch.ones_like(given), **beside).logits[0].float()
        shares = (scores.sigmoid() if multi else scores.softmax(-1)).tolist()
        ordered = dict(sorted(zip(labels, shares, strict=True), key=lambda pair: -pair[1]))
        found.append((_sentence(ordered, multi=multi), ordered))
    return found


def _sentence(shares: dict[str, float], *, multi: bool) -> str:
    """The likeliest label with its probability, or all those that the text has."""
    told = [label for label, share in shares.items() if share > THRESHOLD] if multi else [next(iter(shares))]
    return ", ".join(f"{label} ({shares[label]:.0%})" for label in told) or "no label"
