"""The base model on fake tensors: of any config, at any depth, quantized as the worker would load it."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ftui.errors import BadInput

Config = Any
"""A transformers config, a mapping of one's fields, or the path of a config.json or of its folder."""


def config_of(given: Config) -> Any:
    """The text model's config as transformers reads it; BadInput where it knows no such model."""
    import json

    from transformers import AutoConfig, PretrainedConfig

    if isinstance(given, PretrainedConfig):
        return copy.deepcopy(given.get_text_config(decoder=True))
    if isinstance(given, (str, Path)):
        path = Path(given)
        given = json.loads((path / "config.json" if path.is_dir() else path).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(given))
        try:
            whole = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise BadInput(
                f"transformers doesn't know the model type {given.get('model_type')!r}.",
                f"A newer transformers may: pip install -U transformers. It said: {str(error).splitlines()[0][:160]}",
            ) from error
    return whole.get_text_config(decoder=True)


def depth(config: Any) -> int:
    """Decoder layers of a config."""
    return int(config.num_hidden_layers)


def at_depth(config: Any, layers: int) -> Any:
    """`config` with the first `layers` of its layers; what it says layer by layer is cut to them."""
    whole = depth(config)
    if layers == whole:
        return config
    values = config.to_dict()
    cut = {
        name: value[:layers]
        for name, value in values.items()
        if isinstance(value, (list, tuple)) and len(value) == whole and name != "architectures"
    }
    shallow = copy.deepcopy(config)
    for name, value in cut.items():
        if hasattr(shallow, name):
            setattr(shallow, name, value)
    shallow.num_hidden_layers = layers
    return shallow


def load(
    config: Any, *, dtype: str, attention: str, quantization: Any = None, upcast: str = "none", head: str = "words",
    scores: int = 1,
) -> Any:
    """The model of `config` as `ftui.worker.base.load_model` would leave it, on fake tensors.

    `quantization` is a BitsAndBytesConfig or None; `head` "words" for a language model, "scores" for so many scores.
    Call it inside `fake.world`.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from transformers.initialization import no_init_weights

    if head == "scores":
        config.num_labels = scores
    kind = AutoModelForSequenceClassification if head == "scores" else AutoModelForCausalLM
    try:
        with no_init_weights():
            model = kind.from_config(
                config, dtype=getattr(torch, dtype), attn_implementation=attention, trust_remote_code=False
            )
    except (ValueError, ImportError) as error:
        raise BadInput(
            f"transformers can't build {config.model_type!r} for training: {str(error).splitlines()[0]}",
            "Look at: ftui models show",
        ) from error
    model.tie_weights()
    if quantization is not None:
        from ftui.worker.base import upcast as raise_to_float32

        quantize(model, quantization)
        raise_to_float32(model, upcast)
    model.config.use_cache = False
    return model


def layers_of(model: Any, count: int) -> tuple[nn.Module | None, nn.ModuleList | None]:
    """(the decoder, its list of `count` layers) of a model, wrapped or not; None for what isn't found."""
    for module in model.modules():
        for child in module.children():
            if isinstance(child, nn.ModuleList) and len(child) == count and type(child[0]).__name__ != "Linear":
                return module, child
    return None, None


def quantize(model: Any, config: Any) -> None:
    """Put bitsandbytes' modules in place of the linear ones, holding fake packed weights with their scales."""
    import bitsandbytes as bnb
    from torch._subclasses.fake_tensor import unset_fake_temporarily
    from transformers.pytorch_utils import Conv1D
    from transformers.quantizers.auto import AutoHfQuantizer
    from transformers.quantizers.base import get_keys_to_not_convert
    from transformers.utils.quantization_config import QuantizationMethod

    kept = get_keys_to_not_convert(model)
    four = bool(config.load_in_4bit)
    for name, module in list(model.named_modules()):
        if not (type(module) is nn.Linear or isinstance(module, Conv1D)) or not _converted(name, kept):
            continue
        inputs, outputs = module.weight.shape if isinstance(module, Conv1D) else module.weight.shape[::-1]
        with unset_fake_temporarily():
            new: Any = (
                bnb.nn.Linear4bit(
                    inputs, outputs, bias=False, compute_dtype=config.bnb_4bit_compute_dtype,
                    compress_statistics=config.bnb_4bit_use_double_quant, quant_type=config.bnb_4bit_quant_type,
                    device="meta",
                )
                if four
                else bnb.nn.Linear8bitLt(
                    inputs, outputs, bias=False, has_fp16_weights=False, threshold=config.llm_int8_threshold,
                    device="meta",
                )
            )
        (_pack_four if four else _pack_eight)(new, inputs, outputs, config, module.weight.dtype)
        new.bias = module.bias
        new.source_cls = type(module)
        model.set_submodule(name, new)
    model.is_loaded_in_4bit, model.is_loaded_in_8bit = four, not four
    model.is_quantized = True
    model.quantization_method = QuantizationMethod.BITS_AND_BYTES
    model.config.quantization_config = config
    model.hf_quantizer = AutoHfQuantizer.from_config(config)


def _converted(name: str, kept: list[str]) -> bool:
    return not any(name == key or name.startswith(f"{key}.") or name.endswith(f".{key}") for key in kept)


def _pack_four(new: Any, inputs: int, outputs: int, config: Any, dtype: torch.dtype) -> None:
    """Half a byte per weight, a scale per 64, and with double quantization a byte and a float32 per 256 of those.

    A fake tensor can't be bitsandbytes' kind of parameter; its module and peft only read the attributes.
    """
    from bitsandbytes.functional import QuantState

    count, shape = inputs * outputs, torch.Size((outputs, inputs))
    blocks = -(-count // 64)
    common: dict[str, Any] = {
        "shape": shape, "code": torch.empty(16), "blocksize": 64, "quant_type": config.bnb_4bit_quant_type,
        "dtype": dtype,
    }
    if config.bnb_4bit_use_double_quant:
        nested = QuantState(
            absmax=torch.empty(-(-blocks // 256)), blocksize=256, code=torch.empty(256), dtype=torch.float32
        )
        state = QuantState(
            absmax=torch.empty(blocks, dtype=torch.uint8), offset=torch.empty(()), state2=nested, **common
        )
    else:
        state = QuantState(absmax=torch.empty(blocks), **common)
    weight: Any = nn.Parameter(torch.empty((count + 1) // 2, 1, dtype=torch.uint8), requires_grad=False)
    weight.blocksize, weight.compress_statistics = 64, config.bnb_4bit_use_double_quant
    weight.quant_type, weight.quant_state = config.bnb_4bit_quant_type, state
    weight.quant_storage, weight.bnb_quantized, weight.module = torch.uint8, True, new
    new._parameters["weight"] = weight
    new.quant_state = state


def _pack_eight(new: Any, inputs: int, outputs: int, config: Any, dtype: torch.dtype) -> None:
    """A byte per weight and a float32 scale per output."""
    weight: Any = nn.Parameter(torch.empty(outputs, inputs, dtype=torch.int8), requires_grad=False)
    weight.CB, weight.SCB, weight.has_fp16_weights = weight.data, torch.empty(outputs), False
    new._parameters["weight"] = weight
    # As its first forward does.
    new.init_8bit_state()
    weight.SCB = new.state.SCB
