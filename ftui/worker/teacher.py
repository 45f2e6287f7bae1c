"""The teacher of a distillation: found, held against the student's tokens, and loaded beside it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from ftui import models
from ftui.data.vocabulary import require_same_vocabulary
from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.runs.companions import require_whole_teacher
from ftui.worker.base import folder_of, keep_gradients
from ftui.worker.context import JobContext
from ftui.worker.precision import Precision


def ensure(context: JobContext, recipe: Recipe, student: Path) -> bool:
    """Have the teacher on this disk, and know that it shares the tokens of the model in `student`; False where a stop
    was asked for meanwhile.

    Raises BadInput for another vocabulary, and for an adapter in place of a model.
    """
    teacher: str = getattr(recipe.objective, "teacher", "")
    if not teacher:
        return True
    require_whole_teacher(teacher)
    folder = folder_of(context, teacher, None)
    if folder is None:
        return False
    require_same_vocabulary(student, folder)
    return True


def ensure_judge(context: JobContext, recipe: Recipe) -> bool:
    """Have the model on this disk that a judge asks; False where a stop was asked for meanwhile."""
    from ftui.methods.judges import parse_all

    asked = [judge.argument for judge in parse_all(getattr(recipe.objective, "judge", ())) if judge.kind == "asks"]
    return all(folder_of(context, name, None) is not None for name in asked)


def load_teacher(recipe: Recipe, precision: Precision, device: str) -> Any:
    """The teacher, frozen, on `device`, in the number format that the student computes in, or quantized.

    Raises BadInput where it isn't there any more or can't be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: Any = recipe.objective
    folder = models.locate(options.teacher)
    if folder is None:
        raise BadInput(f"The teacher {options.teacher} is not on this disk.", "Fetch it: ftui models download")
    compute = getattr(torch, precision.compute)
    given: dict[str, Any] = {"dtype": compute, "attn_implementation": "sdpa", "trust_remote_code": False}
    match options.teacher_quantization:
        case "nf4":
            given["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
            )
        case "int8":
            given["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    if device == "cuda" or "quantization_config" in given:
        given["device_map"] = {"": device}
    try:
        with warnings.catch_warnings():
            # transformers announces names that will change in its next major version.
            warnings.simplefilter("ignore", FutureWarning)
            model: Any = AutoModelForCausalLM.from_pretrained(folder, **given)
    except (OSError, ValueError, ImportError) as error:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"The teacher in {folder} can't be loaded: {message}", "Look at: ftui models show") from error
    keep_gradients(model)
    model.config.use_cache = False
    return model.eval().requires_grad_(False)
