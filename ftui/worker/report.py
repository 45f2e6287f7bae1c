"""report.md: what was done, the curves as numbers, and how to use the result."""

from __future__ import annotations

import getpass
import json
import shlex
import socket
from array import array
from collections.abc import Iterable
from typing import Any

from ftui.data import Prepared
from ftui.files import write_atomic
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.planner.document import Plan
from ftui.recipe import write as recipe_text
from ftui.recipe.document import Recipe
from ftui.runs.document import MAIN_VALUES, Event
from ftui.runs.folder import Run, versions
from ftui.runs.follow import Curves, each
from ftui.units import clock, count, gib, plain
from ftui.worker.class_scores import CLASSES

CURVE_ROWS = 20


def write(
    run: Run, recipe: Recipe, prepared: Prepared, metrics: dict[str, Any], *, ending: str, base: str, device: str,
    saved_step: int,
) -> None:
    """Write report.md into the run's folder; `base` is what the result calls its base model."""
    curves, steps, events = Curves(), array("d"), []
    for event in each(run):
        curves.add(event)
        if event.kind == "metric":
            steps.append(event.data.get("step_seconds") or 0.0)
        elif event.kind != "progress":
            events.append(event)
    plan = run.plan()
    parts = [
        f"# {recipe.name}\n\n{ending}\n",
        _what(run, recipe, prepared, base),
        _numbers(recipe, metrics, plan, device, steps),
        _curves(curves, saved_step),
        _classes(run),
        _samples(events),
        _settings(recipe, plan),
        _remarks(events),
        _use(run, recipe, prepared, base),
    ]
    write_atomic(run.report, "\n".join(part for part in parts if part))


def _what(run: Run, recipe: Recipe, prepared: Prepared, base: str) -> str:
    how = ADAPTERS[recipe.adapter.kind].title
    if recipe.adapter.kind != "none" and recipe.model.quantization not in ("none", "auto"):
        how += f" on a base in {recipe.model.quantization}"
    objective = OBJECTIVES[recipe.objective.kind]
    share = f", {prepared.trained_tokens / max(prepared.tokens, 1):.0%} of them in the loss"
    what = "prompts to answer" if prepared.form == "prompt" else "rows to train on"
    lines = [
        "## What was done\n",
        f"- Base model: `{base}`" + (f" at {recipe.model.revision}" if recipe.model.revision else ""),
        f"- Method: {objective.inline}, {how}",
        *(f"- Source: {plain(str(version))}" for version in prepared.versions),
        f"- Data: {', '.join(f'`{source.path}`' for source in recipe.data.sources)}: {prepared.train_rows:,} {what} "
        f"({count(prepared.tokens)} tokens{'' if prepared.form in ('prompt', 'class') else share}), "
        f"{prepared.validation_rows:,} held out",
        f"- {_written(prepared)}; rows of up to {prepared.max_length:,} tokens"
        + (", packed" if prepared.packed else ""),
    ]
    if rewards := getattr(recipe.objective, "rewards", ()):
        lines.insert(3, f"- Rewards: {', '.join(f'`{reward}`' for reward in rewards)}")
    if prepared.dropped:
        lines.append("- Left out: " + ", ".join(f"{rows:,} {reason}" for reason, rows in prepared.dropped.items()))
    lines.append(f"- Again: `{run.info.command}` (seed {recipe.train.seed})")
    return "\n".join(lines) + "\n"


def _written(prepared: Prepared) -> str:
    """How rows became tokens: by a chat template, or as they stand."""
    if prepared.form != "class":
        return f"Chat template: {prepared.template.name}"
    return f"{len(prepared.labels)} labels{', several for a text' if prepared.multi_label else ''}; texts as they stand"


