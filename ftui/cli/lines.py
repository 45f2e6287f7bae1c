"""Events as lines of text, for pipes and logs; what comes from models and data is made safe for a terminal."""

from __future__ import annotations

import time
from typing import Any

from ftui.runs.document import MAIN_VALUES, Event
from ftui.runs.status import RunStatus
from ftui.units import clock, count, gib, plain

SAMPLE_WIDTH = 200


def line(event: Event) -> str | None:
    """One line for `event`, None for one that says nothing by itself: a bar's move between two metrics."""
    words = _WORDS[event.kind](event)
    if words is None:
        return None
    when = time.strftime("%H:%M:%S", time.localtime(event.time if 0 <= event.time < 1e11 else 0))
    step = f"step {event.step:>6,}  " if event.step is not None else ""
    return plain(f"{when}  {step}{words}".replace("\n", " "))


def numbers(data: dict[str, Any]) -> str:
    """The numbers one looks at: loss, rate, norm, speed, memory; "nan" for what was not finite."""
    parts = [
        f"{title} {_shown(data[name], form)}"
        for name, (title, form) in _NUMBERS.items()
        if name in data and (data[name] is not None or name in ("loss", "eval_loss"))
    ]
    parts += [f"{name} {data[name]:.4g}" for name in _TELLING if isinstance(data.get(name), int | float)]
    return "  ".join(parts)


def telling(metrics: dict[str, Any]) -> dict[str, Any]:
    """Of a run's numbers those that say how well it goes."""
    return {name: metrics[name] for name in ("loss", "eval_loss", *_TELLING) if name in metrics}


def progress(status: RunStatus) -> str:
    """Where a run stands, in one line: "step 12/80  loss 1.93  12 s left"."""
    total = f"/{status.total:,}" if status.total is not None else ""
    parts = [
        f"step {status.step:,}{total}" if status.step is not None else "",
        numbers(telling(status.metrics)),
        f"{clock(status.eta_seconds)} left" if status.eta_seconds is not None else "",
    ]
    return "  ".join(part for part in parts if part)


def _shown(value: Any, form: str) -> str:
    if value is None:
        return "nan"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return gib(value) if form == "bytes" else f"{count(value)}/s" if form == "rate" else format(value, form)


def _status(event: Event) -> str:
    return str(event.data.get("text") or event.data.get("state"))


def _progress(event: Event) -> str | None:
    data = event.data
    if data.get("unit", "step") == "step":
        return None
    done, total = data.get("done"), data.get("total")
    if not isinstance(done, (int, float)) or not isinstance(total, (int, float)) or not total:
        return str(data.get("text"))
    return f"{data.get('text')} {min(done / total, 1):.0%}"


def _metric(event: Event) -> str | None:
    return numbers(event.measured) or None


def _evaluation(event: Event) -> str:
    return numbers(event.measured) + ("  best so far" if event.data.get("best") else "")


def _sample(event: Event) -> str:
    return f"sample  {_cut(event.asked)} → {_cut(str(event.data.get('text', '')))}"


def _checkpoint(event: Event) -> str:
    size = event.data.get("bytes")
    parts = [gib(size) if isinstance(size, (int, float)) else "", "best so far" if event.data.get("best") else ""]
    details = ", ".join(part for part in parts if part)
    return f"saved {event.data.get('path')}" + (f" ({details})" if details else "")


def _said(event: Event) -> str:
    hint = event.data.get("hint")
    return f"{event.kind}: {event.data.get('text')}" + (f" {hint}" if hint else "")


def _end(event: Event) -> str:
    hint = event.data.get("hint")
    return f"{event.data.get('status')}: {event.data.get('text')}" + (f" {hint}" if hint else "")


def _cut(text: str) -> str:
    return text if len(text) <= SAMPLE_WIDTH else text[: SAMPLE_WIDTH - 1] + "…"


_TELLING = tuple(f"{prefix}{name}" for name in MAIN_VALUES[:5] for prefix in ("", "eval_"))

_NUMBERS = {
    "loss": ("loss", ".4f"),
    "eval_loss": ("eval_loss", ".4f"),
    "learning_rate": ("lr", ".2e"),
    "grad_norm": ("grad_norm", ".3g"),
    "tokens_per_second": ("tokens", "rate"),
    "gpu_used_bytes": ("gpu", "bytes"),
}

_WORDS = {
    "status": _status,
    "progress": _progress,
    "metric": _metric,
    "evaluation": _evaluation,
    "sample": _sample,
    "checkpoint": _checkpoint,
    "warning": _said,
    "diagnosis": _said,
    "recovery": _said,
    "end": _end,
}
