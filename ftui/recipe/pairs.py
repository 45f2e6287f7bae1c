"""Pairs of settings of which each is right and both together can't be: refused before anything is loaded.

What is merely unwise is a risk, said by the planner; what stands here would fail or do something other than asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from ftui.methods import ADAPTERS, LoraOptions, Targeted
from ftui.recipe.document import Recipe
from ftui.recipe.webhooks import wrong_webhook

Pair = tuple[str, str]
"""The path that is to be changed, and why."""

ON_QUANTIZED = {
    "hra": "peft would multiply with the numbers that the weights are packed into, another model, without a word",
    "deft": "peft would start from the numbers that the weights are packed into, another model, without a word",
    "peanut": "its network would read the numbers that the weights are packed into, and be merged as something else",
    "c3a": "what peft merges from it would be wrong, without a word",
    "unilora": "its scales, kept in the number format of the weights, become zero, and nothing trains",
    "xlora": "peft's gate reaches plain linear modules only",
}
"""What happens to an adapter on a quantized base, where it is more than an error that peft would raise."""


def impossible_pairs(recipe: Recipe) -> Iterator[Pair]:
    """Every pair in `recipe` that can't be; settings left to "auto" never clash."""
    yield from _base_and_adapter(recipe)
    yield from _batches(recipe)
    yield from _what_is_trained(recipe)
    yield from _device(recipe)
    yield from _sharing(recipe)
    if recipe.compute.webhook is not None and (reason := wrong_webhook(recipe.compute.webhook)):
        yield "compute.webhook", reason


def _base_and_adapter(recipe: Recipe) -> Iterator[Pair]:
    quantization, row = recipe.model.quantization, ADAPTERS[recipe.adapter.kind]
    on_base = {"nf4": row.on_nf4, "fp4": row.on_nf4, "int8": row.on_int8}.get(quantization, True)
    if not on_base and recipe.adapter.kind == "none":
        yield "model.quantization", (
            f"{quantization} weights can't be trained themselves, and adapter.kind none asks for that; "
            "write quantization: none, or adapter.kind: lora"
        )
    elif not on_base:
        reads = "it trains" if row.saved == "model" else "peft computes it from"
        why = ON_QUANTIZED.get(row.kind, f"{reads} the weights themselves, which are packed there")
        others = "nf4 or none" if quantization == "int8" and row.on_nf4 else "none"
        yield "model.quantization", (
            f"{row.title} does not work on a base in {quantization}: {why}; write quantization: {others}"
        )
    if recipe.adapter.kind == "lora" and recipe.adapter.dora and quantization == "int8":
        yield "adapter.dora", "DoRA does not work on an int8 base; write quantization: nf4 or none, or dora: false"
    if not isinstance(recipe.adapter, LoraOptions | Targeted):
        return
    targets = recipe.adapter.targets
    names = (targets,) if isinstance(targets, str) else targets
    if not names or not all(name.strip() for name in names):
        yield "adapter.targets", "no module is named; write all-linear, or names such as q_proj, v_proj"
    if "lm_head" in names:
        yield "adapter.targets", (
            "trl refuses an adapter on lm_head, which its fused loss reads directly; leave lm_head out"
        )


def _batches(recipe: Recipe) -> Iterator[Pair]:
    micro, whole, gpus = recipe.train.micro_batch, recipe.train.effective_batch, recipe.compute.gpus
    if micro == "auto" or whole == "auto":
        return
    devices = 1 if gpus in ("auto", 0) else int(gpus)
    if whole % (micro * devices):
        step = micro * devices
        below, above = whole // step * step, -(-whole // step) * step
        near = f"{below} or {above}" if below else f"{above}"
        across = f" on {devices} GPUs" if devices > 1 else ""
        yield "train.effective_batch", (
            f"{whole} is not a multiple of train.micro_batch {micro}{across}; write {near}, or change the micro-batch"
        )


def _what_is_trained(recipe: Recipe) -> Iterator[Pair]:
    texts = [source.path for source in recipe.data.sources if source.format == "text"]
    if texts and recipe.objective.kind == "sft" and recipe.objective.loss_on == "completion":
        yield "objective.loss_on", (
            f"{texts[0]} is plain text, which has no completion to train on; write loss_on: all"
        )
    if recipe.evaluate.patience is not None and recipe.data.validation == 0:
        yield "evaluate.patience", (
            "stopping early needs an evaluation, and data.validation 0 switches it off; "
            "write validation: 0.05, or patience: null"
        )


def _device(recipe: Recipe) -> Iterator[Pair]:
    if recipe.model.dtype == "float16" and getattr(recipe.adapter, "dtype", "auto") == "bfloat16":
        yield "adapter.dtype", (
            "bfloat16 gradients can't be unscaled, as model.dtype float16 needs; write adapter.dtype: float32 or auto"
        )
    if recipe.train.loss == "liger" and recipe.compute.gpus == 0:
        yield "train.loss", "Liger's kernels need a GPU, and compute.gpus 0 forces the CPU; write loss: chunked"
    flash = recipe.model.attention == "flash_attention_2"
    if flash and recipe.model.dtype == "float32":
        yield "model.attention", (
            "flash attention computes in 16 bits only, and model.dtype is float32; write attention: sdpa"
        )
    if flash and recipe.compute.gpus == 0:
        yield "model.attention", "flash attention needs a GPU, and compute.gpus 0 forces the CPU; write attention: sdpa"
    if recipe.model.dtype == "float16" and recipe.compute.gpus == 0:
        yield "model.dtype", (
            "float16 training needs a GPU's loss scaling, and compute.gpus 0 forces the CPU; write float32 or bfloat16"
        )


def _sharing(recipe: Recipe) -> Iterator[Pair]:
    strategy, offload = recipe.compute.strategy, recipe.compute.offload
    if offload != "none" and strategy in ("auto", "single", "ddp"):
        yield "compute.offload", (
            f"only a sharded run keeps its states elsewhere, and compute.strategy is {strategy}; "
            "write strategy: fsdp or zero3, or offload: none"
        )
    if offload == "optimizer" and strategy == "fsdp":
        yield "compute.offload", (
            "FSDP2 offloads weights, gradients and states together; write offload: all, or strategy: zero2"
        )
    if offload == "all" and strategy in ("zero1", "zero2"):
        yield "compute.offload", (
            f"{strategy} keeps whole weights on every card; write offload: optimizer, or strategy: zero3"
        )
