"""Every way to train, for real, a few steps on the embedded model."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "qlora": {"model__quantization": "nf4"},
    "lora-int8": {"model__quantization": "int8"},
    "full": {"adapter": None, "train__learning_rate": 1e-3},
}


def reload(ran: Any, base: Path) -> Any:
    """The result as a stranger loads it: with peft and transformers only."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    recipe, output = ran.run.recipe(), ran.run.output
    if recipe.adapter.kind == "none":
        return AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32).eval()
    named = json.loads((output / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(base)
    quantization = {
        "nf4": BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        ),
        "int8": BitsAndBytesConfig(load_in_8bit=True),
    }.get(recipe.model.quantization)
    extra = {"quantization_config": quantization, "device_map": {"": "cpu"}} if quantization else {}
    model = AutoModelForCausalLM.from_pretrained(named, dtype=torch.float32, **extra)
    return PeftModel.from_pretrained(model, str(output)).eval()


def validation_loss(model: Any, ran: Any, base: Path) -> float:
    """Mean loss per trained token over the held-out rows, by transformers' own loss, one row at a time."""
    import torch

    from ftui.data import prepare

    rows = prepare(ran.run.recipe(), base, seed=ran.run.recipe().train.seed).validation
    total, tokens = 0.0, 0
    with torch.no_grad():
        for row in rows:
            ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
            count = int((labels[:, 1:] != -100).sum())
            total += model(input_ids=ids, labels=labels).loss.item() * count
            tokens += count
    return total / tokens


@pytest.mark.parametrize("method", METHODS)
def test_each_method_trains_and_reloads_to_the_logged_loss(
    method: str, train: Callable[..., Any], random_demo: Path
) -> None:
    ran = train(**METHODS[method], train__max_steps=4, train__eval_steps=2)
    from ftui.worker.base import keep_gradients

    assert ran.end["status"] == "finished", ran.end
    assert sorted(ran.losses) == [1, 2, 3, 4]
    assert ran.losses[4] < ran.losses[1]
    assert all(event.data["tokens_per_second"] > 0 and event.data["grad_norm"] > 0 for event in ran.of("metric"))
    tuned = reload(ran, random_demo)
    # Left alone, bitsandbytes takes its 16-bit kernels for evaluation on a CPU that has them.
    keep_gradients(tuned)
    assert validation_loss(tuned, ran, random_demo) == pytest.approx(ran.end["metrics"]["eval_loss"], abs=1e-4)
    report = ran.run.report.read_text(encoding="utf-8")
    for words in ("## Expected and measured", "← saved", "Answers before and after", "rsync -av", "ftui try"):
        assert words in report


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_python_in_the_report_answers_without_ftui(
    method: str, train: Callable[..., Any], random_demo: Path
) -> None:
    ran = train(**METHODS[method], train__max_steps=2, data__validation=0)
    report = ran.run.report.read_text(encoding="utf-8")
    code = report.split("```python\n")[1].split("```")[0]
    assert "ftui" not in code.replace(str(ran.run.output), "").replace(str(random_demo), "")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "report.md", "exec"), {})
    assert said.getvalue(), "it prints an answer, however short a random model's may be"


@pytest.mark.parametrize("settings", [{"train__checkpointing": True}, {"data__packing": True}], ids=str)
def test_checkpointing_changes_no_loss_and_packing_trains(
    settings: dict[str, Any], train: Callable[..., Any], random_demo: Path
) -> None:
    plain, changed = train(train__max_steps=3), train(**settings, train__max_steps=3)
    assert changed.end["status"] == "finished", changed.end
    if "train__checkpointing" in settings:
        assert changed.losses == pytest.approx(plain.losses, abs=1e-5)
    else:
        assert changed.losses[3] < changed.losses[1]


def test_bfloat16_and_eight_bit_optimizers_train_on_the_cpu(train: Callable[..., Any], random_demo: Path) -> None:
    ran = train(adapter=None, model__dtype="bfloat16", train__optimizer="adamw_8bit", train__max_steps=2)
    assert ran.end["status"] == "finished", ran.end
    assert "bfloat16" in json.dumps([event.data for event in ran.of("status")])


def test_the_adapter_changes_what_the_model_says(train: Callable[..., Any], random_demo: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    ran = train(train__max_steps=3, data__validation=0)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = AutoModelForCausalLM.from_pretrained(random_demo)(input_ids=ids).logits
        after = reload(ran, random_demo)(input_ids=ids).logits
    assert (before - after).abs().max() > 0.01
    assert "eval_loss" not in ran.end["metrics"]


def test_a_stop_saves_and_a_resume_continues(
    make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path
) -> None:
    ran = work(make(train__max_steps=8), commanded({5: "stop"}))
    assert ran.end["status"] == "stopped", ran.end
    assert "step 5 of 8" in ran.end["text"]
    assert (ran.run.output / "adapter_model.safetensors").is_file()
    assert (ran.run.checkpoints / "checkpoint-5").is_dir()
    assert work(ran.run).end["status"] == "finished"
    assert sorted(ran.losses) == list(range(1, 9))


def test_commands_are_obeyed_at_the_next_step(
    make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path
) -> None:
    plain = work(make(train__eval_steps=100, train__save_steps=100, adapter__dropout=0.1))
    asked = {1: "evaluate", 2: "checkpoint", 3: "sample"}
    ran = work(make(train__eval_steps=100, train__save_steps=100, adapter__dropout=0.1), commanded(asked))
    assert [(e.step, e.data["reason"]) for e in ran.of("evaluation")] == [(1, "asked"), (6, "end")]
    assert (2, "asked") in [(e.step, e.data["reason"]) for e in ran.of("checkpoint")]
    assert {event.step for event in ran.of("sample")} == {1, 3, 6}
    assert all("base" in event.data for event in ran.of("sample") if event.step == 1)
    assert ran.losses == plain.losses, "looking at a training must not change it"


def test_trackers_that_are_missing_or_broken_cost_a_warning_and_nothing_else(
    train: Callable[..., Any], random_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    class Broken:
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            raise ConnectionError("no route to the tracker")

        on_log = on_train_end = on_train_begin

    monkeypatch.setattr(
        "ftui.recipe.trackers.find_spec",
        lambda name: types.SimpleNamespace(origin="here") if name == "tensorboard" else None,
    )
    monkeypatch.setattr("transformers.integrations.TensorBoardCallback", Broken)
    ran = train(
        tracking__wandb="project", tracking__tensorboard=True, tracking__mlflow="support", tracking__trackio="support",
        train__max_steps=2,
    )
    assert ran.end["status"] == "finished", ran.end
    said = " ".join(event.data["text"] for event in ran.of("warning"))
    for name in ("Weights & Biases", "MLflow", "trackio"):
        assert f"{name} is not installed" in said
    assert "no route to the tracker" in said


def test_a_lone_sentencepiece_file_gives_the_worker_the_ids_that_the_rows_were_written_in(
    shared_data: Path, tmp_path: Path
) -> None:
    from ftui.data import load_tokenizer as as_prepared
    from ftui.worker.base import load_tokenizer

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.model").symlink_to(shared_data / "tokenizers" / "llama2" / "tokenizer.model")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 32000}))
    for text in ("Hello  world", "  def f(x):\n    return x", "naïve 东京 🙂"):
        expected = as_prepared(folder).encode(text)
        assert load_tokenizer(folder, None)(text, add_special_tokens=False)["input_ids"] == expected
