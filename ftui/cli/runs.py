"""`ftui runs`: list, filter, sort, show, stop, resume and delete runs, and read their logs."""

from __future__ import annotations

import sys
import time
from typing import Any

import typer

from ftui.cli.chart import chart
from ftui.cli.compare import compare
from ftui.cli.diagnose import diagnose
from ftui.cli.export import export
from ftui.cli.notify import notify
from ftui.cli.output import print_json
from ftui.cli.queue import hold, move, queue
from ftui.cli.runs_notes import TAKES_DASHES, note, tag
from ftui.cli.runs_restore import restore

app = typer.Typer(no_args_is_help=False, invoke_without_command=True)
for command in (chart, compare, diagnose, export, notify, queue, hold, move, note, restore):
    app.command()(command)
app.command(context_settings=TAKES_DASHES)(tag)

ID = typer.Argument(..., metavar="RUN", help="The run's id, a part of it, its name, or 'last'.")
JSON = typer.Option(False, "--json", help="Print one JSON document.")
FILTER = typer.Option("", "--filter", "-f", help="Those that fit, such as 'state:failed tag:good loss<1.2 -draft'.")
SORT = typer.Option(
    "age", "--sort", "-s",
    help="By age, state, name, model, method, step, loss, eval, best, speed, took, tag, kind, preset or id.",
)
NOTE_WIDTH = 60
REVERSE = typer.Option(False, "--reverse", "-r", help="The other end first.")


@app.callback()
def bare(
    context: typer.Context, filter_: str = FILTER, sort: str = SORT, reverse: bool = REVERSE, as_json: bool = JSON
) -> None:
    """List the runs, newest first."""
    if context.invoked_subcommand is None:
        list_(filter_, sort, reverse, as_json)


@app.command("list")
def list_(filter_: str = FILTER, sort: str = SORT, reverse: bool = REVERSE, as_json: bool = JSON) -> None:
    """List the runs, newest first."""
    from ftui.runs import choosing
    from ftui.runs.facts import Depth, Memory
    from ftui.runs.folder import list_runs

    chosen, order = choosing.parse(filter_), choosing.order(sort, reverse=reverse)
    runs, memory = list_runs(), Memory()
    depth = Depth.READ if as_json else max(chosen.depth, order.asked.depth, Depth.LOOKED)
    known = {run.id: memory.look(run, depth) for run in runs}
    memory.save(known)
    shown = order.sorted(facts for facts in known.values() if chosen.fits(facts))
    if plain_list := not filter_ and order == choosing.Order():
        # Stages stand below the run that leads them; who looks for something finds them by themselves.
        shown = [each for each in shown if not (each.run.is_stage and each.run.info.parent in known)]
    rows = [_row(each, known if plain_list else {}) for each in shown]
    if as_json:
        print_json(rows)
    elif rows:
        _table(rows)
    else:
        print("No run fits the filter." if runs else "There are no runs yet. Start one: ftui launch cpu-demo")


@app.command()
def show(run_id: str = ID, as_json: bool = JSON) -> None:
    """Show one run: its state, numbers, recipe and files."""
    from ftui.runs.facts import Depth, Memory
    from ftui.runs.folder import find

    run = find(run_id)
    facts = Memory().look(run, Depth.READ)
    info, now = run.info, facts.status
    assert now is not None, "it was looked into"
    if as_json:
        recipe = run.recipe()
        print_json({
            **_row(facts, _stages(run)), "text": now.text, "hint": now.hint, "attempt": now.attempt,
            "eta_seconds": now.eta_seconds,
            "command": info.command, "preset": info.preset, "parent": info.parent, "host": info.host,
            "versions": info.versions, "log": str(run.log), "recipe": recipe.as_dict() if recipe else None,
            "data": [version.as_dict() for version in run.data_versions()],
        })
        return
    from ftui.cli import lines
    from ftui.cli.waiting import report
    from ftui.units import plain

    report(run, now, as_json=False)
    if words := lines.progress(now):
        print(f"  at      {words}")
    made = f"  made    {time.strftime('%Y-%m-%d %H:%M', time.localtime(info.created))} on {info.host}"
    print(made + (f" from the preset {info.preset}" if info.preset else ""))
    if info.command:
        print(f"  by      {info.command}")
    for version in run.data_versions():
        print(f"  data    {plain(str(version))}")
    if facts.notes.tags:
        print(f"  tags    {plain(' '.join(facts.notes.tags))}")
    if facts.notes.note:
        print("  note    " + plain(facts.notes.note).replace("\n", "\n          "))
    print(f"  log     ftui runs log {run.id}")
    for stage in run.stages() if info.kind == "stages" else ():
        state = stage.status()
        print(f"  stage   {stage.info.args['name']}: {state.state}. {plain(state.text)}\n          {stage.id}")


@app.command()
def stop(
    run_id: str = ID,
    now: bool = typer.Option(False, "--now", help="Don't wait for a step to end: kill it after ten seconds."),
    as_json: bool = JSON,
) -> None:
    """Save a checkpoint and stop."""
    from ftui.runs import control
    from ftui.runs.folder import find

    run = find(run_id)
    after = control.stop(run, now=now)
    if as_json or after.over:
        _report(run, after, as_json)
    else:
        print(f"{run.id} was asked to stop; it saves at the end of its step. Resume it: ftui runs resume {run.id}")


