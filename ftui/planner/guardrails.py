"""Settings of the training and of the method that published experience speaks against, each with what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ftui.data.document import DataProfile
from ftui.methods import LoraOptions
from ftui.methods.lora import unmergeable
from ftui.models.document import ModelShape
from ftui.planner.document import Risk
from ftui.planner.geometry import chosen, geometry
from ftui.planner.lora import lora_targets
from ftui.planner.rules import ALPHA, sources
from ftui.planner.rules.job import ONLINE, PREFERENCE, TINY
from ftui.planner.rules.learning import OBJECTIVE_RATES
from ftui.planner.time import held_out
from ftui.recipe.document import Recipe
from ftui.units import GiB, count, gib

HIGH_RATE = 5e-4
LARGE_BATCH = 256
LONG = 4096
STRONG, WEAK = 6.0, 0.1
"""Rate × alpha over that of the published fit, beyond which a LoRA run seldom goes well."""
CARRIES_STATE = {
    "bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "kimi_linear", "lfm2", "lfm2_moe", "mamba",
    "mamba2", "nemotron_h", "qwen3_next", "recurrent_gemma", "rwkv", "zamba", "zamba2",
}
"""Families with layers that carry a state from token to token, which position ids don't reset between packed rows."""


def training(recipe: Recipe, shape: ModelShape, profile: DataProfile | None) -> Iterator[Risk]:
    """Learning rate, warm-up, batch, passes and optimizer."""
    yield from _rate(recipe, shape)
    train = recipe.train
    if train.warmup > 0.3:
        yield Risk(
            path="train.warmup", text=f"A warm-up of {train.warmup:.0%} of the steps leaves little at the full rate.",
            hint="0.03 to 0.1 is usual.", source=sources.QLORA,
        )
    if train.optimizer == "sgd":
        yield Risk(
            path="train.optimizer", text="Plain SGD hardly trains a transformer.",
            hint="AdamW; where memory is short, adamw_8bit, adafactor or lion.", source=sources.NEEDS_ADAM,
        )
    adapted = recipe.adapter.kind != "none"
    if adapted and isinstance(train.effective_batch, int) and train.effective_batch > LARGE_BATCH:
        yield Risk(
            path="train.effective_batch",
            text=f"Adapters lose more than full tuning from a large batch, and {train.effective_batch} is one.",
            hint="8 to 64 rows per step; more steps learn more from the same rows.", source=sources.WITHOUT_REGRET,
        )
    if profile is not None:
        yield from _rows(recipe, shape, profile)


def _rate(recipe: Recipe, shape: ModelShape) -> Iterator[Risk]:
    rate, train = recipe.train.learning_rate, recipe.train
    small = shape.parameters < TINY
    full = recipe.adapter.kind == "none"
    if not isinstance(rate, float):
        return
    if rate > HIGH_RATE and train.warmup <= 0:
        yield Risk(
            path="train.warmup", text=f"A learning rate of {rate:g} without warm-up often diverges in the first steps.",
            hint="Set a warm-up of 0.03 or more, or lower the rate.", source=sources.UNSLOTH,
        )
    if recipe.objective.kind in (*PREFERENCE, *ONLINE):
        adapter, whole, source = OBJECTIVE_RATES[recipe.objective.kind]
        # A tiny model is given ten times the published rate by the plan itself.
        limit = (10 * whole if full else 20 * adapter) * (10 if small else 1)
        if rate > limit * 1.01:
            yield Risk(
                path="train.learning_rate",
                text=f"{rate:g} is many times what published {recipe.objective.kind} runs take: the model soon "
                     "rambles.",
                hint=f"{adapter:g} with an adapter, {whole:g} in full tuning.", source=source,
            )
    elif full and rate > 1e-4 and not small:
        yield Risk(
            path="train.learning_rate",
            text=f"{rate:g} is high for full tuning of {count(shape.parameters)} parameters.",
            hint="1e-5 to 5e-5 is usual; LoRA takes about ten times as much.", source=sources.WITHOUT_REGRET,
        )
    elif rate > 2e-3 and not small:
        yield Risk(
            path="train.learning_rate", text=f"{rate:g} is above what published runs use (1e-4 to 1e-3).",
            hint="Lower it, or watch the first hundred steps.", source=sources.QLORA,
        )
    elif recipe.objective.kind == "sft" and not small:
        yield from _scale(recipe, shape, rate)


