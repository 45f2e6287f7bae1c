"""Every preset trains, through the real command, on the embedded model and a few rows of its kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ftui.recipe import Preset, presets

pytestmark = [pytest.mark.slow, pytest.mark.torch]

ROWS = [
    {"prompt": f"What colour is the {noun}?", "completion": f"Arr! The {noun} is {colour}, matey!"}
    for noun, colour in (("sky", "blue"), ("grass", "green"), ("snow", "white"), ("coal", "black")) * 10
]


def data(entry: Preset, folder: Path) -> Path:
    """Rows of the kind that the preset is made for."""
    if entry.recipe.objective.loss_on == "all":
        path = folder / "corpus.txt"
        path.write_text("\n\n".join(f"{row['prompt']} {row['completion']}" for row in ROWS))
        return path
    path = folder / "rows.jsonl"
    turns = [{"messages": [{"role": "user", "content": row["prompt"]},
                           {"role": "assistant", "content": row["completion"]}]} for row in ROWS]
    rows = turns if entry.recipe.goal.task == "chat" else ROWS
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("entry", presets(), ids=lambda entry: entry.name)
def test_a_preset_trains(entry: Preset, tmp_path: Path, trained_demo: Path) -> None:
    command = [
        sys.executable, "-m", "ftui.cli.main", "launch", entry.name, "--model", "demo", "--wait", "--json",
        "--data", str(data(entry, tmp_path)), "--set", "train.max_steps=2", "--set", "data.max_length=64",
        "--set", "train.effective_batch=4", "--set", "train.micro_batch=4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "finished"
    assert found["metrics"]["train_loss"] > 0
    assert any(Path(found["output"]).glob("*.safetensors"))