@app.command()
def resume(
    run_id: str = ID,
    wait: bool = typer.Option(False, "--wait", help="Show the progress and return when the run has ended."),
    queued: bool = typer.Option(False, "--queue", help="Wait in the queue until a device is free for it."),
    force: bool = typer.Option(False, "--force", help="Also where the run was on another machine that is silent now."),
    as_json: bool = JSON,
) -> None:
    """Go on from the last checkpoint, in the background."""
    from ftui.cli.waiting import stand_by
    from ftui.runs import control
    from ftui.runs.folder import find

    run = find(run_id)
    control.resume(run, force=force, queued=queued)
    if wait:
        sys.exit(stand_by(run, as_json=as_json))
    if as_json:
        _report(run, run.status(), as_json)
    else:
        how = "Queued" if queued else "Resumed"
        print(f"{how} {run.id} in the background. Watch it: ftui {'runs queue' if queued else f'watch {run.id}'}")


@app.command()
def delete(
    run_id: str = ID,
    force: bool = typer.Option(False, "--force", help="Also where the run was on another machine that is silent now."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Don't ask."),
    as_json: bool = JSON,
) -> None:
    """Remove a run with its checkpoints and its output, for good."""
    from ftui.errors import Refused
    from ftui.runs import control
    from ftui.runs.folder import find
    from ftui.runs.trash import size
    from ftui.units import gib

    run = find(run_id)
    ask = not yes and not as_json and sys.stdin.isatty()
    if ask and not typer.confirm(f"Remove {run.path} with checkpoints and output ({gib(size(run.path))}) for good?"):
        raise Refused("Nothing was removed.")
    freed = control.delete(run, force=force)
    if as_json:
        print_json({
            "run": run.id, "status": "deleted", "folder": str(run.path), "output": None, "metrics": {},
            "freed_bytes": freed,
        })
    else:
        print(f"Removed {run.id}: {gib(freed)} freed.")


@app.command()
def log(
    run_id: str = ID,
    lines: int = typer.Option(0, "--lines", "-n", min=0, help="Only the last so many lines; 0 prints all."),
    as_json: bool = JSON,
) -> None:
    """Print what the worker wrote to its terminal."""
    from ftui.errors import Refused
    from ftui.runs.folder import find
    from ftui.units import plain

    run = find(run_id)
    try:
        text = run.log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise Refused(
            f"The run {run.id} has no log: its worker never started.", f"See its state: ftui runs show {run.id}"
        ) from None
    shown = text.splitlines()[-lines:]
    if as_json:
        print_json({"run": run.id, "log": str(run.log), "lines": shown})
    else:
        for words in shown:
            print(plain(words.rsplit("\r", 1)[-1]))


def _report(run: Any, now: Any, as_json: bool) -> None:
    from ftui.cli.waiting import report

    report(run, now, as_json=as_json)


def _stages(run: Any) -> dict[str, Any]:
    """The facts of the runs that this one leads, by id."""
    from ftui.runs.facts import Depth, Memory

    memory = Memory()
    return {stage.id: memory.look(stage, Depth.READ) for stage in run.stages()} if run.info.kind == "stages" else {}


def _row(facts: Any, known: dict[str, Any]) -> dict[str, Any]:
    """One run for `--json`, with those of the `known` that it leads."""
    from ftui.cli.waiting import summary

    run, now = facts.run, facts.status
    mine = [each for each in known.values() if each.run.info.parent == run.id and each.run.is_stage]
    mine.sort(key=lambda each: int(each.run.info.args["stage"]))
    stages = {"stages": [_row(stage, {}) for stage in mine]} if run.info.kind == "stages" else {}
    return {
        **summary(run, now), "name": run.info.name, "kind": run.info.kind, "created": run.info.created,
        "step": now.step, "total": now.total, "model": facts.model, "method": facts.method, "best": facts.best,
        "tags": list(facts.notes.tags), "note": facts.notes.note, **stages,
    }


def _below(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The stages of a run, to be shown beneath it."""
    return [{**stage, "run": f"└ {stage['run']}"} for stage in row.get("stages", ())]


def _table(rows: list[dict[str, Any]]) -> None:
    from textwrap import shorten

    from rich.console import Console
    from rich.table import Table

    from ftui.cli.lines import numbers, telling
    from ftui.units import plain

    table = Table(box=None, pad_edge=False, header_style="bold")
    noted = any(row["tags"] or row["note"] for row in rows)
    for title in ("run", "kind", "status", "step", "values", "made", *(("tags and note",) if noted else ())):
        # An id is copied: it is never cut.
        wraps = title in ("values", "tags and note")
        table.add_column(title, no_wrap=not wraps, justify="right" if title == "step" else "left")
    for row in (shown for top in rows for shown in (top, *_below(top))):
        step = "" if row["step"] is None else f"{row['step']:,}" + (f"/{row['total']:,}" if row["total"] else "")
        values = numbers(telling(row["metrics"]))
        made = time.strftime("%m-%d %H:%M", time.localtime(row["created"]))
        # Of a long note its beginning; `ftui runs show` has the whole.
        note = shorten(row["note"], NOTE_WIDTH, placeholder=" …")
        said = (plain("  ".join(filter(None, (" ".join(row["tags"]), note)))),) if noted else ()
        table.add_row(plain(row["run"]), row["kind"], row["status"], step, values, made, *said)
    # A pipe has no width of its own: lines stay whole.
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200).print(table)
