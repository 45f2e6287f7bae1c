"""A small tokenizer of the usual kind, and writers of data files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.data.tokenizer import Tokenizer, load_tokenizer

MARKERS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>"]
CORPUS = [
    "The quick brown fox jumps over the lazy dog.", "### Instruction:\nName a fruit.\n\n### Response:\nAn apple.",
    "user assistant system model", "Ärger über Öl, naïve café, привет, 你好", "0123456789 (a+b)*c = {x: [1, 2]}",
] * 20  # fmt: skip


def write_tokenizer(folder: Path, config: dict[str, Any], *, with_bos: bool = False) -> Path:
    """A byte-level BPE of 600 tokens in a model folder."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=MARKERS, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    if with_bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
        )
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def bpe_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model's folder: no chat template, ChatML's tokens in the vocabulary, no BOS."""
    config = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    return write_tokenizer(tmp_path_factory.mktemp("bpe"), config)


@pytest.fixture(scope="session")
def bpe(bpe_folder: Path) -> Tokenizer:
    return load_tokenizer(bpe_folder)


@pytest.fixture(scope="session")
def bos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokenizer begins every text with BOS."""
    config = {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}
    return write_tokenizer(tmp_path_factory.mktemp("bos"), config, with_bos=True)


@pytest.fixture(scope="session")
def with_bos(bos_folder: Path) -> Tokenizer:
    return load_tokenizer(bos_folder)


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., str]:
    """Write rows (objects, or raw lines) to a file of JSON Lines; its path."""

    def write(*rows: Any, name: str = "data.jsonl") -> str:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    return write
