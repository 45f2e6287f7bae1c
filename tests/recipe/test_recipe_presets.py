"""The recipes that ship with ftui."""

from __future__ import annotations

import pytest

from ftui.errors import BadInput
from ftui.recipe import Preset, asked, find, parse, preset, presets, write
from ftui.recipe.presets import FOLDER, header

NAMES = [entry.name for entry in presets()]


@pytest.mark.parametrize("entry", presets(), ids=NAMES)
def test_a_preset_says_what_it_is_for_and_how_to_run_it(entry: Preset) -> None:
    assert entry.title
    assert entry.purpose.endswith(".")
    assert entry.needs.endswith(".")
    assert entry.cost.endswith(".")
    assert entry.command.startswith(f"ftui launch {entry.name}")
    assert entry.recipe.model.base
    assert {"goal.task", "model.base", "train.learning_rate"} <= asked(entry.recipe)
    # The demo leaves the method to the plan, so that its Plan step has something to compare.
    assert ("adapter.kind" in asked(entry.recipe)) is (entry.name != "cpu-demo")


@pytest.mark.parametrize("entry", presets(), ids=NAMES)
def test_a_preset_can_be_written_and_read(entry: Preset) -> None:
    assert parse(write(entry.recipe, only=asked(entry.recipe))) == entry.recipe


def test_every_promised_preset_is_there_and_of_several_cards_the_small_one_comes_first() -> None:
    chats = [name for name in NAMES if name.startswith("chat-qlora")]
    assert chats == ["chat-qlora-8gb", "chat-qlora-16gb", "chat-qlora-24gb"]
    assert set(NAMES) >= {
        "tickets-classifier", "legal-text", "medical-text", "technical-manuals", "domain-instruct", "multitask-shared",
        "code-qlora", "llama-70b-48gb", "align-1-sft", "align-2-dpo", "feedback-kto", "align-orpo", "safety-dpo",
        "distill", "reasoning-grpo", "reward-model", "tool-calls", "long-context", "full-small", "instruct-dora",
        "lora-without-regret", "tiny-vera", "few-shot-ia3", "prompt-tuning", "pretraining-small",
    }
    assert len(NAMES) >= 24
    assert NAMES[-1] == "cpu-demo"
    assert len(NAMES) == len(list(FOLDER.glob("*.yaml")))


def test_the_demo_needs_no_data_no_gpu_and_no_hub() -> None:
    demo = preset("cpu-demo").recipe
    assert (demo.model.base, demo.data.sources[0].path, demo.compute.gpus) == ("demo", "demo", 0)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="chat-qlora-8gb"):
        preset("chat-qlora-8g")
    with pytest.raises(BadInput, match="There are align-1-sft"):
        preset("zzz")


def test_a_reference_is_a_preset_or_a_file(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\n")
    assert find("tickets") == preset("tickets").recipe
    assert find(str(path)).name == "mine"
    with pytest.raises(BadInput, match="no recipe at"):
        find("nothing/here.yaml")
    with pytest.raises(BadInput, match="no preset"):
        find("ticket")


def test_a_header_goes_on_over_indented_lines() -> None:
    words = header("# Title\n#\n# For:   one\n#         two\n# Run:   ftui launch x\nversion: 1\n# For: no\n")
    assert words == {"title": "Title", "purpose": "one two", "command": "ftui launch x"}
