"""Continued pre-training and supervised losses: packed documents, assistant-only masks, DFT and label smoothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data import Prepared, prepare
from ftui.errors import BadInput

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

BIRDS = ("a crow", "an owl", "a wren", "a finch")


def texts(folder: Path, count: int = 60) -> list[dict[str, str]]:
    """data.sources with documents of different lengths, some longer than a sequence of 64 tokens."""
    file = folder / "corpus.jsonl"
    lines = [f"Note {n}: " + f"{BIRDS[n % 4]} sat on the roof and sang. " * (1 + n % 7) for n in range(count)]
    file.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    return [{"path": str(file)}]


def built(recipe: Any, folder: Path) -> tuple[Any, Prepared]:
    """The trainer as the worker builds it on the model in `folder`, and its rows."""
    from ftui.worker.adapters import BUILDERS
    from ftui.worker.base import load_model, load_tokenizer
    from ftui.worker.objectives import builder
    from ftui.worker.precision import choose

    prepared = prepare(recipe, folder, seed=1)
    precision = choose(recipe, cuda=False, bf16=False)
    model = BUILDERS[recipe.adapter.kind](load_model(recipe, folder, precision, "cpu"), recipe)
    tokenizer = load_tokenizer(folder, prepared.template.source)
    return builder("sft")(model, recipe, prepared, tokenizer, precision, "cpu", folder), prepared


def summed(trainer: Any, rows: list[Any]) -> tuple[float, int]:
    """(loss summed over all rows' trained tokens, how many they are), as an evaluation measures it."""
    import torch

    total, tokens = 0.0, 0
    trainer.model.eval()
    with torch.no_grad():
        for row in rows:
            batch = trainer.data_collator([row])
            batch.pop("tokens")
            output = trainer.model(**batch, summed_loss=True)
            total, tokens = total + float(output.loss), tokens + int(output.count)
    return total, tokens


def test_packed_documents_end_and_see_nothing_of_each_other_and_lose_no_token(
    resolved: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    settings = {"data__sources": texts(tmp_path), "data__max_length": 64, "objective__loss_on": "all",
                "data__validation": 0}  # fmt: skip
    packed, rows = built(resolved(**settings, data__packing=True), random_demo)
    single, alone = built(resolved(**settings), random_demo)
    assert rows.packed
    assert len(rows.train) < 0.8 * len(alone.train)
    assert rows.tokens == alone.tokens
    end = rows.tokenizer.eos_id
    ids = [row["input_ids"] for row in alone.train]
    assert sum(row[-1] == end for row in ids) == 60, "each document ends, those that are cut at their last piece"
    # The same random weights: the packed rows' loss is that of the documents by themselves, token for token.
    single.model.load_state_dict(packed.model.state_dict())
    together, apart = summed(packed, list(rows.train)), summed(single, list(alone.train))
    assert together[1] == apart[1]
    assert together[0] == pytest.approx(apart[0], rel=1e-5)


def test_the_preset_for_plain_text_learns_a_corpus(
    make: Callable[..., Any], work: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    from ftui.recipe import assign, preset

    recipe = assign(preset("continued-pretraining").recipe, {
        "model.base": "demo", "model.dtype": "float32", "model.attention": "sdpa", "data.sources": texts(tmp_path),
        "data.max_length": 64, "data.validation": 0.1, "adapter.rank": 8, "train.max_steps": 30,
        "train.micro_batch": 4, "train.effective_batch": 4, "train.learning_rate": 3e-3, "train.optimizer": "adamw",
        "train.eval_steps": 10, "train.save_steps": 100, "evaluate.max_new_tokens": 4, "evaluate.patience": None,
    })  # fmt: skip
    assert (recipe.data.packing, recipe.objective.loss_on) == (True, "all")
    ran = work(make(recipe))
    assert ran.end["status"] == "finished", ran.end
    judged = [event.data["eval_loss"] for event in ran.of("evaluation")]
    assert judged == sorted(judged, reverse=True)
    assert judged[-1] < 0.8 * ran.losses[1]
    assert "packed" in ran.run.report.read_text()


@pytest.mark.parametrize("settings", [{"objective__loss_type": "dft"}, {"objective__label_smoothing": 0.1}], ids=str)
def test_other_losses_lower_the_plain_one_that_is_evaluated(
    settings: dict[str, Any], train: Callable[..., Any], random_demo: Path
) -> None:
    plain, other = (
        train(**own, train__max_steps=12, train__eval_steps=4, train__learning_rate=5e-3) for own in ({}, settings)
    )
    assert other.end["status"] == "finished", other.end
    assert other.losses[1] != pytest.approx(plain.losses[1], rel=1e-3)
    judged = [event.data["eval_loss"] for event in other.of("evaluation")]
    assert judged == sorted(judged, reverse=True)


def test_an_assistant_only_mask_is_never_silently_empty(
    resolved: Callable[..., Any], train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    good = {"messages": [{"role": "user", "content": "What is red?"}, {"role": "assistant", "content": "A colour."}]}
    long = {"messages": [{"role": "user", "content": "word " * 300}, {"role": "assistant", "content": "Yes."}]}
    file = tmp_path / "cut.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [good] * 8 + [long]))
    given = {"data__sources": [{"path": str(file)}], "data__max_length": 64, "data__validation": 0}
    ran = train(**given, train__max_steps=1)
    assert "1 rows were left out: answer cut off." in [event.data["text"] for event in ran.of("warning")]
    file.write_text(json.dumps(long) + "\n")
    with pytest.raises(BadInput, match=r"No row of .* is left to train on"):
        prepare(resolved(**given), random_demo, seed=1)