def _scale(recipe: Recipe, shape: ModelShape, rate: float) -> Iterator[Risk]:
    """The first steps move a weight by rate × alpha (× √rank with rank-stabilized scaling), whatever the rank."""
    adapter = recipe.adapter
    if not isinstance(adapter, LoraOptions) or not isinstance(adapter.alpha, float) or isinstance(adapter.rank, str):
        return
    alpha = adapter.alpha * (math.sqrt(adapter.rank) if adapter.rslora else 1.0)
    fitted = min(max(5e-4 * (2000 / shape.hidden) ** 0.781, 1e-4), 5e-4) * ALPHA
    times = rate * alpha / fitted
    scaling = f"alpha {adapter.alpha:g}{' with rank-stabilized scaling' if adapter.rslora else ''}"
    if times > STRONG:
        yield Risk(
            path="adapter.alpha",
            text=f"{scaling} at a learning rate of {rate:g} makes steps {times:.0f} times those of published runs.",
            hint=f"Take alpha {ALPHA:g} at any rank, or lower the rate as far.", source=sources.RATE_AND_RANK,
        )
    elif times < WEAK:
        yield Risk(
            path="adapter.alpha",
            text=f"{scaling} at a learning rate of {rate:g} hardly moves the model: {times:.2f} of published steps.",
            hint=f"Take alpha {ALPHA:g}, or raise the rate.", source=sources.RATE_AND_RANK,
        )


def _rows(recipe: Recipe, shape: ModelShape, profile: DataProfile) -> Iterator[Risk]:
    """What these rows can feed, and how often they can be passed."""
    train, adapter = recipe.train, recipe.adapter
    rows = max(1, profile.rows - held_out(profile.rows, recipe.data.validation))
    if isinstance(train.effective_batch, int) and train.effective_batch >= rows and not train.max_steps:
        yield Risk(
            path="train.effective_batch",
            text=f"One step takes {train.effective_batch} rows and only {rows} train: an epoch is one step.",
            hint="Lower the effective batch, so that an epoch has at least ten steps.",
        )
    passes = train.epochs
    if train.max_steps and isinstance(train.effective_batch, int):
        passes = min(passes, train.max_steps * train.effective_batch / rows)
    if passes > 10 and rows < 5000:
        yield Risk(
            path="train.epochs", text=f"{passes:g} passes over {rows:,} rows will be learnt by heart.",
            hint="1–3 passes for instructions; set a patience, so that it stops when the validation loss rises.",
            source=sources.REPEATED_DATA,
        )
    if adapter.kind == "none" and rows < 1000 and shape.parameters >= TINY:
        yield Risk(
            path="adapter.kind", text=f"Full tuning on {rows:,} rows forgets more than it learns.",
            hint="An adapter learns as much from so few and keeps the rest.", source=sources.LEARNS_LESS,
        )
    if isinstance(adapter, LoraOptions) and isinstance(adapter.rank, int):
        yield from _rank(adapter.rank, rows, profile, recipe, shape)


def _rank(
    rank: int, rows: int, profile: DataProfile, recipe: Recipe, shape: ModelShape
) -> Iterator[Risk]:
    fed = fed_rank(rows)
    if rank > fed:
        yield Risk(
            path="adapter.rank", text=f"{rows:,} rows can't feed a rank of {rank}.",
            hint=f"{fed} or less learns as much from so few rows, and over-fits later.", source=sources.WITHOUT_REGRET,
        )
        return
    lengths = profile.lengths
    if lengths is None or not isinstance(recipe.adapter, LoraOptions):
        return
    targets = chosen(geometry(shape), recipe.adapter.targets)
    capacity = sum(t.count * rank * t.ranks * (t.inputs + t.outputs) for t in targets)
    trained = lengths.total_tokens * lengths.trained_share
    if capacity and trained > 8 * capacity:
        yield Risk(
            path="adapter.rank",
            text=f"{count(trained)} trained tokens are more than {count(capacity)} adapter parameters can hold.",
            hint=f"Double the rank of {rank} as often as memory allows, or tune in full.",
            source=sources.WITHOUT_REGRET,
        )


def fed_rank(rows: int) -> int:
    """The highest rank that so many rows can feed: 16 up to 500, then doubled with each fourfold number of rows."""
    return 16 if rows < 500 else 2 ** (5 + max(0, math.floor(math.log(rows / 500, 4))))


