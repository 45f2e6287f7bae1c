"""A tiny model with random weights, written once, and what is done with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

SIZES = {
    "vocab_size": 90, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.1, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
    "tie_word_embeddings": False,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model lies."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(place)
    return place


def load(folder: Path, quantization: str = "none") -> Any:
    """The model from its folder, by plain transformers."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    given: dict[str, Any] = {"dtype": torch.float32}
    if quantization != "none":
        four = quantization == "nf4"
        how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4") if four else (
            BitsAndBytesConfig(load_in_8bit=True))
        given |= {"quantization_config": how, "device_map": {"": "cpu"}}
    model = AutoModelForCausalLM.from_pretrained(folder, **given).eval()
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # Else bitsandbytes takes kernels without a backward from the first evaluation on.
            module.support_avx512bf16_for_cpu = False
    return model


@pytest.fixture
def base(folder: Path) -> Callable[..., Any]:
    """base(quantization) loads a fresh one."""
    return partial(load, folder)


@pytest.fixture
def ids() -> Any:
    """Two rows of twelve tokens."""
    import torch

    return torch.arange(3, 27).view(2, 12)


@pytest.fixture
def logits(ids: Any) -> Callable[[Any], Any]:
    """What a model says to the rows."""
    import torch

    def say(model: Any) -> Any:
        model.eval()
        with torch.no_grad():
            return model(input_ids=ids).logits

    return say


@pytest.fixture
def train(ids: Any) -> Callable[..., list[float]]:
    """Three steps on the rows; every tensor that trains must get a gradient."""
    import torch

    def steps(model: Any, autocast: bool = False) -> list[float]:
        model.train()
        trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
        optimizer = torch.optim.AdamW(trained.values(), lr=1e-2)
        losses = []
        for _ in range(3):
            with torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext():
                loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            assert not [name for name, one in trained.items() if one.grad is None]
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    return steps
