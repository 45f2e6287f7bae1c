"""Several tasks in one adapter: each row's task reaches the model in training, evaluation and answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe.document import Recipe

pytestmark = [
    pytest.mark.torch, pytest.mark.xdist_group("worker"),
    # Said when the model is asked: relative positions need none.
    pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning"),
]

COLOURS = ("red", "blue", "green", "black")
ANSWERS = {"sky": "It is blue.", "sun": "The sun is red."}
OPTIONS: dict[str, dict[str, Any]] = {
    "poly": {"rank": 8, "skills": 4, "tasks": 2},
    "multitask_prompt_tuning": {"virtual_tokens": 8, "tasks": 2, "rank": 4},
}


def question(colour: str) -> str:
    return f"Is the house {colour}?"


def written(folder: Path) -> list[dict[str, Any]]:
    """Two tasks that answer the same questions each in its own way."""
    sources = []
    for task, answer in ANSWERS.items():
        file = folder / f"{task}.jsonl"
        file.write_text("\n".join(json.dumps({"prompt": question(each), "completion": answer}) for each in COLOURS))
        sources.append({"path": str(file), "task": task})
    return sources


def with_tasks(resolved: Callable[..., Recipe], kind: str, sources: list[dict[str, Any]], **settings: Any) -> Recipe:
    batch = {"train__micro_batch": 8, "train__effective_batch": 8}
    recipe = resolved(data__sources=sources, data__validation=0, **batch | settings)
    adapter = Recipe.model_validate({"adapter": {"kind": kind, **OPTIONS.get(kind, {})}}).adapter
    return recipe.model_copy(update={"adapter": adapter})


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(OPTIONS))
def test_two_tasks_that_contradict_each_other_are_both_learnt_by_one_adapter(
    kind: str, resolved: Callable[..., Recipe], train: Callable[..., Any], work: Callable[..., Any], tmp_path: Path,
    trained_demo: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ftui.models import demo
    from ftui.runs.folder import create
    from ftui.worker import output

    tokenizer = AutoTokenizer.from_pretrained(trained_demo)
    text = demo.render([{"role": "user", "content": question("blue")}]) + "<|im_start|>assistant\n"
    twice = {name: value.repeat(2, 1) for name, value in tokenizer(text, return_tensors="pt").items()}
    both = torch.tensor([0, 1])
    seen: list[Any] = []
    save = output.save

    def saved(target: Path, trainer: Any, *args: Any, **more: Any) -> None:
        model = trainer.accelerator.unwrap_model(trainer.model).eval()
        with torch.no_grad():
            seen.append(model(**twice, task_ids=both).logits)
        save(target, trainer, *args, **more)

    monkeypatch.setattr(output, "save", saved)
    ran = train(with_tasks(
        resolved, kind, written(tmp_path), train__max_steps=80, train__learning_rate=2e-2 if kind == "poly" else 1e-1,
        train__schedule="constant", train__eval_steps=1000, train__save_steps=1000,
    ))  # fmt: skip
    assert ran.end["status"] == "finished", ran.end
    assert json.loads((ran.run.output / "ftui.json").read_text())["tasks"] == list(ANSWERS)

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(trained_demo), ran.run.output).eval()
    with torch.no_grad():
        logits = model(**twice, task_ids=both).logits
    assert float((logits - seen[0]).abs().max()) <= 1e-5 * float(seen[0].abs().max())
    assert not torch.allclose(logits[0], logits[1])

    asking = {"run": ran.run.id, "prompts": [question("blue"), question("red")], "max_new_tokens": 12}
    job = work(create("generate", "g", command="ftui try", args=asking))
    assert job.end["status"] == "finished", job.end
    said = json.loads((job.run.output / "answers.json").read_text())
    assert [(each["task"], each["tuned"]) for each in said] == [*ANSWERS.items(), *ANSWERS.items()]
    one = work(create("generate", "g", command="ftui try", args={**asking, "task": "sun"}))
    assert [event.data["text"] for event in one.of("sample")] == [ANSWERS["sun"]] * 2
    other = work(create("generate", "g", command="ftui try", args={**asking, "task": "moon"}))
    assert "no task moon" in other.end["text"]
    assert "It tells apart: sky, sun." in other.end["hint"]


@pytest.mark.slow
def test_a_classifier_tells_tasks_apart_too(
    resolved: Callable[..., Recipe], train: Callable[..., Any], work: Callable[..., Any], tmp_path: Path,
    random_demo: Path,
) -> None:
    from ftui.runs.folder import create

    file = tmp_path / "rows.jsonl"
    labels = {"colour": ("red", "blue"), "reversed": ("blue", "red")}
    file.write_text("\n".join(
        json.dumps({"text": colour, "label": label, "what": task})
        for task, named in labels.items() for colour, label in zip(("red", "blue"), named, strict=True)
    ))  # fmt: skip
    ran = train(with_tasks(
        resolved, "poly", [{"path": str(file), "task": "column:what", "format": "classification"}],
        objective__kind="classify", train__max_steps=150, train__learning_rate=1e-2, train__schedule="constant",
        train__eval_steps=1000, train__save_steps=1000, train__micro_batch=4, train__effective_batch=4,
    ))  # fmt: skip
    assert ran.end["status"] == "finished", ran.end
    asking = {"run": ran.run.id, "prompts": ["red", "blue"], "max_new_tokens": 1}
    job = work(create("generate", "g", command="ftui try", args=asking))
    said = json.loads((job.run.output / "answers.json").read_text())
    found = {(each["prompt"], each["task"]): next(iter(each["labels"])) for each in said}
    assert found == {("red", "colour"): "red", ("blue", "colour"): "blue",
                     ("red", "reversed"): "blue", ("blue", "reversed"): "red"}  # fmt: skip


def test_layers_that_are_computed_again_going_backward_take_the_tasks_of_their_call(random_demo: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from ftui.worker.adapters import BUILDERS

    recipe = Recipe.model_validate({"adapter": {"kind": "poly", **OPTIONS["poly"]}})
    ids = torch.randint(3, 500, (2, 12), generator=torch.Generator().manual_seed(1))
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        model = BUILDERS["poly"](AutoModelForCausalLM.from_pretrained(random_demo), recipe)
        for name, parameter in model.named_parameters():
            if "poly_lora_B" in name or "module_logits" in name:
                torch.nn.init.normal_(parameter)
        if again:
            model.get_base_model().activation_checkpointing_enable()
            model.enable_input_require_grads()
        torch.manual_seed(0)
        model.train()
        model(input_ids=ids, labels=ids, task_ids=torch.tensor([1, 0])).loss.backward()
        found.append({name: one.grad for name, one in model.named_parameters() if one.requires_grad})
    assert all(torch.allclose(one, found[1][name], atol=1e-6) for name, one in found[0].items())


def test_more_tasks_in_the_rows_than_the_adapter_tells_apart_are_refused(
    resolved: Callable[..., Recipe], train: Callable[..., Any], tmp_path: Path, random_demo: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": "Hello?", "completion": "Hello!", "task": each}) for each in "abc"))
    ran = train(with_tasks(resolved, "poly", [{"path": str(file), "task": "column:task"}]))
    assert ran.end["status"] == "failed"
    assert "The data names 3 tasks (a, b, c), and adapter.tasks is 2." in ran.end["text"]
    assert "adapter.tasks: 3" in ran.end["hint"]
