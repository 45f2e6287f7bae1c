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


def every_second_below(config: Config, layers: int) -> Window:
    """Qwen2 MoE: where switched on, every second layer below `max_window_layers`."""
    if not config.get("use_sliding_window"):
        return None, 0
    return listed(config, layers, (min(layers, whole(config, "max_window_layers") or 0) + 1) // 2)


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


def listed_only(config: Config, layers: int) -> Window:
    """None but those that the config lists."""
    return listed(config, layers, 0)


def listed_or_all(config: Config, layers: int) -> Window:
    """Every layer, unless the config lists them."""
    return listed(config, layers, layers)


def cwm(config: Config, layers: int) -> Window:
    """All but every fourth, the first among those that see everything."""
    return listed(config, layers, layers - -(-layers // 4))


def exaone4(config: Config, layers: int) -> Window:
    """By a pattern of letters (LLLG) or a number."""
    pattern = config.get("sliding_window_pattern")
    count = 0
    for index in range(layers):
        if isinstance(pattern, str) and pattern:
            count += pattern[index % len(pattern)] == "L"
        elif isinstance(pattern, int) and pattern > 0:
            count += (index + 1) % pattern != 0
    return listed(config, layers, count)


def gpt_neo(config: Config, layers: int) -> Window:
    """Global and local layers in turn, as `attention_types` lists them."""
    kinds: list[str] = []
    types = config.get("attention_types")
    for entry in types if isinstance(types, list) else [[["global", "local"], 12]]:
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], list) and isinstance(entry[1], int):
            kinds += [str(kind) for kind in entry[0]] * min(entry[1], layers)
    window = whole(config, "window_size")
    local = sum(kind == "local" for kind in kinds[:layers])
    return (window, local) if window and local else (None, 0)


def gemma4(config: Config, layers: int) -> Window:
    """Five of six, and the last one always sees everything."""
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and kinds:
        count = sum(kind == "sliding_attention" for kind in kinds[:-1])
    else:
        count = sum((index + 1) % 6 != 0 for index in range(layers - 1))
    window = whole(config, "sliding_window")
    return (window, count) if window and count else (None, 0)
