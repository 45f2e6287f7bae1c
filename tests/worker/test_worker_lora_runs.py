"""Whole runs with LoRA's options: a resumed one equals an unbroken one, and the result means the same in plain peft."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.xdist_group("worker")]

CRASH = RuntimeError("the power went")
OPTIONS: dict[str, dict[str, Any]] = {
    "PiSSA, fast": {"init": "pissa", "pissa_iterations": 4},
    "LoRA-GA": {"init": "lora_ga", "start_rows": 8},
    "CorDA": {"init": "corda", "start_rows": 16},
    "EVA": {"init": "eva", "eva_rho": 2.0, "start_rows": 64},
    "LoRA-FA": {"update": "fa"},
    "MiCA": {"init": "mica"},
    "LoRA+": {"update": "plus"},
    "Riemannian": {"update": "riemannian"},
    "deeper": {"layer_replication": "0-2, 1-3"},
    "tokens": {"tokens": ["<|im_start|>", 7]},
    "beside": {"layers": "last 1", "modules_to_save": ["norm"], "qalora_group": 8},
}


def validation_loss(ran: Any, base: Path) -> float:
    """Mean loss per trained token of a run's result over its held-out rows, in plain peft and transformers."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from ftui.data import prepare

    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, str(ran.run.output)).eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for row in prepare(ran.run.recipe(), base, seed=ran.run.recipe().train.seed).validation:
            ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
            trained = int((labels[:, 1:] != -100).sum())
            total += model(input_ids=ids, labels=labels).loss.item() * trained
            count += trained
    return total / count


@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_run_equals_an_unbroken_one_and_reloads_to_its_loss(
    name: str, make: Callable[..., Any], work: Callable[..., Any], commanded: Callable[..., Any], random_demo: Path
) -> None:
    settings = {f"adapter__{option}": value for option, value in OPTIONS[name].items()}
    whole = work(make(**settings))
    assert whole.end["status"] == "finished", whole.end
    assert whole.losses[6] < whole.losses[1]
    broken = work(make(**settings), commanded({5: CRASH}))
    assert work(broken.run).end["status"] == "finished", broken.end
    assert broken.of("metric")[-1].attempt == 2
    assert broken.losses == pytest.approx(whole.losses, abs=1e-5)
    said = json.loads((broken.run.output / "adapter_config.json").read_text(encoding="utf-8"))
    assert said["init_lora_weights"] is True
    assert validation_loss(broken, random_demo) == pytest.approx(broken.end["metrics"]["eval_loss"], abs=1e-4)
