"""The base model and its tokenizer, loaded for training or answering."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.errors import BadInput
from ftui.methods import OBJECTIVES
from ftui.models import demo
from ftui.recipe.document import Recipe
from ftui.worker.context import JobContext
from ftui.worker.jobs.demo import ensure_weights
from ftui.worker.own_code import admit_for
from ftui.worker.precision import Precision

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

UNQUANTIZED = (r"(?:.*\.)?vision_tower", r"(?:.*\.)?multi_modal_projector", "lm_head")
"""Modules that a quantized base keeps as they are where it sees images; without such a list it is the head alone.

The tower is small beside the language model, and what it sees is all that the model knows of an image.
"""
TINY_PARAMETERS = 30_000_000
"""Models below this are faster on one core than on several: their matrices are too small to share."""


def folder_of(context: JobContext, base: str, revision: str | None) -> Path | None:
    """The folder on this disk that holds the whole base model, made or downloaded where it is missing.

    None if a stop was asked for before it was there.
    """
    if base == demo.REF:
        return demo.folder() if ensure_weights(context) else None
    from ftui import models

    if found := models.locate(base, revision):
        return found
    from ftui.models.fetch import Stopped

    try:
        return models.download(
            base, revision,
            on_progress=lambda done, total: context.progress(f"Downloading {base}", done, total, unit="byte"),
            should_stop=lambda: context.stop_asked,
        )
    except Stopped:
        return None


def public_name(base: str, folder: Path) -> str:
    """What the saved adapter calls its base: the hub id, or the absolute folder of a model that is only here."""
    return str(folder) if base == demo.REF or Path(base).expanduser().exists() else base


def choose_device(recipe: Recipe) -> None:
    """Leave torch the one visible GPU with the most free memory, or none where the recipe wants the CPU.

    Must come before CUDA is first used.
    """
    from ftui.hardware.gauges import gpu_stats

    if recipe.compute.gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    # Several GPUs may need seconds to wake, and an answer that comes late would leave the choice to chance.
    cards = [card for card in gpu_stats(wait=15) if card["uuid"]]
    if len(cards) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = max(cards, key=lambda card: card["free_bytes"])["uuid"]


def set_allocator(recipe: Recipe) -> None:
    """Let torch's caching allocator grow its segments in place, or not, as the recipe says; the user's other settings
    of it stay.

    Must come before CUDA is first used.
    """
    given = os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF") or ""
    kept = [entry for entry in given.split(",") if entry and not entry.strip().startswith("expandable_segments")]
    grows = recipe.compute.allocator == "expandable"
    # The second is the name that torch read before 2.9.
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        os.environ[name] = ",".join([*kept, f"expandable_segments:{grows}"])


def device_of(recipe: Recipe) -> tuple[str, bool]:
    """("cuda" or "cpu", whether a GPU computes in bfloat16 itself); loads torch."""
    import torch

    if recipe.compute.gpus == 0 or not torch.cuda.is_available():
        return "cpu", False
    # Older cards emulate bfloat16, which is slower than their float16 and hardly saves memory.
    return "cuda", torch.cuda.is_bf16_supported(including_emulation=False)


def has_fp8() -> bool:
    """Whether the GPU that trains multiplies 8-bit floats; loads torch."""
    import torch

    from ftui.hardware.cards import FP8

    return torch.cuda.get_device_capability() >= FP8


def load_model(
    recipe: Recipe, folder: Path, precision: Precision, device: str, labels: Sequence[str] = (), *,
    pictured: bool = False,
) -> PreTrainedModel:
    """The base model on `device` ("cuda" or "cpu"), quantized where the recipe trains an adapter on a quantized base.

    Where it needs code of its own, that runs only as `ftui.worker.own_code` says.
    It ends in the head that the objective needs: words, or scores, one for each of `labels` or a single one.  Where it
    is to see images (`pictured`), what looks at them is not quantized.
    Raises BadInput for a folder that transformers can't load.
    """
    import torch

    admit_for(folder, recipe.model.base, recipe.model.revision, recipe.model.trust_code)
    attention = "sdpa" if recipe.model.attention == "auto" else recipe.model.attention
    given: dict[str, Any] = {
        "dtype": getattr(torch, precision.weights), "attn_implementation": attention, "trust_remote_code": False,
    }
    if recipe.model.kernels:
        given["use_kernels"] = True
    if recipe.adapter.kind != "none" and (quantization := quantization_config(recipe, precision)):
        if pictured:
            quantization.llm_int8_skip_modules = list(UNQUANTIZED)
        given["quantization_config"] = quantization
    if device == "cuda" or "quantization_config" in given:
        given["device_map"] = {"": device}
    scores = OBJECTIVES[recipe.objective.kind].head == "scores"
    try:
        with warnings.catch_warnings():
            # transformers announces names that will change in its next major version.
            warnings.simplefilter("ignore", FutureWarning)
            model = _with_scores(folder, labels, given) if scores else _with_words(folder, given)
    except (OSError, ValueError, ImportError) as error:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"The base model in {folder} can't be loaded: {message}", "Look at: ftui models show") from error
    model.config.use_cache = False
    if "quantization_config" in given:
        upcast(model, recipe.model.upcast)
        keep_gradients(model)
    return model


def _with_words(folder: Path, given: dict[str, Any]) -> PreTrainedModel:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    )

    kind = type(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    sees = kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and kind not in MODEL_FOR_CAUSAL_LM_MAPPING
    return (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_pretrained(folder, **given)


def _with_scores(folder: Path, labels: Sequence[str], given: dict[str, Any]) -> PreTrainedModel:
    """The model with a new head that gives a score for each label, or a single one where there are no labels."""
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    names = {"id2label": dict(enumerate(labels)), "label2id": {name: number for number, name in enumerate(labels)}}
    # That the head's weights are new is the point, and no reason for a table in worker.log.
    logger = logging.get_logger("transformers.modeling_utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=len(labels) or 1, **(names if labels else {}), **given
        )
    finally:
        logger.setLevel(level)


def keep_gradients(model: Any) -> None:
    """Let 4-bit modules on a CPU compute one way, evaluating or training.

    bitsandbytes packs their weights anew at the first forward in evaluation, where the CPU has AVX-512 for bfloat16:
    the kernels for that have no backward, so no gradient passes from then on, and merging reads wrong weights.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def upcast(model: Any, which: str) -> None:
    """Make the norms of a quantized model float32 ("norms"), or all that is not quantized ("all"), or nothing ("none").

    "all" is what peft's `prepare_model_for_kbit_training` does: every 16-bit parameter that holds no 4-bit weights.
    """
    import torch

    for module in model.modules():
        if which == "none" or (which == "norms" and "norm" not in type(module).__name__.lower()):
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.dtype in (torch.bfloat16, torch.float16) and type(parameter).__name__ != "Params4bit":
                parameter.data = parameter.data.to(torch.float32)


