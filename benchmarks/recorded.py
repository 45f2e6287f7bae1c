"""Run folders as a training would have left them, for tests, benchmarks and the screenshots: no worker, no torch.

    python benchmarks/recorded.py FOLDER [--kind running] [--follow]     # FOLDER becomes an FTUI_HOME to look at
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ftui.planner.document import (
    Choice,
    MemoryEstimate,
    MemoryParts,
    Option,
    Plan,
    TimeEstimate,
    Verdict,
)
from ftui.runs.document import RunInfo
from ftui.units import GiB

PROMPTS = (
    "My parcel shows as delivered but it is not here. What now?",
    "How do I change the e-mail address of my account?",
    "Write a short reply to a customer who wants a refund after 40 days.",
)
BASE = (
    "My parcel shows as delivered but it is not here. What now? My parcel shows as delivered",
    "You can change the e-mail address of your account by changing the e-mail address.",
    "Dear customer, I am a customer who wants a refund after 40 days and I am writing to",
)
TUNED = (
    "I'm sorry about that. Please check with neighbours and the safe place first; if it isn't there by tomorrow, "
    "reply with your order number and I'll open a trace with the courier.",
    "Go to Settings > Account > E-mail, enter the new address and confirm the link we send you. Your orders stay.",
    "Thank you for writing. Refunds close after 30 days, but I'd be glad to offer store credit for the full amount.",
)


def metrics(steps: int, total: int, *, seed: int = 1, gpu: bool = True, start: int = 1) -> Iterator[dict[str, Any]]:
    """The `data` of one metric event per step, `start`..`steps` of a run of `total`, as a healthy run writes it."""
    rng = random.Random(seed)
    for step in range(start, steps + 1):
        done = step / total
        warm = min(1.0, step / max(0.03 * total, 1))
        data: dict[str, Any] = {
            "loss": 0.92 + 1.55 * math.exp(-5 * done) + rng.gauss(0, 0.06 + 0.04 * math.exp(-6 * done)),
            "learning_rate": 2e-4 * warm * (0.5 + 0.5 * math.cos(math.pi * done)),
            "grad_norm": 0.45 + 1.2 * math.exp(-8 * done) + abs(rng.gauss(0, 0.12)),
            "epoch": 3 * done,
            "tokens": step * 8_192,
            "tokens_per_second": 3_480 + rng.gauss(0, 60) if gpu else 412 + rng.gauss(0, 9),
            "step_seconds": 2.35 + rng.gauss(0, 0.04),
        }
        if gpu:
            data |= {
                "gpu_allocated_bytes": int(11.2 * GiB), "gpu_total_bytes": 24 * GiB,
                "gpu_reserved_bytes": int((12.1 + 0.5 * min(1, 6 * done)) * GiB),
                "gpu_used_bytes": int((12.9 + 0.5 * min(1, 6 * done)) * GiB),
                "gpu_utilization": min(1.0, max(0.0, 0.96 + rng.gauss(0, 0.015))),
                "gpu_temperature_c": 71 - 26 * math.exp(-30 * done) + rng.gauss(0, 0.5),
                "gpu_power_w": 318 - 190 * math.exp(-60 * done) + rng.gauss(0, 6),
            }
        else:
            data["rss_bytes"] = int((1.31 + 0.1 * min(1, 8 * done)) * GiB)
        yield data


class Recording:
    """A run folder in the making; events are written at once, `seconds` of the run's own time apart."""

    def __init__(
        self, home: Path, name: str = "support-qlora", *, kind: str = "train", began: float | None = None,
        seconds: float = 2.35, id: str | None = None, total: int = 400,
    ) -> None:
        self.time = time.time() - seconds * total if began is None else began
        self.seconds, self.total = seconds, total
        self.folder = home / "runs" / (id or f"2026-11-22-{name}-7f3a")
        self.folder.mkdir(parents=True)
        (self.folder / "inbox").mkdir()
        info = RunInfo(
            id=self.folder.name, kind=kind, name=name, created=self.time, host=os.uname().nodename, seed=17,  # type: ignore[arg-type]
            command=f"ftui launch chat-qlora-24g --model Qwen/Qwen3-8B --data train.jsonl --set name={name}",
            preset="chat-qlora-24g", versions={"ftui": "0.1.0", "torch": "2.13.0"},
        )
        (self.folder / "run.json").write_text(info.to_json())
        self.attempt, self.seq = 1, 0
        self._file = open(self.folder / "events.jsonl", "a", encoding="utf-8")  # noqa: SIM115  (lives with the object)

    def emit(self, kind: str, step: int | None = None, **data: Any) -> None:
        """One event, as `RunWriter` would write it."""
        self.seq += 1
        record = {"v": 1, "seq": self.seq, "attempt": self.attempt, "time": self.time, "kind": kind, "step": step,
                  "data": {k: (v if not isinstance(v, float) or math.isfinite(v) else None) for k, v in data.items()}}
        self._file.write(json.dumps(record) + "\n")

    def start(self, text: str = "training on NVIDIA GeForce RTX 4090") -> None:
        """The events before the first step."""
        for state, said in (("preparing", "loading the model Qwen/Qwen3-8B"), ("running", text)):
            self.emit("status", state=state, text=said)
            self.time += 14

    def train(
        self, steps: Iterable[dict[str, Any]], *, first: int = 1, every: int | None = None, samples: bool = True,
        spike: int | None = None, nan: range | None = None,
    ) -> None:
        """Metrics from `first` on, an evaluation and a checkpoint `every` so many steps (default: a tenth)."""
        every = every or max(self.total // 10, 1)
        for step, data in enumerate(steps, first):
            if step == spike:
                data |= {"loss": 5.4, "grad_norm": 19.0}
            if nan is not None and step in nan:
                data |= {"loss": None, "grad_norm": None}
            self.emit("metric", step, **data)
            self.time += self.seconds
            if step % every == 0 or step == self.total:
                self.evaluate(step, samples=samples)
        self.emit("progress", step, done=step, total=self.total, unit="step")
        self.flush()

    def evaluate(self, step: int, *, samples: bool = True) -> None:
        """What happens at an evaluation: its loss, three answers, a checkpoint."""
        done = step / self.total
        loss = 1.02 + 1.4 * math.exp(-5 * done) + 0.09 * max(0.0, done - 0.75)
        self.emit("evaluation", step, eval_loss=loss, seconds=6.2, best=done <= 0.75, reason="schedule")
        for index in range(3 if samples else 0):
            learned = TUNED[index] if done > 0.45 else TUNED[index].split(".")[0] + "." if done > 0.15 else BASE[index]
            first = {"base": BASE[index]} if not hasattr(self, "_based") else {}
            self.emit("sample", step, prompt=PROMPTS[index], text=learned, index=index, **first)
        self._based = True
        self.emit("checkpoint", step, path=f"checkpoints/step-{step}", bytes=168_000_000, best=done <= 0.75,
                  reason="schedule")
        self.time += 8
        self.emit("progress", step, done=step, total=self.total, unit="step")

    def end(self, status: str = "finished", text: str | None = None, hint: str | None = None, **more: Any) -> None:
        """The end event, and for a finished run its output and report."""
        self.emit("end", self.total, status=status, text=text or f"Trained {self.total} steps.", hint=hint, **more)
        self.flush()
        if status == "finished":
            (self.folder / "output").mkdir(exist_ok=True)
            (self.folder / "output" / "adapter_config.json").write_text("{}")
            (self.folder / "report.md").write_text(
                f"# {self.folder.name}\n\nTrained {self.total} steps; evaluation loss 2.12 → 1.05.\n\n"
                f"## Use it\n\n```\nrsync -a box:{self.folder}/output ./support-adapter\n```\n"
            )

    def flush(self) -> None:
        """Let a reader see what was written."""
        self._file.flush()

    def log(self, text: str) -> None:
        """Append to worker.log."""
        with open(self.folder / "worker.log", "a", encoding="utf-8") as file:
            file.write(text)

    def live(self) -> None:
        """Make the run look alive: a heartbeat and a lock of this very process."""
        from ftui.runs import heartbeat
        from ftui.runs.process import identify

        me = identify()
        assert me is not None
        heartbeat.write(self.folder / "heartbeat", heartbeat.Heartbeat(me, self.attempt, time.time(), time.time()))
        (self.folder / "lock").write_text(json.dumps(me.as_dict()))

    def plan(self, plan: Plan | None = None) -> None:
        """plan.json, of a QLoRA on a card with 24 GiB unless another is given."""
        (self.folder / "plan.json").write_text((plan or example_plan(self.total)).to_json())

    def recipe(self) -> None:
        """recipe.yaml with the settings that the plan chose."""
        from ftui.recipe.document import Recipe

        recipe = Recipe.model_validate({
            "name": "support-qlora", "goal": {"task": "chat", "priority": "quality"},
            "model": {"base": "Qwen/Qwen3-8B", "quantization": "nf4", "dtype": "bfloat16", "attention": "sdpa"},
            "data": {"sources": [{"path": "train.jsonl", "columns": {}}], "max_length": 1024, "packing": True},
            "adapter": {"kind": "lora", "rank": 16, "alpha": 32, "dropout": 0.05},
            "train": {"epochs": 3, "micro_batch": 2, "effective_batch": 16, "learning_rate": 2e-4,
                      "optimizer": "paged_adamw_8bit", "checkpointing": True},
        })
        try:
            from ftui.recipe import write
        except ImportError:
            return
        (self.folder / "recipe.yaml").write_text(write(recipe))


def example_plan(steps: int = 400) -> Plan:
    """A plan as the planner writes it: QLoRA of an 8 B model on a card with 24 GiB."""
    parts = MemoryParts(
        weights=int(5.9 * GiB), adapter=int(0.16 * GiB), gradients=int(0.16 * GiB), optimizer=int(0.09 * GiB),
        activations=int(3.1 * GiB), logits=int(1.2 * GiB), workspace=int(0.8 * GiB), context=int(0.6 * GiB),
        slack=int(0.7 * GiB),
    )
    option = Option(
        method="qlora", title="QLoRA rank 16", settings={"adapter.rank": 16},
        memory=MemoryEstimate(
            parts=parts, allocated_bytes=int(11.4 * GiB), reserved_bytes=int(12.1 * GiB),
            process_bytes=int(12.7 * GiB), low_bytes=int(11.9 * GiB), high_bytes=int(13.8 * GiB), phase="loss forward",
        ),
        time=TimeEstimate(
            steps=steps, step_seconds=2.2, tokens_per_second=3_700, total_seconds=2.2 * steps + 60,
            low_seconds=2.0 * steps, high_seconds=2.9 * steps, source="RTX 4090, measured class",
        ),
        verdict=Verdict(fit="fits", spare_bytes=int(8.4 * GiB), text="Fits with 8.4 GiB to spare."),
        adapter_bytes=int(0.084 * GiB), trainable_parameters=43_646_976, quality=0.96, note="Room for quality.",
    )
    choices = (
        Choice(path="adapter.rank", value=16, reason="9,400 examples of a chat task; doubling it costs 0.03 GiB.",
               source="Hu et al. 2021"),
        Choice(path="train.micro_batch", value=2, reason="Fills the card; the effective batch stays 16.",
               source="planner"),
    )
    return Plan(
        device="NVIDIA GeForce RTX 4090", budget_bytes=int(23.2 * GiB), reserve_bytes=int(1.0 * GiB),
        recommendation=option, choices=choices, alternatives=(), rejected=(),
    )


def healthy(home: Path, steps: int = 260, total: int = 400, *, gpu: bool = True, **train: Any) -> Recording:
    """A run in the middle of its way, alive."""
    recording = Recording(home, total=total, began=time.time() - 2.35 * steps - 28)
    recording.plan()
    recording.recipe()
    recording.start()
    recording.train(metrics(steps, total, gpu=gpu), **train)
    recording.log("loading the model\n100%|██████████| 9400/9400 [00:07<00:00]\nstep 1: loss 2.47\n")
    recording.live()
    return recording


def finished(home: Path, total: int = 400) -> Recording:
    """A run that ended well."""
    recording = healthy(home, total, total)
    recording.end(
        text=f"Trained {total} steps; the evaluation loss fell from 2.12 to 1.05.", output="output",
        metrics={"train_loss": 1.05, "eval_loss": 1.06},
    )
    for name in ("heartbeat", "lock"):
        (recording.folder / name).unlink()
    return recording


def out_of_memory(home: Path) -> Recording:
    """A run that failed in its first minute, with its remedy."""
    recording = Recording(home)
    recording.plan()
    recording.start()
    recording.end(
        "failed", "Out of memory on the longest batch: 25.1 GiB needed, 23.2 GiB free.",
        "Halve the micro-batch: ftui launch … --set train.micro_batch=1 (peak about 15.9 GiB).",
    )
    return recording


def resumed(home: Path, total: int = 400) -> Recording:
    """Two attempts: the first reached step 230 and died, the second began again at 200 and stands at 215."""
    recording = healthy(home, 230, total)
    recording.attempt = 2
    recording.start("training again from checkpoints/step-200")
    recording.train(metrics(215, total, seed=2, start=201), first=201)
    return recording


def preparing(home: Path) -> Recording:
    """A run that loads its model."""
    recording = Recording(home, began=time.time() - 20)
    recording.plan()
    recording.emit("status", state="preparing", text="loading the model Qwen/Qwen3-8B")
    recording.emit("progress", text="loading the weights", done=5.2 * GiB, total=15.3 * GiB, unit="byte")
    recording.flush()
    recording.log("=== attempt 1\nLoading the shards:  20%|██   | 1/5\rLoading the shards:  40%|████ | 2/5")
    recording.live()
    return recording


def on_cpu(home: Path) -> Recording:
    """A run on a machine without a GPU."""
    return healthy(home, 180, 300, gpu=False)


KINDS = {
    "preparing": preparing, "cpu": on_cpu, "running": healthy, "finished": finished, "failed": out_of_memory,
    "resumed": resumed,
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="running")
    parser.add_argument("--follow", action="store_true", help="of `running`: go on, a step every --seconds")
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    made = KINDS[options.kind](options.folder)
    print(made.folder, flush=True)
    if options.follow:
        ahead = metrics(made.total, made.total, start=261, seed=3)
        for step in range(261, made.total + 1):
            made.live()
            made.time = time.time()
            made.train([next(ahead)], first=step)
            time.sleep(options.seconds)
        made.end(text=f"Trained {made.total} steps.")
