"""`ftui models`: search the hub and the catalogue, show what a model is, download it, count an unknown one."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from ftui.cli.models_extend import extend
from ftui.cli.output import print_json
from ftui.units import count, gib, kib, plain

if TYPE_CHECKING:
    from ftui.models import ModelShape
    from ftui.models.known import Entry
    from ftui.runs.folder import Run

app = typer.Typer(no_args_is_help=True)
app.command()(extend)

REF = typer.Argument(..., metavar="MODEL", help="A hub id, a folder, a config.json, a catalogue name, or demo.")
REVISION = typer.Option(None, "--revision", help="A branch, tag or commit on the hub.")
JSON = typer.Option(False, "--json", help="Print one JSON document.")
WAIT = typer.Option(False, "--wait", help="Show the progress and return when it has ended.")


@app.command()
def search(
    text: str = typer.Argument(..., help="A part of the model's name."),
    limit: int = typer.Option(20, "--limit", help="How many to show."),
    as_json: bool = JSON,
) -> None:
    """Find models on the hub, most downloaded first; offline, in the catalogue."""
    from ftui.models import search as ask

    found = ask(text, limit)
    if as_json:
        print_json([each.as_dict() for each in found])
        return
    if found and (reason := found[0].reason):
        print(f"ftui: From the catalogue: {plain(reason)}", file=sys.stderr)
    if not found:
        print(f"Nothing found for {text!r}. The models that ftui knows: ftui models list")
        return
    rows = [
        (plain(each.id), count(each.parameters), "" if each.downloads is None else count(each.downloads),
         plain(each.licence or "?"), "yes" if each.gated else "")
        for each in found
    ]
    _table(("model", "parameters", "downloads", "licence", "gated"), rows, right=(1, 2))


@app.command("list")
def list_(
    goal: str = typer.Option(None, "--for", metavar="TASK", help="Such as chat, instruct, classify, domain, code."),
    as_json: bool = JSON,
) -> None:
    """The well-known base models that ftui ships the exact shapes of, smallest first."""
    from ftui.errors import BadInput
    from ftui.models import catalogue

    goals = sorted({each for entry in catalogue() for each in entry.goals})
    if goal is not None and goal not in goals:
        raise BadInput(f"There is no goal {goal!r}.", f"One of: {', '.join(goals)}.")
    entries = [entry for entry in catalogue() if goal is None or goal in entry.goals]
    if as_json:
        print_json([_entry(entry) for entry in entries])
        return
    for entry in entries:
        shape = entry.shape
        gate = ", gated" if entry.gated else ""
        print(f"{entry.id:<38} {count(shape.parameters):>7} {shape.context_length:>8,} tokens  {entry.licence}{gate}")
        print(f"    {entry.good_at}")


@app.command()
def show(ref: str = REF, revision: str = REVISION, as_json: bool = JSON) -> None:
    """What a model is, exactly: shape, size, context, template, licence; without its weights."""
    from ftui.models import describe, locate

    shape = describe(ref, revision)
    folder = locate(ref, revision)
    if as_json:
        print_json({**shape.as_dict(), "on_disk": str(folder) if folder else None, "bytes": _sizes(shape)})
        return
    _print(shape, str(folder) if folder else None)


@app.command()
def download(ref: str = REF, revision: str = REVISION, wait: bool = WAIT, as_json: bool = JSON) -> None:
    """Bring a model onto this disk, in the background; a broken or stopped download goes on where it was."""
    from ftui.models import describe, known

    shape = describe(ref, revision)
    entry = known.find(ref)
    named = entry.id if entry and shape.source in ("hub", "catalogue") else ref
    kind: Any = "demo" if ref == "demo" else "download"
    _run(kind, named, revision, f"download {shape.name}", "download", wait=wait, as_json=as_json)


@app.command()
def code(
    ref: str = REF,
    revision: str = REVISION,
    read: str = typer.Option(None, "--read", metavar="FILE", help="Print this file of it."),
    trust: str = typer.Option(None, "--trust", metavar="HASH", help="Agree that exactly this code may run as you."),
    forget: bool = typer.Option(False, "--forget", help="Take back every consent to code of this model."),
    as_json: bool = JSON,
) -> None:
    """The Python code that a model brings along: its files, its hash, and whether you agreed that it may run."""
    from ftui.errors import BadInput
    from ftui.models import own_code, trusted

    if forget:
        taken = trusted.distrust(ref)
        print_json({"taken_back": taken}) if as_json else print(f"Taken back: {taken}.")
        return
    found = trusted.agree(ref, revision, trust) if trust else own_code.look(ref, revision)
    if found is None:
        print_json(None) if as_json else print(f"{ref} needs no code of its own: transformers has its class.")
        return
    if read is not None:
        if read not in found.files:
            raise BadInput(f"{ref} has no file {read}.", f"It has {', '.join(found.files)}.")
        print(plain(found.files[read].decode("utf-8", "backslashreplace")))
        return
    agreed = trusted.trusted(found.ref, found.hash)
    sizes = {name: len(content) for name, content in found.files.items()}
    if as_json:
        print_json({"model": found.ref, "author": found.author, "hash": found.hash, "classes": found.classes,
                    "files": sizes, "trusted": agreed})
        return
    print(f"{plain(found.ref)} by {plain(found.author)}, {found.hash}")
    for name, size in sizes.items():
        print(f"  {plain(name):<40} {kib(size):>10}")
    print("It runs as you, and can read your files and tokens. "
          + ("You have agreed that it may." if agreed else "You have not agreed to it."))
    print(f"  read    ftui models code {shlex.quote(ref)} --read {shlex.quote(next(iter(found.files)))}")
    if not agreed:
        print(f"  agree   ftui models code {shlex.quote(ref)} --trust {found.hash}")


@app.command("count")
def count_(ref: str = REF, revision: str = REVISION, wait: bool = WAIT, as_json: bool = JSON) -> None:
    """Count a model of a family that ftui doesn't know, by building its class without weights."""
    from ftui.models import describe

    shape = describe(ref, revision)
    _run("count", ref, revision, f"count {shape.name}", "count", wait=wait, as_json=as_json)


