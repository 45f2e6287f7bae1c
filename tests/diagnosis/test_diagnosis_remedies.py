"""The settings that a finding would change: whatever the adapter, they make a recipe that can be trained, and they can
be written as the monitor's key writes them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ftui.diagnosis import Doctor, Finding, case_of
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe import assign
from ftui.recipe.check import BadRecipe
from ftui.recipe.document import Recipe
from ftui.recipe.edit import assignments
from ftui.recipe.trainable import planned_only

GIB = 1 << 30
STEPS = 400
USUAL: dict[str, float] = {
    "loss": 1.0, "grad_norm": 0.5, "step_seconds": 2.0, "input_seconds": 0.02, "tokens_per_second": 3500.0,
    "gpu_utilization": 0.96, "gpu_temperature_c": 71.0, "rss_bytes": 3.0 * GIB, "gpu_allocated_bytes": 12.0 * GIB,
}
UNAIDED = {"throttling", "slower"}
"""What no recipe can help: the card is hot, or shared."""


def falling(step: int) -> float:
    return 0.9 + 1.5 * 0.98**step


ILL: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # finding: (objective, settings, curves)
    "learning_rate_high": ("sft", {}, {"loss": lambda step: 2.0 + step / 20}),
    "diverging": ("sft", {}, {"loss": lambda step: 3.0 - step / 100 if step < 200 else 6.0}),
    "learning_rate_low": ("sft", {}, {"loss": lambda step: 2.0}),
    "chance": ("sft", {"data.template": "chatml"}, {"loss": lambda step: 6.2 - step / 2000}),
    "spikes": ("sft", {}, {"loss": lambda step: falling(step) + 9 * (step % 40 == 20 and step > 100),
                           "grad_norm": lambda step: 0.5 + 9 * (step % 40 == 20)}),
    "clipped": ("sft", {}, {"loss": lambda step: 1.5, "grad_norm": lambda step: 50.0}),
    "dead": ("sft", {}, {"loss": lambda step: 0.0, "grad_norm": lambda step: 0.0}),
    "input_bound": ("sft", {}, {"input_seconds": lambda step: 0.9}),
    "throttling": ("sft", {}, {"tokens_per_second": lambda step: 3500.0 if step < 200 else 2200.0,
                               "gpu_temperature_c": lambda step: 86.0}),
    "slower": ("sft", {}, {"tokens_per_second": lambda step: 3500.0 if step < 200 else 2200.0}),
    "memory_grows": ("sft", {}, {"rss_bytes": lambda step: (3 + step * 0.2) * GIB}),
    "row_order": ("sft", {"data.curriculum": "length"}, {
        "epoch": lambda step: step / 133,
        "loss": lambda step: 2.0 + (step % 133 > 66) + random.Random(step).gauss(0, 0.02),
    }),
    "overfitting": ("sft", {}, {"loss": lambda step: 2.0 * 0.99**step,
                                "eval_loss": lambda step: 1.0 + 0.002 * abs(step - 120)}),
    "plateau": ("sft", {}, {"eval_loss": lambda step: 1.0}),
    "no_reward_spread": ("grpo", {}, {"reward": lambda step: 0.0, "frac_reward_zero_std": lambda step: 1.0}),
    "answers_cut": ("rloo", {}, {"completions/clipped_ratio": lambda step: 1.0}),
    "answers_grow": ("grpo", {"objective.rewards": ["exact"]}, {
        "reward": lambda step: step / 400, "completions/mean_length": lambda step: 40.0 + step,
    }),
    "drifts_off": ("grpo", {}, {"reward": lambda step: 0.8 if step < 100 else 0.0}),
    "chosen_falls": ("dpo", {}, {"loss": falling, "logps/chosen": lambda step: -50.0 - step,
                                 "rewards/margins": lambda step: 2.0}),
    "one_class": ("classify", {}, {"eval_accuracy": lambda step: 0.7, "eval_f1": lambda step: 1.4 / 1.7 / 3}),
}


def recipe_of(kind: str, settings: dict[str, Any], adapter: str = "lora") -> Recipe:
    """A resolved recipe: what adapters have of ranks and the like is set, as the planner would."""
    fields = ADAPTERS[adapter].options.model_fields
    usual = {"rank": 16, "alpha": 32, "dropout": 0.0 if kind == "dpo" else 0.05}
    own = {f"adapter.{name}": value for name, value in usual.items() if name in fields}
    teacher = {"objective.teacher": "t"} if kind == "distill" else {}
    options = OBJECTIVES[kind].options.model_fields
    group = {"objective.generations": 4} if "generations" in options else {}
    group |= {"objective.rewards": ["exact"]} if "rewards" in options else {}
    return assign(Recipe(), {
        "model.base": "demo", "model.quantization": "none", "objective.kind": kind, "adapter.kind": adapter,
        "train.learning_rate": 2e-4, "train.micro_batch": 4, "train.effective_batch": 16, "train.epochs": 3,
        "data.max_length": 512, "data.packing": False, **own, **teacher, **group, **settings,
    })


def found(name: str, recipe: Recipe, curves: dict[str, Any]) -> Finding | None:
    """The finding of that name among what is said of these curves."""
    doctor = Doctor(case_of(recipe, steps=STEPS, vocabulary=512, labels=3, host_bytes=16 * GIB, device_bytes=24 * GIB))
    for step in range(1, STEPS + 1):
        usual = USUAL | ({} if "loss" in curves else {"loss": falling(step)})
        said = doctor.metric(step, usual | {key: curve(step) for key, curve in curves.items() if key[:5] != "eval_"})
        if step % 40 == 0 and any(key[:5] == "eval_" for key in curves):
            measured = {key[5:]: curve(step) for key, curve in curves.items() if key[:5] == "eval_"}
            said += doctor.evaluation(step, {"loss": 1.0 / step} | measured)
        for finding in said:
            if finding.name == name:
                return finding
    return None


@pytest.mark.parametrize("name", ILL)
def test_each_finding_has_numbers_a_step_and_settings_that_would_help(name: str) -> None:
    kind, settings, curves = ILL[name]
    finding = found(name, recipe_of(kind, settings), curves)
    assert finding is not None
    assert finding.evidence
    assert any(character.isdigit() for character in finding.text) or name == "dead"
    assert bool(finding.change) == (name not in UNAIDED)


def test_every_finding_that_is_told_is_among_these() -> None:
    import inspect
    import re

    from ftui.diagnosis import fit, machine, order, preferences, rewards, stability

    source = "".join(map(inspect.getsource, (fit, machine, order, preferences, rewards, stability)))
    assert set(re.findall(r'Finding\(\s*"(\w+)"', source)) == set(ILL)


@pytest.mark.parametrize("name", [name for name in ILL if name not in UNAIDED])
def test_a_remedy_makes_a_recipe_that_can_be_trained_whatever_the_adapter(name: str) -> None:
    kind, settings, curves = ILL[name]
    usual, tried = found(name, recipe_of(kind, settings), curves), 0
    for adapter in ADAPTERS:
        try:
            recipe = recipe_of(kind, settings, adapter)
        except BadRecipe:
            # This adapter doesn't go with that objective, whatever is changed.
            continue
        if planned_only(recipe) is not None:
            continue
        # Only milder settings look at the adapter.
        finding = found(name, recipe, curves) if name == "overfitting" else usual
        assert finding is not None
        changed = assign(recipe, finding.change)
        assert planned_only(changed) is None, adapter
        assert changed != recipe
        # As `f` does it: by the words of --set.
        assert assign(recipe, assignments(finding.settings)) == changed
        tried += 1
    assert tried >= len(ADAPTERS) // 2
