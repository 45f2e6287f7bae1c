"""Whole runs with the kinds of adapter that ftui gives peft: trained, resumed, and loaded as the card says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import parse
from ftui.recipe.document import Recipe

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.usefixtures("random_demo")]

WRITTEN = {
    "bottleneck": "{kind: bottleneck, width: 8}", "compacter": "{kind: compacter, width: 8, placement: pfeiffer}",
    "lora_bottleneck": "{kind: lora_bottleneck, rank: 4, width: 8, placement: parallel}",
    "lora_prompt": "{kind: lora_prompt, rank: 4, virtual_tokens: 6}",
}
FREEZE = "{kind: freeze, layers: 1}"


def asked(resolved: Callable[..., Recipe], kind: str, **settings: Any) -> Recipe:
    return resolved(**settings).model_copy(update={"adapter": parse(f"adapter: {WRITTEN.get(kind, FREEZE)}").adapter})


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_run_trains_it_and_says_how_to_load_it(
    kind: str, checkpointing: bool, resolved: Callable[..., Recipe], train: Callable[..., Any], random_demo: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ran = train(asked(resolved, kind, train__checkpointing=checkpointing, train__learning_rate=1e-2))
    assert ran.code == 0, ran.end
    held_out = [event.data["eval_loss"] for event in ran.of("evaluation")]
    assert held_out[-1] < held_out[0]
    output = ran.run.output
    card = (output / "README.md").read_text()
    assert "import ftui.tuners" in card
    assert f"tags: [ftui, sft, {kind}]" in card
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(random_demo), str(output))
    assert json.loads((output / "adapter_config.json").read_text())["peft_type"] == loaded.peft_config[
        "default"].peft_type.value
    assert {sample.data["base"] is not None for sample in ran.of("sample")[:1]} == {True}


@pytest.mark.parametrize("kind", [*WRITTEN, "freeze"])
def test_the_result_is_asked_by_ftui_and_by_the_lines_in_its_card(
    kind: str, resolved: Callable[..., Recipe], train: Callable[..., Any], work: Callable[..., Any], random_demo: Path
) -> None:
    from ftui.runs.folder import create
    from ftui.worker.usage import snippet

    recipe = asked(resolved, kind, train__max_steps=2, train__learning_rate=1e-1)
    ran = train(recipe)
    args = {"run": ran.run.id, "prompts": ["What is a key for?"], "max_new_tokens": 12}
    job = work(create("generate", "try", command="ftui try", args=args))
    assert job.end["status"] == "finished", job.end
    said = json.loads((job.run.output / "answers.json").read_text())[0]
    assert said["tuned"] != said["base"]
    found: dict[str, Any] = {}
    exec(snippet(str(ran.run.output), str(random_demo), recipe), found)
    assert found["made"].shape[1] > found["inputs"]["input_ids"].shape[1]


@pytest.mark.parametrize("kind", ["compacter", "lora_prompt"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    kind: str, resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any],
    commanded: Callable[..., Any],
) -> None:
    whole = work(make(asked(resolved, kind)))
    stopped = make(asked(resolved, kind))
    assert work(stopped, commanded({3: "stop"})).code == 0
    again = work(stopped)
    assert again.code == 0, again.end
    assert again.losses == pytest.approx(whole.losses, rel=1e-6)
