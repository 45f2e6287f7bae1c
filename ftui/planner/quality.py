"""Expected quality of a way to train, relative to the best way to train the same model: a stated rule for sorting.

It is no promise.  What it knows, and from whom:

* LoRA equals full tuning until the trained tokens exceed what the adapter can hold, about one token per parameter, then
  falls behind (https://thinkingmachines.ai/blog/lora/); full tuning on little data forgets more than it gains
  (https://arxiv.org/abs/2405.09673);
* adapters that leave modules out learn less, attention alone clearly (LoRA without regret);
* 4 bits (nf4) and 8 bits cost about 1 %: in QLoRA's own comparison neither is ahead of the other, and plain fp4 is a
  little behind (https://arxiv.org/abs/2305.14314, tables 2 and 3);
* other adapters: a fifth of their distance to LoRA in PEFT's comparison, which is one model, one task and one seed;
* tokens lost to a shorter sequence cost their share; 8-bit optimizer states cost hardly anything
  (https://arxiv.org/abs/2110.02861), plain SGD much (https://arxiv.org/abs/2402.16788).
"""

from __future__ import annotations

import math

from ftui.data.document import DataProfile
from ftui.methods import ADAPTERS
from ftui.models.document import ModelShape
from ftui.planner.lengths import cut
from ftui.planner.setup import Setup

SOURCE = "https://thinkingmachines.ai/blog/lora/, https://arxiv.org/abs/2305.14314"
QUANTIZED = {"nf4": 0.010, "fp4": 0.013, "int8": 0.010}
OPTIMIZERS = {"adamw_8bit": 0.001, "paged_adamw_8bit": 0.001, "adafactor": 0.005, "lion": 0.003, "lion_8bit": 0.004,
              "paged_lion_8bit": 0.004, "galore": 0.01, "sgd": 0.05}
LEFT_OUT = 0.02
"""What an adapter on a small part of the linear weights loses to one on all of them."""
COMPARED_SHARE = 0.2
LORA_ACCURACY = 0.478
"""LoRA at rank 32 in PEFT's comparison, `ftui.methods.row.COMPARISON`."""


def quality(
    setup: Setup, shape: ModelShape, profile: DataProfile | None, wanted_length: int, adapter: str = "lora"
) -> float:
    """Expected quality in 0..1; `wanted_length` is the rules' sequence length, `adapter` a kind of the catalogue."""
    lengths = profile.lengths if profile else None
    trained = lengths.total_tokens * lengths.trained_share if lengths else 0.0
    capacity = typical_adapter(shape) if setup.full else max(1, setup.adapter_parameters)
    beyond = max(0.0, math.log2(max(trained, 1.0) / capacity)) if trained else 0.0
    if setup.full:
        value = 0.96 + min(0.04, 0.01 * beyond)
    else:
        value = 0.98 - min(0.06, 0.01 * beyond) - QUANTIZED.get(setup.quantization, 0.0)
        value -= LEFT_OUT * (1 - reached(setup)) + behind_lora(adapter)
    value -= OPTIMIZERS.get(setup.optimizer, 0.0)
    if lengths and setup.length < min(wanted_length, lengths.max):
        value -= min(0.3, cut(lengths, setup.length)[1])
    return round(value, 4)


def reached(setup: Setup) -> float:
    """The share of the linear weights whose modules have an adapter (1 where none can be counted)."""
    sizes = setup.geometry
    whole = sum(t.weights * t.count for t in sizes.targets if not t.packed or sizes.adapts_experts)
    return min(1.0, sum(t.weights * t.count for t in setup.targets) / whole) if whole and setup.targets else 1.0


def behind_lora(kind: str) -> float:
    """How far this kind of adapter is taken to fall behind LoRA (below 0: ahead of it)."""
    row = ADAPTERS.get(kind)
    if row is None or row.compared is None or kind in ("lora", "none"):
        return 0.0
    return COMPARED_SHARE * (LORA_ACCURACY - row.compared.accuracy)


def typical_adapter(shape: ModelShape) -> int:
    """Parameters of a rank-16 adapter on all linear modules."""
    linears = [x for x in shape.linears if not x.packed]
    return sum(16 * (x.inputs + x.outputs) * x.count for x in linears) or shape.parameters // 100
