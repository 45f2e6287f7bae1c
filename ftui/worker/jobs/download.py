"""The `download` job: bring a model into the hub's cache; what arrived is kept when it is stopped or breaks."""

from __future__ import annotations

from ftui.models.fetch import Stopped, download
from ftui.units import gib
from ftui.worker.context import JobContext


def run(context: JobContext) -> None:
    """Download `args["ref"]` at `args["revision"]`.  No torch."""
    ref, revision = str(context.info.args["ref"]), context.info.args.get("revision")
    context.emit("status", state="running", text=f"Downloading {ref}.")
    size = 0

    def progress(done: int, total: int) -> None:
        nonlocal size
        size = total
        context.progress(f"Downloading {ref}", done, total, unit="byte")

    try:
        folder = download(ref, revision, on_progress=progress, should_stop=lambda: context.stop_asked)
    except Stopped:
        context.finish(
            f"Stopped; what has arrived of {ref} is kept.", hint=f"Go on with: ftui runs resume {context.info.id}"
        )
        return
    text = f"{ref} is complete and checked ({gib(size)})." if size else f"{ref} was on this disk already."
    context.finish(text, metrics={"bytes": size} if size else {}, output=folder)
