"""`ftui data`: look at a dataset and check it before anything is trained on it."""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftui.cli import data_cache
from ftui.cli.data_augment import augment
from ftui.cli.data_rate import agree, rate
from ftui.cli.output import print_json
from ftui.errors import BadInput

if TYPE_CHECKING:
    from ftui.data import Given
    from ftui.models.document import ModelShape

app = typer.Typer(no_args_is_help=True)
app.command()(rate)
app.command()(agree)
app.command()(augment)


class LossOn(enum.StrEnum):
    """Which tokens are trained."""

    assistant = "assistant"
    completion = "completion"
    all = "all"


Paths = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders, quoted patterns, hub datasets (owner/name[:config]), functions (rows.py:load), or 'demo'."
    ),
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Count with this model's tokenizer and template.")]
Format = Annotated[str, typer.Option("--format", "-f", help="Read as this format instead of the detected one.")]
Map = Annotated[list[str] | None, typer.Option("--map", help="PART=COLUMN, such as prompt=question; repeat it.")]
Split = Annotated[str | None, typer.Option("--split", help="The split of a hub dataset (default: train).")]
Revision = Annotated[str | None, typer.Option("--revision", help="The revision of a hub dataset.")]
First = Annotated[
    int | None, typer.Option("--first", min=1, help="Only the first rows; of a hub dataset, no more is downloaded.")
]
Template = Annotated[str, typer.Option("--template", help="auto, model, a name such as chatml, or a Jinja file.")]
Loss = Annotated[LossOn, typer.Option("--loss-on", help="Which tokens are trained.")]
Row = Annotated[int | None, typer.Option("--row", min=1, help="Show this row, rendered, with what is trained.")]
MaxLength = Annotated[int | None, typer.Option("--max-length", min=1, help="The sequence length rows are cut at.")]
Deep = Annotated[bool, typer.Option("--deep", help="Look for near copies, personal data and secrets as well.")]
Against = Annotated[
    list[str] | None, typer.Option("--against", help="A test file whose rows may not stand here; repeat it.")
]
AgainstMap = Annotated[
    list[str] | None, typer.Option("--against-map", help="PART=COLUMN of the test files, such as prompt=question.")
]
Rank = Annotated[int | None, typer.Option("--rank", min=1, help="The adapter's rank: tell whether rows are too few.")]
Repaired = Annotated[
    list[str] | None,
    typer.Option("--repair", help="Name of a finding or a repair, or 'all': print its data.prepare entry; repeat it."),
]
Write = Annotated[str | None, typer.Option("--write", help="Add the chosen repairs to this recipe, or make one.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def show(
    paths: Paths,
    model: Model = None,
    format: Format = "auto",
    map: Map = None,
    row: Row = None,
    max_length: MaxLength = None,
    template: Template = "auto",
    loss_on: Loss = LossOn.assistant,
    split: Split = None,
    revision: Revision = None,
    first: First = None,
    json: Json = False,
) -> None:
    """What the files hold: format, rows, lengths, bad rows; with --row one row as the model will see it."""
    from ftui.cli.data_tables import print_preview, print_profile
    from ftui.data import preview, profile

    sources = _sources(paths, format, map, split, revision, first)
    shape = _shape(model)
    if row is not None:
        if len(sources) > 1:
            raise BadInput("--row shows a row of one source, but several are named.", "Name one.")
        shown = preview(sources[0], row, shape, template, loss_on.value, max_length)
        if json:
            print_json(shown)
        else:
            print_preview(shown)
        return
    found = profile(sources, shape, template=template, loss_on=loss_on.value, on_progress=_progress(json))
    if json:
        print_json(found)
    else:
        print_profile(found, max_length)


@app.command()
def check(
    paths: Paths,
    model: Model = None,
    format: Format = "auto",
    map: Map = None,
    max_length: MaxLength = None,
    template: Template = "auto",
    loss_on: Loss = LossOn.assistant,
    split: Split = None,
    revision: Revision = None,
    first: First = None,
    deep: Deep = False,
    against: Against = None,
    against_map: AgainstMap = None,
    rank: Rank = None,
    repair: Repaired = None,
    write: Write = None,
    json: Json = False,
) -> None:
    """What would harm a training, each with its lines, the reason and the repair.

    Copies, contradictions, empty and over-long rows, refusals, template tokens, control characters, mojibake, HTML;
    with --deep also near copies, personal data and secrets; with --against rows that stand in a benchmark.
    """
    from ftui.cli.data_repairs import chosen_repairs, print_repairs, write_repairs
    from ftui.cli.data_tables import print_findings
    from ftui.data import check_apart

    if write is not None and not repair:
        raise BadInput("--write writes the repairs that are chosen, and none is.", "Add --repair all, or a name.")
    sources = _sources(paths, format, map, split, revision, first)
    found = check_apart(
        sources, _shape(model), template=template, loss_on=loss_on.value, max_length=max_length, rank=rank, deep=deep,
        against=against or (), against_columns=_columns(against_map, "--against-map"), on_progress=_progress(json),
    )  # fmt: skip
    repairs = chosen_repairs(found, repair or [])
    if write is not None:
        write_repairs(write, repairs, sources)
    if json:
        print_json(found)
        return
    print_findings(found)
    if write is None and repairs:
        print_repairs(repairs)


app.command("prepare")(data_cache.prepare)
app.command("cache")(data_cache.cache)


def _sources(
    paths: list[str], format: str, mapped: list[str] | None, split: str | None, revision: str | None, first: int | None
) -> list[Given]:
    from ftui.data import Given

    columns = _columns(mapped, "--map")
    return [
        Given(path, format=format, columns=columns, split=split, revision=revision, limit=first,
              streaming=first is not None)
        for path in paths
    ]  # fmt: skip


def _columns(mapped: list[str] | None, option: str) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in mapped or []:
        part, equals, column = pair.partition("=")
        if not (part and equals and column):
            raise BadInput(f"{option} {pair} is no PART=COLUMN.", f"Write it as in: {option} prompt=question")
        columns[part] = column
    return columns


def _shape(model: str | None) -> ModelShape | None:
    if model is None:
        return None
    from ftui.models import describe

    return describe(model)


def _progress(json: bool) -> Any:
    """Counts on one line of stderr, for a person at a terminal only."""
    if json or not sys.stderr.isatty():
        return None

    def report(done: int, total: int | None, what: str = "") -> None:
        text = f"{done:,} of {total:,} rows {what or 'counted'}" if total else f"{done:,} rows read"
        about = "about " if what == "read" and total else ""
        over = total == done and what != "read"
        print("\r\x1b[K" if over else f"\r{about}{text}\x1b[K", end="", file=sys.stderr, flush=True)

    return report