def quantization_config(recipe: Recipe, precision: Precision) -> Any:
    """transformers' description of the wanted quantization, None for none."""
    import torch
    from transformers import BitsAndBytesConfig

    match recipe.model.quantization:
        case "nf4" | "fp4" as kind:
            return BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type=kind,
                bnb_4bit_use_double_quant=recipe.model.double_quantization,
                bnb_4bit_compute_dtype=getattr(torch, precision.compute),
            )
        case "int8":
            return BitsAndBytesConfig(load_in_8bit=True)
        case _:
            return None


def load_tokenizer(folder: Path, template: str | None) -> PreTrainedTokenizerBase:
    """The tokenizer with the chat template that the data was written with, so that the result is asked the same way."""
    from transformers import AutoTokenizer

    if (folder / "tokenizer.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    else:
        # transformers reads a lone SentencePiece file with its merges in another order than SentencePiece itself, and
        # than the rows were written in: it gets the same tokenizer in the form that it reads right.
        from ftui.data import load_tokenizer as as_prepared

        with tempfile.TemporaryDirectory() as whole:
            as_prepared(folder).save(Path(whole), template)
            tokenizer = AutoTokenizer.from_pretrained(whole, trust_remote_code=False)
            tokenizer.name_or_path = str(folder)
    if template is not None:
        tokenizer.chat_template = template
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def set_threads(recipe: Recipe, parameters: int) -> int:
    """Give torch the threads that the recipe says; "auto" is one for a tiny model, else the cores there are."""
    import torch

    wanted = recipe.compute.threads
    if wanted == "auto":
        wanted = 1 if parameters < TINY_PARAMETERS else _cores()
    torch.set_num_threads(wanted)
    return wanted


def _cores() -> int:
    """Whole cores of this process: its affinity, and the container's share where that is less."""
    from ftui.hardware import cgroup
    from ftui.hardware.machine import read_cpu

    return max(1, int(read_cpu(cgroup.limits()).cores))
