"""What a recipe can't ask of an objective whose model writes its own answers, said before anything loads."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.recipe import assign, get
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import planned_only

ONLINE = ("grpo", "rloo", "online_dpo", "ppo")


def refused(kind: str, **settings: Any) -> str | None:
    """What is said of a recipe with these settings and else nothing wrong, None where it can be trained."""
    asked = {"objective.kind": kind, "objective.rewards": ["exact"], "train.micro_batch": 8,
             "train.effective_batch": 16, "adapter.dropout": 0.0}  # fmt: skip
    recipe = assign(Recipe(), asked | {name.replace("__", "."): value for name, value in settings.items()})
    found = planned_only(recipe)
    return " ".join(found) if found else None


@pytest.mark.parametrize("kind", ONLINE)
def test_rewards_are_needed_readable_and_weighed(kind: str) -> None:
    assert refused(kind) is None
    assert "learns from nothing else" in str(refused(kind, objective__rewards=[]))
    assert "Did you mean exact" in str(refused(kind, objective__rewards=["exakt"]))
    assert "no weight other than 0" in str(refused(kind, objective__rewards=["0*exact"]))
    assert refused(kind, objective__rewards=["exact", "0*format"]) is None
    assert refused(kind, objective__rewards="exact, 0.2*format, my.module:score, model:/a/folder") is None


@pytest.mark.parametrize("kind", ONLINE)
def test_what_the_model_writes_is_executed_only_where_that_is_allowed(kind: str) -> None:
    assert "executes on this machine" in str(refused(kind, objective__rewards=["code"]))
    assert refused(kind, objective__rewards=["code"], objective__run_code=True) is None


@pytest.mark.parametrize("kind", ONLINE)
def test_noise_between_two_passes_over_the_same_weights_is_refused(kind: str) -> None:
    assert "adapter.dropout 0.05" in str(refused(kind, adapter__dropout=0.05))
    assert "train.neftune" in str(refused(kind, train__neftune=5.0))
    assert refused(kind, adapter__dropout="auto") is None
    assert "offloads no activations" in str(refused(kind, train__activation_offload=True))


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("grpo", {"objective__generations": 6}, "effective_batch: 24, or another"),
        ("grpo", {"objective__generations": 12, "train__effective_batch": 32}, "effective_batch: 24 or 48"),
        ("grpo", {"objective__generations": 32}, "effective_batch: 32"),
        ("rloo", {"objective__generations": 3, "train__micro_batch": 4, "train__effective_batch": 20},
         "effective_batch: 12 or 24"),
        ("grpo", {"objective__generations": 16, "objective__steps_per_generation": 3}, "steps_per_generation: 2 or 4"),
        ("online_dpo", {"train__micro_batch": 3, "train__effective_batch": 6}, "micro_batch: 2 or 4"),
        ("online_dpo", {"train__micro_batch": 1, "train__effective_batch": 4}, "micro_batch: 2."),
        ("online_dpo", {"objective__beta": 0.0}, "objective.beta: 0.1"),
        ("ppo", {"train__micro_batch": 1, "train__effective_batch": 1}, "a single answer"),
        ("ppo", {"train__optimizer": "muon"}, "value head untrained"),
    ],
)
def test_groups_that_do_not_fit_are_refused_with_the_nearest_that_do(
    kind: str, settings: dict[str, Any], said: str
) -> None:
    assert said in str(refused(kind, **settings))


@given(
    st.sampled_from(ONLINE[:3]), st.integers(1, 12), st.integers(1, 8), st.integers(2, 12),
    st.none() | st.integers(1, 8),
)
def test_what_passes_holds_whole_groups_and_what_is_proposed_passes(
    kind: str, micro: int, accumulated: int, group: int, steps: int | None
) -> None:
    settings: dict[str, Any] = {"train__micro_batch": micro, "train__effective_batch": micro * accumulated,
                                "objective__steps_per_generation": steps}  # fmt: skip
    group = 2 if kind == "online_dpo" else group
    if kind != "online_dpo":
        settings["objective__generations"] = group
    said = refused(kind, **settings)
    generated = micro * (steps or accumulated)
    assert (said is None) == (generated % group == 0 and (kind != "online_dpo" or micro % 2 == 0))
    if said:
        instead = said.rpartition("Write ")[2].rstrip(".").replace(", or another group size", "")
        name, _, proposed = instead.partition(": ")
        for value in proposed.split(" or "):
            changed = settings | {name.replace(".", "__"): int(value)}
            if name == "train.micro_batch":
                changed["train__effective_batch"] = int(value) * math.lcm(accumulated, 2)
            assert refused(kind, **changed) is None, (said, changed)


def test_a_reward_list_is_the_same_from_yaml_and_from_the_command_line() -> None:
    written = assign(Recipe(), {"objective.kind": "grpo", "objective.rewards": ["exact", "0.2*format"]})
    typed = assign(Recipe(), {"objective.kind": "grpo", "objective.rewards": "exact, 0.2*format"})
    assert get(written, "objective.rewards") == get(typed, "objective.rewards") == ("exact", "0.2*format")


def test_a_judge_stands_in_for_rewards() -> None:
    assert refused("online_dpo", objective__rewards=[], objective__judge=["exact", "shorter"]) is None
    assert refused("online_dpo", objective__rewards=[], objective__judge="my.module:better, asks:demo") is None
    assert refused("online_dpo", objective__rewards=["0*format"], objective__judge=["longer"]) is None


@pytest.mark.parametrize(("judge", "said"), [
    (["exakt"], "objective.judge: 'exakt' is no reward. Did you mean exact"),
    (["asks"], "names no model to ask"),
    (["shorter:3"], "shorter takes no argument"),
    (["0.5*exact"], "has a weight, and a judge only says which answer is better"),
    (["shorter", "shorter"], "has shorter twice"),
    (["code"], "objective.judge has code, which executes"),
    (["asks:a/b", "asks:c/d"], "asks several models"),
])
def test_a_judge_that_cannot_be_is_refused(judge: list[str], said: str) -> None:
    assert said in str(refused("online_dpo", objective__rewards=[], objective__judge=judge))


def test_the_files_of_judges_are_named_absolutely() -> None:
    from ftui.methods.judges import with_paths

    def absolute(path: str) -> str:
        return f"/here/{path}"

    assert with_paths("own.py:better", absolute) == "/here/own.py:better"
    assert with_paths("my.module:better", absolute) == "my.module:better"
    assert with_paths("asks:judge", absolute) == "asks:/here/judge"
    assert with_paths("json:schema.json", absolute) == "json:/here/schema.json"
    assert with_paths("shorter", absolute) == "shorter"
