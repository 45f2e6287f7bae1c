"""A number of checkpointed layers in the closed form: between keeping all activations and keeping none, as traced."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner import estimate, plan, resolve
from ftui.planner.memory import memory
from ftui.planner.setup import Setup, setup_of
from ftui.planner.work import batch_of, parts
from ftui.recipe import assign
from ftui.recipe.document import Recipe

MIB = 1 << 20
CONFIGS = json.loads((Path(__file__).parent / "traced.json").read_text(encoding="utf-8"))["architectures"]
BASE: dict[str, Any] = {
    "data.padding": "max_length", "data.packing": False, "data.max_length": 1024, "adapter.kind": "lora",
    "adapter.rank": 16, "adapter.alpha": 32, "adapter.dropout": 0.0, "model.quantization": "none",
    "model.dtype": "bfloat16", "model.attention": "sdpa", "train.micro_batch": 2, "train.effective_batch": 2,
    "train.optimizer": "adamw", "train.checkpointing": True, "train.loss": "chunked", "train.learning_rate": 2e-4,
}
NF4 = {"model.quantization": "nf4"}

# Model, checkpointed layers, what is asked beside BASE, MiB at the peak of `ftui.worker.trace.trace_step`, and where.
TRACED: tuple[tuple[str, int, dict[str, Any], int, str], ...] = (
    ("llama3-8b", 8, {}, 27480, "loss forward"),
    ("llama3-8b", 24, {}, 20493, "loss forward"),
    ("llama3-8b", 24, {"adapter.kind": "none"}, 61298, "embedding backward"),
    ("llama3-8b", 24, NF4, 9783, "loss forward"),
    ("gemma3-1b", 13, {}, 5233, "loss forward"),
    ("gemma3-1b", 13, {"adapter.kind": "none"}, 10847, "loss forward"),
    ("gemma3-1b", 13, NF4, 3918, "loss forward"),
    ("qwen2-0.5b", 12, {"adapter.kind": "none"}, 5537, "loss forward"),
    ("qwen2-0.5b", 12, NF4, 2463, "loss forward"),
    ("gpt2-xl", 24, {}, 10554, "loss forward"),
    ("gpt2-xl", 24, NF4, 8911, "loss forward"),
)


def setup(architecture: str, boxes: dict[str, Hardware], **asked: Any) -> Setup:
    wanted = {**BASE, **{path.replace("__", "."): value for path, value in asked.items()}}
    if wanted["adapter.kind"] == "none":
        wanted = {path: value for path, value in wanted.items() if path.split(".")[0] != "adapter"}
        wanted["adapter.kind"] = "none"
    return setup_of(assign(Recipe(), wanted), boxes["a100"],
                    build(CONFIGS[architecture], Origin(architecture, "config")), None)


@pytest.mark.parametrize(("architecture", "layers", "asked", "mib", "where"), TRACED)
def test_the_closed_form_meets_the_trace(
    architecture: str, layers: int, asked: dict[str, Any], mib: int, where: str, boxes: dict[str, Hardware]
) -> None:
    phases = memory(setup(architecture, boxes, train__checkpoint_layers=layers, **asked)).phases
    step = {phase: size for phase, size in phases.items() if phase not in ("load", "evaluation", "saving")}
    assert max(step.values()) / MIB == pytest.approx(mib, rel=0.002)
    assert max(step, key=lambda phase: step[phase]) == where


def test_each_layer_that_is_checkpointed_takes_memory_off_and_adds_time(boxes: dict[str, Hardware]) -> None:
    setups = [setup("llama3-8b", boxes, train__checkpoint_layers=layers) for layers in (1, 8, 16, 24, 32)]
    peaks = [memory(one).allocated_bytes for one in setups]
    again = [parts(one, batch_of(one))["recomputation"].products for one in setups]
    assert all(more > less for more, less in pairwise(peaks))
    assert all(less < more for less, more in pairwise(again))
    assert again[2] == pytest.approx(again[4] / 2)


def test_all_layers_are_what_checkpointing_without_a_number_is(boxes: dict[str, Hardware]) -> None:
    plain = memory(setup("llama3-8b", boxes))
    assert memory(setup("llama3-8b", boxes, train__checkpoint_layers=32)) == plain
    assert memory(setup("llama3-8b", boxes, train__checkpoint_layers=9999)) == plain


def resolved(box: Hardware, shape: ModelShape, profile: DataProfile | None, fixed: dict[str, Any]) -> Recipe:
    draft = assign(Recipe(), fixed)
    return resolve(draft, plan(box, shape, profile, draft))


FIXED = {"adapter.kind": "lora", "model.quantization": "none", "data.max_length": 1024, "train.micro_batch": 4}


def test_what_would_make_it_fit_says_how_few_layers_are_enough(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    box, shape = boxes["3090"], shapes["llama3.2-3b"]
    recipe = resolved(box, shape, None, {**FIXED, "train.checkpointing": False})
    ways = estimate(recipe, box, shape, None).verdict.changes
    reason = next(choice.reason for choice in ways if choice.path == "train.checkpointing")
    number = int(reason.partition("the first ")[2].partition(" of 28")[0])

    def fit(layers: int) -> str:
        tried = assign(recipe, {"train.checkpointing": True, "train.checkpoint_layers": layers})
        return estimate(tried, box, shape, None).verdict.fit

    assert 1 < number < 28
    assert fit(number) == "fits"
    assert fit(number - 1) != "fits"


def test_more_layers_are_offered_where_too_few_are_checkpointed(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    box, shape = boxes["3090"], shapes["llama3.2-3b"]
    recipe = resolved(box, shape, None, {**FIXED, "train.checkpoint_layers": 1})
    assert recipe.train.checkpointing is True
    found = estimate(recipe, box, shape, None).verdict
    assert found.fit == "no"
    choice = next(choice for choice in found.changes if choice.path == "train.checkpoint_layers")
    tried = assign(recipe, {choice.path: choice.value})
    assert estimate(tried, box, shape, None).verdict.fit == "fits"


def test_a_plan_names_the_layers_that_are_checkpointed(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    draft = assign(Recipe(), {**FIXED, "train.checkpoint_layers": 20})
    found = plan(boxes["a100"], shapes["llama3.2-3b"], rows(), draft)
    reason = next(choice.reason for choice in found.choices if choice.path == "train.checkpointing")
    assert "the first 20 of 28 layers" in reason
    assert "Those of the first 20 of 28 layers are computed again" in found.recommendation.note
