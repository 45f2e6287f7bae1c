"""What a message about a run says: that it has ended, or that it needs somebody while it goes on."""

from __future__ import annotations

import itertools
import re
import socket
import time
from dataclasses import dataclass
from typing import Any, Literal

from ftui.runs.document import MAIN_VALUES, Event
from ftui.runs.folder import Run
from ftui.runs.follow import Follower
from ftui.runs.lines import backwards
from ftui.runs.status import RunStatus, status
from ftui.units import clock, plain

LOOKED_BACK = 20_000
"""Of the newest events so many are looked through for the best evaluation: a message isn't worth reading a million."""
PAUSE_SECONDS = 600.0
"""Between two messages that the same run waits: a disk that is full comes and goes."""
MOST_LETTERS = 600
"""Of a sentence: Discord takes 2,000 in all."""
SIGNS = {"finished": "✓", "stopped": "■", "failed": "✗", "crashed": "✗"}


@dataclass(frozen=True)
class About:
    """The run that a message is about: its id, its name, and the machine that it was made on."""

    id: str
    name: str
    host: str


NO_RUN = About("no run yet", "ftui", socket.gethostname())
"""For a trial before there is any."""


def about(run: Run) -> About:
    """What a message says of `run`."""
    return About(run.id, run.info.name, run.info.host)


@dataclass(frozen=True)
class Notice:
    """One message: what it is about, the run's state at that moment, and in words what happened and what to do."""

    event: Literal["end", "attention", "test"]
    state: str
    sentence: str
    hint: str | None = None
    step: int | None = None
    total: int | None = None
    loss: float | None = None
    best: float | None = None
    best_by: str | None = None
    seconds: float | None = None

    def message(self, run: About) -> dict[str, Any]:
        """The JSON that is sent.  `text` is what Slack, Mattermost and others show, `content` what Discord does."""
        said = self._text(run)
        return {
            "text": said, "content": said,
            # Discord's own way to say that an @everyone in an error calls nobody.
            "allowed_mentions": {"parse": []},
            "title": f"{run.name}: {self.state if self.event == 'end' else self.event}",
            "event": self.event, "run": run.id, "name": run.name, "host": run.host, "state": self.state,
            "sentence": _short(self.sentence), "hint": _short(self.hint) if self.hint else None, "step": self.step,
            "steps": self.total, "loss": self.loss, "best": self.best, "best_by": self.best_by,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }

    def _text(self, run: About) -> str:
        sign = SIGNS.get(self.state, "") if self.event == "end" else "!" if self.event == "attention" else "(test)"
        head = f"{sign} {run.name} {self.state}: {self.sentence}".strip()
        numbers = [f"step {self.step:,}" + (f" of {self.total:,}" if self.total else "")] if self.step else []
        numbers += [f"loss {self.loss:.4g}"] if self.loss is not None else []
        numbers += [f"best {self.best_by} {self.best:.4g}"] if self.best is not None else []
        numbers += [clock(self.seconds)] if self.seconds is not None else []
        lines = [_short(head), " · ".join([*numbers, run.id, run.host])]
        if self.hint:
            lines.insert(1, _short(self.hint))
        return _calm("\n".join(lines))


def at_end(run: Run, now: RunStatus, began: float | None = None) -> Notice:
    """What there is to say of a run that is over; `began` is when its worker was started, else the run's making."""
    step, total, loss, best, best_by = _numbers(run, now)
    seconds = max((now.since or time.time()) - (began or run.info.created), 0.0)
    return Notice("end", now.state, plain(now.text), plain(now.hint) if now.hint else None, step, total, loss, best,
                  best_by, seconds)


def trial(run: Run | None) -> Notice:
    """The same with what is known of `run` at this moment, to see whether it arrives."""
    if run is None:
        return Notice("test", "test", "Messages about your runs will arrive here.")
    now = status(run)
    step, total, loss, best, best_by = _numbers(run, now)
    return Notice("test", now.state, "This is what a message about this run looks like.", None, step, total, loss, best,
                  best_by, None)


def _numbers(run: Run, now: RunStatus) -> tuple[int | None, int | None, float | None, float | None, str | None]:
    """(step, steps, last loss, best evaluation, its name)."""
    loss = next((now.metrics[name] for name in ("loss", "train_loss") if _is_number(now.metrics.get(name))), None)
    newest = itertools.islice(backwards(run.events), LOOKED_BACK)
    marked = next((event for event in newest if event.kind == "evaluation" and event.data.get("best")), None)
    name = str(marked.data.get("judged_by") or "eval_loss") if marked else ""
    best = marked.measured.get(name, marked.measured.get(f"eval_{name}")) if marked else None
    if not _is_number(best):
        name = next((each for each in ("eval_loss", *MAIN_VALUES) if _is_number(now.metrics.get(each))), "")
        best = now.metrics.get(name)
    return now.step, now.total, loss, best, (name.removeprefix("eval_") or None) if best is not None else None


class Attention:
    """Looks through what a run, and the runs that it leads, say from now on for what a person should see to."""

    def __init__(self, run: Run) -> None:
        led = run.stages() if run.info.kind == "stages" else []
        self._followers = [Follower(each, from_end=True) for each in (run, *led)]
        self._told: set[str] = set()
        self._paused = float("-inf")

    def poll(self) -> list[Notice]:
        """What came in since the last look."""
        return [
            notice for follower in self._followers for event in follower.poll()
            if (notice := self._notice(event)) is not None
        ]

    def _notice(self, event: Event) -> Notice | None:
        text, hint = str(event.data.get("text") or ""), event.data.get("hint")
        if event.kind == "status" and event.data.get("state") == "paused":
            if event.time - self._paused < PAUSE_SECONDS:
                return None
            self._paused = event.time
            return Notice("attention", "paused", plain(text))
        name = str(event.data.get("name"))
        if event.kind != "diagnosis" or event.data.get("severity") != "grave" or name in self._told:
            return None
        self._told.add(name)
        said = plain(hint) if isinstance(hint, str) else None
        return Notice("attention", "running", plain(text), said, event.step)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _calm(text: str) -> str:
    """`text` in which no @channel, <!here> or link of a chat's own writing takes effect, to the eye unchanged: it may
    quote an error or a name from the data."""
    return re.sub(r"[@<]", lambda found: f"{found[0]}\u200b", text)
