"""The home screen's list of presets: judged once for a machine, and again when the machine or ftui is another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from screens_help import cpu_box, gpu_box

from ftui import preset_fits as fits
from ftui.hardware.document import Hardware
from ftui.paths import cache_dir
from ftui.preset_fits import PresetFit, preset_fits
from ftui.recipe.presets import preset_names
from ftui.screens.home_facts import preset_rows


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Hardware]:
    """The machines for which the presets were judged, one after the other."""
    seen: list[Hardware] = []
    really = fits._judged

    def counting(hardware: Hardware) -> list[PresetFit]:
        seen.append(hardware)
        return really(hardware)

    monkeypatch.setattr(fits, "_judged", counting)
    return seen


def test_the_same_machine_is_judged_once(judged: list[Hardware]) -> None:
    box = gpu_box()
    first = preset_fits(box)
    assert [each.name for each in first] == list(preset_names())
    assert preset_fits(box) == first
    assert len(judged) == 1
    assert [str(cell) for row in preset_rows(box) for cell in row.cells] == [
        str(cell) for row in preset_rows(box) for cell in row.cells
    ]
    # Another clock, and a few bytes of free memory more or less, change no verdict of a list.
    same = box.model_copy(update={"time": box.time + 60})
    assert preset_fits(same) == first
    assert len(judged) == 1


def test_another_machine_less_free_memory_or_a_new_run_is_judged_anew(
    judged: list[Hardware], own_home: Path
) -> None:
    preset_fits(cpu_box())
    preset_fits(gpu_box())
    box = gpu_box()
    full = box.gpus[0].model_copy(update={"free_bytes": 2 << 30})
    found = {each.name: each.fit.fit for each in preset_fits(box.model_copy(update={"gpus": (full,)}))}
    assert found["chat-qlora-24gb"] == "no"
    assert len(judged) == 3
    (own_home / "runs" / "one").mkdir(parents=True)
    (own_home / "runs" / "one" / "events.jsonl").write_text("{}\n")
    preset_fits(box)
    assert len(judged) == 4


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1}', "{", '{"key": "x", "fits": [[1]]}'])
def test_a_list_that_can_not_be_read_is_made_again(judged: list[Hardware], content: str) -> None:
    cache_dir().mkdir(parents=True, exist_ok=True)
    (cache_dir() / "presets.json").write_text(content)
    assert len(preset_fits(cpu_box())) == len(preset_names())
    assert len(judged) == 1


@pytest.mark.skipif(os.name != "posix", reason="a place that takes no file")
def test_a_disk_that_takes_nothing_keeps_nobody_from_the_list(
    judged: list[Hardware], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fits, "write_atomic", full)
    assert preset_fits(cpu_box())
    assert preset_fits(cpu_box())
    assert len(judged) == 2
