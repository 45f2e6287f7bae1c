"""`ftui data prepare` and `ftui data cache`: rows made ahead of a run, and the room that they take."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from ftui.cli.output import print_json

Recipe = Annotated[str | None, typer.Argument(metavar="[PRESET_OR_RECIPE]", help="A preset's name or a YAML file.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Base model: a hub id, a local folder, or demo.")]
Data = Annotated[list[str] | None, typer.Option("--data", "-d", help="A file or hub dataset; repeat it.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.SETTING=VALUE", help="Change one setting; repeat it.")
]
Clear = Annotated[bool, typer.Option("--clear", help="Remove all of them.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def prepare(
    recipe: Recipe = None, model: Model = None, data: Data = None, settings: Settings = None, json: Json = False
) -> None:
    """Turn a recipe's rows into tokens now, as its run would: the run finds them, and starts that much sooner."""
    from ftui.data import prepare as make
    from ftui.methods import OBJECTIVES
    from ftui.runs.command import ask
    from ftui.runs.launch import lay_out

    asked = ask(recipe, data=data or [], settings=settings or [], flags={"model.base": model})
    layout = lay_out(asked.recipe, asked_text=asked.text, preset=asked.preset)
    whole = layout.recipe
    seen = not json and sys.stderr.isatty()
    made = make(
        whole, layout.shape, seed=whole.train.seed, form=OBJECTIVES[whole.objective.kind].form, when=time.time(),
        on_progress=_count if seen else None,
    )
    if seen:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if json:
        print_json({
            "cached": made.cached, "train_rows": made.train_rows, "validation_rows": made.validation_rows,
            "sequences": len(made.train), "tokens": made.tokens, "trained_tokens": made.trained_tokens,
            "truncated": made.truncated, "dropped": made.dropped, "max_length": made.max_length,
            "packed": made.packed, "data": [version.as_dict() for version in made.versions],
        })
        return
    for line in _told(made):
        print(line)


def cache(clear: Clear = False, json: Json = False) -> None:
    """The prepared rows, and first rows of hub datasets, that are kept for further runs, and the disk they take."""
    from ftui.data import hub_head, prepared_cache
    from ftui.units import gib

    removed = prepared_cache.shrink(0) + hub_head.clear() if clear else 0
    entries, room = prepared_cache.entries(), prepared_cache.room()
    taken = sum(entry.bytes for entry in entries)
    if json:
        print_json({
            "folder": str(prepared_cache.folder()), "bytes": taken, "limit": room, "removed": removed,
            "first_rows_bytes": hub_head.taken(),
            "entries": [{"name": e.path.name, "bytes": e.bytes, "used": e.used} for e in entries],
        })
        return
    if clear:
        print(f"Removed {gib(removed, 2)}.")
        return
    folder = prepared_cache.folder()
    print(f"{len(entries)} prepared datasets take {gib(taken, 2)} of at most {gib(room, 0)} in {folder}.")
    for entry in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        print(f"  {entry.path.stem}  {gib(entry.bytes, 3):>10}  used {used}")
    if first := hub_head.taken():
        print(f"The first rows of hub datasets (--first) take {gib(first, 2)}.")
    if entries or first:
        print("Remove them: ftui data cache --clear. Another limit: FTUI_PREPARED_GIB.")


def _count(done: int, total: int | None) -> None:
    print(f"\r{done:,} rows prepared\x1b[K", end="", file=sys.stderr, flush=True)


def _told(made: Any) -> list[str]:
    """What was prepared, for a person."""
    from ftui.units import count, plain

    rows = f"{made.train_rows:,} rows to train on, {made.validation_rows:,} held out; {count(made.tokens)} tokens"
    lines = [
        ("Found as they were prepared earlier: " if made.cached else "Prepared: ") + rows
        + f" in {len(made.train):,} sequences of up to {made.max_length:,}."
    ]
    lines += [f"  data     {plain(str(version))}" for version in made.versions]
    lines += [f"  left out {rows:,}: {plain(reason)}" for reason, rows in made.dropped.items()]
    if made.truncated:
        lines.append(f"  cut      {made.truncated:,} rows at {made.max_length:,} tokens")
    return lines
