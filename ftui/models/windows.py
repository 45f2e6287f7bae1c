"""Which layers of a family see only a sliding window of the context.

Each rule takes (config with the family's defaults, number of layers) and returns (window in tokens or None, how many
layers use it), as transformers' config classes lay it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]
Window = tuple[int | None, int]


def whole(config: Config, key: str) -> int | None:
    """The positive whole number that `config` states under `key`, None for anything else."""
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def none(config: Config, layers: int) -> Window:
    return None, 0


def every_layer(config: Config, layers: int) -> Window:
    window = whole(config, "sliding_window")
    return (window, layers) if window else (None, 0)


def listed(config: Config, layers: int, otherwise: int) -> Window:
    """By the config's own list of layer types, else `otherwise` of them."""
    kinds = config.get("layer_types")
    count = sum(kind == "sliding_attention" for kind in kinds) if isinstance(kinds, list) else otherwise
    window = whole(config, "sliding_window")
    return (window, count) if window and count else (None, 0)


def last_layers(config: Config, layers: int) -> Window:
    """Qwen: switched off by default; where on, the layers from `max_window_layers` upwards."""
    if not config.get("use_sliding_window"):
        return None, 0
    return listed(config, layers, max(0, layers - (whole(config, "max_window_layers") or 0)))


def switched(config: Config, layers: int) -> Window:
    return every_layer(config, layers) if config.get("use_sliding_window") else (None, 0)


def smollm3(config: Config, layers: int) -> Window:
    if not config.get("use_sliding_window"):
        return None, 0
    interval = whole(config, "no_rope_layer_interval") or 4
    rope = config.get("no_rope_layers")  # 1 where a layer has rotary positions, despite its name
    if not isinstance(rope, list):
        rope = [(index + 1) % interval != 0 for index in range(layers)]
    return listed(config, layers, sum(not has for has in rope))


def alternating(config: Config, layers: int) -> Window:
    return listed(config, layers, (layers + 1) // 2)


def five_of_six(config: Config, layers: int) -> Window:
    """Gemma 3: all but every n-th layer, n = `sliding_window_pattern`."""
    return listed(config, layers, layers - layers // (whole(config, "sliding_window_pattern") or 6))


def three_of_four(config: Config, layers: int) -> Window:
    return listed(config, layers, layers - layers // 4)
