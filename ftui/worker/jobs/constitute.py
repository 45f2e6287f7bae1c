"""The `constitute` job: a model answers prompts, criticises its answers by a constitution and revises them.

Every prompt's way is a line of revisions.jsonl in the run's folder, added a whole batch at a time; a resume goes on at
the next prompt.  When it ends or is stopped, `sft.jsonl` (messages up to the last revision) and `pairs.jsonl` (prompt,
chosen: the last revision, rejected: the first answer) are written from those lines: what `sft` and `dpo` train on.

`args` of run.json: `model` (a base) or `run` (a finished training), `quantization`, `gpus`, `data`, `limit`,
`constitution` (its principles), `rounds`, `judge`, `seed`, `temperature`, `max_new_tokens`, `batch`, `out` (a folder,
None for the run's own output).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.canonical import Message
from ftui.data.seeds import prompts_of
from ftui.errors import BadInput, RunFailed
from ftui.files import json_lines, write_atomic
from ftui.recipe.constitution import Principle
from ftui.worker import recovery
from ftui.worker.context import JobContext
from ftui.worker.journal import Journal
from ftui.worker.loading import speaker_of

if TYPE_CHECKING:
    from ftui.worker.critique import Revised
    from ftui.worker.speaker import Speaker

JOURNAL = "revisions.jsonl"
SFT, PAIRS = "sft.jsonl", "pairs.jsonl"


def run(context: JobContext) -> None:
    """Go through the prompts batch by batch, and write what came of it also where a stop comes in between."""
    args = context.info.args
    found, unusable = prompts_of(args["data"], args["limit"])
    prompts = [(one.turns, one.key) for one in found]
    if not prompts:
        raise BadInput(f"{args['data']} has no prompts.", "Look at it: ftui data show")
    batch, journal = int(args["batch"]), Journal(context.folder / JOURNAL)
    done = journal.read([key for _, key in prompts], batch)
    if len(done) < len(prompts):
        speaker = speaker_of(context)
        if speaker is None:
            context.finish("Stopped before the base model was here; nothing was asked.")
            return
        context.emit("status", state="running", text="Answering, criticising and revising.")
        _go_on(context, speaker, prompts, done, journal)
    _end(context, done, len(prompts), unusable)


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
    write_atomic(out / SFT, json_lines(rows))
    write_atomic(out / PAIRS, json_lines(pairs))
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


def _said(text: str) -> Message:
    return {"role": "assistant", "content": text}