def _numbers(
    recipe: Recipe, metrics: dict[str, Any], plan: Plan | None, device: str, steps: Iterable[float]
) -> str:
    """What the plan said beside what was; `steps` are the seconds of each logged step, 0 where they are not known."""
    rows = [("", "expected", "measured")]
    memory = "peak memory of the card" if device == "cuda" else "peak memory of the process"
    seconds = sorted(filter(None, steps))
    median = seconds[len(seconds) // 2] if seconds else None
    option = plan.recommendation if plan else None
    rows.append((memory, gib(option.memory.process_bytes, 2) if option else "–", gib(metrics["peak_bytes"], 2)))
    rows.append(("whole training", clock(option.time.total_seconds) if option else "–", clock(metrics["seconds"])))
    rows.append(
        ("one step", f"{option.time.step_seconds:.2f} s" if option else "–", f"{median:.2f} s" if median else "–")
    )
    head, *body = rows
    table = [f"| {' | '.join(head)} |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in body)]
    losses = [
        f"- {name}: {metrics[key]:.4f}"
        for key, name in (("train_loss", "Training loss, mean of all steps"), ("eval_loss", "Validation loss, best"))
        if metrics.get(key) is not None
    ]
    # Not above: it loads transformers, and the device is chosen before.
    from ftui.worker.session import judged_by

    judged = judged_by(recipe)
    if (value := metrics.get(judged)) is not None:
        losses.append(f"- {judged} of the held-out rows, best: {value:.4f}")
    return "## Expected and measured\n\n" + "\n".join([*table, "", *losses]) + "\n"


def _curves(curves: Curves, saved_step: int) -> str:
    lines = []
    if "loss" in curves:
        points = list(curves["loss"])
        stride = max(1, -(-len(points) // CURVE_ROWS))
        shown = [points[index] for index in range(0, len(points), stride)]
        if points and shown[-1] != points[-1]:
            shown.append(points[-1])
        lines += ["| step | training loss |", "|---:|---:|", *(f"| {step} | {loss:.4f} |" for step, loss in shown), ""]
    lines += _evaluations(curves, saved_step)
    return "## Curves\n\n" + "\n".join(lines).rstrip() + "\n" if lines else ""


def _evaluations(curves: Curves, saved_step: int) -> list[str]:
    """A table of what was measured on held-out rows: the loss, and the values that tell most of the objective."""
    names = [name for name in ("eval_loss", *(f"eval_{value}" for value in MAIN_VALUES)) if name in curves]
    if not names:
        return []
    found = {name: dict(curves[name]) for name in names}
    titles = ["validation loss" if name == "eval_loss" else name.removeprefix("eval_") for name in names]
    rows = [f"| step | {' | '.join(titles)} |", "|---:|" + "---:|" * len(names)]
    for step in sorted(set().union(*found.values())):
        shown = " | ".join(f"{found[name][step]:.4f}" if step in found[name] else "" for name in names)
        rows.append(f"| {step} | {shown}{' ← saved' if step == saved_step else ''} |")
    return rows


def _classes(run: Run) -> str:
    """Of a classifier: for each label how many held-out rows have it, get it, and get it rightly."""
    file = run.output / CLASSES
    if not file.exists():
        return ""
    lines = ["| label | rows | given | right | F1 |", "|---|---:|---:|---:|---:|"]
    for row in json.loads(file.read_text(encoding="utf-8")):
        f1 = "" if row["f1"] is None else f"{row['f1']:.2f}"
        lines.append(f"| {_quoted(row['label'])} | {row['rows']} | {row['given']} | {row['right']} | {f1} |")
    return "## Held-out rows by label\n\n" + "\n".join(lines) + "\n"


def _samples(events: list[Event]) -> str:
    samples = [event for event in events if event.kind == "sample"]
    if not samples:
        return ""
    base = {event.data["index"]: event.data["base"] for event in samples if event.data.get("base") is not None}
    newest = {event.data["index"]: event for event in samples}
    lines = ["## Answers before and after\n"]
    for index, event in sorted(newest.items()):
        lines += [f"**{_quoted(event.asked)}**\n"]
        if index in base:
            lines += [f"- before: {_quoted(base[index])}"]
        lines += [f"- after: {_quoted(event.data['text'])}\n"]
    return "\n".join(lines)


def _settings(recipe: Recipe, plan: Plan | None) -> str:
    reasons = [
        f"| {choice.path} | {choice.text} | {choice.reason} |" for choice in (plan.choices if plan else ())
    ]
    table = "\n".join(["| setting | value | why |", "|---|---|---|", *reasons]) + "\n\n" if reasons else ""
    return f"## Settings\n\n{table}The whole recipe:\n\n```yaml\n{recipe_text(recipe)}```\n"


def _remarks(events: list[Event]) -> str:
    lines = [
        f"- {'step ' + str(event.step) + ': ' if event.step is not None else ''}{event.data.get('text', '')}"
        + (f" {event.data['hint']}" if event.data.get("hint") else "")
        for event in events
        if event.kind in ("warning", "diagnosis", "recovery")
    ]
    return "## What happened on the way\n\n" + "\n".join(lines) + "\n" if lines else ""


def _use(run: Run, recipe: Recipe, prepared: Prepared, base: str) -> str:
    from ftui.worker.usage import snippet

    folder, row = str(run.output), ADAPTERS[recipe.adapter.kind]
    besides = ", but for the kind of adapter that it gives peft" if row.tuners else ""
    where = shlex.quote(f"{getpass.getuser()}@{socket.gethostname()}:{folder}/")
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    code = snippet(
        folder, base, recipe, prepared.labels, multi=prepared.multi_label, pictured=prepared.pictured,
        tasks=prepared.tasks,
    )
    words = OBJECTIVES[recipe.objective.kind].head == "words"
    return (
        "## Use it\n\n"
        + (f"Side by side with the base model: `ftui try {run.id}`\n\n" if words else "")
        + f"In Python, without ftui{besides}:\n\n```python\n{code}```\n\n"
        "Copy the result away (from the other machine; put in the name by which you reach this one):\n\n"
        f"```\nrsync -av {where} {recipe.name}/\n```\n\n{used}\n"
    )


def _quoted(text: str) -> str:
    """A model's words on one line of Markdown, without anything that it would take for markup."""
    flat = " ".join(text.split())
    for mark in ("\\", "`", "*", "_", "<", "|", "["):
        flat = flat.replace(mark, f"\\{mark}")
    return flat or "(nothing)"
