"""What a dry trace costs and how it stands to the closed form: seconds, memory, peak of each model of the table.

    python benchmarks/trace.py [--only llama-8b] [--write]     # --write keeps the table in benchmarks/results/trace.txt

Each trace is a process of its own, as `ftui plan --trace` makes it; seconds are its wall and its CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "trace.txt"
BOX = ROOT / "tests" / "hardware" / "boxes" / "h200.json"
GIB = 1 << 30

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 8192,
         "tie_word_embeddings": False, "torch_dtype": "bfloat16"}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "llama-7b": LLAMA | {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
                         "num_attention_heads": 32, "num_key_value_heads": 32},
    "llama-8b": LLAMA | {"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
                         "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8},
    "llama-70b": LLAMA | {"vocab_size": 128256, "hidden_size": 8192, "intermediate_size": 28672,
                          "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8},
    "gemma3-1b": LLAMA | {"model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "vocab_size": 262144,
                          "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26,
                          "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "sliding_window": 512,
                          "tie_word_embeddings": True},
}  # fmt: skip
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("llama-8b", {}),
    ("llama-8b", {"train.checkpointing": True}),
    ("llama-8b", {"train.checkpointing": True, "model.quantization": "nf4"}),
    ("llama-7b", {"train.trainer": "transformers", "train.loss": "full"}),
    ("llama-70b", {"train.checkpointing": True, "model.quantization": "nf4"}),
    ("gemma3-1b", {"train.checkpointing": True}),
)


def one(model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Trace a case by the job and hold it against the estimate; run in a process of its own."""
    from ftui import hardware, models, planner, tracing
    from ftui.recipe import assign
    from ftui.recipe.document import Recipe
    from ftui.runs import wait

    config = Path(os.environ["FTUI_HOME"]) / f"{model}.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(MODELS[model]))
    plain = Recipe.model_validate({
        "name": model, "model": {"base": str(config), "quantization": "none", "dtype": "bfloat16", "attention": "sdpa"},
        "data": {"sources": [{"path": "demo"}], "max_length": 2048, "packing": False},
        "adapter": {"kind": "lora", "rank": 16, "alpha": 32, "dropout": 0.0},
        "train": {"micro_batch": 1, "effective_batch": 1, "learning_rate": 1e-4, "optimizer": "adamw",
                  "checkpointing": False},
    })  # fmt: skip
    recipe, box, shape = assign(plain, settings), hardware.load(BOX), models.describe(str(config))
    began = time.monotonic()
    run = tracing.start(recipe, shape, box)
    status = wait(run, interval=0.1)
    wall = time.monotonic() - began
    if status.state != "finished":
        raise SystemExit(f"{model}: {status.text}")
    found, expected = tracing.finished(run), planner.estimate(recipe, box, shape, None).memory
    return {
        "layers": found.layers, "traced": found.traced_layers[0], "wall": wall,
        "cpu": status.metrics["cpu_seconds"], "rss": found.peak_rss_bytes,
        "allocated": found.memory.allocated_bytes, "reserved": found.memory.reserved_bytes,
        "estimated": expected.allocated_bytes, "where": found.where, "versions": found.versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="a model of the table")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(ROOT)}")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        model, settings = json.loads(arguments.case)
        print(json.dumps(one(model, settings)))
        return
    lines = [f"{'model':10s} {'settings':52s} {'layers':>7s} {'wall s':>6s} {'CPU s':>6s} {'MiB':>5s} "
             f"{'allocated':>9s} {'reserved':>9s} {'estimate':>9s}"]  # fmt: skip
    versions: dict[str, str] = {}
    for model, settings in CASES:
        if arguments.only not in (None, model):
            continue
        with tempfile.TemporaryDirectory() as home:
            found = _apart(model, settings, home)
        versions = found["versions"]
        said = ", ".join(f"{name.partition('.')[2]} {value}" for name, value in settings.items()) or "lora"
        lines.append(
            f"{model:10s} {said:52s} {found['traced']:>3d}/{found['layers']:<3d} {found['wall']:6.1f} "
            f"{found['cpu']:6.1f} {found['rss'] / (1 << 20):5.0f} {found['allocated'] / GIB:9.3f} "
            f"{found['reserved'] / GIB:9.3f} {100 * (found['estimated'] / found['allocated'] - 1):+8.2f}%"
        )
        print(lines[-1], flush=True)
    lines.append("LoRA r16 on all linear layers, 1 x 2048 tokens, on an H200's capability; GiB; "
                 + ", ".join(f"{name} {version}" for name, version in versions.items()))  # fmt: skip
    if arguments.write:
        RESULT.write_text("\n".join(lines) + "\n")


def _apart(model: str, settings: dict[str, Any], home: str) -> dict[str, Any]:
    """The case's result, from a home of its own."""
    environment = {**os.environ, "FTUI_HOME": home, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, "--case", json.dumps([model, settings])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
