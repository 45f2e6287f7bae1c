"""The same LoRA job through ftui, plain trl and LLaMA-Factory: seconds per step, whole time, first step, memory.

    .venv/bin/python benchmarks/train.py [--llamafactory VENV] [--repeat 3] [--json FILE]

A Llama of 14 M parameters with random weights and the Llama-2 tokenizer (from ../shared, else one made from the data),
999 Alpaca rows, 4 rows of up to 512 tokens a step, 10 steps, one thread, float32, loss on the answers only.  Each
contestant is a process of its own with the settings it has by itself, taking turns.  LLaMA-Factory needs a virtual
environment of its own (`python -m venv VENV && VENV/bin/pip install llamafactory==0.9.5`); without one it is left out.
For ftui the whole command counts, with the planning, the detached worker and the waiting for it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data"
STEPS, ROWS, BATCH, LENGTH = 10, 999, 4, 512
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000, "hidden_size": 192,
    "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 6, "num_key_value_heads": 6,
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "torch_dtype": "float32",
}
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}{{ '[INST] ' + message.content + "
    "' [/INST]' }}{% else %}{{ message.content + eos_token }}{% endif %}{% endfor %}"
)
"""LLaMA-Factory's template `llama2`, so that all three train on the same tokens."""

TRL = """
import json, sys, torch
torch.set_num_threads(1)
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
folder, data, steps, batch, length, checkpointing = sys.argv[1:]
rows = json.load(open(data))
rows = [{
    "prompt": "[INST] " + row["instruction"] + ("\\n" + row["input"] if row["input"] else "") + " [/INST]",
    "completion": row["output"],
} for row in rows]
trainer = SFTTrainer(
    model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    processing_class=AutoTokenizer.from_pretrained(folder),
    train_dataset=Dataset.from_list(rows),
    peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    args=SFTConfig(
        output_dir=folder + "/trl", per_device_train_batch_size=int(batch), max_steps=int(steps),
        max_length=int(length), logging_steps=1, learning_rate=1e-4, bf16=False, use_cpu=True, report_to=[],
        save_strategy="no", disable_tqdm=True, **({} if checkpointing == "default" else
            {"gradient_checkpointing": checkpointing == "on"}),
    ),
)
trainer.train()
trainer.save_model(folder + "/trl")
"""


@dataclass
class Result:
    """Seconds, seconds, seconds, bytes."""

    contestant: str
    step_seconds: float
    whole_seconds: float
    first_step_seconds: float
    peak_bytes: int
    loss: float


Contestant = Callable[[Path, Path, str], Result]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--llamafactory", type=Path, metavar="VENV", help="where LLaMA-Factory is installed")
    arguments.add_argument("--repeat", type=int, default=1)
    arguments.add_argument("--checkpointing", choices=("default", "on", "off"), default="default")
    arguments.add_argument("--json", type=Path, help="write the results there, and a table beside it")
    given = arguments.parse_args()
    contestants: dict[str, Contestant] = {"ftui": ftui, "trl": trl}
    if given.llamafactory and (cli := given.llamafactory / "bin" / "llamafactory-cli").exists():
        contestants["LLaMA-Factory"] = lambda model, data, mode: llamafactory(cli, model, data, mode)
    else:
        print("LLaMA-Factory is left out: no virtual environment with it was named (--llamafactory VENV).\n")
    with tempfile.TemporaryDirectory(prefix="ftui-bench-") as name:
        model, data = make_model(Path(name)), make_data(Path(name))
        found: dict[str, list[Result]] = {contestant: [] for contestant in contestants}
        for turn in range(given.repeat):
            for contestant, train in contestants.items():
                result = train(model, data, given.checkpointing)
                found[contestant].append(result)
                print(f"{turn + 1}: {_line(result)}", flush=True)
    best = {contestant: middle(results) for contestant, results in found.items()}
    text = table(best)
    print(f"\n{text}")
    if given.json:
        document: dict[str, Any] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
            "versions": {"ftui, trl": versions(Path(sys.executable)), "LLaMA-Factory": versions(given.llamafactory)},
            "time": time.strftime("%Y-%m-%d"), "repeat": given.repeat, "checkpointing": given.checkpointing,
            "median": {name: asdict(result) for name, result in best.items()},
            "all": [asdict(result) for results in found.values() for result in results],
        }
        given.json.write_text(json.dumps(document, indent=2) + "\n")
        used = "".join(
            f"- {name}: {', '.join(f'{package} {version}' for package, version in packages.items())}\n"
            for name, packages in document["versions"].items() if packages
        )
        head = f"# The same LoRA job\n\n{__doc__.split(chr(10) * 2)[2]}\n\n"
        given.json.with_suffix(".md").write_text(
            f"{head}Medians of {given.repeat} turns on {document['machine']}:\n\n{text}\n{used}"
        )


