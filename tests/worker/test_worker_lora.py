"""Every option of LoRA trains, is saved as a plain adapter, and means the same in plain peft on the unchanged base."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe

pytestmark = [pytest.mark.torch, pytest.mark.slow]

LLAMA: dict[str, Any] = {
    "vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "tie_word_embeddings": False,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gaussian": {"init": "gaussian"},
    "names": {"targets": ["q_proj", "down_proj"]},
    "pattern": {"targets": r"re:.*layers\.[01]\..*(q|v)_proj"},
    "last layers": {"layers": "last 2"},
    "layers of a pattern": {"targets": "re:.*(up|down)_proj", "layers": "0, 2"},
    "ranks by module": {"rank_pattern": {"down_proj": 6, r"layers\.0\.self_attn\.q_proj": 2},
                        "alpha_pattern": {"down_proj": 3.0}},
    "rsLoRA": {"rslora": True},
    "DoRA": {"dora": True},
    "bias": {"bias": True},
    "orthogonal": {"init": "orthogonal"},
    "PiSSA": {"init": "pissa"},
    "PiSSA, fast": {"init": "pissa", "pissa_iterations": 4},
    "PiSSA, rank-stabilized, by module": {"init": "pissa", "rslora": True, "rank_pattern": {"down_proj": 6},
                                          "alpha_pattern": {"v_proj": 5.0}},
    "PiSSA and a head": {"init": "pissa", "modules_to_save": ["lm_head"]},
    "OLoRA": {"init": "olora"},
    "MiCA": {"init": "mica"},
    "EVA": {"init": "eva"},
    "EVA, redistributed": {"init": "eva", "eva_rho": 2.0},
    "CorDA": {"init": "corda"},
    "CorDA, keeping knowledge": {"init": "corda", "corda_method": "kpm", "layers": "0-1"},
    "LoRA-GA": {"init": "lora_ga"},
    "LoRA+": {"update": "plus"},
    "LoRA-FA": {"update": "fa"},
    "Riemannian": {"update": "riemannian"},
    "tokens": {"tokens": [3, "<5>", 7]},
    "whole modules": {"modules_to_save": ["lm_head", "embed_tokens"]},
    "a norm": {"modules_to_save": ["norm"]},
    "replicated layers": {"layer_replication": "0-1, 1-2"},
    "QALoRA": {"qalora_group": 8},
}
TIED = ("plain", "tokens", "whole modules", "PiSSA")


class Tokenizer:
    """Ninety tokens by the names <0> to <89>."""

    pad_token_id = 0

    def get_vocab(self) -> dict[str, int]:
        return {f"<{number}>": number for number in range(90)}


def recipe_of(**options: Any) -> Recipe:
    plain = {"adapter.rank": 4, "adapter.alpha": 8.0, "adapter.dropout": 0.0, "model.base": "x",
             "adapter.start_rows": 12}
    return assign(Recipe(), plain | {f"adapter.{name}": value for name, value in options.items()})


def base_of(**changes: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**(LLAMA | changes))).eval()


def prepared_rows(count: int = 16) -> list[dict[str, list[int]]]:
    import random

    draw = random.Random(1)
    rows = []
    for _ in range(count):
        ids = [draw.randrange(90) for _ in range(draw.randint(12, 20))]
        rows.append({"input_ids": ids, "labels": [-100] * 3 + ids[3:], "seq_lengths": [len(ids)]})
    return rows


def trained(base: Any, recipe: Recipe, kept: Path, steps: int = 3, optimizer: str = "adamw_torch") -> Any:
    """The adapted model after a few steps through ftui's loss and the option's own optimizer."""
    import torch
    from transformers import Trainer, TrainingArguments

    from ftui.worker.adapters.lora_optimizer import optimizer_of
    from ftui.worker.adapters.lora_start import started
    from ftui.worker.collate import Collator
    from ftui.worker.loss import add_loss

    torch.manual_seed(1)
    rows = prepared_rows()
    model = started(base, recipe, rows, Tokenizer(), kept)
    add_loss(model.get_base_model())
    args: Any = TrainingArguments(output_dir=str(kept.parent), optim=optimizer, learning_rate=5e-3, use_cpu=True)
    maker: Any = Trainer
    kind, given = maker.get_optimizer_cls_and_kwargs(args, model)
    options: Any = recipe.adapter
    if options.update == "plain":
        stepper = kind([one for one in model.parameters() if one.requires_grad], **given)
    else:
        stepper = optimizer_of(model, args, options, maker)
    model.train()
    collate: Any = Collator(pad_id=0)
    for step in range(steps):
        batch = collate(rows[4 * step : 4 * step + 4])
        batch.pop("tokens")
        output = model(**batch, summed_loss=True)
        (output.loss / output.count).backward()
        stepper.step()
        stepper.zero_grad()
    return model.eval()


def saved(model: Any, recipe: Recipe, kept: Path, folder: Path) -> Path:
    from ftui.worker.adapters.lora_result import make_plain

    model.save_pretrained(str(folder), save_embedding_layers=False)
    make_plain(folder, recipe.adapter, kept)  # type: ignore[arg-type]
    return folder


def logits(model: Any) -> Any:
    import torch

    ids = torch.tensor([prepared_rows()[0]["input_ids"], prepared_rows()[0]["input_ids"][::-1]])
    with torch.no_grad():
        return model(input_ids=ids).logits


@pytest.mark.parametrize(("name", "tied"), [*((name, False) for name in OPTIONS), *((name, True) for name in TIED)])
@pytest.mark.filterwarnings("ignore::UserWarning:peft")
def test_every_option_trains_saves_reloads_and_merges(name: str, tied: bool, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel

    from ftui.methods.lora import unmergeable

    torch.set_num_threads(1)
    recipe = recipe_of(**OPTIONS[name])
    kept = tmp_path / "start"
    base = base_of(tie_word_embeddings=tied)
    before = logits(copy.deepcopy(base))
    model = trained(base, recipe, kept)
    after = logits(model)
    if not OPTIONS[name].get("layer_replication"):
        assert (after - before).abs().max() > 1e-3, "nothing was learnt"
    folder = saved(model, recipe, kept, tmp_path / "result")
    loaded = PeftModel.from_pretrained(base_of(tie_word_embeddings=tied), str(folder)).eval()
    assert torch.allclose(logits(loaded), after, atol=1e-5)
    options: Any = recipe.adapter
    if unmergeable(options) is None:
        assert torch.allclose(logits(loaded.merge_and_unload()), after, atol=1e-5)
