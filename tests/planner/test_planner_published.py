"""Published measurements become recipes, and the formula stays as near to them as it is said to be."""

from __future__ import annotations

import csv
import importlib
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CSV = ROOT.parent / "shared" / "planner" / "measured_dev.csv"
ROW = {
    "source": "modelscope/ms-swift docs Benchmark.md max_length", "model": "qwen-7b", "params_b": "7.72",
    "method": "lora", "quant": "none", "rank": "8", "target_modules": "c_attn/default qkv", "seq_len": "2048",
    "micro_batch": "1",
    "grad_ckpt": "True", "optimizer": "AdamW", "attention": "flash", "gpu": "A100 80GB", "peak_gb": "27.74",
    "tokens_per_s": "", "notes": "kind=measured; GiB; bf16; grad accum 16", "complete": "yes",
}


@pytest.fixture(scope="module")
def score() -> Iterator[ModuleType]:
    """The benchmark, whose modules stand beside each other in a folder that is no package."""
    sys.path.insert(0, str(ROOT / "benchmarks" / "planner"))
    known = {name: sys.modules.pop(name, None) for name in ("rows", "models", "score")}
    yield importlib.import_module("score")
    sys.path.remove(str(ROOT / "benchmarks" / "planner"))
    for name, module in known.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def asked(score: ModuleType, **changes: str) -> Any:
    return score.asked({**ROW, **changes})


def test_a_row_becomes_the_recipe_that_its_project_ran(score: ModuleType) -> None:
    row = asked(score)
    assert (row.project, row.kind, row.measured) == ("ms-swift", "reserved", 27.74 * 2**30)
    wanted = {
        "adapter.kind": "lora", "adapter.rank": 8, "adapter.targets": ["q_proj", "k_proj", "v_proj"],
        "adapter.dtype": "bfloat16", "data.max_length": 2048, "data.padding": "longest", "train.effective_batch": 16,
        "train.checkpointing": True, "model.attention": "flash_attention_2", "compute.stack": "ms-swift-2024-01",
        "compute.allocator": "native", "train.loss": "full",
    }
    assert {path: row.settings[path] for path in wanted} == wanted
    assert row.hardware.gpu.compute_capability == (8, 0)


def test_patterns_name_the_modules_at_their_end(score: ModuleType) -> None:
    row = asked(
        score, source="axolotl examples/x.yaml@067b021", method="qlora", quant="nf4", optimizer="adamw_bnb_8bit",
        target_modules=r"model.language_model.layers.[\d]+.(mlp|self_attn).(up|down|gate|q|k|v|o)_proj",
        notes="kind=measured; GiB; sample_packing=True; plugins=CutCrossEntropyPlugin",
    )
    assert row.settings["adapter.targets"] == [f"{stem}_proj" for stem in ("up", "down", "gate", "q", "k", "v", "o")]
    assert (row.settings["train.loss"], row.settings["train.optimizer"]) == ("cut", "adamw_8bit")
    assert row.settings["data.packing"] is True


def test_several_cards_need_a_way_of_sharing(score: ModuleType) -> None:
    assert "sharing" in asked(score, gpu="2x A100 80GB", notes="kind=measured; GiB; total of 73.71+78.54")
    row = asked(score, source="torchtune README@bd2a0fc", model="Llama-3.1-70B", gpu="8x A100",
                notes="kind=measured; GiB per GPU; packed dataset; CPU offload with fused optimizer")
    shared = {path: row.settings[path] for path in ("compute.gpus", "compute.strategy", "compute.offload")}
    assert shared == {"compute.gpus": 8, "compute.strategy": "fsdp", "compute.offload": "all"}
    assert len(row.hardware.gpus) == 8


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"quant": "gptq4"}, "quantization"), ({"method": "galore"}, "method"), ({"model": "unheard-of"}, "config"),
        ({"notes": "kind=boundary; fits"}, "measurement"), ({"peak_gb": "OOM"}, "measurement"),
        ({"seq_len": ""}, "length"), ({"source": "somebody"}, "somebody"),
    ],
)
def test_what_cannot_be_stated_says_why(score: ModuleType, changes: dict[str, str], why: str) -> None:
    found = asked(score, **changes)
    assert isinstance(found, str)
    assert why in found


def test_a_row_goes_the_public_way(score: ModuleType, tmp_path: Path) -> None:
    scored = score.score(asked(score), tmp_path)
    assert abs(scored.error) < 0.25
    assert scored.phase


def test_published_rules_are_what_their_tables_say(score: ModuleType) -> None:
    row = asked(score)
    assert score.llama_factory(row) == pytest.approx(2 * 7.72e9)
    assert 19e9 < score.unsloth(row) < 22e9
    assert score.unsloth(asked(score, method="full")) is None


@pytest.mark.skipif(not CSV.is_file(), reason="the published measurements are not beside this checkout")
def test_the_formula_is_as_near_to_measured_runs_as_the_documentation_says(score: ModuleType) -> None:
    with CSV.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["complete"] == "yes"]
    scored, left_out = score.score_all(rows)
    assert len(scored) + sum(left_out.values()) == len(rows)
    assert len(scored) >= 130
    errors = [abs(one.error) for one in scored]
    assert statistics.median(errors) <= 0.08
    assert sum(one.error < -0.10 for one in scored) <= 0.10 * len(scored)
    assert 0.80 <= sum(one.inside for one in scored) / len(scored) <= 0.95
    peft = [abs(one.error) for one in scored if one.row.project == "peft"]
    assert statistics.median(peft) <= 0.09


def test_latent_attention_is_planned_as_its_narrow_and_wide_modules(score: ModuleType, tmp_path: Path) -> None:
    changes = {"source": "axolotl examples/glm47-flash/lora.yaml@067b021", "model": "zai-org/GLM-4.7-Flash",
               "params_b": "30", "target_modules": "q_proj,v_proj,k_proj,o_proj"}
    short = score.score(asked(score, **changes, seq_len="512"), tmp_path)
    long = score.score(asked(score, **changes, seq_len="4096"), tmp_path)
    assert long.predicted > short.predicted > 2 * 29e9
