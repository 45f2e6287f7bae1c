"""`ftui runs diagnose`: what a run's curves show, and the recipe that would do better."""

from __future__ import annotations

from pathlib import Path

import typer

from ftui.cli.output import print_json


def diagnose(
    run_id: str = typer.Argument(..., metavar="RUN", help="The run's id, a part of it, its name, or 'last'."),
    write: Path | None = typer.Option(
        None, "--write", metavar="FILE", help="Write the run's recipe with the changes that would help into this file."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Say what a run's curves show: overfitting, divergence, nothing learnt, with what would help."""
    from ftui.diagnosis.of_run import diagnose as examine
    from ftui.runs.folder import find

    run = find(run_id)
    found = examine(run)
    change: dict[str, object] = {}
    for _, finding in found:
        for path, value in finding.change.items():
            change.setdefault(path, value)
    if write is not None:
        _write(run.recipe(), change, write)
    if as_json:
        findings = [{"step": step, **finding.as_data()} for step, finding in found]
        print_json({"run": run.id, "findings": findings, "change": change, "written": str(write) if write else None})
        return
    if not found:
        print(f"{run.id}: nothing stands out.")
    for step, finding in found:
        print(f"{finding.severity} at step {step:,}: {finding.text}\n  {finding.hint}")
    if change and write is None:
        settings = " ".join(f"--set {path}={value}" for path, value in change.items())
        print(f"\nStart it again with what would help: ftui launch {run.path / 'recipe.yaml'} {settings}")
    elif write is not None:
        print(f"\nWrote {write}. Start it: ftui launch {write}")


def _write(recipe: object, change: dict[str, object], path: Path) -> None:
    from ftui.errors import Refused
    from ftui.files import write_atomic
    from ftui.recipe import assign
    from ftui.recipe import write as written
    from ftui.recipe.document import Recipe

    assert isinstance(recipe, Recipe)
    if path.exists():
        raise Refused(f"{path} exists; nothing was overwritten.", "Choose another name.")
    write_atomic(path, written(assign(recipe, change)))
