"""`ftui constitute`: have a model revise its own answers by a constitution, for rows and pairs to train it on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ftui.cli.asking import absolute, line_of, started, who_answers
from ftui.errors import BadInput, Refused

FILES = ("sft.jsonl", "pairs.jsonl")


def command(
    model: str = typer.Option(..., "--model", "-m", metavar="BASE_OR_RUN",
                              help="Who answers and revises: a hub id, a local folder, demo, or a finished run."),
    data: str = typer.Option(..., "--data", "-d", help="Prompts: a file in any of ftui's formats, or a hub dataset."),
    constitution: str = typer.Option(None, "--constitution", metavar="FILE.yaml",
                                     help="A list of {name, critique, revise}; without it the one that ships."),
    out: str = typer.Option(None, "--out", metavar="FOLDER",
                            help="Where sft.jsonl and pairs.jsonl are written; without it the run's own output."),
    rounds: int = typer.Option(1, "--rounds", min=1, max=16, help="How often each answer is criticised and revised."),
    judge: bool = typer.Option(False, "--judge", help="Leave out pairs whose revision the model finds no better."),
    limit: int = typer.Option(None, "--limit", min=1, help="Take only so many prompts."),
    batch: int = typer.Option(8, "--batch", min=1, max=1024, help="How many prompts are worked on at a time."),
    max_new_tokens: int = typer.Option(256, "--max-new-tokens", min=1, max=8192, help="Longest answer, in tokens."),
    temperature: float = typer.Option(0.7, "--temperature", min=0.0, max=4.0,
                                      help="How freely the model words things; 0 takes the likeliest word always."),
    seed: int = typer.Option(17, "--seed", help="What is drawn depends on it alone."),
    quantization: str = typer.Option("none", "--quantization", help="Load a base in nf4, fp4 or int8 to save memory."),
    cpu: bool = typer.Option(False, "--cpu", help="Use the processor though there is a GPU."),
    wait: bool = typer.Option(False, "--wait", help="Show the progress and return when the run has ended."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Answer each prompt, criticise the answer by a principle, revise it; write rows for SFT and pairs for DPO.

    It is a run in the background like any other. Pairs prefer the last revision to the first answer.
    """
    from ftui.data.given import Given
    from ftui.data.loading import load
    from ftui.recipe.constitution import read
    from ftui.runs.control import start_job

    principles = read(constitution)
    load(Given(data))
    data, constitution, folder = absolute(data), constitution and absolute(constitution), _folder(out)
    asked = who_answers(model, quantization)
    args: dict[str, Any] = {
        **asked, "gpus": 0 if cpu else "auto", "data": data, "limit": limit,
        "constitution": [principle.as_dict() for principle in principles], "rounds": rounds, "judge": judge,
        "seed": seed, "temperature": temperature, "max_new_tokens": max_new_tokens, "batch": batch, "out": folder,
    }
    options = {
        "model": asked["run"] or asked["model"], "data": data, "constitution": constitution, "out": folder,
        "rounds": rounds, "judge": judge, "limit": limit, "batch": batch, "max-new-tokens": max_new_tokens,
        "temperature": temperature, "seed": seed, "quantization": quantization, "cpu": cpu,
    }
    command = line_of("constitute", options=options)
    run = start_job("constitute", args, "constitute", parent=asked["run"], command=command)
    started(run, folder or str(run.output), wait=wait, as_json=as_json)


def _folder(out: str | None) -> str | None:
    """The absolute folder for the two files; Refused where they are there already."""
    if out is None:
        return None
    folder = Path(out).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"--out {out} is a file.", "Name a folder; it is made where there is none.")
    for name in FILES:
        if (folder / name).exists():
            raise Refused(f"{folder / name} is there already.", "Name another folder, or move it away.")
    return str(folder)