def ftui(model: Path, data: Path, mode: str) -> Result:
    """`ftui launch RECIPE --wait`, the worker's memory and that of the command that waits for it taken together."""
    home = Path(tempfile.mkdtemp(dir=model.parent, prefix="ftui-home-"))
    template = home / "template.jinja"
    template.write_text(TEMPLATE)
    recipe = home / "recipe.yaml"
    checkpointing = {"default": "auto", "on": "true", "off": "false"}[mode]
    recipe.write_text(
        f"""name: bench
model: {{base: {model}, quantization: none, dtype: float32}}
data: {{sources: [{{path: {data}}}], template: {template}, validation: 0, max_length: {LENGTH}, packing: false}}
adapter: {{kind: lora, rank: 16, alpha: 32, dropout: 0.0}}
train: {{max_steps: {STEPS}, micro_batch: {BATCH}, effective_batch: {BATCH}, learning_rate: 1.0e-4, optimizer: adamw,
  schedule: linear, warmup: 0.0, checkpointing: {checkpointing}, save_steps: 1000}}
compute: {{gpus: 0, threads: 1}}
"""
    )
    command = [sys.executable, "-m", "ftui.cli.main", "launch", str(recipe), "--wait", "--json"]
    began, whole, peak, lines = watch(command, {"FTUI_HOME": str(home)}, home)
    run = next((home / "runs").iterdir())
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    steps = [(event["time"], event["data"]["loss"]) for event in events if event["kind"] == "metric"]
    if len(steps) != STEPS:
        sys.exit(f"ftui: {events[-1]['data']}\n" + "\n".join(text for _, text in lines))
    worker = events[-1]["data"]["metrics"]["peak_bytes"]
    return result("ftui", steps, began, whole, worker + peak)


def trl(model: Path, data: Path, mode: str) -> Result:
    """Plain trl as its documentation writes it."""
    command = [sys.executable, "-c", TRL, str(model), str(data), str(STEPS), str(BATCH), str(LENGTH), mode]
    began, whole, peak, lines = watch(command, {}, model)
    return result("trl", logged(lines), began, whole, peak)


def llamafactory(cli: Path, model: Path, data: Path, mode: str) -> Result:
    """`llamafactory-cli train` with the same job as YAML."""
    folder = Path(tempfile.mkdtemp(dir=model.parent, prefix="llamafactory-"))
    (folder / "dataset_info.json").write_text(json.dumps({"bench": {"file_name": str(data)}}))
    recipe = folder / "bench.yaml"
    off = {"off": "disable_gradient_checkpointing: true\n"}.get(mode, "")
    recipe.write_text(
        f"""model_name_or_path: {model}
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 16
lora_alpha: 32
lora_target: all
dataset: bench
dataset_dir: {folder}
template: llama2
cutoff_len: {LENGTH}
overwrite_cache: true
output_dir: {folder / "out"}
logging_steps: 1
save_strategy: "no"
report_to: none
per_device_train_batch_size: {BATCH}
gradient_accumulation_steps: 1
learning_rate: 1.0e-4
max_steps: {STEPS}
lr_scheduler_type: linear
use_cpu: true
disable_tqdm: true
{off}"""
    )
    began, whole, peak, lines = watch([str(cli), "train", str(recipe)], {"DISABLE_VERSION_CHECK": "1"}, folder)
    return result("LLaMA-Factory", logged(lines), began, whole, peak)


def watch(
    command: list[str], extra: dict[str, str], folder: Path
) -> tuple[float, float, int, list[tuple[float, str]]]:
    """(start, seconds, peak resident bytes of its process alone, lines with their times) of a command in one thread."""
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false",
        "HF_HOME": str(folder / "hf"), "PYTHONPATH": "", **extra,
    }
    began = time.time()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder
    )
    assert process.stdout is not None
    peak, watched = [0], psutil.Process(process.pid)
    threading.Thread(target=sample, args=(watched, peak), daemon=True).start()
    lines = [(time.time(), line.rstrip()) for line in process.stdout]
    status = process.wait()
    whole = time.time() - began
    if status:
        sys.exit(f"{command[0]} failed:\n" + "\n".join(text for _, text in lines[-40:]))
    return began, whole, peak[0], lines


def sample(process: psutil.Process, peak: list[int]) -> None:
    """Raise `peak[0]` to the resident bytes of a process for as long as it lives.

    The kernel's own maximum would take in the children that the process has waited for, such as ftui's worker.
    """
    while True:
        try:
            resident = process.memory_info().rss
        except psutil.Error:
            return
        if not resident:
            return
        peak[0] = max(peak[0], resident)
        time.sleep(0.01)


