"""Presets keep what their headers promise about the machine they need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ftui import models, planner
from ftui.fitting import fitting
from ftui.hardware import load, probe
from ftui.hardware.box import Box, Recorded
from ftui.hardware.document import Hardware
from ftui.recipe import Preset, assign, preset, presets
from ftui.units import GiB

T4 = Box.from_json((Path(__file__).parents[1] / "hardware" / "boxes" / "t4.json").read_bytes())


def named(entry: Preset) -> Hardware:
    """A machine with the card that the preset's header names, of which a twentieth is taken."""
    size = int(re.search(r"(\d+) GiB", entry.needs)[1]) * GiB  # type: ignore[index]
    free = int(size * 0.95)
    card = {"compute_capability 0": [8, 6], "memory 0": {"total": size, "used": size - free, "free": free}}
    return probe(Recorded(T4.answers | card), T4.machine)


ON_GPU = [entry for entry in presets() if entry.recipe.model.base != "demo"]


@pytest.mark.parametrize("entry", ON_GPU, ids=[entry.name for entry in ON_GPU])
def test_a_preset_fits_the_card_that_its_header_names(entry: Preset) -> None:
    found = fitting(entry.recipe, named(entry))
    assert found.fit in ("fits", "tight"), found.reason
    assert found.process_bytes


@pytest.mark.parametrize("entry", ON_GPU, ids=[entry.name for entry in ON_GPU])
def test_what_a_preset_costs_is_what_the_planner_says(entry: Preset) -> None:
    shape = models.describe(entry.recipe.model.base)
    # Larger micro-batches take more; which of them pays is a question of the card's speed.
    least = {} if entry.recipe.train.micro_batch != "auto" else {"train.micro_batch": 1}
    option = planner.plan(named(entry), shape, None, assign(entry.recipe, least)).recommendation
    peak = re.search(r"at least ([\d.]+) GiB on the card at the peak", entry.cost)
    weights = re.search(r"([\d.]+) GB of weights", entry.cost)
    download = re.search(r"download of ([\d.]+) GB", entry.cost)
    assert peak
    assert float(peak[1]) == pytest.approx(option.memory.process_bytes / GiB, rel=0.1)
    assert weights
    assert download
    assert float(weights[1]) == pytest.approx(option.memory.parts.weights / 1e9, rel=0.1)
    assert float(download[1]) == pytest.approx(shape.parameters * 2 / 1e9, rel=0.3)
    result = re.search(r"an adapter of about ([\d.]+) ([MG])B|a result of ([\d.]+) ([MG])B", entry.cost)
    assert result
    size, unit = (part for part in result.groups() if part)
    assert float(size) == pytest.approx(option.adapter_bytes / {"M": 1e6, "G": 1e9}[unit], rel=0.1)


def test_what_24_gib_would_take_in_place_of_70b_is_what_its_header_says() -> None:
    large = preset("llama-70b-48gb")
    card = {"compute_capability 0": [8, 6], "memory 0": {"total": 24 * GiB, "used": 1 * GiB, "free": 23 * GiB}}
    small = probe(Recorded(T4.answers | card), T4.machine)
    assert "--model Qwen/Qwen3-32B --set data.max_length=512" in large.needs
    assert fitting(large.recipe, small).fit == "no"
    other = assign(large.recipe, {"model.base": "Qwen/Qwen3-32B", "data.max_length": 512})
    assert fitting(other, small).fit in ("fits", "tight")
    gpu = small.gpus[0]
    three = small.model_copy(update={"gpus": tuple(gpu.model_copy(update={"index": at}) for at in range(3))})
    shared = assign(large.recipe, {
        "compute.gpus": 3, "compute.strategy": "zero3", "train.optimizer": "adamw", "train.effective_batch": 12,
    })
    assert fitting(shared, three).fit in ("fits", "tight")


def test_every_machine_gets_an_answer_for_every_preset() -> None:
    for box in sorted((Path(__file__).parents[1] / "hardware" / "boxes").glob("*.json")):
        hardware = load(box)
        for entry in presets():
            assert fitting(entry.recipe, hardware).fit != "unknown"


def test_a_model_that_nobody_knows_is_unknown_not_an_error() -> None:
    recipe = assign(ON_GPU[0].recipe, {"model.base": "nobody/nothing"})
    assert fitting(recipe, probe(Recorded(T4.answers), T4.machine)).fit == "unknown"
