"""The prompts' own lengths, for objectives that leave the data's answers out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data import load_tokenizer, profile
from ftui.data.canonical import Row
from ftui.data.forms import question
from ftui.data.masking import Writer
from ftui.data.template import choose_template
from ftui.models.document import ModelShape

SIZES = {"hidden": 8, "intermediate": 16, "layers": 1, "heads": 1, "kv_heads": 1, "head_dim": 8, "vocab": 600}
CHAT = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good day to you."},
        {"role": "user", "content": "And what then?"}, {"role": "assistant", "content": "So be it. " * 30}]  # fmt: skip


@pytest.fixture
def shape(bpe_folder: Path) -> ModelShape:
    return ModelShape(
        ref="tiny", path=str(bpe_folder), source="local", model_type="llama", architecture="LlamaForCausalLM",
        context_length=2048, tied_embeddings=False, parameters=1, embedding_parameters=1, **SIZES,
    )  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        {"messages": CHAT}, {"prompt": "What is it?", "completion": "It is this. " * 30},
        {"prompt": "What is it?", "chosen": "It is this. " * 30, "rejected": "No."},
    ],
)
def test_a_prompts_length_is_what_the_trainer_reads_of_it(
    row: dict[str, Any], jsonl: Callable[..., str], shape: ModelShape, bpe_folder: Path
) -> None:
    found = profile(jsonl(row), shape, loss_on="completion")
    assert found.prompts is not None
    assert found.lengths is not None
    turns = row.get("messages", [{"role": "user", "content": row.get("prompt")}])
    tokenizer = load_tokenizer(bpe_folder)
    writer = Writer(tokenizer, choose_template("auto", tokenizer), "completion")
    asked = question(Row("x", 1, "conversation", {"messages": turns}, 0))[0] if "messages" in row else turns
    (read,) = writer.count([writer.prompt(asked)])
    assert (found.prompts.max, found.prompts.p50) == (read, read)
    assert found.prompts.total_tokens < found.lengths.total_tokens / 2


def test_rows_without_answers_have_no_prompts_beside_them(jsonl: Callable[..., str], shape: ModelShape) -> None:
    assert profile(jsonl({"text": "All of it is read."}), shape).prompts is None
    assert profile(jsonl({"prompt": "What?"}), shape, loss_on="completion").prompts is None


def test_without_a_tokenizer_prompts_are_estimated_too(jsonl: Callable[..., str]) -> None:
    found = profile(jsonl({"prompt": "x" * 40, "completion": "y" * 4000}))
    assert found.prompts is not None
    assert (found.prompts.exact, found.prompts.max) == (False, 18)
