"""Verdicts and risks: what fits now, what would make it fit, and what looks wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.document import DataProfile
from ftui.hardware.document import Disk, GpuProcess, Hardware
from ftui.models.document import ModelShape
from ftui.planner import estimate, plan, resolve, risks
from ftui.planner.changes import Costs, find
from ftui.planner.memory import memory, process_bytes
from ftui.planner.setup import setup_of
from ftui.planner.verdict import fit_of, reserve
from ftui.recipe import Recipe, assign

GIB = 1 << 30


def resolved(box: Hardware, shape: ModelShape, profile: DataProfile | None, **settings: Any) -> Recipe:
    """A resolved recipe with these settings (`train__epochs=3`) fixed."""
    draft = assign(Recipe(), {path.replace("__", "."): value for path, value in settings.items()})
    return resolve(draft, plan(box, shape, profile, draft))


def said(box: Hardware, shape: ModelShape, profile: DataProfile | None, **settings: Any) -> dict[str, str]:
    """The risks of such a recipe, path to text."""
    return {risk.path: risk.text for risk in risks(resolved(box, shape, profile, **settings), box, shape, profile)}


def test_a_peak_fits_only_if_the_intervals_high_end_does() -> None:
    assert fit_of(10, 12, 12) == "fits"
    assert fit_of(10, 13, 12) == "tight"
    assert fit_of(13, 15, 12) == "no"


def test_three_percent_but_at_least_half_a_gib_is_kept_free(boxes: dict[str, Hardware]) -> None:
    assert reserve(boxes["t4"], "cuda") == GIB // 2
    assert reserve(boxes["a100"], "cuda") == pytest.approx(0.03 * 80 * GIB, abs=2)


def test_each_offered_change_alone_makes_it_fit(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    box, shape = boxes["3090"], shapes["llama3-8b"]
    recipe = resolved(box, shape, rows(), adapter__kind="lora", model__quantization="none", train__micro_batch=8,
                      train__effective_batch=8, train__checkpointing=False, data__max_length=1024)
    answer = estimate(recipe, box, shape, rows())
    assert answer.verdict.fit == "no"
    assert answer.verdict.spare_bytes < 0
    assert "Does not fit by" in answer.verdict.text
    assert answer.verdict.changes
    for change in answer.verdict.changes:
        fixed = assign(recipe, {change.path: change.value})
        assert estimate(fixed, box, shape, rows()).verdict.fit == "fits"
        assert "saves" in change.reason


def test_where_no_single_change_is_enough_a_chain_is_offered(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    box, shape = boxes["t4"], shapes["llama3-8b"]
    recipe = resolved(box, shape, rows(), adapter__kind="lora", model__quantization="none", train__micro_batch=16,
                      train__effective_batch=16, train__checkpointing=False, data__max_length=1536)
    held = estimate(recipe, box, shape, rows()).verdict
    offered = held.changes
    assert len(offered) > 1
    assert held.together
    assert "changes together would do it, costing" in held.text
    for left in range(len(offered)):
        fewer = {change.path: change.value for index, change in enumerate(offered) if index != left}
        assert estimate(assign(recipe, fewer), box, shape, rows()).verdict.fit != "fits"
    both = assign(recipe, {change.path: change.value for change in offered})
    assert estimate(both, box, shape, rows()).verdict.fit == "fits"


@settings(max_examples=40, deadline=None)
@given(
    total=st.floats(6, 60), rows_at_once=st.sampled_from([1, 2, 8, 16]), length=st.sampled_from([512, 2048, 8192]),
    quantization=st.sampled_from(["none", "nf4"]), checkpointing=st.booleans(), rank=st.sampled_from([8, 64, 256]),
    read=st.booleans(),
)
def test_whatever_does_not_fit_what_is_offered_makes_it_fit(
    box: Callable[..., Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile], total: float,
    rows_at_once: int, length: int, quantization: str, checkpointing: bool, rank: int, read: bool,
) -> None:
    machine, shape, profile = box(total=round(total, 1)), shapes["llama3-8b"], rows() if read else None
    recipe = resolved(
        machine, shape, profile, adapter__kind="lora", adapter__rank=rank, model__quantization=quantization,
        train__micro_batch=rows_at_once, train__effective_batch=16, train__checkpointing=checkpointing,
        data__max_length=length,
    )
    held = estimate(recipe, machine, shape, profile).verdict
    assert (held.fit == "fits") <= (held.changes == ())
    each = [held.changes] if held.together else [(change,) for change in held.changes]
    for changes in each:
        values = {change.path: change.value for change in changes}
        if "train.micro_batch" in values and 16 % values["train.micro_batch"]:
            values["train.effective_batch"] = -(-16 // values["train.micro_batch"]) * values["train.micro_batch"]
        assert estimate(assign(recipe, values), machine, shape, profile).verdict.fit == "fits", values
    if held.fit == "no" and not held.changes:
        assert "smaller base model" in held.text


def test_changes_are_priced_by_time_and_quality_and_the_rows_they_cut(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    box, shape = boxes["3090"], shapes["llama3-8b"]
    recipe = resolved(box, shape, rows(), adapter__kind="lora", model__quantization="none", train__micro_batch=8,
                      train__effective_batch=8, train__checkpointing=False, data__max_length=2048)
    found = setup_of(recipe, box, shape, rows())
    costs = Costs(pace=lambda setup: 2.0 if setup.checkpointing else 1.0,
                  worth=lambda setup: 0.5 if setup.quantization == "nf4" else 1.0, lengths=rows().lengths)
    everything = " ".join(
        choice.reason for room in range(8, 200, 4) for choice in find(found, room * GIB, costs).choices
    )
    assert "steps take 100% longer" in everything
    assert "% of rows are cut and lose" in everything
    assert "5e+01 % of the quality" not in everything


def test_an_idea_that_costs_nothing_comes_before_one_that_does(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    box, shape = boxes["a100"], shapes["llama3-8b"]
    recipe = resolved(box, shape, None, adapter__kind="lora", model__quantization="none", train__loss="full",
                      train__micro_batch=8, train__effective_batch=8, train__checkpointing=True, data__max_length=4096)
    found = setup_of(recipe, box, shape, None)
    high = process_bytes(found)[1]
    costs = Costs(pace=lambda _: 1.0, worth=lambda setup: 0.9 if setup.method == "qlora" else 1.0)
    first = find(found, int(0.95 * high), costs)
    assert first.choices[0].path in ("train.loss", "train.micro_batch")
    assert "model.quantization" not in [choice.path for choice in first.choices[:2]]


def test_where_nothing_helps_the_verdict_says_so(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    recipe = resolved(boxes["t4"], shapes["llama3-70b"], None)
    answer = estimate(recipe, boxes["t4"], shapes["llama3-70b"], None)
    assert answer.verdict.changes == ()
    assert "smaller base model" in answer.verdict.text


def test_no_change_that_is_offered_costs_more_memory(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    box, shape = boxes["a100"], shapes["llama3-8b"]
    found = setup_of(resolved(box, shape, rows()), box, shape, rows())
    for room in (5 * GIB, 10 * GIB, 20 * GIB):
        for change in find(found, room, Costs()).choices:
            assert change.value is not None
            assert "saves 0" not in change.reason
    assert process_bytes(replace(found, rows=1))[0] <= memory(found).process_bytes


def test_a_sound_recipe_on_a_free_card_has_no_risk(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    assert said(boxes["a100"], shapes["llama3-8b"], rows()) == {}


@pytest.mark.parametrize(("settings", "path", "words"), [
    ({"train__learning_rate": 1e-3, "train__warmup": 0.0}, "train.warmup", "diverges"),
    ({"data__validation": 0}, "data.validation", "Nothing is held out"),
    ({"data__validation": 3}, "data.validation", "Only 3 rows"),
    ({"data__max_length": 256}, "data.max_length", "are longer than 256"),
    ({"data__max_length": 100_000, "data__packing": True}, "data.max_length", "exceed the model's context"),
    ({"adapter__kind": "lora", "adapter__rank": 512}, "adapter.rank", "can't feed"),
    ({"adapter__kind": "none"}, "adapter.kind", "Full tuning of 8.03 B"),
    ({"adapter__kind": "none", "train__learning_rate": 5e-4}, "train.learning_rate", "high for full tuning"),
    ({"train__epochs": 20}, "train.epochs", "learnt by heart"),
    ({"train__effective_batch": 16_384, "train__micro_batch": 1}, "train.effective_batch", "an epoch is one step"),
])
def test_each_risk_names_its_setting(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile],
    settings: dict[str, Any], path: str, words: str,
) -> None:
    found = said(boxes["h200"], shapes["llama3-8b"], rows(4000), **settings)
    assert words in found[path]


def test_float16_full_tuning_is_a_risk(boxes: dict[str, Hardware], shapes: dict[str, ModelShape]) -> None:
    assert "float16" in said(boxes["t4"], shapes["tiny"], None, adapter__kind="none")["model.dtype"]


def test_the_models_own_risks_are_said(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    box, base = boxes["a100"], shapes["llama3-8b"]
    gated = base.model_copy(update={"gated": True})
    assert "gated" in said(box, gated, rows())["model.base"]
    assert said(box, gated.model_copy(update={"path": "/models/x"}), rows()) == {}
    assert "chat template" in said(box, base, rows(), goal__task="chat")["data.template"]
    unknown = base.model_copy(update={"chat_template_known": False})
    assert "data.template" not in said(box, unknown, rows(), goal__task="chat")
    assert "code of its own" in said(box, base.model_copy(update={"remote_code": True}), rows())["model.base"]
    inexact = base.model_copy(update={"exact": False, "inexact_reason": "An unknown family."})
    assert said(box, inexact, rows())["model.base"] == "An unknown family."


def test_the_machines_own_risks_are_said(
    boxes: dict[str, Hardware], box: Callable[..., Hardware], shapes: dict[str, ModelShape],
    rows: Callable[..., DataProfile],
) -> None:
    shape = shapes["llama3-8b"]
    half = boxes["half"]
    gpu = half.gpus[0].model_copy(update={"processes": (GpuProcess(pid=7, name="python"),)})
    busy = gpu.model_copy(update={"used_bytes": 0, "free_bytes": gpu.total_bytes, "utilization": 0.97})
    assert said(half.model_copy(update={"gpus": (busy,)}), shape, rows())["compute.gpus"].endswith(
        "are held by others (python), and it is 97% busy with that."
    )
    assert "held by others (python)" in said(half.model_copy(update={"gpus": (gpu,)}), shape, rows())["compute.gpus"]
    assert "The run needs about" in said(box(disk=0.01), shape, rows())["train.keep_checkpoints"]
    volatile = box().disks[0].model_copy(update={"volatile": True})
    cache = Disk(purpose="hub cache", path="/cache", total_bytes=GIB, free_bytes=GIB)
    machine = box().model_copy(update={"disks": (volatile, cache)})
    heavy = shape.model_copy(update={"weight_bytes": 16 * GIB})
    found = said(machine, heavy, rows())
    assert "vanishes" in found["name"]
    assert "The download takes 16.0 GiB" in found["model.base"]
    broken = box().model_copy(update={"torch": box().torch.model_copy(update={"problem": "torch is too new."})})
    assert said(broken, shape, rows())["compute.gpus"] == "torch is too new."


def test_many_duplicates_are_a_risk(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    assert "duplicates" in said(boxes["a100"], shapes["llama3-8b"], rows(duplicate_rows=3000))["data.prepare"]
