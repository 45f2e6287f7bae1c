"""The closed form of a step's work against counts of real steps (`benchmarks/planner/work.py`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from ftui.models.document import ModelShape
from ftui.planner.geometry import chosen, geometry
from ftui.planner.setup import Loss, Setup, number_formats
from ftui.planner.states import trainable_parameters, trained_bytes
from ftui.planner.work import HEAD_PASSES, LOGIT_BYTES, OPTIMIZER_PASSES, batch_of, step_work
from ftui.recipe.document import Train

COUNTED = json.loads((Path(__file__).parent / "counted_work.json").read_text(encoding="utf-8"))


@pytest.fixture
def small(shape_of: Callable[..., ModelShape]) -> ModelShape:
    """The model that was counted."""
    m = COUNTED["model"]
    return shape_of(m["hidden_size"], m["intermediate_size"], m["num_hidden_layers"], m["num_attention_heads"],
                    m["num_key_value_heads"], m["head_dim"], m["vocab_size"], False, 4096)


def setup_of(case: dict[str, Any], shape: ModelShape) -> Setup:
    sizes, method = geometry(shape), case["method"]
    formats = number_formats(method, "cuda", case.get("dtype", "bfloat16"))
    if case.get("adapter") == "bfloat16":
        formats["adapter_bytes"] = 2
    targets = case.get("targets", "all-linear")
    return Setup(
        geometry=sizes, method=method, device="cuda", rows=COUNTED["rows"], length=COUNTED["length"],
        padded=case.get("padded", False), checkpointing=case.get("checkpointing", False), attention="sdpa",
        optimizer="adamw", loss=case.get("loss", "chunked"), rank=0 if method == "full" else COUNTED["rank"],
        targets=() if method == "full" else chosen(sizes, targets if isinstance(targets, str) else tuple(targets)),
        **formats,
    )


@pytest.mark.parametrize("name", COUNTED["cases"])
def test_products_bytes_and_kernels_are_those_of_a_real_step(name: str, small: ModelShape) -> None:
    case = COUNTED["cases"][name]
    setup, counted = setup_of(case, small), case["counted"]
    work = step_work(setup, batch_of(setup))
    assert work.half == pytest.approx(counted["half"], rel=0.003)
    assert work.single == pytest.approx(counted["single"], rel=0.003)
    # Multi-tensor operations return nothing: what clipping and AdamW write in place, four widths, isn't counted.
    unseen = 4 * trained_bytes(setup) * trainable_parameters(setup)
    assert work.moved == pytest.approx(counted["moved"] + unseen, rel=0.06)
    assert work.kernels == pytest.approx(counted["kernels"], rel=0.12)


def test_every_loss_and_every_optimizer_has_its_work() -> None:
    assert set(get_args(Loss)) == set(HEAD_PASSES) == set(LOGIT_BYTES)
    assert set(get_args(Train.model_fields["optimizer"].annotation)) - {"auto"} == set(OPTIMIZER_PASSES)
