"""What a trainer would load beside its model, made here on fake tensors: a reference, a teacher, rewards."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator
from typing import Any

from ftui.errors import FtuiError
from ftui.recipe.document import Recipe
from ftui.worker.precision import Precision

REFERENCED = tuple(f"trl.trainer.{kind}_trainer" for kind in ("dpo", "kto", "grpo", "rloo"))
"""trl's trainers that load the reference of full tuning from the model's folder, which a trace has not."""


@contextlib.contextmanager
def companions(model: Any) -> Iterator[None]:
    """Around the making of a trainer for `model`: what it loads beside is made in place of being read from a disk."""
    with contextlib.ExitStack() as stack:
        for name in REFERENCED:
            if name in sys.modules:
                _put(stack, name, "create_model_from_path", lambda _, **given: _reference(model, given))
        _put(stack, "ftui.worker.objectives.distill", "load_teacher",
             lambda recipe, precision, _: _teacher(model, recipe, precision))  # fmt: skip
        _put(stack, "ftui.worker.online", "build", _rewards)
        # Judges compare answers, and a traced step has none.
        _put(stack, "ftui.worker.objectives.online_dpo", "Panel", lambda *_: None)
        yield


def teacher_note(recipe: Recipe) -> tuple[str, ...]:
    """What is to be said of a teacher whose config can't be had; nothing where there is none, or it can."""
    teacher = getattr(recipe.objective, "teacher", None)
    if teacher is None or _config(teacher) is not None:
        return ()
    return (f"The config of the teacher {teacher} is not to be had: one like the student was traced in its place.",)


def _config(teacher: str) -> dict[str, Any] | None:
    """A teacher's config.json, of which a trace needs no more."""
    from ftui.models.lookup import config_of

    try:
        return config_of(teacher)
    except FtuiError:
        return None


def _put(stack: contextlib.ExitStack, name: str, attribute: str, value: Any) -> None:
    module = sys.modules.get(name)
    if module is not None:
        stack.callback(setattr, module, attribute, getattr(module, attribute))
        setattr(module, attribute, value)


def _reference(model: Any, given: dict[str, Any]) -> Any:
    """A second model like the one that trains."""
    from ftui.worker.trace.building import load

    dtype = str(given["dtype"]).removeprefix("torch.")
    return load(copy.deepcopy(model.config), dtype=dtype, attention=given["attn_implementation"])


def _teacher(model: Any, recipe: Recipe, precision: Precision) -> Any:
    """The recipe's teacher, all of its layers, from its config alone; one like the student where that can't be had."""
    import torch
    from transformers import BitsAndBytesConfig

    from ftui.worker.trace.building import config_of, load

    options: Any = recipe.objective
    found = _config(options.teacher)
    config = copy.deepcopy(model.config) if found is None else config_of(found)
    compute = getattr(torch, precision.compute)
    quantization = {
        "nf4": lambda: BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
        ),
        "int8": lambda: BitsAndBytesConfig(load_in_8bit=True),
    }.get(options.teacher_quantization)
    made = load(config, dtype=precision.compute, attention="sdpa",
                quantization=None if quantization is None else quantization())  # fmt: skip
    return made.eval().requires_grad_(False)


def _rewards(rewards: Any, place: Any) -> list[Any]:
    """As many as the recipe names, of which a traced step asks none."""
    from ftui.worker.rewards import Scorer, from_text

    return [Scorer(reward, from_text(lambda _: None)) for reward in rewards]
