"""What the rules say of objectives with answers of the model's own, with pairs, with labels: made curves, each with one
fault, and the same without it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from ftui.diagnosis import Case, Doctor, Finding, case_of
from ftui.recipe.document import Recipe

Curve = Callable[[int], float]


def case(kind: str, steps: int = 200, **objective: Any) -> Case:
    """A LoRA run of that objective."""
    recipe = Recipe.model_validate({
        "model": {"base": "demo"}, "objective": {"kind": kind, **objective},
        "adapter": {"kind": "lora", "rank": 16, "alpha": 32, "dropout": 0.0},
        "train": {"learning_rate": 1e-5, "micro_batch": 8, "effective_batch": 16, "epochs": 3},
    })
    return case_of(recipe, steps=steps, vocabulary=512, labels=3)


def said(which: Case, steps: int = 200, **curves: Curve) -> dict[str, Finding]:
    """What is said of these curves; a double underscore in a name stands for the slash."""
    doctor, found = Doctor(which), {}
    for step in range(1, steps + 1):
        values = {name.replace("__", "/"): curve(step) for name, curve in curves.items()}
        found |= {finding.name: finding for finding in doctor.metric(step, values)}
    return found


def noisy(level: Curve, noise: float, seed: int = 1) -> Curve:
    rng = random.Random(seed)
    return lambda step: level(step) + rng.gauss(0, noise)


LEARNING: dict[str, Curve] = {
    "loss": noisy(lambda step: 0.0, 0.1), "reward": noisy(lambda step: 0.3 + 0.5 * step / 200, 0.1, 2),
    "frac_reward_zero_std": noisy(lambda step: 0.2, 0.05),
    "completions__mean_length": noisy(lambda step: 200.0, 20.0, 3), "completions__clipped_ratio": lambda step: 0.05,
    "kl": lambda step: 0.1 * step / 200,
}


@pytest.mark.parametrize("kind", ["grpo", "rloo", "online_dpo", "ppo"])
def test_a_policy_that_learns_is_left_in_peace(kind: str) -> None:
    assert said(case(kind), **LEARNING) == {}


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_rewards_that_are_all_alike_are_no_signal(kind: str, reward: float) -> None:
    found = said(case(kind), **LEARNING | {"reward": lambda step: reward, "frac_reward_zero_std": lambda step: 1.0})
    assert set(found) == {"no_reward_spread"}
    finding = found["no_reward_spread"]
    assert finding.severity == "grave"
    assert f"({reward:.3g})" in finding.text
    assert finding.change == {"objective.temperature": 1.3}


@pytest.mark.parametrize("kind", ["online_dpo", "ppo"])
def test_where_nothing_is_said_of_groups_a_reward_that_never_moves_says_it(kind: str) -> None:
    curves = {name: curve for name, curve in LEARNING.items() if name != "frac_reward_zero_std"}
    assert said(case(kind), **curves) == {}
    assert set(said(case(kind), **curves | {"reward": lambda step: 0.0})) == {"no_reward_spread"}


def test_what_has_been_learnt_to_the_full_is_no_lack_of_signal() -> None:
    risen: dict[str, Curve] = {
        "reward": lambda step: min(1.0, 0.2 + step / 100), "frac_reward_zero_std": lambda step: min(1.0, step / 100),
    }
    assert said(case("grpo"), **LEARNING | risen) == {}


def test_answers_that_grow_with_their_reward_are_pointed_at_with_a_price_for_length() -> None:
    grow = {"completions__mean_length": noisy(lambda step: 40.0 + step, 3.0),
            "reward": noisy(lambda step: 0.2 + step / 400, 0.01)}
    finding = said(case("grpo", rewards=("exact",)), **LEARNING | grow)["answers_grow"]
    assert finding.severity == "note"
    assert finding.evidence["correlation"] is not None
    assert finding.change["objective.rewards"][0] == "exact"
    assert finding.change["objective.rewards"][1].startswith("0.5*length:<")
    priced = said(case("grpo", rewards=("exact", "length:<80")), **LEARNING | grow)["answers_grow"]
    assert priced.change == {}


def test_answers_that_grow_while_the_reward_does_as_it_likes_are_not() -> None:
    grow = {"completions__mean_length": noisy(lambda step: 40.0 + step, 3.0)}
    assert said(case("grpo"), **LEARNING | {"reward": noisy(lambda step: 0.5, 0.1)} | grow) == {}


@pytest.mark.parametrize("kind", ["grpo", "rloo", "ppo"])
def test_a_model_that_leaves_its_reference_behind_is_told_in_nats_a_token(kind: str) -> None:
    answer = 200.0 if kind == "ppo" else 1.0
    finding = said(case(kind), **LEARNING | {"kl": lambda step: answer * step / 20})["drifts_off"]
    assert finding.severity == "grave"
    assert "nats a token" in finding.text
    assert finding.change["train.learning_rate"] == 2e-6


def test_a_reward_that_is_lost_is_told_without_a_divergence_and_gets_a_price_on_it() -> None:
    lost = {name: curve for name, curve in LEARNING.items() if name != "kl"}
    lost["reward"] = noisy(lambda step: 0.7 if step < 60 else 0.1, 0.05)
    finding = said(case("grpo"), **lost)["drifts_off"]
    assert "fell from 0.7" in finding.text
    assert finding.change == {"train.learning_rate": 2e-6, "objective.beta": 0.05}


def test_a_reward_that_wavers_is_not_lost() -> None:
    assert said(case("grpo"), **LEARNING | {"reward": noisy(lambda step: 0.5, 0.25)}) == {}


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_chosen_answers_that_get_much_less_likely_are_told_and_slight_falls_are_not(kind: str) -> None:
    pairs: dict[str, Curve] = {
        "loss": noisy(lambda step: 0.2 + 0.49 * math.exp(-step / 40), 0.01), "grad_norm": lambda step: 1.0,
        "rewards__margins": lambda step: step / 40, "rewards__accuracies": lambda step: 0.9,
    }
    slight = said(case(kind), **pairs, logps__chosen=noisy(lambda step: -100 - step / 10, 5))
    assert slight == {}
    finding = said(case(kind), **pairs, logps__chosen=noisy(lambda step: -100 - 2 * step, 5))["chosen_falls"]
    assert finding.change.get("objective.imitation") == (1.0 if kind == "dpo" else None)
    assert finding.change["train.learning_rate"] == 3.3e-6


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [("dpo", {"loss_type": "ipo"}, "rewards__accuracies"), ("orpo", {}, "rewards__accuracies"),
     ("cpo", {}, "rewards__accuracies"), ("reward", {}, "accuracy"), ("dpo", {}, "rewards__accuracies")],
)
def test_a_coin_that_is_tossed_for_the_better_answer_is_recognised_whatever_the_loss(
    kind: str, options: dict[str, Any], name: str
) -> None:
    rng = random.Random(4)
    falls: dict[str, Curve] = {"loss": noisy(lambda step: 2.0 - step / 200, 0.05), "grad_norm": lambda step: 1.0}
    coin: dict[str, Curve] = {name: lambda step: sum(rng.random() < 0.5 for _ in range(16)) / 16}
    tossed = said(case(kind, **options), **falls, **coin)
    assert "as by tossing a coin" in tossed["chance"].text
    assert tossed["chance"].severity == "grave"
    assert tossed["chance"].change == {"train.learning_rate": 3e-5}
    learnt = {name: noisy(lambda step: 0.5 + 0.3 * (1 - math.exp(-step / 30)), 0.1)}
    assert "chance" not in said(case(kind, **options), **falls, **learnt)


def evaluated(which: Case, scores: list[tuple[float, float]]) -> dict[str, Finding]:
    doctor, found = Doctor(which), {}
    for index, (accuracy, f1) in enumerate(scores, 1):
        values = {"loss": 1.0 / index, "accuracy": accuracy, "f1": f1}
        found |= {finding.name: finding for finding in doctor.evaluation(20 * index, values)}
    return found


def f1_of_one(share: float, labels: int) -> float:
    """Macro F1 where every row gets the label that `share` of them have."""
    return 2 * share / (1 + share) / labels


def test_a_classifier_that_gives_one_label_is_told_from_one_that_sorts() -> None:
    found = evaluated(case("classify"), [(0.7, f1_of_one(0.7, 3))] * 5)
    finding = found["one_class"]
    assert finding.severity == "grave"
    assert finding.change == {"objective.class_weights": "balanced"}
    weighed = evaluated(case("classify", class_weights="balanced"), [(0.7, f1_of_one(0.7, 3))] * 5)
    assert weighed["one_class"].change == {"train.learning_rate": 3.3e-6}
    assert evaluated(case("classify"), [(0.7, 0.55), (0.8, 0.71), (0.82, 0.74), (0.83, 0.75), (0.84, 0.77)]) == {}
    assert evaluated(case("classify"), [(1.0, 1.0)] * 5).keys() <= {"plateau"}
    begins = [(0.7, f1_of_one(0.7, 3))] * 2 + [(0.8, 0.6), (0.85, 0.7), (0.9, 0.8)]
    assert evaluated(case("classify"), begins) == {}, "the first looks come before it has learnt"


def test_a_distillation_on_its_own_answers_may_rise_as_they_change() -> None:
    wave: dict[str, Curve] = {
        "loss": noisy(lambda step: 2.0 - 0.9 * math.exp(-((step - 60) / 30) ** 2), 0.05), "grad_norm": lambda step: 1.0,
    }
    assert "diverging" not in said(case("distill", teacher="t"), **wave)
    assert "diverging" in said(case("distill", teacher="t", on_policy=0), **wave)
