"""From a few layers to all of them: which are enough, and that the whole's log is the one a full trace would leave."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.worker.trace.deepen import Pattern, deepen, pattern, shallow_depth
from ftui.worker.trace.log import Event, Log

pytestmark = pytest.mark.torch

TINY = {
    "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 7,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "tie_word_embeddings": False,
}
DEEP = TINY | {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 16}
SLIDING = TINY | {
    "model_type": "gemma3_text", "num_hidden_layers": 14, "head_dim": 16, "sliding_window": 32,
    "layer_types": ["full_attention" if i % 3 == 2 else "sliding_attention" for i in range(14)],
}
DENSE_FIRST = TINY | {
    "model_type": "deepseek_v3", "num_hidden_layers": 9, "num_key_value_heads": 4,
    "moe_intermediate_size": 32, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 32,
    "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16, "v_head_dim": 16, "n_shared_experts": 1,
}


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ("aaaaaaaaaa", Pattern(0, 1, 0)),
        ("ababababababab", Pattern(0, 2, 0)),
        ("xaaaaaaaaa", Pattern(1, 1, 0)),
        ("aaaaaaaaax", Pattern(0, 1, 1)),
        ("aaaaa", None),
        ("abcdefghij", None),
    ],
)
def test_the_pattern_of_the_layers_is_found(kinds: str, found: Pattern | None) -> None:
    assert pattern(kinds) == found


@given(st.integers(1, 4), st.integers(0, 3), st.integers(12, 60))
def test_the_traced_layers_are_enough_and_end_where_the_whole_ends(period: int, first: int, whole: int) -> None:
    kinds = [f"first {i}" for i in range(first)] + [f"kind {i % period}" for i in range(whole - first)]
    found = pattern(kinds)
    if found is None:
        return
    shallow = shallow_depth(found, whole)
    assert found.smallest <= shallow < whole
    assert kinds[shallow - 1] == kinds[-1]


def _walk(layers: int) -> Log:
    """Each layer makes a tensor of its own and frees its neighbour's, forward; going back it frees its own."""
    log = Log()

    def event(id: int, size: int, phase: str, layer: int | None) -> None:
        log.parts.setdefault(id, "activations")
        log.events.append(Event(id, size, phase, layer, ""))

    event(1000, 7, "forward", None)
    for layer in range(layers):
        event(layer, 10, "forward", layer)
        event(100 + layer, 3, "forward", layer)
        if layer:
            event(100 + layer - 1, -3, "forward", layer)
    event(100 + layers - 1, -3, "loss forward", None)
    for layer in reversed(range(layers)):
        event(200 + layer, 5, "layers backward", layer)
        if layer < layers - 1:
            event(200 + layer + 1, -5, "layers backward", layer)
        event(layer, -10, "layers backward", layer)
    event(200, -5, "optimizer step", None)
    event(1000, -7, "optimizer step", None)
    return log


def test_repeating_the_middle_layers_gives_the_log_of_the_whole() -> None:
    deep = deepen(_walk(5), Pattern(0, 1, 0), 5, 40)
    whole = _walk(40)

    # What is let go in one moment may be in another order.
    def held(log: Log) -> list[tuple[str, int | None, int]]:
        totals = itertools.accumulate(event.size for event in log.events)
        return [(e.phase, e.layer, total) for e, total in zip(log.events, totals, strict=True) if e.size > 0]

    assert held(deep) == held(whole)
    live: dict[int, int] = {}
    for event in deep.events:
        live[event.id] = live.get(event.id, 0) + event.size
    assert set(live.values()) == {0}


def recipe(**settings: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "t", "model": {"base": "demo", "quantization": "none", "dtype": "bfloat16", "attention": "sdpa"},
        "data": {"sources": [{"path": "demo"}], "max_length": 64, "packing": False},
        "adapter": {"kind": settings.pop("adapter", "none")},
        "train": {"micro_batch": 2, "effective_batch": 2, "learning_rate": 1e-4, "optimizer": "adamw",
                  "checkpointing": False},
    }
    if values["adapter"]["kind"] == "lora":
        values["adapter"] |= {"rank": 4, "alpha": 8, "dropout": 0.0}
    return assign(Recipe.model_validate(values), {name.replace("__", "."): value for name, value in settings.items()})


def same(config: dict[str, Any], settings: dict[str, Any]) -> None:
    from ftui.worker.trace import trace_step

    shallow = trace_step(recipe(**settings), config)
    whole = trace_step(recipe(**settings), config, full=True)
    assert shallow.traced_layers[0] < whole.traced_layers[0] == whole.layers
    assert not shallow.notes
    assert shallow.allocated_bytes == whole.allocated_bytes
    assert shallow.peaks.whole.parts == whole.peaks.whole.parts

    # The norms of the gradients are stacked in one tensor, whose size is all that doesn't follow.
    def counted(events: list[Event]) -> Counter[tuple[str, int | None, int]]:
        return Counter((e.phase, e.layer, e.size) for e in events if abs(e.size) > 2048)

    assert counted(shallow.log.events) == counted(whole.log.events)
    assert shallow.work.flops_half == pytest.approx(whole.work.flops_half)


def test_a_shallow_trace_says_what_a_whole_one_does() -> None:
    same(TINY, {})


def test_packed_rows_are_kept_apart_by_a_mask() -> None:
    from ftui.worker.trace import trace_step

    packed = trace_step(recipe(data__packing=True), TINY, layers=2)
    apart = trace_step(recipe(data__packing=True), TINY, layers=2, padded=False)
    assert packed.allocated_bytes > apart.allocated_bytes


@pytest.mark.slow
@pytest.mark.parametrize("config", [DEEP, SLIDING, DENSE_FIRST], ids=["alike", "sliding windows", "dense first"])
@pytest.mark.parametrize(
    "settings",
    [
        {"adapter": "lora"},
        {"adapter": "lora", "train__checkpointing": True},
        {"adapter": "lora", "model__quantization": "nf4", "train__effective_batch": 8},
        {"train__optimizer": "adamw_8bit", "train__checkpointing": True},
    ],
    ids=["lora", "checkpointed", "nf4 accumulated", "8-bit full"],
)
def test_every_kind_of_model_is_deepened_exactly(config: dict[str, Any], settings: dict[str, Any]) -> None:
    import bitsandbytes  # noqa: F401

    same(config, settings)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [3, 9], ids=["few of them", "more"])
@pytest.mark.parametrize(
    "settings", [{"adapter": "lora"}, {"train__optimizer": "adamw_8bit"}], ids=["lora", "8-bit full"]
)
def test_checkpointed_layers_and_the_others_are_deepened_apart(settings: dict[str, Any], layers: int) -> None:
    import bitsandbytes  # noqa: F401

    same(DEEP, {**settings, "train__checkpointing": True, "train__checkpoint_layers": layers})


@pytest.mark.slow
def test_an_optimizer_that_lets_go_late_is_deepened_exactly() -> None:
    """Adafactor still holds one parameter's update when it has the next one's, of which the next layer's may be one."""
    same(DEEP, {"train__optimizer": "adafactor", "train__checkpointing": True})
