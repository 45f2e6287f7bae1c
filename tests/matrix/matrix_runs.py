"""One adapter on one base: trained for three steps by ftui's builder and loss, saved, loaded by plain peft, merged."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from matrix_options import recipe_of

from ftui.methods import ADAPTERS
from ftui.models import demo
from ftui.recipe.document import Recipe
from ftui.worker.precision import Precision

CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": demo.VOCABULARY, "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "max_position_embeddings": 256, "initializer_range": 0.1, "tie_word_embeddings": False,
    "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0,
}
"""Weights larger than the usual 0.02, at which so small a model's layers hardly change what flows past them."""

NEEDS_TASK = frozenset({"multitask_prompt_tuning", "poly"})


def write_base(home: Path) -> Path:
    """A tiny Llama with random weights and the demo's tokenizer, written once."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    folder = home / "base"
    if not folder.exists():
        shutil.copytree(demo.ensure_folder(), folder)
        (folder / "config.json").write_text(json.dumps(CONFIG))
        torch.manual_seed(3)
        config = LlamaConfig(**{name: value for name, value in CONFIG.items() if name != "architectures"})
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def precision_of(recipe: Recipe) -> Precision:
    """As the worker chooses on a CPU."""
    from ftui.worker.precision import choose

    return choose(recipe, cuda=False, bf16=False)


@cache
def rows(length: int = 20) -> dict[str, torch.Tensor]:
    """Three rows of random tokens, the last one padded, trained from their fifth token on."""
    ids = torch.randint(3, demo.VOCABULARY, (3, length), generator=torch.Generator().manual_seed(7))
    mask = torch.ones_like(ids)
    ids[2, -4:], mask[2, -4:] = 0, 0
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :5] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def load_base(recipe: Recipe, folder: Path) -> Any:
    """The base as the worker loads it."""
    from ftui.worker.base import load_model

    return load_model(recipe, folder, precision_of(recipe), "cpu")


@contextlib.contextmanager
def computing(recipe: Recipe) -> Iterator[None]:
    """Under autocast where the worker's trainer would be."""
    autocast = precision_of(recipe).autocast == "bf16"
    with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else contextlib.nullcontext():
        yield


def logits(model: Any, recipe: Recipe, kind: str) -> torch.Tensor:
    """What the model says to the rows, as float32; of the rows' own tokens where virtual ones stand before them."""
    inputs = {name: rows()[name] for name in ("input_ids", "attention_mask")}
    if kind in NEEDS_TASK and hasattr(model, "peft_config"):
        inputs["task_ids"] = torch.zeros(3, dtype=torch.long)
    model.eval()
    with torch.no_grad(), computing(recipe):
        out = model(**inputs).logits.float()
    return out[:, -rows()["input_ids"].shape[1]:]


def train(model: Any, recipe: Recipe, steps: int = 3) -> list[float]:
    """Mean losses of `steps` steps with ftui's own loss."""
    from types import SimpleNamespace

    from ftui.worker.adapters import callbacks
    from ftui.worker.loss import add_loss

    add_loss(model.get_base_model(), "chunked")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.to(getattr(torch, precision_of(recipe).adapter))
    optimizer = torch.optim.AdamW(trained, lr=float(recipe.train.learning_rate))
    called, state = callbacks(model), SimpleNamespace(max_steps=steps, global_step=0)
    for callback in called:
        callback.on_train_begin(None, state, None)
    losses = []
    for step in range(steps):
        state.global_step = step
        model.train()
        with computing(recipe):
            output = model(**rows(), summed_loss=True)
            loss = output.loss / output.count
        loss.backward()
        optimizer.step()
        for callback in called:
            callback.on_optimizer_step(None, state, None)
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def save(model: Any, folder: Path, base: Path) -> None:
    """As `ftui.worker.output.save` does."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = str(base)
    model.save_pretrained(str(folder), save_embedding_layers=False)


def plain(recipe: Recipe, base: Path, folder: Path, kind: str, *, dequantized: bool = False) -> Any:
    """The saved adapter on a fresh base, loaded with transformers and peft alone."""
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM

    from ftui.worker.base import keep_gradients, quantization_config

    precision = precision_of(recipe)
    given: dict[str, Any] = {"dtype": getattr(torch, precision.weights)}
    if (quantization := quantization_config(recipe, precision)) is not None:
        given |= {"quantization_config": quantization, "device_map": {"": "cpu"}}
    model = AutoModelForCausalLM.from_pretrained(base, **given)
    keep_gradients(model)
    if dequantized:
        model = model.dequantize()
        # IA³ reads these, which dequantize() leaves.
        model.is_loaded_in_4bit = model.is_loaded_in_8bit = False
    config: Any = PeftConfig.from_pretrained(str(folder))
    if kind == "xlora":
        model.config.use_cache = False
        config.adapters = {name: str(folder / name) for name in config.adapters}
    return PeftModel.from_pretrained(model, str(folder), config=config)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of two sets of logits as a share of the largest logit, padding left out."""
    seen = rows()["attention_mask"].bool()
    return ((one - other)[seen].abs().max() / other[seen].abs().max()).item()


