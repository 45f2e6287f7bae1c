"""What the monitor says in words: state, progress, outcome, what to do next.  Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from ftui.runs.document import State
from ftui.runs.folder import Run
from ftui.runs.status import RunStatus
from ftui.units import clock, gib, plain

from .monitor_axes import short
from .monitor_panels import View, ends
from .monitor_picture import Picture
from .monitor_tail import Tail
from .monitor_watch import StageSeen

SIGNS: dict[State, str] = {
    "queued": "…", "preparing": "…", "running": "▶", "paused": "‖", "finished": "✓", "stopped": "■", "failed": "✗",
    "crashed": "✗", "unreachable": "?",
}
TONES: dict[State, str] = {"finished": "success", "failed": "error", "crashed": "error", "stopped": "warning",
                           "unreachable": "warning"}
TERMS = {"learning_rate": "learning rate", "grad_norm": "gradient norm", "tokens_per_second": "token",
         "gpu_memory": "VRAM", "reward": "reward", "kl": "KL divergence"}
"""The glossary's word for a chart that was chosen as the large one, by the panel's key; others lead to the keys."""
SILENT_SECONDS = 120.0
"""A run that hasn't got on for so long, and for ten steps' time, may hang."""


def state(status: RunStatus) -> str:
    """Such as "▶ running"."""
    return f"{SIGNS[status.state]} {status.state}"


def tone(name: State) -> str:
    """The theme's colour for a state."""
    return TONES.get(name, "primary")


def progress(picture: Picture, status: RunStatus) -> tuple[float | None, str]:
    """The share that is done (None: unknown) and the words beside the bar."""
    total = picture.total or status.total
    if total and (picture.metrics or status.over):
        share = min(picture.step / total, 1.0)
        return share, f"{picture.step:,} / {total:,} steps  {share:.0%}"
    if picture.done is not None:
        return amount(picture)
    if picture.step and total:
        return min(picture.step / total, 1.0), f"{picture.doing}, {picture.step:,} / {total:,} steps"
    if picture.step:
        return None, f"step {picture.step:,}"
    return None, picture.doing or plain(status.text)


def amount(picture: Picture) -> tuple[float | None, str]:
    """The progress of what isn't counted in steps: bytes of a download, rows of a data set."""
    assert picture.done is not None
    done, total, unit = picture.done
    said = gib if unit == "byte" else (lambda number: f"{number:,.0f}")
    text = f"{said(done)} of {said(total)}" if total else said(done)
    label = f"{picture.doing}: " if picture.doing else ""
    return (done / total if total else None), f"{label}{text}{'' if unit == 'byte' else f' {unit}s'}"


def facts(picture: Picture, status: RunStatus) -> str:
    """The line under the bar: time so far and to come, the best evaluation, the attempt."""
    elapsed = picture.elapsed(time.time() if status.live else None)
    parts = [clock(elapsed) if status.live else f"took {clock(elapsed)}"] if elapsed is not None else []
    if status.eta_seconds is not None and status.eta_seconds >= 1:
        finish = time.strftime("%H:%M", time.localtime(time.time() + status.eta_seconds))
        parts.append(f"{clock(status.eta_seconds)} left ({finish})")
    if picture.best is not None:
        step, value = picture.best
        name = "" if picture.judged_by == "eval_loss" else f"{plain(picture.judged_by.removeprefix('eval_'))} "
        parts.append(f"best eval {name}{short(value)} at {step:,}")
    if status.attempt > 1:
        parts.append(f"attempt {status.attempt}")
    if (epoch := picture.epoch_at(picture.step)) is not None:
        parts.append(f"epoch {epoch:.2f}")
    return " · ".join(parts)


def next_step(picture: Picture, status: RunStatus, run: Run | None) -> str:
    """What to do now, in one sentence."""
    match status.state:
        case "queued" | "preparing":
            return "It begins by itself; this terminal may be closed meanwhile."
        case "running" | "paused":
            silent = time.time() - status.progressed if status.progressed else 0.0
            if silent > SILENT_SECONDS:
                return f"No step for {clock(silent)}: see the log (4); T stops it at once if it hangs."
            if change := changes(picture, status):
                return f"f stops it and starts it again with {_named(change)}; t stops and saves."
            return "Close this when you like: the run goes on without it.  t stops and saves."
        case "finished":
            trained = run is not None and run.info.kind == "train"
            if change := changes(picture, status):
                return f"f starts a new run with {_named(change)}; a asks the tuned model, o opens the report."
            if run is not None and run.info.kind == "stages":
                return "v shows a stage's curves, o opens the report."
            return "a asks the tuned model, o opens the report, y copies a command." if trained else "Done."
        case "unreachable":
            return "It can be looked at here, and resumed once its machine is back or known to be gone."
        case _:
            if change := changes(picture, status):
                return f"f starts it again with {_named(change)}; 4 shows the log."
            return f"r {'goes on from the last checkpoint' if picture.saved else 'starts it again'}; 4 shows the log."


