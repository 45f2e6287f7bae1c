"""What the rules say of the curves of real runs (`benchmarks/diagnosis.py`): planted faults found, healthy runs left in
peace.  The thresholds were set with these curves in sight."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import diagnosis

RUNS = diagnosis.recorded()
HEALTHY = [name for name, run in RUNS.items() if run["fault"] is None]
ILL = [name for name, run in RUNS.items() if run["fault"] is not None]


def test_every_trial_is_recorded_with_its_fault() -> None:
    assert {trial.name: trial.fault for trial in diagnosis.TRIALS} == {name: RUNS[name]["fault"] for name in RUNS}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_left_in_peace(name: str) -> None:
    assert [finding.name for _, finding in diagnosis.findings(RUNS[name])] == []


@pytest.mark.parametrize("name", ILL)
def test_a_planted_fault_is_found_before_the_run_is_over_with_its_evidence_and_what_to_do(name: str) -> None:
    run = RUNS[name]
    step, found = next((at, each) for at, each in diagnosis.findings(run) if each.name == run["fault"])
    assert step < run["steps"]
    assert found.evidence
    assert found.text.endswith(".")
    assert found.hint.endswith(".")


@pytest.mark.parametrize("name", ILL)
def test_the_settings_that_would_help_make_a_recipe_that_can_be_trained(name: str) -> None:
    from ftui.recipe import assign
    from ftui.recipe.document import Recipe
    from ftui.recipe.trainable import planned_only

    run = RUNS[name]
    recipe = Recipe.model_validate(run["recipe"])
    for _, found in diagnosis.findings(run):
        assert planned_only(assign(recipe, found.change)) is None
        assert assign(recipe, found.change) != recipe or not found.change
