"""Commands that have a model asked by a run in the background: whom they ask, and what they say when it has begun."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.cli.output import print_json
from ftui.errors import BadInput, Refused

if TYPE_CHECKING:
    from ftui.runs.folder import Run


def started(run: Run, result: str, *, wait: bool, as_json: bool) -> None:
    """Say that the run has begun and where its result will be; with `wait`, stand by and leave when it has ended."""
    from ftui.cli.waiting import stand_by, summary

    if wait:
        if not as_json:
            print(f"Started {run.id}", file=sys.stderr)
        sys.exit(stand_by(run, as_json=as_json))
    if as_json:
        print_json(summary(run))
        return
    print(f"Started {run.id} in the background.")
    print(f"  watch   ftui watch {run.id} --plain")
    print(f"  stop    ftui runs stop {run.id}")
    print(f"  result  {result}")


def line_of(*command: str, options: dict[str, Any]) -> str:
    """The command line that makes the run again; an option that is a list is written once for each of it."""
    words = ["ftui", *command]
    for name, value in options.items():
        if isinstance(value, list):
            words += [word for each in value for word in (f"--{name}", str(each))]
        elif value is True:
            words.append(f"--{name}")
        elif value is not None and value is not False:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def absolute(name: str) -> str:
    """A file that is here by its absolute path, for the worker's folder is another; any other name as it is."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name


def who_answers(reference: str, quantization: str) -> dict[str, Any]:
    """{"run", "model", "quantization"}: a finished training or a base, one of them None.

    Raises BadInput or Refused where it can't be asked, or not be quantized in this way.
    """
    if quantization not in ("none", "nf4", "fp4", "int8"):
        raise BadInput(f"--quantization is {quantization!r}.", "Take none, nf4, fp4 or int8.")
    asked = _found(reference)
    if asked["run"] and quantization != "none":
        raise BadInput("--quantization is for a base; a run's model is loaded as it was trained.", "Leave it out.")
    return {**asked, "quantization": quantization}


def _found(reference: str) -> dict[str, Any]:
    from ftui.methods import OBJECTIVES
    from ftui.runs.folder import find

    folder = Path(reference).expanduser()
    if (folder / "config.json").is_file():
        return {"run": None, "model": str(folder.absolute())}
    if reference == "demo" or ("/" in reference and not folder.exists()):
        return {"run": None, "model": reference}
    trained = find(folder.absolute().name if (folder / "run.json").is_file() else reference)
    recipe = trained.recipe()
    if trained.info.kind != "train" or recipe is None or not trained.output.is_dir():
        raise Refused(f"The run {trained.id} has no model that could be asked.", "Name a finished training: ftui runs")
    if OBJECTIVES[recipe.objective.kind].head == "scores":
        raise Refused(f"The model of the run {trained.id} gives scores, and writes no answers.",
                      "Name a model that answers.")
    return {"run": trained.id, "model": None}