def method(recipe: Recipe, shape: ModelShape, profile: DataProfile | None) -> Iterator[Risk]:
    """Pairs of model and method: experts, attention, packing, number formats, objectives."""
    adapter, length = recipe.adapter, recipe.data.max_length
    if isinstance(adapter, LoraOptions) and shape.experts and any(
        target.packed for target in chosen(geometry(shape), adapter.targets)
    ):
        yield from _on_experts(adapter)
    if isinstance(adapter, LoraOptions):
        yield from _start(adapter, shape)
    if recipe.model.attention == "eager" and isinstance(length, int) and length >= LONG and not shape.attention_softcap:
        yield Risk(
            path="model.attention",
            text=f"Eager attention holds every pair of {length:,} tokens: memory grows with the square of the length.",
            hint="Set it to sdpa, which gives the same result.", source=sources.FLASH,
        )
    if recipe.data.packing is True:
        yield from _packing(recipe, shape)
    if recipe.model.dtype == "float16" and shape.model_type.startswith("gemma"):
        yield Risk(
            path="model.dtype", text=f"{shape.name}'s activations go beyond float16's range: the loss can become NaN.",
            hint="bfloat16 or float32; on a card without bfloat16 take another family.", source=sources.GEMMA_FLOAT16,
        )
    if recipe.model.dtype == "float32" and recipe.compute.gpus != 0 and shape.parameters > 1_000_000_000:
        yield Risk(
            path="model.dtype", text="float32 takes twice the memory of 16 bits and, on a GPU, several times as long.",
            hint="Set it to auto.", source=sources.MIXED_PRECISION,
        )
    if recipe.objective.kind == "kto" and recipe.train.micro_batch == 1:
        yield Risk(
            path="train.micro_batch", text="KTO estimates its baseline from the micro-batch, and one row has none.",
            hint="Two rows or more.", source=sources.KTO,
        )


def _on_experts(adapter: LoraOptions) -> Iterator[Risk]:
    if adapter.dropout not in ("auto", 0.0):
        yield Risk(
            path="adapter.dropout", text="peft refuses dropout for adapters on fused experts: the run would not start.",
            hint="Set it to 0, or name the attention's modules as targets.", source=sources.PEFT_EXPERTS,
        )
    if adapter.init not in ("default", "gaussian") or adapter.bias:
        path = "adapter.bias" if adapter.bias else "adapter.init"
        yield Risk(
            path=path, text=f"peft can't have this {path.split('.')[1]} on fused experts: the run would not start.",
            hint="Leave it at its default, or name the attention's modules as targets.", source=sources.PEFT_EXPERTS,
        )
    if adapter.dora:
        yield Risk(
            path="adapter.dora", text="peft has no DoRA for fused experts: the run would not start.",
            hint="Switch it off, or name the attention's modules as targets.", source=sources.PEFT_EXPERTS,
        )


def _start(adapter: LoraOptions, shape: ModelShape) -> Iterator[Risk]:
    """What a start holds before the first step, beside the base, and results that stay adapters."""
    targets = lora_targets(adapter, geometry(shape)) if adapter.init in ("corda", "lora_ga") else ()
    squares, weights = (sum(size * t.count for t, size in pairs) for pairs in (
        [(t, t.inputs**2) for t in targets], [(t, t.weights) for t in targets]))
    held, what = (4 * squares, "covariances") if adapter.init == "corda" else (2 * weights, "gradients")
    if held > GiB:
        yield Risk(
            path="adapter.init",
            text=f"Before the first step this start holds {gib(held)} of {what} beside the base, which no plan counts.",
            hint="Name fewer targets or layers, or take eva or pissa.", source=sources.PEFT_STARTS,
        )
    if reason := unmergeable(adapter, biased=True):
        yield Risk(path="adapter.layer_replication", text=f"The result can't be merged: {reason}.",
                   hint="It loads as an adapter, with peft.", source=sources.PEFT_STARTS)


def _packing(recipe: Recipe, shape: ModelShape) -> Iterator[Risk]:
    if shape.model_type in CARRIES_STATE:
        yield Risk(
            path="data.packing",
            text=f"{shape.name} has layers that carry a state from row to row: packed rows see each other.",
            hint="Switch packing off.", source=sources.PACKING,
        )
    elif recipe.train.trainer == "transformers":
        yield Risk(
            path="data.packing", text="transformers' own trainer does not keep packed rows apart.",
            hint="Take ftui's trainer, or switch packing off.", source=sources.PACKING,
        )
