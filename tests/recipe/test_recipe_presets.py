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


def test_every_promised_preset_is_there_and_the_small_card_comes_first() -> None:
    assert NAMES[:3] == ["chat-qlora-8gb", "chat-qlora-16gb", "chat-qlora-24gb"]
    assert set(NAMES) >= {"instruct-lora", "full-small", "continued-pretraining", "tickets"}
    assert NAMES[-1] == "cpu-demo"
    assert len(NAMES) == len(list(FOLDER.glob("*.yaml")))


def test_the_demo_needs_no_data_no_gpu_and_no_hub() -> None:
    demo = preset("cpu-demo").recipe
    assert (demo.model.base, demo.data.sources[0].path, demo.compute.gpus) == ("demo", "demo", 0)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="chat-qlora-8gb"):
        preset("chat-qlora-8g")
    with pytest.raises(BadInput, match="There are chat-qlora-8gb"):
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
