"""The `constitute` job: a model answers prompts, criticises its answers by a constitution and revises them.

Every prompt's way is a line of revisions.jsonl in the run's folder, added a whole batch at a time; a resume goes on at
the next prompt.  When it ends or is stopped, `sft.jsonl` (messages up to the last revision) and `pairs.jsonl` (prompt,
chosen: the last revision, rejected: the first answer) are written from those lines: what `sft` and `dpo` train on.

`args` of run.json: `model` (a base) or `run` (a finished training), `quantization`, `gpus`, `data`, `limit`,
`constitution` (its principles), `rounds`, `judge`, `seed`, `temperature`, `max_new_tokens`, `batch`, `out` (a folder,
None for the run's own output).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.canonical import Message, Row, RowError, text_of
from ftui.data.forms import question
from ftui.data.given import Given
from ftui.data.loading import load
from ftui.data.template import choose_template
from ftui.data.tokenizer import load_tokenizer as load_rules
from ftui.errors import BadInput, RunFailed
from ftui.files import write_atomic
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.recipe import assign
from ftui.recipe.constitution import Principle
from ftui.recipe.document import Recipe
from ftui.runs.folder import find
from ftui.worker import recovery
from ftui.worker.base import choose_device, device_of, folder_of, load_model, load_tokenizer, set_threads
from ftui.worker.context import JobContext

if TYPE_CHECKING:
    from ftui.worker.critique import Revised, Speaker

JOURNAL = "revisions.jsonl"
SFT, PAIRS = "sft.jsonl", "pairs.jsonl"


def run(context: JobContext) -> None:
    """Go through the prompts batch by batch, and write what came of it also where a stop comes in between."""
    args = context.info.args
    prompts, unusable = prompts_of(args["data"], args["limit"])
    if not prompts:
        raise BadInput(f"{args['data']} has no prompts.", "Look at it: ftui data show")
    batch, journal = int(args["batch"]), Journal(context.folder / JOURNAL)
    done = journal.read(prompts, batch)
    if len(done) < len(prompts):
        speaker = _speaker(context)
        if speaker is None:
            context.finish("Stopped before the base model was here; nothing was asked.")
            return
        context.emit("status", state="running", text="Answering, criticising and revising.")
        _go_on(context, speaker, prompts, done, journal)
    _end(context, done, len(prompts), unusable)


def prompts_of(path: str, limit: int | None) -> tuple[list[tuple[list[Message], int]], int]:
    """The turns up to where the assistant is to answer, each with its row's key; and how many rows have none.

    A plain text is a question.
    """
    prompts: list[tuple[list[Message], int]] = []
    unusable = 0
    for row in load(Given(path, limit=limit)).rows():
        try:
            if not isinstance(row, Row):
                raise RowError(row.reason)
            if row.kind in ("text", "class"):
                turns = [{"role": "user", "content": text_of(row)}]
            else:
                turns = question(row)[0]
            if not any(str(turn["content"]).strip() for turn in turns if turn["role"] == "user"):
                raise RowError("the prompt is empty")
        except RowError:
            unusable += 1
        else:
            prompts.append((turns, row.key))
    return prompts, unusable


class Journal:
    """revisions.jsonl: a line for each prompt that is done, in order, added a batch at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, prompts: Sequence[tuple[list[Message], int]], batch: int) -> list[dict[str, Any]]:
        """What an earlier attempt has done, in whole batches; a torn end is cut off.

        Raises BadInput where the prompts are no longer those that the run began with.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        if len(lines) < len(prompts):
            lines = lines[: len(lines) - len(lines) % batch]
        done = [json.loads(line) for line in lines]
        if len(done) > len(prompts) or any(
            entry["key"] != key for entry, (_, key) in zip(done, prompts, strict=False)
        ):
            raise BadInput("The prompts are no longer those that the run began with.",
                           "Put the file back as it was, or start a new run.")
        if (whole := sum(map(len, lines))) < len(content):
            with open(self._path, "r+b") as file:
                file.truncate(whole)
        return done

    def add(self, entries: Iterable[dict[str, Any]]) -> None:
        """Append these lines; they are on the disk when it returns."""
        with open(self._path, "ab") as file:
            file.write(b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries))
            file.flush()
            os.fsync(file.fileno())


def _go_on(
    context: JobContext, speaker: Speaker, prompts: Sequence[tuple[list[Message], int]], done: list[dict[str, Any]],
    journal: Journal,
) -> None:
    """Add to `done` and to the journal what is missing, until all is there or a stop is asked for."""
    from ftui.worker.critique import revise

    args = context.info.args
    principles = [Principle(**principle) for principle in args["constitution"]]
    context.progress("Revising", len(done), len(prompts), unit="row")
    while len(done) < len(prompts) and not context.stop_asked:
        first = len(done)
        part = prompts[first : first + int(args["batch"])]
        try:
            rows = revise(
                speaker, [turns for turns, _ in part], principles, rounds=int(args["rounds"]), seed=int(args["seed"]),
                first=first, judge=bool(args["judge"]),
            )
        except recovery.MAY_BE_MEMORY as error:
            if not recovery.is_out_of_memory(error):
                raise
            raise RunFailed(
                f"{len(part)} prompts at a time don't fit into memory.",
                "Start it anew with a smaller --batch or --max-new-tokens, or with --quantization nf4.",
            ) from None
        if rows is None:
            return
        entries = [_entry(row, key) for row, (_, key) in zip(rows, part, strict=True)]
        journal.add(entries)
        done += entries
        shown = next((row for row in rows if row.changed), None)
        if shown is not None:
            context.emit("sample", prompt=shown.question[-1]["content"], text=shown.answers[-1], index=first,
                         base=shown.answers[0])
        context.progress("Revising", len(done), len(prompts), unit="row")


def _entry(row: Revised, key: int) -> dict[str, Any]:
    return {"key": key, "prompt": row.question, "answers": row.answers, "critiques": row.critiques,
            "principles": row.principles, "problem": row.problem, "share": row.share}


def _end(context: JobContext, done: Sequence[dict[str, Any]], total: int, unusable: int) -> None:
    """Write the two files and say what is in them."""
    args = context.info.args
    good = [entry for entry in done if entry["problem"] is None]
    changed = [entry for entry in good if entry["answers"][-1] != entry["answers"][0]]
    better = [entry for entry in changed if not args["judge"] or (entry["share"] or 0) > 0.5]
    rows = [{"messages": [*entry["prompt"], _said(entry["answers"][-1])]} for entry in good]
    pairs = [{"prompt": entry["prompt"], "chosen": [_said(entry["answers"][-1])],
              "rejected": [_said(entry["answers"][0])]} for entry in better]  # fmt: skip
    out = Path(args["out"]) if args["out"] else context.output
    write_atomic(out / SFT, _lines(rows))
    write_atomic(out / PAIRS, _lines(pairs))
    if unusable:
        context.warn(f"{unusable:,} rows of {args['data']} hold no prompt and were left out.",
                     "Look at them: ftui data check")
    if problems := [entry["problem"] for entry in done if entry["problem"] is not None]:
        most = max(set(problems), key=problems.count)
        context.warn(f"{len(problems):,} prompts gave no row; the usual reason: {most}.",
                     "Raise --max-new-tokens, or take a model that follows instructions.")
    ended = "Revised" if len(done) == total else f"Stopped after {len(done):,} of {total:,} prompts; revised"
    unlike = f"{len(changed) - len(better):,} pairs without improvement and " if args["judge"] else ""
    context.finish(
        f"{ended} {len(good):,} answers; {len(pairs):,} make a pair ({unlike}{len(good) - len(changed):,} unchanged "
        "answers were left out).",
        metrics={"prompts": len(done), "rows": len(rows), "pairs": len(pairs), "left_out": len(problems)}, output=out,
        status="finished" if len(done) == total else None,
    )


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _speaker(context: JobContext) -> Speaker | None:
    """The model that is asked, loaded; None where a stop came before it was here."""
    args = context.info.args
    trained = find(args["run"]) if args["run"] else None
    recipe = trained.recipe() if trained else assign(
        Recipe(), {"model.base": args["model"], "model.quantization": args["quantization"]})
    if recipe is None or (trained and not trained.output.is_dir()):
        raise BadInput(f"The run {args['run']} has no result to ask.", f"See its state: ftui runs show {args['run']}")
    if OBJECTIVES[recipe.objective.kind].head == "scores":
        raise BadInput(f"The model of the run {args['run']} gives scores, and writes no answers.",
                       "Name a model that answers.")
    if args["gpus"] == 0:
        recipe = assign(recipe, {"compute.gpus": 0})
    choose_device(recipe)
    folder = folder_of(context, recipe.model.base, recipe.model.revision)
    if folder is None:
        return None
    from ftui.worker.answers import stops
    from ftui.worker.critique import Speaker

    context.progress("Loading the model", 0, None, unit="row")
    result = trained.output if trained else None
    rules = load_rules(result or folder)
    template = choose_template("auto", rules)
    for note in template.notes:
        context.warn(note)
    model = _loaded(recipe, folder, result)
    set_threads(recipe, model.num_parameters())
    return Speaker(
        model, load_tokenizer(result or folder, None), template, stops(rules, template), int(args["max_new_tokens"]),
        float(args["temperature"]), getattr(model.config.get_text_config(), "max_position_embeddings", None),
        lambda: context.stop_asked,
    )


def _loaded(recipe: Recipe, folder: Path, result: Path | None) -> Any:
    """The base in `folder`, with the adapter in `result` or in its place the whole model there."""
    from ftui.worker.precision import choose

    device, bf16 = device_of(recipe)
    precision = choose(recipe, cuda=device == "cuda", bf16=bf16)
    if result is not None and ADAPTERS[recipe.adapter.kind].saved == "model":
        return load_model(recipe, result, precision, device)
    model: Any = load_model(recipe, folder, precision, device)
    if result is None:
        return model
    from ftui.worker.adapters.results import with_adapter

    return with_adapter(model, result)
