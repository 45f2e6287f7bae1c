"""`Event` and `RunInfo`: what a run writes, line by line and once."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Literal

from pydantic import ConfigDict

from ftui.documents import Document

EventKind = Literal[
    "status", "metric", "evaluation", "sample", "checkpoint", "warning", "diagnosis", "recovery", "progress", "end"
]
JobKind = Literal[
    "train", "evaluate", "merge", "export", "compress", "trace", "generate", "download", "count", "demo",
    "measure", "calibrate", "constitute", "stages", "augment", "extend",
]
State = Literal[
    "queued", "preparing", "running", "paused", "finished", "stopped", "failed", "crashed", "unreachable"
]


class _Written(Document):
    """What lies on a disk, perhaps written by a newer ftui: keys that this one doesn't know are left out."""

    model_config = ConfigDict(extra="ignore")

MAIN_VALUES = ("accuracy", "f1", "reward", "win_rate", "rewards/margins", "rewards/accuracies", "margin", "kl")
"""Of the values that objectives measure those that say at a glance how it goes, the most telling ones first."""


class Event(_Written):
    """One line of events.jsonl.  `step` counts optimizer steps.  What `data` holds, by kind:

    status      state ("preparing" | "running" | "paused"), text, data (which data each source was, once that is known),
                trial (true before the step on the longest rows)
    progress    text, done, total, unit ("step" | "byte" | "row"); the newest one with unit "step" is the run's own bar
    metric      loss, learning_rate, grad_norm, epoch, tokens (seen so far), tokens_per_second, step_seconds,
                gpu_allocated_bytes (peak), gpu_reserved_bytes (peak), gpu_used_bytes (whole card), gpu_total_bytes,
                gpu_utilization (0..1), gpu_temperature_c, gpu_power_w, rss_bytes, values (name -> number: what the
                objective measures besides, such as rewards/margins)
    evaluation  eval_loss (not where only a reward tells), seconds, best (bool), reason ("schedule" | "asked" | "end"),
                values (as above), judged_by (the value that says what is best, where it is not the loss)
    sample      prompt, text, index, base (the untuned model's answer, on the first evaluation), task and images (files)
                where the prompt has such
    checkpoint  path (relative to the run folder), bytes, best (bool), reason
    warning     text, hint
    diagnosis   name, text, hint, evidence
    recovery    text, change (dotted path -> new value; empty where it only waits for others' memory), attempt, where
                ("step" | "evaluation" | "loading"), measured_bytes and expected_bytes (the peaks of the attempt that
                ran out: reached, and planned), needs_bytes (what it waits for)
    end         status ("finished" | "stopped" | "failed"), text, hint, metrics (train_loss, eval_loss, ...), output

    A float that is not finite is written as null: readers draw a gap.
    """

    v: int = 1
    seq: int
    attempt: int
    time: float
    kind: EventKind
    step: int | None = None
    data: dict[str, Any] = {}

    @property
    def measured(self) -> dict[str, Any]:
        """What `data` holds with the named values beside the rest; those of an evaluation are called eval_NAME."""
        values = self.data.get("values")
        if not isinstance(values, dict):
            return self.data
        prefix = "eval_" if self.kind == "evaluation" else ""
        return {**self.data, **{f"{prefix}{name}": value for name, value in values.items()}}

    @property
    def asked(self) -> str:
        """A sample's prompt for a person, with the task and the images that it was asked for."""
        said, images = str(self.data.get("prompt", "")), self.data.get("images")
        task = f"[{self.data['task']}] " if self.data.get("task") else ""
        names = ", ".join(PurePath(str(image)).name for image in images) if isinstance(images, list) else ""
        return f"{task}{said}" + (f" ({names})" if names else "")


class RunInfo(_Written):
    """run.json: written once when the run is created."""

    v: int = 1
    id: str
    kind: JobKind
    name: str
    created: float
    parent: str | None = None
    host: str
    versions: dict[str, str] = {}
    command: str
    """The command line that makes this run again."""
    seed: int | None = None
    preset: str | None = None
    args: dict[str, Any] = {}
    """For jobs that are not trainings: what they work on."""
