"""Every preset trains in miniature: its own objective, adapter and base quantization, on the embedded model, two steps.

One goes through the real command; the others share this process, since starting one costs more than two steps do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe import Preset, assign, preset, presets
from ftui.recipe.document import Recipe
from ftui.recipe.stages import has_stages

pytestmark = [
    pytest.mark.slow, pytest.mark.torch,
    # What peft says of prompts in front of a row, whatever one does.
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
]

FACTS = (("sky", "blue"), ("grass", "green"), ("snow", "white"), ("coal", "black"))
SMALL = {
    "objective.max_completion_length": 4, "objective.generations": 4, "objective.teacher": "demo",
    "objective.teacher_parameters": None,
}
"""What would take longest, or need another model; of an objective only what it has."""


def rows_of(entry: Preset) -> list[dict[str, Any]]:
    """Two dozen rows of the kind that the preset is made for."""
    objective, task = entry.recipe.objective.kind, entry.recipe.goal.task
    made = []
    for noun, colour in FACTS * 6:
        prompt, good, bad = f"What colour is the {noun}?", f"Arr! The {noun} is {colour}, matey!", "No idea."
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": good}]
        if entry.recipe.objective.loss_on == "all" and objective == "sft":
            made.append({"text": f"{prompt} {good}"})
        elif objective == "classify":
            made.append({"text": prompt, "label": colour})
        elif objective == "kto":
            label = len(made) % 2 == 0
            made.append({"prompt": prompt, "completion": good if label else bad, "label": label})
        elif "preference" in OBJECTIVES[objective].data and "prompt" not in OBJECTIVES[objective].data:
            made.append({"prompt": prompt, "chosen": good, "rejected": bad})
        elif OBJECTIVES[objective].form == "prompt":
            made.append({"prompt": prompt, "answer": colour})
        elif task == "tools":
            call = {"type": "function", "function": {"name": "look_up", "arguments": {"noun": noun}}}
            made.append({
                "tools": [{"type": "function", "function": {
                    "name": "look_up", "description": "Says a colour.",
                    "parameters": {"type": "object", "properties": {"noun": {"type": "string"}}}}}],
                "messages": [turns[0], {"role": "assistant", "content": "", "tool_calls": [call]},
                             {"role": "tool", "name": "look_up", "content": colour}, turns[1]],
            })  # fmt: skip
        elif task == "chat":
            made.append({"messages": turns})
        else:
            made.append({"prompt": prompt, "completion": good})
    return made


def files(entry: Preset, folder: Path) -> list[Path]:
    """The preset's data: one file, two where it is made for several tasks."""
    if entry.name == "images-llava":
        return [pictures(folder)]
    several = entry.name.startswith("multitask")
    paths = [folder / f"task-{number}.jsonl" for number in range(2 if several else 1)]
    for path in paths:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(entry)))
    return paths


def pictures(folder: Path) -> Path:
    """Two dozen conversations about an image of one colour."""
    from PIL import Image

    lines = []
    for number, (noun, colour) in enumerate(FACTS * 6):
        Image.new("RGB", (30, 40), colour).save(folder / f"{number}.png")
        turns = [{"role": "user", "content": f"<image>Is it {noun}?"}, {"role": "assistant", "content": colour}]
        lines.append({"messages": turns, "images": [f"{number}.png"]})
    path = folder / "pictures.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def miniature(entry: Preset, folder: Path, base: str = "demo") -> Recipe:
    """The preset with the embedded model or that in `base`, few and short rows, two steps, and nothing else changed."""
    recipe = assign(entry.recipe, {
        "model.base": base, "model.dtype": "float32",
        "data.sources": [{"path": str(path)} for path in files(entry, folder)], "data.validation": 4,
        # A tool's description alone is longer than any of the other rows.
        "data.max_length": 512 if entry.recipe.goal.task == "tools" else 64 if base == "demo" else 256,
        "data.template": "auto",
        "train.max_steps": 2, "train.micro_batch": 4, "train.effective_batch": 4, "evaluate.max_new_tokens": 2,
        "evaluate.patience": None, "compute.gpus": 0,
    })  # fmt: skip
    own = {path: value for path, value in SMALL.items() if hasattr(recipe.objective, path.split(".")[1])}
    return assign(recipe, own) if own else recipe


def test_there_is_a_preset_for_every_kind_of_project() -> None:
    assert len(presets()) >= 24
    objectives = {entry.recipe.objective.kind for entry in presets()}
    assert objectives >= {"sft", "classify", "dpo", "kto", "orpo", "cpo", "reward", "grpo", "rloo", "distill"}
    assert {entry.recipe.goal.task for entry in presets()} >= {
        "chat", "instruct", "classify", "domain", "code", "reasoning", "prefer", "judge", "distill", "tools",
    }
    assert all(OBJECTIVES[entry.recipe.objective.kind].trains for entry in presets())
    assert all(ADAPTERS[entry.recipe.adapter.kind].trains for entry in presets())


ALONE = [entry for entry in presets() if not has_stages(entry.recipe)]
"""Those of one training; one with stages is run in tests/worker/test_worker_stages.py."""


@pytest.mark.parametrize("entry", ALONE, ids=lambda entry: entry.name)
def test_a_preset_trains(
    entry: Preset, tmp_path: Path, trained_demo: Path, make_llava: Callable[[Path], Path]
) -> None:
    # A run without it hides it from transformers, which then can't find it for the next one in this process.
    import bitsandbytes  # noqa: F401

    from ftui.runs.folder import create
    from ftui.runs.follow import history
    from ftui.runs.launch import lay_out
    from ftui.runs.obstacles import obstacles
    from ftui.worker.__main__ import main

    base = str(make_llava(tmp_path / "llava")) if entry.name == "images-llava" else "demo"
    layout = lay_out(miniature(entry, tmp_path, base))
    assert not list(obstacles(layout))
    recipe = layout.recipe
    assert recipe.objective.kind == entry.recipe.objective.kind
    assert recipe.adapter.kind == entry.recipe.adapter.kind
    if entry.recipe.model.quantization != "auto":
        assert recipe.model.quantization == entry.recipe.model.quantization
    run = create("train", entry.name, command=f"ftui launch {entry.name}", recipe=recipe)
    assert main(run.path) == 0
    end = [event.data for event in history(run) if event.kind == "end"][-1]
    assert end["status"] == "finished", end
    assert end["metrics"]["steps"] == 2
    assert any(run.output.glob("*.safetensors"))


def test_a_preset_trains_through_the_real_command(tmp_path: Path, trained_demo: Path) -> None:
    path = files(preset("instruct-lora"), tmp_path)[0]
    command = [
        sys.executable, "-m", "ftui.cli.main", "launch", "instruct-lora", "--model", "demo", "--wait", "--json",
        "--data", str(path), "--set", "train.max_steps=2", "--set", "data.max_length=64",
        "--set", "train.effective_batch=4", "--set", "train.micro_batch=4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "finished"
    assert found["metrics"]["train_loss"] > 0
    assert any(Path(found["output"]).glob("*.safetensors"))
