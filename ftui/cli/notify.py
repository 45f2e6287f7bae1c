"""`ftui runs notify`: send the message of a run's webhook now, to see whether it arrives."""

from __future__ import annotations

import typer

from ftui.cli.output import print_json

ID = typer.Argument("last", metavar="[RUN]", help="The run's id, a part of it, its name, or 'last'.")


def notify(
    run_id: str = ID,
    to: str = typer.Option(None, "--webhook", metavar="WHERE", help="env:NAME or file:PATH; else the run's own."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document: what was sent."),
) -> None:
    """Send a message about RUN, marked as a test, to its compute.webhook; with --webhook also before the first run."""
    from ftui.errors import Refused
    from ftui.runs import webhook
    from ftui.runs.folder import find, list_runs
    from ftui.runs.notice import NO_RUN, about, trial

    run = find(run_id) if to is None or run_id != "last" or list_runs() else None
    recipe = run.recipe() if run is not None else None
    setting = to or (recipe.compute.webhook if recipe is not None else None)
    if setting is None:
        raise Refused("The run's recipe has no compute.webhook.", "Name one: --webhook env:NAME")
    url = webhook.address(setting)
    message = trial(run).message(about(run) if run is not None else NO_RUN)
    webhook.send(url, message, waits=())
    if as_json:
        print_json({"sent": True, "host": webhook.host(url), "message": message})
    else:
        print(f"The webhook at {webhook.host(url)} has taken the message.")
