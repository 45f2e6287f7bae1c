"""`ftui data augment`: more rows from those that are there, by phrasings or by a model as a run in the background."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from ftui.errors import BadInput, Refused


class How(enum.StrEnum):
    """Where new rows come from."""

    template = "template"
    paraphrase = "paraphrase"
    self_instruct = "self-instruct"
    answers = "answers"


File = Annotated[str, typer.Argument(metavar="FILE", help="Rows in any of ftui's formats, or a hub dataset.")]
HowOption = Annotated[How, typer.Option("--how", help="template, or by a model: paraphrase, self-instruct, answers.")]
Out = Annotated[str, typer.Option("--out", "-o", metavar="FILE.jsonl", help="Where the new rows are written.")]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="BASE_OR_RUN",
                 help="Who is asked: a hub id, a local folder, demo, or a finished run."),
]  # fmt: skip
Rows = Annotated[int | None, typer.Option("--rows", "-n", min=1, help="How many (default: as many as the file has).")]
Phrasings = Annotated[
    str | None, typer.Option("--phrasings", metavar="FILE.txt", help="One a line, such as: Please {text}"),
]
Shown = Annotated[int, typer.Option("--shown", min=1, max=64, help="How many rows self-instruct shows at a time.")]
Seed = Annotated[int, typer.Option("--seed", help="What is drawn depends on it alone.")]
Batch = Annotated[int, typer.Option("--batch", min=1, max=1024, help="How many are asked for at a time.")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, max=8192, help="Longest answer, in tokens.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, max=4.0,
                                            help="How freely the model words things; 0: always the likeliest word.")]
Quantization = Annotated[str, typer.Option("--quantization", help="Load a base in nf4, fp4 or int8 to save memory.")]
Cpu = Annotated[bool, typer.Option("--cpu", help="Use the processor though there is a GPU.")]
Wait = Annotated[bool, typer.Option("--wait", help="Show the progress and return when the run has ended.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def augment(
    file: File, how: HowOption, out: Out, model: Model = None, rows: Rows = None, phrasings: Phrasings = None,
    shown: Shown = 4, seed: Seed = 17, batch: Batch = 8, max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.7, quantization: Quantization = "none", cpu: Cpu = False, wait: Wait = False,
    json: Json = False,
) -> None:
    """Make more rows: questions in other words, new ones like them, or two answers each to be rated.

    Phrasings are filled in at once; a model is asked by a run in the background, which can be stopped and resumed.
    """
    from ftui.cli.asking import absolute, line_of, started, who_answers
    from ftui.data.given import Given
    from ftui.data.loading import load
    from ftui.runs.control import start_job

    target = _target(out)
    if how is How.template:
        if model is not None:
            raise BadInput("--how template asks no model.", "Leave --model out, or take --how paraphrase.")
        _fill_in(file, target, phrasings, rows, seed, json)
        return
    if phrasings is not None:
        raise BadInput("--phrasings is for --how template.", "Leave it out.")
    if model is None:
        raise BadInput(f"--how {how} asks a model, and none is named.", "Name one with --model, or try --how template.")
    if how is How.answers and temperature == 0:
        raise BadInput("At --temperature 0 both answers would be the same.", "Take one such as 0.7.")
    load(Given(file))
    asked = who_answers(model, quantization)
    file = absolute(file)
    settings = {"rows": rows, "shown": shown, "seed": seed, "batch": batch, "temperature": temperature}
    args = {**asked, "gpus": 0 if cpu else "auto", "data": file, "how": str(how), **settings,
            "max_new_tokens": max_new_tokens, "out": str(target)}  # fmt: skip
    options = {"how": str(how), "model": asked["run"] or asked["model"], "out": str(target), **settings,
               "max-new-tokens": max_new_tokens, "quantization": quantization, "cpu": cpu}  # fmt: skip
    command = line_of("data", "augment", file, options=options)
    run = start_job("augment", args, "augment", parent=asked["run"], command=command)
    started(run, str(target), wait=wait, as_json=json)


def _fill_in(file: str, out: Path, phrasings: str | None, rows: int | None, seed: int, as_json: bool) -> None:
    """Write the rows that phrasings make, and say how many."""
    from ftui.cli.output import print_json
    from ftui.data.phrasings import phrased, read
    from ftui.data.seeds import answered_of
    from ftui.files import json_lines, write_atomic
    from ftui.units import plain

    known = read(phrasings)
    seeds, unusable = answered_of(file)
    if not seeds:
        raise BadInput(f"{plain(file)} has no row with a question and its answer as text.",
                       f"Look at it: ftui data show {plain(file)}")
    made = phrased(seeds, known, rows or len(seeds), seed)
    write_atomic(out, json_lines(made), mode=0o644)
    if as_json:
        print_json({"rows": len(made), "left_out": unusable, "output": str(out)})
        return
    if unusable:
        print(f"ftui: {unusable:,} rows have no question with an answer and were left out.", file=sys.stderr)
    print(f"{len(made):,} new rows from {len(seeds):,} in {len(known)} phrasings: {plain(str(out))}")


def _target(out: str) -> Path:
    """Where the rows go, as an absolute path; Refused where something is there already."""
    path = Path(out).expanduser().absolute()
    if path.is_dir():
        raise BadInput(f"--out {out} is a folder.", "Name a file, such as more.jsonl.")
    if path.exists():
        raise Refused(f"{path} is there already.", "Name another file, or move it away.")
    return path
