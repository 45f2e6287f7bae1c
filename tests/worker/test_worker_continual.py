"""One task after another: EWC, a pull to the start and replayed rows keep the first, and each is exact to resume."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.continuing import continued

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.xdist_group("worker")]

WORDS = ("red", "blue", "green", "seven", "sun", "tree", "bird", "stone")


def rows_of(task: str, folder: Path, count: int = 64) -> str:
    """A file in which the answer follows from the question: task "same" repeats the word, "other" names the next."""
    file = folder / f"{task}.jsonl"
    rows = []
    for number in range(count):
        at = random.Random(f"{number}").randrange(len(WORDS))
        answer = WORDS[at] if task == "same" else WORDS[(at + 3) % len(WORDS)]
        rows.append({"prompt": f"{'Say' if task == 'same' else 'Tell'} {WORDS[at]} {number}",
                     "completion": f"{answer} {answer} {answer}"})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def loss_on(run: Any, file: str, base: Path) -> float:
    """The mean loss per trained token of a run's result on a file's rows."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from ftui.data import prepare

    recipe = assign(run.recipe(), {"data.sources": [{"path": file}], "data.validation": 0, "data.packing": False})
    rows = prepare(recipe, base, seed=1, when=run.info.created).train
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), run.output).eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            labels = torch.tensor([row["labels"]])
            trained = int((labels[:, 1:] != -100).sum())
            total += float(model(input_ids=torch.tensor([row["input_ids"]]), labels=labels).loss) * trained
            count += trained
    return total / count


@pytest.fixture
def learn(
    resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any], random_demo: Path
) -> Callable[..., Any]:
    """Train on files, from an adapter or anew."""

    def train(files: list[dict[str, Any]], start: Any = None, **settings: Any) -> Any:
        own = {
            "data__sources": files, "data__validation": 0, "train__max_steps": 60, "train__learning_rate": 5e-3,
            "train__micro_batch": 8, "train__effective_batch": 8, "train__save_steps": 1000, **settings,
        }
        if start is not None:
            own["adapter__start_from"] = str(start.run.output)
        return work(make(continued(resolved(**own))))

    return train


def test_ewc_a_pull_and_replay_each_keep_the_old_task(
    learn: Callable[..., Any], tmp_path: Path, random_demo: Path
) -> None:
    old, new = rows_of("same", tmp_path), rows_of("other", tmp_path)
    first = learn([{"path": old}], continual__save_importance=True)
    assert first.end["status"] == "finished", first.end
    ways: dict[str, dict[str, Any]] = {
        "plain": {}, "ewc": {"continual__ewc": 5000.0}, "measured": {
            "continual__ewc": 5000.0, "continual__remember": old, "continual__fisher_rows": 64,
        }, "pull": {"continual__pull": 1.0},
        "replay": {"files": [{"path": new}, {"path": old, "replay": 0.3}]},
    }
    found = {}
    for name, settings in ways.items():
        files = settings.pop("files", [{"path": new}])
        ran = learn(files, first, **settings)
        assert ran.end["status"] == "finished", ran.end
        found[name] = (loss_on(ran.run, old, random_demo), loss_on(ran.run, new, random_demo))
    before = loss_on(first.run, old, random_demo)
    untaught = loss_on(first.run, new, random_demo)
    forgotten = {name: losses[0] - before for name, losses in found.items()}
    assert forgotten["plain"] > 0.8
    assert forgotten["ewc"] < 0.6 * forgotten["plain"]
    assert forgotten["replay"] < 0.2 * forgotten["plain"]
    assert forgotten["pull"] < 0.9 * forgotten["plain"]
    assert all(losses[1] < untaught - 0.5 for losses in found.values()), "and the new one is learnt"
    assert found["measured"] == pytest.approx(found["ewc"], abs=1e-3), "measured before, or kept from the training"


@pytest.mark.parametrize("how", ["ewc", "pull"])
def test_a_resumed_run_is_pulled_to_the_same_start(
    how: str, make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any],
    resolved: Callable[..., Recipe], random_demo: Path, tmp_path: Path,
) -> None:
    asked = {"continual__ewc": 1000.0, "continual__remember": rows_of("same", tmp_path, 8)}
    settings = {"data__sources": [{"path": rows_of("other", tmp_path, 24)}], "train__micro_batch": 2,
                **(asked if how == "ewc" else {"continual__pull": 10.0})}  # fmt: skip
    free = work(make(resolved(**{name: value for name, value in settings.items() if "continual" not in name})))
    whole = work(make(resolved(**settings)))
    broken = work(make(resolved(**settings)), commanded({5: RuntimeError("the power went")}))
    assert work(broken.run).end["status"] == "finished"
    assert broken.losses == whole.losses
    assert whole.losses != free.losses
    penalties = [event.data["values"]["penalty"] for event in whole.of("metric")]
    assert penalties[0] == 0
    assert penalties[-1] > 0


def test_the_penalty_has_the_gradient_that_autograd_gives() -> None:
    import torch

    from ftui.worker.anchor import Anchor

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    importance = {name: torch.rand_like(one) for name, one in model.named_parameters()}
    anchor = Anchor(model, pull=0.3, ewc=2.0, importance=importance)
    begun = {name: one.detach().clone() for name, one in model.named_parameters()}
    with torch.no_grad():
        for one in model.parameters():
            one += torch.randn_like(one)
    penalty = sum(
        0.5 * ((0.3 + 2.0 * importance[name]) * (one - begun[name]) ** 2).sum()
        for name, one in model.named_parameters()
    )
    wanted = torch.autograd.grad(penalty, list(model.parameters()))
    for one in model.parameters():
        one.grad = torch.zeros_like(one)
    assert anchor.add_gradient(0.5) == pytest.approx(penalty.item(), rel=1e-5)
    for one, gradient in zip(model.parameters(), wanted, strict=True):
        assert torch.allclose(one.grad, 0.5 * gradient, atol=1e-6)


def test_a_curriculum_is_trained_in_its_order(
    train: Callable[..., Any], random_demo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    lengths = random.Random(0).sample(range(1, 25), 24)
    file.write_text("".join(json.dumps({"prompt": "Say red", "completion": "red " * n}) + "\n" for n in lengths))
    ran = train(
        data__sources=[{"path": str(file)}], data__validation=0, data__curriculum="length", train__max_steps=6,
    )
    assert ran.end["status"] == "finished", ran.end
    seen = [event.data["tokens"] for event in ran.of("metric")]
    each = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert each == sorted(each)
    assert each[-1] > each[0]


def test_an_adapter_saved_without_its_importance_is_no_start_for_ewc(
    learn: Callable[..., Any], tmp_path: Path
) -> None:
    files = [{"path": rows_of("same", tmp_path, 8)}]
    first = learn(files, train__max_steps=1)
    ended = learn(files, first, train__max_steps=1, continual__ewc=1.0).end
    assert ended["status"] == "failed"
    assert "saved without its importance" in ended["text"]
    assert "continual.remember" in ended["hint"]
