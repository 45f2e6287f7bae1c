"""Presets keep what their headers promise about the machine they need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ftui.fitting import fitting
from ftui.hardware import load, probe
from ftui.hardware.box import Box, Recorded
from ftui.recipe import Preset, assign, presets
from ftui.units import GiB

T4 = Box.from_json((Path(__file__).parents[1] / "hardware" / "boxes" / "t4.json").read_bytes())
ON_GPU = [entry for entry in presets() if entry.recipe.model.base != "demo"]


@pytest.mark.parametrize("entry", ON_GPU, ids=[entry.name for entry in ON_GPU])
def test_a_preset_fits_the_card_that_its_header_names(entry: Preset) -> None:
    size = int(re.search(r"(\d+) GiB", entry.needs)[1]) * GiB  # type: ignore[index]
    free = int(size * 0.95)
    card = {"compute_capability 0": [8, 6], "memory 0": {"total": size, "used": size - free, "free": free}}
    found = fitting(entry.recipe, probe(Recorded(T4.answers | card), T4.machine))
    assert found.fit in ("fits", "tight"), found.reason
    assert found.process_bytes


def test_every_machine_gets_an_answer_for_every_preset() -> None:
    for box in sorted((Path(__file__).parents[1] / "hardware" / "boxes").glob("*.json")):
        hardware = load(box)
        for entry in presets():
            assert fitting(entry.recipe, hardware).fit != "unknown"


def test_a_model_that_nobody_knows_is_unknown_not_an_error() -> None:
    recipe = assign(ON_GPU[0].recipe, {"model.base": "nobody/nothing"})
    assert fitting(recipe, probe(Recorded(T4.answers), T4.machine)).fit == "unknown"
