"""The closed form against traced peaks: traced.json is written by `benchmarks/planner/trace.py --fixture`."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from ftui.hardware.document import Hardware
from ftui.models.shape import Origin, build
from ftui.planner.memory import memory
from ftui.planner.setup import setup_of
from ftui.recipe import assign
from ftui.recipe.document import Recipe

TRACED = json.loads((Path(__file__).parent / "traced.json").read_text(encoding="utf-8"))
BEYOND = ("load", "evaluation", "saving")
"""A trace is of a training step."""


@pytest.fixture(scope="module")
def errors(boxes: dict[str, Hardware]) -> dict[str, float]:
    """Closed form over trace, less one, by case."""
    found = {}
    for row in TRACED["rows"]:
        shape = build(TRACED["architectures"][row["architecture"]], Origin(row["architecture"], "config"))
        phases = memory(setup_of(assign(Recipe(), row["asked"]), boxes["a100"], shape, None)).phases
        peak = max(size for phase, size in phases.items() if phase not in BEYOND)
        found[f"{row['architecture']} / {row['way']}"] = peak / row["allocated"] - 1
    return found


def test_the_traces_cover_ten_architectures_in_at_least_120_combinations() -> None:
    assert len(TRACED["architectures"]) >= 10
    assert len(TRACED["rows"]) >= 120


def test_the_median_error_is_within_half_a_per_cent(errors: dict[str, float]) -> None:
    assert statistics.median(map(abs, errors.values())) <= 0.005


def test_no_traced_peak_is_missed_by_more_than_three_per_cent(errors: dict[str, Any]) -> None:
    assert {name: round(error, 4) for name, error in errors.items() if abs(error) > 0.03} == {}
