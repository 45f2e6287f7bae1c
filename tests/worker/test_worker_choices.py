"""What the worker chooses from a recipe, without torch."""

from __future__ import annotations

import pkgutil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.errors import BadInput
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.document import Event
from ftui.runs.recovered import recovered
from ftui.worker import adapters, libraries, objectives, recovery
from ftui.worker.precision import choose

FULL = Recipe.model_validate({"adapter": {"kind": "none"}})
LORA = Recipe()
QLORA = assign(LORA, {"model.quantization": "nf4"})


def training(micro: int, effective: int, **settings: Any) -> Recipe:
    values = {"train.micro_batch": micro, "train.effective_batch": effective, "train.checkpointing": False}
    return assign(LORA, values | {name.replace("__", "."): value for name, value in settings.items()})


def test_every_row_of_the_catalogue_has_its_builder_and_no_other() -> None:
    assert set(adapters.BUILDERS) == {kind for kind, row in ADAPTERS.items() if row.trains}
    trained = {kind for kind, row in OBJECTIVES.items() if row.trains}
    assert {module.name for module in pkgutil.iter_modules(objectives.__path__)} == trained


@pytest.mark.parametrize(
    ("recipe", "dtype", "cuda", "bf16", "found"),
    [
        (LORA, "auto", False, False, ("float32", "float32", None)),
        (LORA, "auto", True, True, ("bfloat16", "float32", "bf16")),
        (LORA, "auto", True, False, ("float16", "float32", "fp16")),
        (QLORA, "auto", True, True, ("bfloat16", "bfloat16", "bf16")),
        (QLORA, "auto", True, False, ("float16", "float32", "fp16")),
        (FULL, "bfloat16", True, True, ("bfloat16", "bfloat16", "bf16")),
        (FULL, "float16", True, False, ("float32", "float32", "fp16")),
        (FULL, "float32", True, True, ("float32", "float32", None)),
    ],
)
def test_number_formats(recipe: Recipe, dtype: str, cuda: bool, bf16: bool, found: tuple[Any, ...]) -> None:
    chosen = choose(assign(recipe, {"model.dtype": dtype}), cuda=cuda, bf16=bf16)
    assert (chosen.weights, chosen.adapter, chosen.autocast) == found


@pytest.mark.parametrize(("dtype", "cuda"), [("float16", False), ("bfloat16", True)])
def test_formats_that_the_device_lacks_are_refused(dtype: str, cuda: bool) -> None:
    with pytest.raises(BadInput, match=dtype):
        choose(assign(LORA, {"model.dtype": dtype}), cuda=cuda, bf16=False)


@given(st.integers(1, 64), st.integers(1, 64))
def test_halving_keeps_the_effective_batch_and_ends(micro: int, accumulation: int) -> None:
    recipe = training(micro, micro * accumulation, recovery__out_of_memory=["halve_batch"])
    seen = [micro]
    while change := recovery.remedy(recipe, has_checkpoint=True):
        recipe = assign(recipe, change.settings)
        seen.append(int(recipe.train.micro_batch))
        assert seen[-1] <= seen[-2] // 2
        assert int(recipe.train.effective_batch) % seen[-1] == 0
    assert seen[-1] == 1
    assert recipe.train.effective_batch == micro * accumulation


def test_where_some_layers_are_checkpointed_the_rest_follow() -> None:
    asked: dict[str, object] = {"recovery__out_of_memory": ["checkpointing"], "train__checkpoint_layers": 2}
    recipe = training(1, 4, train__checkpointing=True, **asked)
    change = recovery.remedy(recipe, has_checkpoint=True)
    assert change is not None
    assert change.settings == {"train.checkpoint_layers": None}
    assert recovery.remedy(assign(recipe, change.settings), has_checkpoint=True) is None


def test_the_optimizer_is_not_changed_under_a_checkpoint() -> None:
    recipe = training(1, 4, recovery__out_of_memory=["paged_8bit"], train__optimizer="adamw")
    change = recovery.remedy(recipe, has_checkpoint=False)
    assert change is not None
    assert change.settings == {"train.optimizer": "paged_adamw_8bit"}
    assert recovery.remedy(recipe, has_checkpoint=True) is None


def test_what_an_earlier_attempt_had_to_change_holds_for_the_next() -> None:
    events = [
        Event(seq=1, attempt=1, time=0, kind="recovery", data={"change": {"train.micro_batch": 4}}),
        Event(seq=2, attempt=1, time=0, kind="recovery", data={"change": {"train.checkpointing": True}}),
    ]
    recipe = recovered(training(8, 8), events)
    assert (recipe.train.micro_batch, recipe.train.checkpointing) == (4, True)


def test_advice_names_settings_that_can_be_typed() -> None:
    text = recovery.advice(training(8, 8, data__max_length=2048))
    assert "--set train.micro_batch=4" in text
    assert "--set train.checkpointing=True" in text
    assert "--set data.max_length=1024" in text


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_known_by_its_words(error: Exception, known: bool) -> None:
    assert recovery.is_out_of_memory(error) is known


def test_bitsandbytes_is_loaded_only_where_something_is_quantized() -> None:
    assert not libraries.needs_bitsandbytes(LORA)
    assert libraries.needs_bitsandbytes(QLORA)
    assert libraries.needs_bitsandbytes(assign(FULL, {"train.optimizer": "adamw_8bit"}))


def test_a_run_takes_the_card_with_the_most_free_memory_or_none_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from ftui.recipe.document import Compute, Recipe
    from ftui.worker.base import choose_device

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    cards = [{"uuid": "GPU-a", "free_bytes": 1}, {"uuid": "GPU-b", "free_bytes": 2}]
    monkeypatch.setattr("ftui.hardware.gauges.gpu_stats", lambda wait: cards)
    choose_device(Recipe())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    choose_device(Recipe(compute=Compute(gpus=0)))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