def _run(kind: Any, ref: str, revision: str | None, name: str, verb: str, *, wait: bool, as_json: bool) -> None:
    from ftui.cli.waiting import stand_by, summary
    from ftui.runs.control import start_job

    line = f"ftui models {verb} {shlex.quote(ref)}" + (f" --revision {shlex.quote(revision)}" if revision else "")
    run: Run = start_job(kind, {"ref": ref, "revision": revision}, name, command=line)
    if wait:
        sys.exit(stand_by(run, as_json=as_json))
    if as_json:
        print_json(summary(run))
        return
    print(f"Started {run.id} in the background.")
    print(f"  watch   ftui watch {run.id}")
    print(f"  stop    ftui runs stop {run.id}")


def _entry(entry: Entry) -> dict[str, Any]:
    shape = entry.shape
    return {
        **entry.model_dump(mode="json", exclude={"shape"}), "source": entry.source, "model_type": shape.model_type,
        "parameters": shape.parameters, "layers": shape.layers, "hidden": shape.hidden, "vocab": shape.vocab,
        "context_length": shape.context_length, "bytes": _sizes(shape),
    }


def _sizes(shape: ModelShape) -> dict[str, int]:
    """Bytes of all weights with the layers' linear modules in 16, 8 and 4 bits; the others stay in 16, as they do in
    bitsandbytes, and what a quantizer adds is left out.
    """
    linear = sum(row.count * row.inputs * row.outputs for row in shape.linears)
    others = 2 * (shape.parameters - linear)
    return {"16": others + 2 * linear, "8": others + linear, "4": others + linear // 2}


def _print(shape: ModelShape, folder: str | None) -> None:
    kind = {"local": "a folder", "hub": "on the hub", "catalogue": "from the catalogue", "config": "a bare config"}
    print(f"{plain(shape.ref)}  {kind[shape.source]}")
    for title, words in _facts(shape, folder):
        print(f"  {title:<11} {words}")
    print()
    _table(("linear module", "in", "out", "per layer", "in all", "parameters"), [
        (row.name + (" (packed)" if row.packed else ""), f"{row.inputs:,}", f"{row.outputs:,}", f"{row.per_layer:,}",
         f"{row.count:,}", count(row.count * row.inputs * row.outputs))
        for row in shape.linears
    ], right=(1, 2, 3, 4, 5))
    if shape.inexact_reason:
        print(f"  {plain(shape.inexact_reason)} {shlex.quote(plain(shape.ref))}")
    for note in shape.notes:
        print(f"  {plain(note)}")


def _facts(shape: ModelShape, folder: str | None) -> list[tuple[str, str]]:
    sizes = _sizes(shape)
    heads = f"{shape.heads} heads" + (f" ({shape.kv_heads} key-value)" if shape.kv_heads != shape.heads else "")
    experts = f", {shape.experts} experts ({shape.experts_per_token} per token)" if shape.experts else ""
    template = "yes" if shape.chat_template else "none" if shape.chat_template_known else "not known yet"
    gated = {True: "yes: its licence must be accepted on the hub", False: "no", None: None}[shape.gated]
    stored = shape.quantization or shape.dtype
    weights = f"{stored}, {gib(shape.weight_bytes)} of files" if shape.weight_bytes else stored
    tied = "shared with the head" if shape.tied_embeddings else "head of its own"
    rows = [
        ("what", f"{plain(shape.architecture)} ({plain(shape.model_type)})"),
        ("parameters", f"{shape.parameters:,} ({count(shape.parameters)})"
                       + ("" if shape.exact else ", not exact")),
        ("shape", f"{shape.layers} layers, hidden {shape.hidden:,}, {heads} of {shape.head_dim}, "
                  f"feed-forward {shape.expert_intermediate or shape.intermediate:,}{experts}"),
        ("vocabulary", f"{shape.vocab:,}, {count(shape.embedding_parameters)} parameters, {tied}"),
        ("context", f"{shape.context_length:,} tokens"),
        ("stored as", weights),
        ("size", f"{gib(sizes['16'])} at 16 bit, {gib(sizes['8'])} with its layers at 8, {gib(sizes['4'])} at 4"),
        ("template", template), ("licence", plain(shape.licence or "not stated")),
    ]
    if gated:
        rows.append(("gated", gated))
    if shape.remote_code:
        rows.append(("own code", f"yes: it needs your consent; to read it: ftui models code {shlex.quote(shape.ref)}"))
    if folder:
        rows.append(("on disk", plain(folder)))
    elif shape.source in ("hub", "catalogue"):
        rows.append(("on disk", f"no; to fetch it: ftui models download {shlex.quote(shape.ref)}"))
    elif shape.source == "local" and shape.ref != "demo":
        rows.append(("on disk", "not whole: the weights or the tokenizer are missing"))
    return rows


def _table(titles: tuple[str, ...], rows: Sequence[Sequence[str]], right: tuple[int, ...] = ()) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number in right else "left", overflow="fold",
                         no_wrap=number in right)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)