def finished_loras(base: Path) -> tuple[str, str]:
    """Folders of two LoRAs for X-LoRA to mix."""
    from ftui.worker.adapters import BUILDERS

    folders = base.parent / "lora-0", base.parent / "lora-1"
    for place, folder in enumerate(folders):
        if not folder.exists():
            recipe = recipe_of("lora")
            torch.manual_seed(place)
            model = BUILDERS["lora"](load_base(recipe, base), recipe)
            train(model, recipe)
            save(model, folder, base)
    return str(folders[0]), str(folders[1])


@dataclass
class Ran:
    """What three steps gave; differences are shares of the largest logit."""

    count: int
    """Trained parameters."""
    tensors: int
    moved: int
    """How many of the trained tensors are no longer what they were."""
    losses: list[float]
    changed: float
    """How far the trained model is from the untrained one."""
    reloaded: float
    """How far the saved adapter, loaded in plain peft, is from the trained model."""
    merged: float | None = None
    """How far it is merged from not merged, on a base that is not, or no longer, quantized."""
    dequantized: float | None = None
    """How far it is on the dequantized base from where it was trained."""
    in_place: str | None = None
    """Merged into the quantized base as that stands: "exact", "rounds", or "refused" by peft, then or when it runs."""


def run(kind: str, quantization: str, base: Path, folder: Path, dtype: str = "float32") -> Ran:
    """Train, save, reload and merge; raises what the libraries raise."""
    from ftui.worker.adapters import BUILDERS

    more = {"adapters": finished_loras(base)} if kind == "xlora" else {}
    recipe = recipe_of(kind, quantization, dtype, **more)
    torch.manual_seed(0)
    model = BUILDERS[kind](load_base(recipe, base), recipe)
    first = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    untrained = logits(model, recipe, kind)
    losses = train(model, recipe)
    trained = logits(model, recipe, kind)
    save(model, folder, base)
    ran = Ran(
        count=sum(value.numel() for value in first.values()), tensors=len(first),
        moved=sum(not torch.equal(value, first[name]) for name, value in model.named_parameters() if name in first),
        losses=losses, changed=apart(trained, untrained),
        reloaded=apart(logits(plain(recipe, base, folder, kind), recipe, kind), trained),
    )
    if not ADAPTERS[kind].mergeable:
        return ran
    loaded = plain(recipe, base, folder, kind, dequantized=quantization != "none")
    there = logits(loaded, recipe, kind)
    ran.merged = apart(logits(loaded.merge_and_unload(), recipe, kind), there)
    if quantization != "none":
        ran.dequantized = apart(there, trained)
        ran.in_place = merged_in_place(recipe, base, folder, kind, trained)
    return ran


def merged_in_place(recipe: Recipe, base: Path, folder: Path, kind: str, trained: torch.Tensor) -> str:
    """What merging into the quantized base as it stands gives."""
    loaded = plain(recipe, base, folder, kind)
    try:
        merged = logits(loaded.merge_and_unload(), recipe, kind)
    except (RuntimeError, ValueError, NotImplementedError, TypeError):
        return "refused"
    return "exact" if apart(merged, trained) < 1e-5 else "rounds"
