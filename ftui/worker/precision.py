"""Which number formats a run computes and trains in, from the resolved recipe and the device."""

from __future__ import annotations

from dataclasses import dataclass

from ftui.errors import BadInput
from ftui.methods import ADAPTERS
from ftui.recipe.document import Recipe


@dataclass(frozen=True)
class Precision:
    """Names of torch dtypes: of the loaded weights, of matrix products, and of an adapter's own weights."""

    weights: str
    compute: str
    adapter: str
    autocast: str | None
    """"bf16" or "fp16", None where everything is float32."""
    reason: str


def choose(recipe: Recipe, *, cuda: bool, bf16: bool) -> Precision:
    """`cuda` says whether a GPU trains, `bf16` whether it computes in bfloat16 itself.

    Unless the recipe says otherwise, adapters on a 16-bit base are float32 (peft's default) and train under autocast;
    on a quantized base they are bfloat16 (QLoRA, https://arxiv.org/abs/2305.14314 §3), but float32 with float16, whose
    gradients must be unscaled.
    Tuning of the model's own weights holds everything in the recipe's format, only float16 needs float32 weights under
    autocast.
    """
    wanted, reason = recipe.model.dtype, "as the recipe says"
    if wanted == "auto":
        wanted = ("bfloat16" if bf16 else "float16") if cuda else "float32"
        reasons = {"bfloat16": "the device has it", "float16": "the device has no bfloat16", "float32": "on a CPU"}
        reason = reasons[wanted]
    if wanted == "float16" and not cuda:
        raise BadInput(
            "model.dtype is float16, which a CPU can't train in.", "Set it to auto, float32 or bfloat16."
        )
    if wanted == "bfloat16" and cuda and not bf16:
        raise BadInput("model.dtype is bfloat16, which this GPU doesn't have.", "Set it to auto or float16.")
    asked = getattr(recipe.adapter, "dtype", "auto")
    if asked == "bfloat16" and wanted == "float16":
        raise BadInput(
            "adapter.dtype is bfloat16 and model.dtype float16, whose loss scaling can't undo bfloat16 gradients.",
            "Set adapter.dtype to auto or float32.",
        )
    if wanted == "float32":
        return Precision("float32", "float32", "float32" if asked == "auto" else asked, None, reason)
    full = ADAPTERS[recipe.adapter.kind].saved == "model"
    quantized = not full and recipe.model.quantization not in ("none", "auto")
    if wanted == "float16":
        return Precision("float32" if full else "float16", "float16", "float32", "fp16", reason)
    adapter = ("bfloat16" if full or quantized else "float32") if asked == "auto" else asked
    return Precision("bfloat16", "bfloat16", adapter, "bf16", reason)
