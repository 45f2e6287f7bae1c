"""Classification: whole runs on texts whose label is a word in them, with one label and with several."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .class_rows import WORDS, tickets, topics

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

COMMON = {"objective__kind": "classify", "data__validation": 0.2, "train__max_steps": 40, "train__eval_steps": 20,
          "train__learning_rate": 5e-3, "train__micro_batch": 8, "train__effective_batch": 8}  # fmt: skip


@pytest.mark.parametrize("how", ["lora", "full", "nf4"])
def test_a_classifier_learns_a_rule_and_sorts_without_ftui(
    how: str, train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    more = {"full": {"adapter": None, "train__learning_rate": 1e-3},
            "nf4": {"model__quantization": "nf4", "train__max_steps": 80}}.get(how, {})  # fmt: skip
    ran = train(**{**COMMON, **more}, data__sources=tickets(tmp_path))
    assert ran.end["status"] == "finished", ran.end
    assert ran.end["metrics"]["f1"] >= 0.95
    last = ran.of("evaluation")[-1].data
    assert last["judged_by"] == "f1"
    assert last["values"]["accuracy"] >= 0.95
    assert not ran.of("sample"), "a model of scores writes nothing"
    table = json.loads((ran.run.output / "classes.json").read_text())
    assert [row["label"] for row in table] == sorted(WORDS)
    assert sum(row["rows"] for row in table) == 24
    report, card = ran.run.report.read_text(), (ran.run.output / "README.md").read_text()
    assert "| billing | 8 |" in report
    assert "- 3 labels; texts as they stand; rows of up to 128 tokens" in report
    assert "pipeline_tag: text-classification" in card
    assert "by classification on 96 rows" in card
    assert json.loads((ran.run.output / "ftui.json").read_text())["labels"] == sorted(WORDS)

    told: list[str] = []
    code = report.split("```python\n")[1].split("```")[0]
    for text in ("good morning, password, thank you (7)", "since yesterday, courier, please help (8)"):
        exec(code.replace("A text to sort.", text).replace("print(", "told.append("), {"told": told})
    assert told == ["login", "delivery"]


def test_a_text_may_have_several_labels(train: Callable[..., Any], random_demo: Path, tmp_path: Path) -> None:
    ran = train(**COMMON | {"train__max_steps": 60, "train__eval_steps": 30}, data__sources=topics(tmp_path))
    assert ran.end["status"] == "finished", ran.end
    assert ran.end["metrics"]["f1"] >= 0.9
    config = json.loads((ran.run.output / "ftui.json").read_text())
    assert (config["labels"], config["multi_label"]) == (sorted(WORDS), True)
    told: list[list[str]] = []
    code = ran.run.report.read_text().split("```python\n")[1].split("```")[0]
    text = "good morning, password, invoice, thank you (7)"
    exec(code.replace("A text to sort.", text).replace("print(", "told.append("), {"told": told})
    assert sorted(told[0]) == ["billing", "login"]


def test_balanced_weights_raise_the_rare_labels_loss(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    settings = {**COMMON, "train__max_steps": 20, "train__eval_steps": 20, "train__learning_rate": 2e-3,
                "data__sources": tickets(tmp_path, rare="login")}  # fmt: skip
    plain, balanced = (
        train(**settings, objective__class_weights=weights).run.output for weights in ("none", "balanced")
    )

    def given(output: Path) -> int:
        rows = {row["label"]: row for row in json.loads((output / "classes.json").read_text())}
        return int(rows["login"]["given"])

    assert given(balanced) > given(plain)


def test_weights_count_all_labels_the_same_in_sum(
    resolved: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    from ftui.data import prepare
    from ftui.worker.objectives.classify import class_weights

    recipe = resolved(objective__kind="classify", data__validation=0, data__sources=tickets(tmp_path, rare="login"))
    prepared = prepare(recipe, random_demo, seed=1, form="class")
    weights, counts = class_weights(prepared), prepared.train.label_counts()  # type: ignore[attr-defined]
    assert sum(counts) == 120
    assert [float(weight * count) for weight, count in zip(weights, counts, strict=True)] == pytest.approx([40.0] * 3)


def test_scores_of_f1_are_what_counting_gives() -> None:
    import torch

    from ftui.worker.class_scores import Tally

    tally = Tally(4)
    tally.add(torch.eye(4)[[0, 0, 1]], torch.tensor([0, 1, 1]))
    tally.add(torch.eye(4)[[2]], torch.tensor([0]))
    assert tally.values()["accuracy"] == 0.5
    # label 0: 2 rows, 2 given, 1 right; 1: 2, 1, 1; 2: 0, 1, 0; 3: nothing
    assert tally.values()["f1"] == pytest.approx((0.5 + 2 / 3 + 0) / 3)
    assert tally.table(("a", "b", "c", "d"))[3]["f1"] is None
    several = Tally(2)
    several.add(torch.tensor([[3.0, -3.0], [3.0, 3.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert several.values() == pytest.approx({"accuracy": 0.5, "f1": 0.5})


@pytest.mark.parametrize("case", ["lora", "full"])
def test_a_resumed_run_equals_an_unbroken_one(
    case: str, make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path,
    tmp_path: Path,
) -> None:
    more = {"adapter": None} if case == "full" else {}
    settings = {"objective__kind": "classify", "data__sources": tickets(tmp_path), "data__validation": 0.2, **more}
    whole, broken = work(make(**settings)), work(make(**settings), commanded({5: RuntimeError("the power went")}))
    assert work(broken.run).end["status"] == "finished"
    assert broken.of("metric")[-1].attempt == 2
    assert broken.losses == whole.losses


@pytest.mark.parametrize(("sources", "settings", "said"), [
    ("one label", {}, "nothing to tell apart"), ("several", {"objective__label_smoothing": 0.1}, "Label smoothing is"),
    ("words", {"objective__kind": "sft", "evaluate__best_by": "f1"}, "doesn't measure"),
])  # fmt: skip
def test_what_a_classifier_cant_be_ends_with_a_sentence(
    sources: str, settings: dict[str, Any], said: str, train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    if sources == "one label":
        file = tmp_path / "one.jsonl"
        file.write_text("".join(json.dumps({"text": f"text {n}", "label": "a"}) + "\n" for n in range(30)))
        given: Any = [{"path": str(file), "format": "classification"}]
    else:
        given = topics(tmp_path)
    ran = train(**{"objective__kind": "classify", "data__validation": 4, **settings}, data__sources=given)
    assert ran.end["status"] == "failed"
    assert said in ran.end["text"]


@pytest.mark.parametrize("how", ["lora", "full"])
def test_a_finished_classifier_is_asked_by_the_try_job(
    how: str, train: Callable[..., Any], work: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    from ftui.runs.folder import create

    more = {"adapter": None, "train__learning_rate": 1e-3} if how == "full" else {}
    ran = train(**{**COMMON, **more}, data__sources=tickets(tmp_path))
    args = {"run": ran.run.id, "prompts": ["good morning, password, thank you (7)"], "max_new_tokens": 8}
    asked = work(create("generate", "try", command="ftui try", args=args, recipe=None))
    assert asked.end["status"] == "finished", asked.end
    answer = json.loads((asked.run.output / "answers.json").read_text())[0]
    assert answer["tuned"].startswith("login (")
    assert next(iter(answer["labels"])) == "login"
    assert sum(answer["labels"].values()) == pytest.approx(1, abs=1e-5)
    assert asked.of("sample")[0].data["text"] == answer["tuned"]


@pytest.mark.parametrize("kind", ["prefix_tuning", "lora_bottleneck", "poly", "ia3", "freeze"])
def test_the_new_head_is_trained_and_saved_whatever_trains_beside_it(
    kind: str, make: Callable[..., Any], work: Callable[..., Any], resolved: Callable[..., Any], random_demo: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    from ftui.recipe.document import Recipe
    from ftui.worker import output
    from ftui.worker.sorting import sort

    recipe = resolved(objective__kind="classify", data__sources=tickets(tmp_path), data__validation=0.2,
                      train__max_steps=3)  # fmt: skip
    recipe = Recipe.model_validate({**recipe.model_dump(), "adapter": {"kind": kind}})
    text, trained = "good morning, password, thank you (7)", []
    save = output.save

    def saved(target: Path, trainer: Any, tokenizer: Any, *args: Any, **more: Any) -> None:
        model = trainer.accelerator.unwrap_model(trainer.model).eval()
        with torch.no_grad():
            trained.append(model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(-1))
        save(target, trainer, tokenizer, *args, **more)

    monkeypatch.setattr(output, "save", saved)
    ran = work(make(recipe))
    assert ran.end["status"] == "finished", ran.end
    from ftui.data.tokenizer import load_tokenizer

    torch.manual_seed(99)
    _, shares = sort(recipe, random_demo, ran.run.output, load_tokenizer(ran.run.output), [text])[0]
    wanted = dict(zip(sorted(WORDS), trained[0].tolist(), strict=True))
    assert shares == pytest.approx(wanted, abs=1e-5)
