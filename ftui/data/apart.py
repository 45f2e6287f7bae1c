"""The profile in a child process, so that the app neither grows nor stands still: `python -m ftui.data.apart`.

The request goes in as one JSON document; out come lines of JSON: {"progress": [done, total]}, then {"profile": ...} or
{"error": {"what", "hint"}}.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ftui.data.document import DataProfile
from ftui.data.given import Given, SourceLike, as_sources
from ftui.errors import BadInput, FtuiError, Refused
from ftui.models.document import ModelShape

_POLL_SECONDS = 0.1


def profile_apart(
    sources: str | SourceLike | Iterable[str | SourceLike],
    shape: ModelShape | None = None,
    *,
    template: str = "auto",
    loss_on: str = "assistant",
    max_rows_tokenized: int = 20_000,
    on_progress: Callable[[int, int | None], None] | None = None,
    cancelled: threading.Event | None = None,
) -> DataProfile:
    """As `profile()`, in a child process that ends when `cancelled` is set (then Refused is raised).

    Blocks; call it from a thread.  Raises what `profile()` raises.
    """
    request = {
        "sources": [_plain(source) for source in as_sources(sources)],
        "shape": shape.as_dict() if shape else None,
        "options": {"template": template, "loss_on": loss_on, "max_rows_tokenized": max_rows_tokenized},
    }
    # -P: a file in the working folder that is named like a module must not be taken for it.
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "ftui.data.apart"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, encoding="utf-8",
    )  # fmt: skip
    try:
        return _converse(child, json.dumps(request), on_progress, cancelled)
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


def _converse(
    child: subprocess.Popen[str],
    request: str,
    on_progress: Callable[[int, int | None], None] | None,
    cancelled: threading.Event | None,
) -> DataProfile:
    """Hand the request over and take the answers as they come."""
    answers: queue.Queue[str | None] = queue.Queue()
    complaints: list[str] = []

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            answers.put(line)
        answers.put(None)

    def overhear() -> None:
        assert child.stderr is not None
        complaints.extend(child.stderr)

    threads = [threading.Thread(target=target, daemon=True) for target in (listen, overhear)]
    for thread in threads:
        thread.start()
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        # A child that died at once is reported below, by its silence.
        child.stdin.write(request)
        child.stdin.close()
    while True:
        if cancelled is not None and cancelled.is_set():
            raise Refused("Counting the data was cancelled.")
        try:
            line = answers.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            threads[1].join(timeout=1)
            last = next((text.strip() for text in reversed(complaints) if text.strip()), "it was killed")
            raise BadInput(f"The process that counts the data ended early: {last[:200]}.", "Memory may have run out.")
        answer = json.loads(line)
        if "progress" in answer:
            if on_progress:
                on_progress(*answer["progress"])
        elif "error" in answer:
            kind = {"Refused": Refused}.get(answer["error"]["kind"], BadInput)
            raise kind(answer["error"]["what"], answer["error"]["hint"])
        else:
            return DataProfile.model_validate(answer["profile"])


def _plain(source: SourceLike) -> dict[str, Any]:
    return {
        "path": source.path, "format": source.format, "columns": dict(source.columns), "split": source.split,
        "config": source.config, "revision": source.revision, "weight": source.weight, "limit": source.limit,
    }  # fmt: skip


def _answer(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    """The child's side."""
    from ftui.data.profiling import profile

    shape = ModelShape.model_validate(request["shape"]) if request["shape"] else None
    sources = [Given(**source) for source in request["sources"]]
    try:
        found = profile(
            sources, shape, on_progress=lambda done, total: say({"progress": [done, total]}), **request["options"]
        )
    except FtuiError as error:
        say({"error": {"kind": type(error).__name__, "what": error.what, "hint": error.hint}})
    else:
        say({"profile": found.as_dict()})


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _answer(json.load(sys.stdin), _say)