def outcome(status: RunStatus, run: Run | None) -> str:
    """What stays on the screen when a run is over: what happened, what to do, where the result is."""
    lines = [f"{SIGNS[status.state]} {status.state}: {plain(status.text)}"]
    if status.hint:
        lines.append(f"→ {plain(status.hint)}")
    if status.state == "finished" and run is not None and run.output.exists():
        lines.append(f"The result is in {run.output}")
    return "\n".join(lines)


def seen(picture: Picture) -> str:
    """What the curves show of a run that goes on: it stays on the screen with its remedy; "" where nothing does."""
    finding = picture.diagnosis
    return "" if finding is None else f"! {plain(finding.text)}\n→ {plain(finding.hint)}"


def changes(picture: Picture, status: RunStatus) -> list[str]:
    """The settings, `a.b=c` each, with which one key starts the run again: of a failure's remedy, else of what the
    curves show; none where neither names any."""
    if status.state == "failed" and (change := remedy(status.hint)):
        return [change]
    return picture.diagnosis.settings if picture.diagnosis is not None else []


def _named(change: list[str]) -> str:
    """A change within a sentence; more than one is read above, and said whole before it is done."""
    return change[0] if len(change) == 1 else f"these {len(change)} changes"


def remedy(hint: str | None) -> str | None:
    """The first `a.b=c` behind a --set in a hint: the change that one key can make."""
    found = re.search(r"--set (\w+(?:\.\w+)+=[^\s,;]+)", hint or "")
    return found[1].rstrip(".)") if found else None


def at_work(stages: Sequence[StageSeen]) -> StageSeen | None:
    """The stage that is looked at: the live one, else the last that has begun."""
    begun = [each for each in stages if each.status.live and each.status.state != "queued"]
    return begun[0] if begun else next((each for each in reversed(stages) if each.status.state != "queued"), None)


def of_stages(stages: Sequence[StageSeen]) -> str:
    """A line for each stage: how it is, and how far."""
    lines = ["Each stage is a run of its own; v shows the curves of the one at work, or of the last.", ""]
    for each in stages:
        now = each.status
        far = f"  step {now.step:,}" + (f" of {now.total:,}" if now.total else "") if now.step is not None else ""
        said = f"  {plain(now.text)}" if now.over else f"  {plain(now.doing)}" if now.doing else ""
        lines.append(f"{state(now):<13}{plain(each.name)}{far}{said}")
    return "\n".join(lines)


def waiting(picture: Picture, status: RunStatus, tail: Tail, run: Run | None, stages: Sequence[StageSeen] = ()) -> str:
    """What stands in place of the charts while there is no value: what goes on, and the end of the log; of a run that
    leads others how each of them is."""
    if stages:
        return of_stages(stages)
    doing = amount(picture)[1] if picture.done is not None else picture.doing or plain(status.text)
    newest = [line for line in [*tail.lines, tail.partial] if line.strip()][-8:]
    training = run is None or run.info.kind == "train"
    if status.over:
        why = "it ended before its first step" if training else "this was no training"
        return "\n".join([f"There are no charts: {why}.  The end of its log:", "", *newest])
    since = f" for {clock(time.time() - status.since)}" if status.since else ""
    lines = [f"{state(status)}{since}: {doing}", ""]
    begin = "The charts begin with the first step.  The log so far:" if training else "The log so far:"
    return "\n".join([*lines, begin, "", *newest])


def view(view: View, picture: Picture) -> str:
    """Which steps the charts show, unless all; the chart's own title says the rest."""
    if view.left is None and view.right is None:
        return ""
    left, right = view.span(ends(picture))
    return f"steps {left:,.0f}–{right:,.0f}"
