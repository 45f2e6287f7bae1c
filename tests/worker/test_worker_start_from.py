"""Training on from a finished adapter: it begins where the other ended, and is held against that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.errors import Refused
from ftui.recipe import assign, build
from ftui.recipe.trainable import planned_only
from ftui.runs.continuing import continued

from .preference_rows import pairs

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.xdist_group("worker")]

STILL = {"train__learning_rate": 1e-12, "train__max_steps": 1, "train__eval_steps": 1}


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("adapter", ["lora", "pissa", "ia3"])
def test_a_training_goes_on_where_the_finished_one_ended(
    adapter: str, train: Callable[..., Any], make: Callable[..., Any], resolved: Callable[..., Any],
    work: Callable[..., Any], random_demo: Path,
) -> None:
    start = {"lora": {}, "pissa": {"adapter__init": "pissa"}, "ia3": {"adapter": {"kind": "ia3"}}}[adapter]
    if own := start.pop("adapter", None):
        first = work(make(resolved().model_copy(update={"adapter": type(resolved()).model_validate(
            {"adapter": own}).adapter})))
    else:
        first = train(**start)
    assert first.end["status"] == "finished", first.end
    asked = resolved(**STILL)
    asked = type(asked).model_validate({
        **asked.model_dump(exclude_unset=True), "adapter": {"kind": first.run.recipe().adapter.kind,
                                                            "start_from": first.run.id},
    })
    recipe = continued(asked)
    if adapter == "pissa":
        assert (recipe.adapter.rank, recipe.adapter.alpha, recipe.adapter.init) == (16, 32, "default")
    second = work(make(assign(recipe, {"adapter.dropout": 0.0}) if adapter != "ia3" else recipe))
    assert second.end["status"] == "finished", second.end
    ours, theirs = weights(second.run.output), weights(first.run.output)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] - theirs[name]).abs().max() < 1e-6 for name in ours)
    assert second.end["metrics"]["eval_loss"] == pytest.approx(
        next(event for event in first.of("evaluation") if event.step == 6).data["eval_loss"], abs=1e-4)


def test_dpo_after_sft_is_held_against_what_it_began_as_and_resumes_to_the_bit(
    train: Callable[..., Any], make: Callable[..., Any], resolved: Callable[..., Any], work: Callable[..., Any],
    commanded: Callable[..., Any], random_demo: Path, tmp_path: Path,
) -> None:
    first = train()
    settings = {
        "objective__kind": "dpo", "data__sources": pairs(tmp_path), "data__validation": 0.2,
        "adapter__start_from": str(first.run.output),
    }
    recipe = assign(continued(resolved(**settings)), {"adapter.dropout": 0.0})
    whole, broken = work(make(recipe)), work(make(recipe), commanded({5: RuntimeError("the power went")}))
    assert whole.end["status"] == "finished", whole.end
    assert whole.losses[1] == pytest.approx(math.log(2), abs=1e-5), "the reference is the adapter that it began as"
    assert whole.losses[6] < whole.losses[1]
    assert work(broken.run).end["status"] == "finished"
    assert broken.losses == whole.losses
    assert not (whole.run.output / "ref").exists()


def test_a_reward_model_goes_on_from_an_adapter_of_words_with_a_head_of_its_own(
    train: Callable[..., Any], make: Callable[..., Any], resolved: Callable[..., Any], work: Callable[..., Any],
    random_demo: Path, tmp_path: Path,
) -> None:
    first = train()
    recipe = continued(resolved(
        objective__kind="reward", data__sources=pairs(tmp_path), data__validation=0.2,
        adapter__start_from=first.run.id,
    ))
    scored = work(make(assign(recipe, {"adapter.dropout": 0.0})))
    assert scored.end["status"] == "finished", scored.end
    ours = weights(scored.run.output)
    assert any("score" in name for name in ours)
    back = resolved(adapter__start_from=str(scored.run.output))
    failed = work(make(back))
    assert "head of scores" in failed.end["text"]


def test_what_the_recipe_asks_for_must_be_what_the_adapter_is(
    train: Callable[..., Any], resolved: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    first = train()
    with pytest.raises(Refused, match=r"adapter\.rank is 4, and the adapter that it starts from has 8"):
        continued(resolved(adapter__rank=4, adapter__start_from=first.run.id))
    with pytest.raises(Refused, match="holds no adapter"):
        continued(resolved(adapter__start_from=str(tmp_path)))
    # Without what ftui says of it, as any adapter of the hub.
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_bytes((first.run.output / name).read_bytes())
    names = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    bare = build({"adapter": {"start_from": str(folder)}})
    found = continued(bare)
    assert (found.adapter.rank, found.adapter.alpha, set(found.adapter.targets)) == (8, 16.0, set(names))
    assert found.model.base == str(random_demo)
    assert found.adapter.start_from == str(folder)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"adapter__init": "pissa"}, "where the matrices begin"),
        ({"adapter__kind": "freeze"}, "leaves a whole model"),
        ({"adapter__kind": "ia3", "objective__kind": "dpo"}, "of which ftui keeps a copy for LoRA only"),
    ],
)
def test_what_can_not_go_on_is_refused_at_the_recipe(
    settings: dict[str, Any], text: str, resolved: Callable[..., Any]
) -> None:
    if "adapter__kind" in settings:
        recipe = assign(resolved(), {"adapter.kind": settings.pop("adapter__kind"), "adapter.start_from": "x"})
    else:
        recipe = resolved(adapter__start_from="x")
    refused = planned_only(assign(recipe, {name.replace("__", "."): value for name, value in settings.items()}))
    assert refused is not None
    assert text in refused[0]
