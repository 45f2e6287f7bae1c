"""The trace against a real step: the same trainer on real weights on the CPU, measured by the same tracker."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ftui.recipe import assign  # noqa: E402
from ftui.recipe.document import Recipe  # noqa: E402
from ftui.worker.trace import trace_step  # noqa: E402
from ftui.worker.trace.building import config_of  # noqa: E402
from ftui.worker.trace.fake import World  # noqa: E402
from ftui.worker.trace.log import Peaks, peaks  # noqa: E402
from ftui.worker.trace.step import measure, precision_of  # noqa: E402
from ftui.worker.trace.tracker import Tracker  # noqa: E402
from ftui.worker.trace.trainers import ftui as trainer_of  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]

CONFIG = {
    "model_type": "llama", "vocab_size": 2048, "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "tie_word_embeddings": False,
}
ROWS, LENGTH = 2, 128


def recipe(adapter: str, **settings: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "t", "model": {"base": "demo", "quantization": "none", "dtype": "float32", "attention": "sdpa"},
        "data": {"sources": [{"path": "demo"}], "max_length": LENGTH, "packing": False}, "adapter": {"kind": adapter},
        "train": {"micro_batch": ROWS, "effective_batch": ROWS, "learning_rate": 1e-4, "optimizer": "adamw",
                  "checkpointing": False},
    }  # fmt: skip
    if adapter == "lora":
        values["adapter"] |= {"rank": 8, "alpha": 16, "dropout": 0.0}
    return assign(Recipe.model_validate(values), {name.replace("__", "."): value for name, value in settings.items()})


def really(asked: Recipe, folder: Path) -> Peaks:
    """The peaks of the second step of a real training of `asked`."""
    from transformers import AutoModelForCausalLM

    from ftui.worker.adapters import BUILDERS

    precision = precision_of(asked, World(device="cpu"))
    base = AutoModelForCausalLM.from_config(
        config_of(CONFIG), dtype=getattr(torch, precision.weights), attn_implementation="sdpa"
    )
    base.config.use_cache = False
    model = BUILDERS[asked.adapter.kind](base, asked)
    del base
    trainer = trainer_of(model, asked, precision, folder)
    del model
    ids = torch.randint(0, 2048, (ROWS, LENGTH))

    def batches() -> list[dict[str, Any]]:
        return [{"input_ids": ids.clone(), "labels": ids.clone(), "attention_mask": torch.ones_like(ids),
                 "tokens": ROWS * LENGTH}]  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = measure(trainer, batches, Tracker(), adapter=asked.adapter.kind != "none", layers=4)
    return peaks(log)


@pytest.mark.parametrize(
    ("adapter", "settings"),
    [
        ("lora", {}),
        ("lora", {"train__checkpointing": True, "model__dtype": "bfloat16"}),
        ("none", {}),
        ("none", {"train__loss": "full", "train__checkpointing": True}),
    ],
    ids=["lora", "lora bfloat16 checkpointed", "full", "full logits checkpointed"],
)
def test_the_trace_meets_a_real_step_within_half_a_percent(
    adapter: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    asked = recipe(adapter, **settings)
    real = really(asked, tmp_path)
    traced = trace_step(asked, CONFIG, device="cpu", padded=False, full=True).peaks
    assert traced.static == pytest.approx(real.static, rel=0.005)
    assert traced.whole.total == pytest.approx(real.whole.total, rel=0.005)
    for phase, moment in real.phases.items():
        assert traced.phases[phase].total == pytest.approx(moment.total, rel=0.01), phase
