"""Optimizers, schedules and the order of steps: what can't stand together is refused with what to write."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from ftui.recipe import assign, parse
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import missing, planned_only


def asked(**settings: Any) -> Recipe:
    return assign(Recipe(), {name.replace("__", "."): value for name, value in settings.items()})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train__optimizer": "schedule_free"}, "schedule is cosine"),
        ({"train__optimizer": "schedule_free", "train__schedule": "constant", "train__ema": 0.99}, "gives one already"),
        ({"train__optimizer": "muon", "adapter__update": "plus"}, "LoRA+"),
        ({"train__optimizer": "sgd", "train__beta1": 0.8}, "takes no train.beta1"),
        ({"train__optimizer": "lion", "train__epsilon": 1e-6}, "takes no train.epsilon"),
        ({"adapter__update": "fa", "train__beta2": 0.95}, "LoRA-FA"),
        ({"train__schedule": "linear", "train__min_rate": 0.1}, "linear would pass over it"),
        ({"train__cycles": 2}, "cosine would pass over it"),
        ({"train__power": 2.0}, "polynomial"),
        ({"train__decay_share": 0.5}, "wsd"),
        ({"train__group_by_length": True, "data__packing": True}, "nothing to group"),
        ({"train__group_by_length": True, "data__padding": "free"}, "saves nothing"),
        ({"train__group_by_length": True, "objective__kind": "grpo", "objective__rewards": ("exact",)}, "prompts"),
        ({"train__ema": 0.9, "objective__kind": "grpo", "objective__rewards": ("exact",)}, "save others"),
        ({"train__compile": True, "model__quantization": "nf4"}, "nf4"),
        ({"train__compile": True, "objective__kind": "dpo"}, "several different ones"),
        ({"train__compile": True, "train__activation_offload": True}, "past train.activation_offload"),
        ({"train__group_by_length": True, "objective__kind": "kto"}, "would part them"),
        ({"train__group_by_length": True, "objective__kind": "distill", "objective__teacher": "x/y"}, "can't order"),
        ({"data__padding": "max_length", "objective__kind": "grpo", "objective__rewards": ("exact",)}, "passed over"),
        ({"data__padding": "max_length", "objective__kind": "distill", "objective__teacher": "x/y"}, "passed over"),
        ({"data__packing": True, "adapter__kind": "lora_prompt"}, "packed rows would see each other"),
        ({"data__padding": "free", "adapter__kind": "lora_prompt"}, "laid end to end would see each other"),
        ({"train__checkpointing": False, "train__checkpoint_layers": 4}, "says how many layers are checkpointed"),
        ({"train__activation_offload": True, "train__checkpoint_layers": 4}, "wait for the bus"),
        ({"adapter__kind": "freeze", "train__checkpoint_layers": 4}, "counts these, too"),
        ({"adapter__kind": "prefix_tuning", "train__checkpoint_layers": 4}, "can't train with gradient checkpointing"),
        ({"evaluate__first": True, "data__validation": 0}, "held-out rows"),
        ({"train__tf32": True, "compute__gpus": 0}, "forces the CPU"),
        ({"tracking__hub": "mine"}, "owner/name"),
    ],
    ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else None,
)
def test_what_cannot_stand_together_is_refused(settings: dict[str, Any], said: str) -> None:
    found = planned_only(asked(**settings))
    assert found is not None
    assert said in found[0] + found[1]
    assert found[1].startswith(("Write", "Leave out"))


@pytest.mark.parametrize("strategy", ["zero2", "zero3", "fsdp"])
@pytest.mark.parametrize("settings", [{"train__optimizer": "muon"}, {"train__ema": 0.9}])
def test_what_needs_whole_weights_is_refused_where_they_are_divided(strategy: str, settings: dict[str, Any]) -> None:
    from ftui.recipe.combinations import wrong_combinations

    found = list(wrong_combinations(asked(**settings, compute__strategy=strategy)))
    assert any("divides them" in what for what, _ in found)


@pytest.mark.parametrize(
    "settings",
    [
        {"train__optimizer": "schedule_free", "train__schedule": "constant_with_warmup", "train__beta1": 0.95},
        {"train__optimizer": "muon", "train__beta2": 0.95, "train__epsilon": 1e-7}, {"train__optimizer": "rmsprop"},
        {"train__schedule": "cosine", "train__min_rate": 0.1}, {"train__schedule": "restarts", "train__cycles": 2},
        {"train__schedule": "wsd", "train__min_rate": 0.1, "train__decay_share": 0.1}, {"train__ema": 0.999},
        {"train__group_by_length": True}, {"train__compile": True}, {"train__deterministic": True},
        {"tracking__hub": "my-team/support.chat_1"}, {"evaluate__first": True},
    ],
)
def test_what_can_is_not(settings: dict[str, Any]) -> None:
    assert planned_only(asked(**settings)) is None


def test_a_missing_package_or_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftui.recipe.trainable.find_spec", lambda name: None)
    for name, package in (("schedule_free", "schedulefree"), ("galore", "pytorch-optimizer")):
        found = missing(asked(train__optimizer=name), gpu=True)
        assert found is not None
        assert f"pip install {package}" in found[1]
    found = missing(asked(train__tf32=True), gpu=False)
    assert found is not None
    assert "none trains here" in found[0]
    monkeypatch.setattr("ftui.recipe.trainable.find_spec", find_spec)
    assert missing(asked(train__tf32=True), gpu=True) is None


def test_kernels_of_the_hub_are_refused_where_none_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*, gpu: bool) -> str:
        found = missing(asked(model__kernels=True), gpu=gpu)
        return found[0] if found else ""

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("ftui.recipe.trainable.find_spec", lambda name: None)
    assert "needs a GPU" in said(gpu=False)
    assert "pip install kernels" in said(gpu=True)
    monkeypatch.setattr("ftui.recipe.trainable.find_spec", lambda name: object())
    assert "HF_HUB_OFFLINE" in said(gpu=True)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    assert said(gpu=True) == ""


def test_a_recipe_with_every_one_of_them_is_written_and_read_again() -> None:
    from ftui.recipe import write

    recipe = parse(
        "train: {schedule: wsd, min_rate: 0.1, decay_share: 0.1, optimizer: muon, beta1: 0.9, beta2: 0.95, "
        "epsilon: 1e-7, ema: 0.99, save_minutes: 10, group_by_length: true, deterministic: true, compile: false}\n"
        "evaluate: {first: true}\ntracking: {hub: me/it, hub_private: false}"
    )
    assert parse(write(recipe)) == recipe
