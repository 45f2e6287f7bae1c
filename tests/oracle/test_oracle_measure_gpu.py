"""The script that measures on a card, tried on the CPU: it has to work the first time somebody has a card at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "planner" / "measure_gpu.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)


def test_at_least_forty_configurations_are_listed_with_what_they_take() -> None:
    listed = run("--list")
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) >= 40
    assert "GiB  Llama-3.1-8B / qlora" in listed.stdout


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.xdist_group("oracle")
def test_every_trainer_and_method_runs_to_the_end_on_a_tiny_model(tmp_path: Path) -> None:
    done = run("--dry", "--steps", "2", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    path = tmp_path / "gpu_cpu_dry_run.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    assert {row["case"]: row.get("failed") for row in found["rows"]} == {
        f"tiny / {way}": None for way in ("lora keep", "qlora", "full", "lora plain", "lora tiled", "dpo lora")
    }
    for row in found["rows"]:
        assert row["measured"]["tokens_per_second"] > 0
        assert row["measured"]["process"] > row["expected"]["process"] / 2
    assert "tiny / dpo lora" in path.with_suffix(".txt").read_text(encoding="utf-8")
    again = run("--dry", "--resume", "--only", "full", "--results", str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert len(json.loads(path.read_text(encoding="utf-8"))["rows"]) == len(found["rows"])


@pytest.mark.slow
@pytest.mark.torch
def test_without_a_card_it_says_what_to_do(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    refused = run("--results", str(tmp_path))
    assert refused.returncode == 1
    assert "--dry" in refused.stderr
