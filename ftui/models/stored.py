"""How a quantized checkpoint holds its linear weights, read off the quantization_config of its config.json.

Bits are those of the files' tensors: codes, and for each group of weights its scale and zero point.  Formats:
gptq and awq (ModelCloud/GPTQModel, `BaseQuantLinear`: qweight, qzeros, scales, g_idx), fp8 in blocks (transformers
5.23, integrations/finegrained_fp8.py), fbgemm_fp8 (a scale per output row), compressed-tensors (config_groups), mxfp4
(gpt-oss: the experts alone), hqq, and bitsandbytes (https://arxiv.org/abs/2305.14314 §3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ftui.documents import Document


class Stored(Document):
    """Bits of quantized weights; `group` weights along a module's inputs share `scale_bits`, 0 means all of them."""

    bits: float
    group: int = 0
    scale_bits: float = 0.0
    """Scale and zero point of one group of one output row."""
    index_bits: int = 0
    """Per input of each module: which group it belongs to (gptq)."""
    modules: bool = True
    """Linear modules are quantized; without, experts alone."""
    experts: bool = True
    """The experts of a mixture are quantized."""
    towers: bool = False
    """The parts around a multimodal model's language model are, too."""
    kept: tuple[str, ...] = ()
    """Last parts of the names of modules that are not."""
    trains: bool = True
    """Whether transformers lets an adapter train on it (`is_trainable` of its quantizers)."""

    def weight_bits(self, inputs: int, outputs: int) -> float:
        """All bits of one such module's weight."""
        groups = -(-inputs // self.group) if self.group > 0 else 1
        return inputs * outputs * self.bits + groups * outputs * self.scale_bits + inputs * self.index_bits


def stored(config: Mapping[str, Any], method: str | None) -> Stored | None:
    """The storage that a quantization_config states for `method`; None for a plain model or an unknown format."""
    read = FORMATS.get(method or "")
    if read is None:
        return None
    try:
        found = read(config)
    except (KeyError, TypeError, ValueError, StopIteration):  # a config that leaves out what its format needs
        return None
    return found.model_copy(update={"kept": _kept(config)})


def _kept(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names by which whole kinds of module stay as they are; patterns and single layers are taken for none."""
    names: list[str] = []
    for key in ("modules_to_not_convert", "llm_int8_skip_modules", "ignore", "ignored_layers"):
        listed = config.get(key)
        names += [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    plain = (name.rsplit(".", 1)[-1] for name in names if not name.startswith("re:") and not any(
        part.isdigit() for part in name.split(".")))
    return tuple(sorted(set(plain)))


def _gptq(config: Mapping[str, Any]) -> Stored:
    bits = int(config["bits"])
    return Stored(bits=bits, group=int(config.get("group_size", 128)), scale_bits=16 + bits, index_bits=32)


def _awq(config: Mapping[str, Any]) -> Stored:
    bits = int(config.get("bits") or config.get("w_bit") or 4)
    group = int(config.get("group_size") or config.get("q_group_size") or 128)
    return Stored(bits=bits, group=group, scale_bits=16 + bits)


def _fp8(config: Mapping[str, Any]) -> Stored:
    block = config.get("weight_block_size")
    rows, columns = block if block else (0, 0)
    return Stored(bits=8, group=int(columns), scale_bits=32 / int(rows) if rows else 0.0)


def _compressed(config: Mapping[str, Any]) -> Stored:
    weights = next(iter(config["config_groups"].values()))["weights"]
    bits, strategy = int(weights["num_bits"]), weights.get("strategy")
    zero = 0 if weights.get("symmetric", True) else bits
    scale = {"group": 16 + zero, "channel": 16 + zero, "block": 32 / int((weights.get("block_structure") or [128])[0])}
    return Stored(bits=bits, group=int(weights.get("group_size") or 0) if strategy == "group" else
                  int((weights.get("block_structure") or [0, 128])[1]) if strategy == "block" else 0,
                  scale_bits=scale.get(strategy, 0))


def _hqq(config: Mapping[str, Any]) -> Stored:
    weights = config["quant_config"]["weight_quant_params"]
    return Stored(bits=int(weights["nbits"]), group=int(weights["group_size"]), scale_bits=32)


def _four_bits(config: Mapping[str, Any]) -> Stored:
    """A float32 scale per 64 weights; quantized twice a byte, and a float32 per 256 of those."""
    scale = 8 + 32 / 256 if config.get("bnb_4bit_use_double_quant") else 32
    return Stored(bits=4, group=64, scale_bits=scale, towers=True, experts=False)


FORMATS: Mapping[str, Callable[[Mapping[str, Any]], Stored]] = {
    "gptq": _gptq, "awq": _awq, "fp8": _fp8, "compressed-tensors": _compressed, "hqq": _hqq,
    "fbgemm_fp8": lambda config: Stored(bits=8, scale_bits=32, trains=False),
    "mxfp4": lambda config: Stored(bits=4, group=32, scale_bits=8, modules=False, trains=False),
    "nf4": _four_bits, "fp4": _four_bits,
    "int8": lambda config: Stored(bits=8, scale_bits=32, towers=True, experts=False),
}
