"""Quantization-aware tuning: what is trained is what rounding by torchao's grid gives afterwards, to the bit."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.recipe.qat_combinations import wrong_qat
from ftui.recipe.trainable import missing

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

FULL = {"adapter": None, "train__learning_rate": 1e-3}


@pytest.mark.parametrize("kind", ["int4", "int8"])
@pytest.mark.parametrize("adapter", ["none", "freeze"])
def test_the_rounded_result_has_the_loss_that_was_evaluated(
    kind: str, adapter: str, train: Callable[..., Any], make: Callable[..., Any], work: Callable[..., Any],
    resolved: Callable[..., Any], random_demo: Path,
) -> None:
    pytest.importorskip("torchao")
    recipe = resolved(**FULL, train__qat=kind, train__max_steps=6)
    if adapter == "freeze":
        recipe = Recipe.model_validate({**recipe.model_dump(), "adapter": {"kind": "freeze"}})
    ran = work(make(recipe))
    assert ran.end["status"] == "finished", ran.end
    assert ran.losses[6] < ran.losses[1]
    rounded, plain = eval_losses(ran, kind)
    told = ran.of("evaluation")[-1].data["eval_loss"]
    assert rounded == pytest.approx(told, abs=1e-5)
    assert plain != rounded, "what is saved is not rounded yet"


def eval_losses(ran: Any, kind: str) -> tuple[float, float]:
    """The loss on the held-out rows of the result, rounded as the report says, and as it is saved."""
    import torch

    from ftui.data import prepare

    code = ran.run.report.read_text().split("```python\n")[1].split("```")[0]
    recipe = ran.run.recipe()
    rows = prepare(recipe, ran.run.output, seed=recipe.train.seed, when=ran.run.info.created).validation
    found = []
    for lines in (code, code.replace("quantize_(model, grid", "(lambda *_: None)(model, grid")):
        names: dict[str, Any] = {}
        with contextlib.redirect_stdout(io.StringIO()):
            exec(lines, names)
        total = count = 0.0
        for row in rows:
            labels = torch.tensor([row["labels"]])
            with torch.no_grad():
                trained = int((labels[:, 1:] != -100).sum())
                total += float(names["model"](torch.tensor([row["input_ids"]]), labels=labels).loss) * trained
            count += trained
        found.append(total / count)
    return found[0], found[1]


def test_a_resumed_run_equals_an_unbroken_one(
    make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path
) -> None:
    pytest.importorskip("torchao")
    settings = {**FULL, "train__qat": "int4"}
    whole, broken = work(make(**settings)), work(make(**settings), commanded({5: RuntimeError("the power went")}))
    assert work(broken.run).end["status"] == "finished"
    assert broken.losses == whole.losses


def test_training_for_int4_loses_less_than_rounding_afterwards(train: Callable[..., Any], random_demo: Path) -> None:
    pytest.importorskip("torchao")
    settings = {**FULL, "train__max_steps": 60, "train__eval_steps": 60, "train__save_steps": 60,
                "train__learning_rate": 3e-3}  # fmt: skip
    aware = train(**settings, train__qat="int4")
    plain = train(**settings)
    from ftui.worker import usage

    rounded_after = plain.run.report.read_text()
    code = usage.snippet(str(plain.run.output), "demo", assign(plain.run.recipe(), {"train.qat": "int4"}))
    old = rounded_after.split("```python\n")[1].split("```")[0]
    plain.run.report.write_text(rounded_after.replace(old, code))
    assert eval_losses(aware, "int4")[0] < eval_losses(plain, "int4")[0]


@pytest.mark.parametrize(("settings", "said"), [
    ({"adapter.kind": "lora"}, "leaves them as they are"), ({"model.quantization": "nf4"}, "rounded already"),
    ({"adapter.kind": "none", "train.compile": True}, "not tried"),
])  # fmt: skip
def test_what_it_cant_stand_with_is_said(settings: dict[str, Any], said: str) -> None:
    found = list(wrong_qat(assign(Recipe(), {"train.qat": "int4", **settings})))
    assert any(said in what for what, _ in found), found


def test_without_torchao_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from ftui.recipe import trainable

    recipe = assign(Recipe(), {"train.qat": "int8", "adapter.kind": "none"})
    assert not list(wrong_qat(recipe))
    monkeypatch.setattr(trainable, "find_spec", lambda name: None)
    found = missing(recipe, gpu=False)
    assert found is not None
    assert "pip install torchao" in found[1]
