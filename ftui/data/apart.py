"""The profile and the check-up in a child process, so that the app neither grows nor stands still, and either can be
ended at any moment: `python -m ftui.data.apart`.

The request goes in as one JSON document; out come lines of JSON: {"progress": [done, total, what]}, {"found": [rows,
findings]} for what a check-up has found so far, then {"answer": ...} or {"error": {"kind", "what", "hint"}}.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.document import CheckUp, DataProfile, Finding
from ftui.data.given import Given, SourceLike, as_sources
from ftui.errors import BadInput, FtuiError, Refused
from ftui.models.document import ModelShape

if TYPE_CHECKING:
    from ftui.data.repairing import Repairing

_POLL_SECONDS = 0.1

Answer = dict[str, Any]


def profile_apart(
    sources: str | SourceLike | Iterable[str | SourceLike],
    shape: ModelShape | None = None,
    *,
    template: str = "auto",
    loss_on: str = "assistant",
    repairs: Repairing | None = None,
    max_rows_tokenized: int = 20_000,
    on_progress: Callable[[int, int | None], None] | None = None,
    cancelled: threading.Event | None = None,
) -> DataProfile:
    """As `profile()`, in a child process that ends when `cancelled` is set (then Refused is raised).

    Blocks; call it from a thread.  Raises what `profile()` raises.
    """
    options = {"template": template, "loss_on": loss_on, "max_rows_tokenized": max_rows_tokenized}
    request = _request("profile", sources, shape, options) | {"repairs": repairs.plain() if repairs else None}

    def hear(answer: Answer) -> None:
        if on_progress and "progress" in answer:
            on_progress(*answer["progress"])

    return DataProfile.model_validate(_ask(request, hear, cancelled))


def check_apart(
    sources: str | SourceLike | Iterable[str | SourceLike],
    shape: ModelShape | None = None,
    *,
    template: str = "auto",
    loss_on: str = "assistant",
    max_length: int | None = None,
    rank: int | None = None,
    deep: bool = False,
    against: Sequence[str] = (),
    against_columns: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int | None, str], None] | None = None,
    on_found: Callable[[int, tuple[Finding, ...]], None] | None = None,
    cancelled: threading.Event | None = None,
) -> CheckUp:
    """As `check()`, in a child process that ends when `cancelled` is set (then Refused is raised), or when the call is
    interrupted; nothing of it is left behind.

    Blocks; call it from a thread.  Raises what `check()` raises.
    """
    options = {
        "template": template, "loss_on": loss_on, "max_length": max_length, "rank": rank, "deep": deep,
        "against": list(against), "against_columns": dict(against_columns or {}),
    }  # fmt: skip

    def hear(answer: Answer) -> None:
        if on_progress and "progress" in answer:
            on_progress(*answer["progress"])
        elif on_found and "found" in answer:
            rows, findings = answer["found"]
            on_found(rows, tuple(map(Finding.model_validate, findings)))

    return CheckUp.model_validate(_ask(_request("check", sources, shape, options), hear, cancelled))


def _request(
    what: str, sources: str | SourceLike | Iterable[str | SourceLike], shape: ModelShape | None, options: Answer
) -> Answer:
    return {
        "do": what, "sources": [_plain(source) for source in as_sources(sources)],
        "shape": shape.as_dict() if shape else None, "options": options,
    }  # fmt: skip


def _ask(request: Answer, hear: Callable[[Answer], None], cancelled: threading.Event | None) -> Answer:
    """The child's answer to the request; what it says before that goes to `hear`."""
    # -P: a file in the working folder that is named like a module must not be taken for it.
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    # A session of its own: whatever it starts (a loader of the user's) ends with it.
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "ftui.data.apart"], start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, encoding="utf-8",
    )  # fmt: skip
    try:
        return _converse(child, json.dumps(request), hear, cancelled)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


def _converse(
    child: subprocess.Popen[str], request: str, hear: Callable[[Answer], None], cancelled: threading.Event | None
) -> Answer:
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
            raise Refused("Reading the data was cancelled.")
        try:
            line = answers.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            threads[1].join(timeout=1)
            last = next((text.strip() for text in reversed(complaints) if text.strip()), "it was killed")
            raise BadInput(f"The process that reads the data ended early: {last[:200]}.", "Memory may have run out.")
        answer: Answer = json.loads(line)
        if "error" in answer:
            kind = {"Refused": Refused}.get(answer["error"]["kind"], BadInput)
            raise kind(answer["error"]["what"], answer["error"]["hint"])
        if "answer" in answer:
            found: Answer = answer["answer"]
            return found
        hear(answer)


def _plain(source: SourceLike) -> dict[str, Any]:
    return {
        "path": source.path, "format": source.format, "columns": dict(source.columns), "split": source.split,
        "config": source.config, "revision": source.revision, "weight": source.weight, "limit": source.limit,
        "task": source.task, "streaming": source.streaming,
    }  # fmt: skip


def _answer(request: Answer, say: Callable[[Answer], None]) -> None:
    """The child's side."""
    shape = ModelShape.model_validate(request["shape"]) if request["shape"] else None
    sources = [Given(**source) for source in request["sources"]]
    try:
        done = _check if request["do"] == "check" else _profile
        say({"answer": done(request, sources, shape, say)})
    except FtuiError as error:
        say({"error": {"kind": type(error).__name__, "what": error.what, "hint": error.hint}})


def _profile(request: Answer, sources: list[Given], shape: ModelShape | None, say: Callable[[Answer], None]) -> Answer:
    from ftui.data.profiling import profile
    from ftui.data.repairing import Repairing

    repairs = Repairing.of(request["repairs"]) if request["repairs"] else None
    found = profile(
        sources, shape, repairs=repairs, on_progress=lambda *progress: say({"progress": progress}), **request["options"]
    )
    return found.as_dict()


def _check(request: Answer, sources: list[Given], shape: ModelShape | None, say: Callable[[Answer], None]) -> Answer:
    from ftui.data.checking import check

    found = check(
        sources, shape, on_progress=lambda *progress: say({"progress": progress}),
        on_found=lambda rows, findings: say({"found": [rows, [finding.as_dict() for finding in findings]]}),
        **request["options"],
    )  # fmt: skip
    return found.as_dict()


def _say(answer: Answer) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _answer(json.load(sys.stdin), _say)
