"""Distillation: a small model learns from a larger one on its own answers, the data's, or both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.models import demo

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]


@pytest.fixture(name="teacher")
def _teacher(random_demo: Path, tmp_path: Path) -> Path:
    """A wider model of the same vocabulary, padded to another length, that is sure of what it says."""
    import shutil

    import torch
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    folder = tmp_path / "teacher"
    shutil.copytree(random_demo, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = {key: value for key, value in demo.CONFIG.items() if key != "architectures"}
    torch.manual_seed(7)
    config |= {"hidden_size": 96, "intermediate_size": 128, "vocab_size": demo.CONFIG["vocab_size"] + 32}
    model = LlamaForCausalLM(LlamaConfig(**{**config, "head_dim": 24}))
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(2)
    model.save_pretrained(folder)
    return folder


def asked(folder: Path, answers: bool = True, count: int = 40) -> list[dict[str, Any]]:
    """data.sources with prompts, answered or not."""
    rows = [{"prompt": f"What about number {n}?", **({"completion": f"It is {n}, I think."} if answers else {})}
            for n in range(count)]  # fmt: skip
    file = folder / f"rows-{answers}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [{"path": str(file), "format": "prompt-completion" if answers else "prompt"}]


def settings_of(folder: Path, teacher: Path, answers: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "objective__kind": "distill", "objective__teacher": str(teacher), "objective__max_completion_length": 8,
        "data__sources": asked(folder, answers), "data__validation": 0.2, "train__max_steps": 20,
        "train__eval_steps": 5, "train__learning_rate": 5e-3, **more,
    }


CASES: dict[str, dict[str, Any]] = {
    "on-policy": {}, "off-policy": {"objective__on_policy": 0.0}, "mixed": {"objective__on_policy": 0.5},
    "hard labels": {"objective__on_policy": 0.0, "objective__hard_labels": 0.5, "objective__beta": 0.0},
    "forward": {"objective__on_policy": 0.0, "objective__beta": 0.0},
    "full": {"objective__on_policy": 0.5, "adapter": None, "train__learning_rate": 2e-3},
    "nf4": {"objective__on_policy": 0.5, "objective__teacher_quantization": "nf4", "model__quantization": "nf4"},
    "prompts alone": {"answers": False},
}


@pytest.mark.parametrize("case", CASES)
def test_the_divergence_to_the_teacher_falls(
    case: str, train: Callable[..., Any], random_demo: Path, teacher: Path, tmp_path: Path
) -> None:
    ran = train(**settings_of(tmp_path, teacher, **CASES[case]))
    assert ran.end["status"] == "finished", ran.end
    judged = [event.data for event in ran.of("evaluation")]
    # The data's answers pull elsewhere than a random teacher.
    falling = "cross_entropy" if case == "hard labels" else "divergence"
    found = [data["values"][falling] for data in judged]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.94 * found[0]
    assert ("cross_entropy" in judged[-1]["values"]) is (case == "hard labels")
    assert ran.end["metrics"]["eval_loss"] == min(data["eval_loss"] for data in judged)
    assert ran.of("sample"), "the student answers as ever"
    assert "by distillation on" in (ran.run.output / "README.md").read_text()


@pytest.mark.parametrize("case", ["on-policy", "mixed", "full"])
def test_a_resumed_run_equals_an_unbroken_one(
    case: str, make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path,
    teacher: Path, tmp_path: Path,
) -> None:
    own = {"train__max_steps": 6, "train__eval_steps": 3, "train__save_steps": 3, "train__micro_batch": 2}
    settings = settings_of(tmp_path, teacher, **CASES[case]) | own
    whole, broken = work(make(**settings)), work(make(**settings), commanded({5: RuntimeError("the power went")}))
    assert work(broken.run).end["status"] == "finished"
    assert broken.of("metric")[-1].attempt == 2
    assert broken.losses == whole.losses


def test_a_teacher_of_another_vocabulary_is_refused_before_anything_is_trained(
    train: Callable[..., Any], random_demo: Path, teacher: Path, tmp_path: Path
) -> None:
    file = teacher / "tokenizer.json"
    told = json.loads(file.read_text())
    token = next(name for name, number in told["model"]["vocab"].items() if number == 300)
    told["model"]["vocab"][token], told["model"]["vocab"]["zzz"] = len(told["model"]["vocab"]), 300
    told["model"]["merges"] = [pair for pair in told["model"]["merges"] if "".join(pair).replace(" ", "") != token]
    file.write_text(json.dumps(told))
    ran = train(**settings_of(tmp_path, teacher))
    assert ran.end["status"] == "failed"
    assert "has another vocabulary than the student" in ran.end["text"]
    assert not ran.of("metric")


def test_data_without_answers_has_none_to_read(
    train: Callable[..., Any], random_demo: Path, teacher: Path, tmp_path: Path
) -> None:
    ran = train(**settings_of(tmp_path, teacher, answers=False, objective__on_policy=0.0))
    assert ran.end["status"] == "failed"
    assert "have no answer to read" in ran.end["text"]


def test_the_trial_step_leaves_no_trace(
    train: Callable[..., Any], random_demo: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker import canary

    settings = settings_of(tmp_path, teacher, objective__on_policy=0.5) | {"train__max_steps": 3}
    monkeypatch.setattr(canary, "is_worthwhile", lambda device, plan: False)
    plain = train(**settings)
    monkeypatch.setattr(canary, "is_worthwhile", lambda device, plan: True)
    assert train(**settings).losses == plain.losses
