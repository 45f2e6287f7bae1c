"""Every objective on every kind of rows that it is made for: three steps of a whole run, saved, and loaded again by
plain peft and transformers to the same logits.

    pytest tests/matrix/test_matrix_objectives.py                holds what happens against the record
    FTUI_RECORD=1 pytest tests/matrix/test_matrix_objectives.py  writes the record, for the docs' table
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.methods import OBJECTIVES
from ftui.recipe import assign
from ftui.recipe.document import Recipe

KINDS = {kind: [*row.data, *(["image"] if row.images else [])] for kind, row in OBJECTIVES.items() if row.trains}
CASES = [(kind, data) for kind, kinds in KINDS.items() for data in kinds]
RECORD = Path(__file__).parent / "objectives.json"
CLOSE = 1e-5
"""Of the largest logit: what float32 loses in a dozen products."""
ONLINE = {"objective.rewards": ["exact", "format:.*[aeiou]", "length:3"], "objective.max_completion_length": 4}
"""Some random answers end in a vowel and some don't, so that there is something to learn from the first step on."""
OWN: dict[str, dict[str, Any]] = {
    "grpo": {**ONLINE, "objective.generations": 4}, "rloo": {**ONLINE, "objective.generations": 4},
    "online_dpo": ONLINE, "ppo": ONLINE, "distill": {"objective.max_completion_length": 4, "objective.on_policy": 0.5},
}
"""What an objective can't do without, or would take too long with."""


def rows_of(data: str, folder: Path) -> list[dict[str, Any]]:
    """Two dozen rows of a kind, each another; images lie in `folder`."""
    made = []
    for number in range(24):
        question, right, wrong = f"What is {number} plus 1?", f"It is {number + 1}.", f"It is {number}, I think."
        made.append({
            "conversation": {"messages": [{"role": "user", "content": question},
                                          {"role": "assistant", "content": right}]},
            "text": {"text": f"{question} {right}"},
            "class": {"text": question, "label": ("even", "odd")[number % 2]},
            "preference": {"prompt": question, "chosen": right, "rejected": wrong},
            "labelled": {"prompt": question, "completion": (wrong, right)[number % 2], "label": bool(number % 2)},
            "prompt": {"prompt": question, "answer": str(number + 1)},
            "image": {"images": [f"{number}.png"], "messages": [
                {"role": "user", "content": f"<image>{question}"}, {"role": "assistant", "content": right}]},
        }[data])  # fmt: skip
        if data == "image":
            from PIL import Image

            Image.new("RGB", (30, 40), (10 * number, 80, 160)).save(folder / f"{number}.png")
    return made


def recipe_for(kind: str, data: str, base: Path, file: Path) -> Recipe:
    """Three steps of four rows on a tiny model, with LoRA."""
    return assign(Recipe(), {
        "name": "t", "model.base": str(base), "model.quantization": "none", "model.dtype": "float32",
        "model.attention": "sdpa", "data.sources": [{"path": str(file)}], "data.max_length": 64,
        "data.packing": False, "data.validation": 4, "objective.kind": kind, "adapter.kind": "lora", "adapter.rank": 4,
        "adapter.alpha": 8, "adapter.dropout": 0.0, "train.max_steps": 3, "train.micro_batch": 4,
        "train.effective_batch": 4, "train.learning_rate": 5e-3, "train.optimizer": "adamw",
        "train.checkpointing": False, "train.eval_steps": 3, "train.save_steps": 100, "train.warmup": 0.0,
        "evaluate.max_new_tokens": 2, **({"objective.loss_on": "all"} if (kind, data) == ("sft", "text") else {}),
        **OWN.get(kind, {}), **({"objective.teacher": str(teacher_of(base))} if kind == "distill" else {}),
    })  # fmt: skip


def teacher_of(base: Path) -> Path:
    """The same model, but surer of what it says; written once."""
    from transformers import AutoModelForCausalLM

    folder = base.parent / "teacher"
    if not folder.exists():
        shutil.copytree(base, folder)
        model = AutoModelForCausalLM.from_pretrained(base)
        model.get_output_embeddings().weight.data.mul_(3)
        model.save_pretrained(folder)
    return folder


def recorded() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def test_every_objective_that_trains_is_recorded_with_every_kind_of_its_rows() -> None:
    assert recorded() == KINDS


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize(("kind", "data"), CASES)
def test_an_objective_trains_and_its_result_is_the_model_that_was_trained(
    kind: str, data: str, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch,
    make_llava: Callable[[Path], Path],
) -> None:
    import torch
    from matrix_runs import write_base

    from ftui.runs.folder import create
    from ftui.runs.follow import history
    from ftui.worker import output
    from ftui.worker.__main__ import main

    base = make_llava(tmp_path / "llava") if data == "image" else write_base(own_home.parent)
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows_of(data, tmp_path))))
    given: dict[str, Any] = {"input_ids": torch.randint(3, 500, (2, 12), generator=torch.Generator().manual_seed(5))}
    if data == "image":
        given = looked_at(base, tmp_path / "3.png")
    trained: list[torch.Tensor] = []
    save = output.save

    def saved(target: Path, trainer: Any, *args: Any, **more: Any) -> None:
        model = trainer.accelerator.unwrap_model(trainer.model).eval()
        with torch.no_grad():
            trained.append(model(**given).logits)
        save(target, trainer, *args, **more)

    monkeypatch.setattr(output, "save", saved)
    run = create("train", "t", command="ftui launch t", recipe=recipe_for(kind, data, base, file))
    assert main(run.path, None) == 0, (run.path / "worker.log").read_text() if run.log.exists() else ""
    end = [event.data for event in history(run) if event.kind == "end"][-1]
    assert end["status"] == "finished", end
    assert end["metrics"]["steps"] == 3
    found, untrained = reloaded(run.output, base, "images" if data == "image" else OBJECTIVES[kind].head, given)
    assert float((found - trained[0]).abs().max()) <= CLOSE * float(trained[0].abs().max())
    assert untrained is None or not torch.equal(found, untrained), "three steps have changed it"
    if os.environ.get("FTUI_RECORD"):
        record = recorded() if RECORD.exists() else {}
        kinds = {*record.get(kind, ()), data}
        record[kind] = [each for each in KINDS[kind] if each in kinds]
        ordered = {each: record[each] for each in OBJECTIVES if each in record}
        RECORD.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def looked_at(base: Path, image: Path) -> dict[str, Any]:
    """A question about an image, as plain transformers gives it to a model."""
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(base)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
    text = processor.apply_chat_template(turns, add_generation_prompt=True)
    with Image.open(image) as opened:
        return dict(processor(text=text, images=opened, return_tensors="pt"))


def reloaded(folder: Path, base: Path, head: str, given: dict[str, Any]) -> tuple[Any, Any]:
    """(logits of the result as plain peft loads it, those of the base alone); a new head of scores has no base's."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForSequenceClassification

    if head == "scores":
        count = json.loads((folder / "ftui.json").read_text())
        labels = len(count.get("labels", [])) or 1
        model: Any = AutoModelForSequenceClassification.from_pretrained(base, num_labels=labels)
    else:
        model = (AutoModelForImageTextToText if head == "images" else AutoModelForCausalLM).from_pretrained(base)
    with torch.no_grad():
        untrained = model.eval()(**given).logits if head != "scores" else None
        return PeftModel.from_pretrained(model, folder).eval()(**given).logits, untrained