def logged(lines: list[tuple[float, str]]) -> list[tuple[float, float]]:
    """(time, loss) of the steps that transformers has printed."""
    found = [(when, re.search(r"'loss': '?([0-9.]+)", text)) for when, text in lines]
    steps = [(when, float(match[1])) for when, match in found if match]
    if len(steps) != STEPS:
        sys.exit(f"{len(steps)} steps in place of {STEPS}:\n" + "\n".join(text for _, text in lines[-40:]))
    return steps


def result(name: str, steps: list[tuple[float, float]], began: float, whole: float, peak: int) -> Result:
    """The median over the steps after the first, which bears the libraries' warming up."""
    times = [when for when, _ in steps]
    seconds = median(later - earlier for earlier, later in itertools.pairwise(times))
    return Result(name, seconds, whole, times[0] - began, peak, steps[-1][1])


def middle(results: list[Result]) -> Result:
    """Each figure's median over the repetitions."""
    def of(figure: str) -> Any:
        return median(getattr(result, figure) for result in results)

    return Result(
        results[0].contestant, of("step_seconds"), of("whole_seconds"), of("first_step_seconds"), of("peak_bytes"),
        of("loss"),
    )


def table(best: dict[str, Result]) -> str:
    """The figures as Markdown, and ftui's as a ratio to the best of the others."""
    lines = [
        "| | s/step | whole, s | launch to first step, s | peak memory, GB | last loss |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for one in best.values():
        lines.append(
            f"| {one.contestant} | {one.step_seconds:.2f} | {one.whole_seconds:.1f} | {one.first_step_seconds:.1f} | "
            f"{one.peak_bytes / 1e9:.2f} | {one.loss:.2f} |"
        )
    others = [one for one in best.values() if one.contestant != "ftui"]
    figures = ("step_seconds", "whole_seconds", "first_step_seconds", "peak_bytes")
    ratios = [getattr(best["ftui"], figure) / min(getattr(one, figure) for one in others) for figure in figures]
    lines.append("| ftui / best other | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " | |")
    return "\n".join(lines) + "\n"


def make_model(folder: Path) -> Path:
    """The model's folder: configuration, random weights, tokenizer.json."""
    target = folder / "model"
    script = """
import json, sys, torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
target, config, source, data = sys.argv[1:]
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in json.loads(config).items() if k != "architectures"}))
print(sum(p.numel() for p in model.parameters()))
model.save_pretrained(target)
if source:
    tokenizer = AutoTokenizer.from_pretrained(source)
else:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    texts = (row["instruction"] + " " + row["output"] for row in json.load(open(data)))
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=32000, special_tokens=["<unk>", "<s>", "</s>"]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
tokenizer.pad_token = "</s>"
tokenizer.save_pretrained(target)
"""
    llama2 = SHARED / "tokenizers" / "llama2"
    source = folder / "tokenizer"
    if llama2.is_dir():
        shutil.copytree(llama2, source)
        (source / "config.json").write_text('{"model_type": "llama"}')
    command = [
        sys.executable, "-c", script, str(target), json.dumps(CONFIG), str(source) if llama2.is_dir() else "",
        str(make_data(folder)),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return target


def make_data(folder: Path) -> Path:
    """999 Alpaca rows: those beside the checkout, else some made of the demo's."""
    target = folder / "alpaca.json"
    source = SHARED / "llamafactory" / "alpaca_en_demo.json"
    if source.is_file():
        rows = json.loads(source.read_text())[:ROWS]
    else:
        lines = (HERE.parent / "ftui" / "data" / "demo.jsonl").read_text().splitlines()
        turns = [json.loads(line)["messages"] for line in lines]
        rows = [
            {"instruction": turns[i % len(turns)][0]["content"], "input": "",
             "output": " ".join(turns[(i + j) % len(turns)][1]["content"] for j in range(1 + i % 12))}
            for i in range(ROWS)
        ]
    target.write_text(json.dumps(rows))
    return target


def versions(environment: Path | None) -> dict[str, str]:
    """Versions of what matters in a virtual environment (its folder or its Python)."""
    if environment is None:
        return {}
    python = environment / "bin" / "python" if environment.is_dir() else environment
    script = (
        "import json, importlib.metadata as m; names = ('torch', 'transformers', 'trl', 'peft', 'llamafactory');"
        "found = {d.name: d.version for d in m.distributions()};"
        "print(json.dumps({n: found[n] for n in names if n in found}))"
    )
    found: dict[str, str] = json.loads(subprocess.run([python, "-c", script], capture_output=True, check=True).stdout)
    return found


def _line(one: Result) -> str:
    return (
        f"{one.contestant:14} {one.step_seconds:6.2f} s/step, whole {one.whole_seconds:5.1f} s, first step after "
        f"{one.first_step_seconds:5.1f} s, {one.peak_bytes / 1e9:.2f} GB, loss {one.loss:.2f}"
    )


if __name__ == "__main__":
    main()
