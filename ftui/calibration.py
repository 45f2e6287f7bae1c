"""What is known of this machine's own devices: what `ftui calibrate` measured, and what finished runs taught.

Nothing is kept twice: a measurement is a small file, and what runs teach is read from their folders, a plan held
against what happened.  Files that can't be used are left out with a sentence.
"""

from __future__ import annotations

import functools
import json
import mmap
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from ftui.errors import FtuiError
from ftui.files import write_atomic
from ftui.paths import cache_dir
from ftui.planner.calibration import Calibration, Learned, Measured

if TYPE_CHECKING:
    from ftui.hardware.document import Hardware
    from ftui.models.document import ModelShape
    from ftui.planner.document import MemoryEstimate, Plan
    from ftui.recipe.document import Recipe
    from ftui.runs.folder import Run
    from ftui.runs.launch import Layout

NEWEST = 40
"""Runs that are looked at, newest first: older ones were made with other drivers and libraries."""
TAIL = 1 << 16
"""Bytes at the end of a run's events in which its last steps' times are looked for."""
FRESH_SECONDS = 5.0
LEAST_STEPS = 5
"""A run of fewer measured steps is mostly warming up."""
ANOTHER_ATTEMPT = re.compile(rb'"kind": ?"recovery"|"attempt": ?(?:[2-9]|1\d)')
TELLING = re.compile(rb'"kind": ?"(?:recovery|status)"')
WILD = 20.0
"""A step that took so many times longer or shorter than planned was another thing than what was planned."""


class Lesson(NamedTuple):
    """What one finished run says: measured over predicted, for the device and basis of its plan."""

    device: str
    basis: str
    step: float | None
    memory: float | None


class Kept(NamedTuple):
    """A measured peak and what it was measured for."""

    peak: int
    allocated: int | None
    process: int | None
    """What NVML showed of the process, where it was asked."""
    plan: Plan
    where: str
    launched: Recipe
    trained: Recipe
    """What recoveries have made of `launched`; the same where memory never ran out."""


def calibration() -> Calibration:
    """All that is known now.  Cheap enough for every edit: within a few seconds nothing is read again, and after them
    only what has changed."""
    return _gathered(folder(), _moment())


def _moment() -> int:
    return int(time.monotonic() / FRESH_SECONDS)


@functools.lru_cache(maxsize=2)
def _gathered(_where: Path, _moment: int) -> Calibration:
    measured, problems = _measurements()
    known = Calibration(measured=measured, problems=problems)
    lessons: dict[str, list[Lesson]] = {}
    for run in _runs("train"):
        if (lesson := _lesson(run)) is not None and lesson.basis == known.basis(lesson.device):
            lessons.setdefault(lesson.device, []).append(lesson)
    return Calibration(
        measured=measured, problems=problems,
        learned={device: learned(device, found) for device, found in lessons.items()},
    )


def learned(device: str, lessons: list[Lesson]) -> Learned:
    """Medians, so that one run beside another program's work spoils nothing, and how far the runs lay from them."""
    steps = sorted(lesson.step for lesson in lessons if lesson.step is not None)
    peaks = sorted(lesson.memory for lesson in lessons if lesson.memory is not None)
    middle = statistics.median(steps) if steps else 1.0
    # With many runs the one in ten that lies farthest out is left to chance.
    beyond = sorted(max(step / middle, middle / step) for step in steps)[: max(3, round(0.9 * len(steps)))]
    return Learned(
        device=device, step=middle, step_spread=max([1.05, *beyond]) if len(steps) > 1 else 1.5, runs=len(steps),
        memory=statistics.median(peaks) if peaks else 1.0, memory_low=peaks[0] if peaks else 1.0,
        memory_high=peaks[-1] if peaks else 1.0, memory_runs=len(peaks),
    )


def keep(found: Measured) -> Path:
    """Write a measurement where `calibration` finds it; the newest of a device replaces the one before."""
    _gathered.cache_clear()
    file = folder() / f"{re.sub(r'[^a-z0-9]+', '-', found.device.lower()).strip('-') or 'device'}.json"
    write_atomic(file, found.to_json(), mode=0o644)
    return file


def folder() -> Path:
    """Where measurements lie, one file per device."""
    return cache_dir() / "calibration"


def measured(recipe: Recipe, shape: ModelShape, hardware: Hardware) -> MemoryEstimate | None:
    """The real peak of a finished run, or of a probe, with the same memory-relevant configuration on this device.

    None where there was none.  `recipe` is resolved.  The badge is "measured"; the parts are the estimate's, with what
    they miss or exceed put down to the allocator.
    """
    from ftui.planner.memory import memory
    from ftui.planner.setup import setup_of

    device = _device(recipe, hardware)
    kept = _peaks(folder(), _moment()).get((device, memory_key(recipe)))
    if kept is None:
        return None
    # Another model may lie in the same folder, or under the same name, by now.
    planned = kept.plan.recommendation.memory
    if planned.parts.weights != memory(setup_of(kept.launched, hardware, shape, None)).parts.weights:
        return None
    expected = planned if kept.trained == kept.launched else memory(setup_of(recipe, hardware, shape, None))
    return as_measured(kept, expected, _context(device))


@functools.lru_cache(maxsize=2)
def _peaks(_where: Path, _moment: int) -> dict[tuple[str, str], Kept]:
    """Every peak that was measured with the installed libraries, the newest of its kind, by device and settings."""
    from ftui.runs.folder import versions

    now, found = _libraries(versions()), {}
    for run in reversed(_runs("train", "measure")):
        if _libraries(run.info.versions) != now or (kept := _kept(run)) is None:
            continue
        found[kept.plan.recommendation.time.device, memory_key(kept.trained)] = kept
    return found


def start_measure(layout: Layout, *, command: str) -> Run:
    """Start two steps of `layout`'s recipe on the device itself, and return at once.

    Raises Refused where the run itself would be refused, but not for its memory: that is what is asked.
    """
    from ftui.errors import Refused
    from ftui.recipe import assign
    from ftui.runs.control import start
    from ftui.runs.folder import create
    from ftui.runs.obstacles import obstacles
    from ftui.runs.on_end import SILENT

    spoken = layout.estimate.verdict.text
    if found := next((one for one in obstacles(layout) if one.what != spoken), None):
        raise Refused(found.what, found.hint)
    # What is to be done when the training ends isn't to be done now.
    quiet = assign(layout.recipe, {**SILENT, "compute.max_hours": None})
    run = create("measure", f"measure-{layout.recipe.name}", command=command, recipe=quiet, plan=layout.plan)
    start(run)
    return run


def finished_measure(run: Run) -> MemoryEstimate:
    """What a measuring run found; RunFailed with its own last words where there is nothing."""
    from ftui.errors import RunFailed
    from ftui.runs.status import status

    kept = _kept(run)
    if kept is None:
        now = status(run)
        raise RunFailed(f"Nothing was measured: {now.text}", now.hint or f"See its log: {run.log}")
    _peaks.cache_clear()
    planned = kept.plan.recommendation
    return as_measured(kept, planned.memory, _context(planned.time.device))


def as_measured(kept: Kept, expected: MemoryEstimate, context: int | None) -> MemoryEstimate:
    """`expected`, an estimate, with the measured peak in place of its own; `context` in bytes, where known."""
    cuda = not kept.plan.device.startswith("CPU")
    outside = (context or expected.parts.context) if cuda else 0
    process = kept.process or kept.peak + outside
    reserved = kept.peak if cuda else kept.peak - expected.parts.context
    others = expected.allocated_bytes
    allocated = kept.allocated or min(reserved, others)
    parts = expected.parts.model_copy(update={
        "context": process - reserved, "slack": reserved - allocated,
        "workspace": expected.parts.workspace + allocated - others,
    })
    return expected.model_copy(update={
        "parts": parts, "allocated_bytes": allocated, "reserved_bytes": reserved, "process_bytes": process,
        "low_bytes": process, "high_bytes": int(process * 1.02), "badge": "measured",
        "notes": (f"Measured by the run {kept.where}; estimated were {expected.process_bytes / 2**30:.2f} GiB.",),
    })


def memory_key(recipe: Recipe) -> str:
    """Everything of a resolved recipe that the peak depends on; two recipes of the same key take the same memory."""
    whole = recipe.as_dict()
    train, data, compute = whole["train"], whole["data"], whole["compute"]
    kept = {
        "model": whole["model"], "objective": whole["objective"],
        "adapter": {name: value for name, value in whole["adapter"].items() if name != "alpha"},
        "data": {name: value for name, value in data.items() if name != "validation"},
        "train": {name: train[name] for name in MEMORY_SETTINGS if name in train},
        "accumulates": train["effective_batch"] != train["micro_batch"],
        "compute": {name: compute[name] for name in ("gpus", "strategy", "offload", "allocator") if name in compute},
    }
    return json.dumps(kept, sort_keys=True, default=str)


MEMORY_SETTINGS = (
    "micro_batch", "optimizer", "checkpointing", "checkpoint_layers", "loss", "trainer", "adapter_dtype",
    "activation_offload", "neftune", "max_grad_norm",
)


def _device(recipe: Recipe, hardware: Hardware) -> str:
    from ftui.planner.devices import rate
    from ftui.planner.setup import device_of

    return rate(hardware, cpu=device_of(recipe, hardware) == "cpu").name


def _context(device: str) -> int | None:
    found = _measurements()[0].get(device)
    return found.context_bytes if found else None


def _libraries(versions: dict[str, str]) -> dict[str, str | None]:
    names = ("torch", "transformers", "trl", "peft", "bitsandbytes")
    return {name: versions.get(name) for name in names}


def _measurements() -> tuple[dict[str, Measured], tuple[str, ...]]:
    found, problems = {}, []
    try:
        files = sorted(folder().glob("*.json"))
    except OSError:
        files = []
    for file in files:
        try:
            one = Measured.from_json(file.read_bytes())
        except (OSError, ValidationError):
            problems.append(f"{file} is no measurement of this ftui and was left out; measure anew: ftui calibrate")
            continue
        if stale := _stale(one):
            problems.append(f"The measurement of {one.device} was left out: {stale}; measure anew: ftui calibrate")
            continue
        found[one.device] = one
    return found, tuple(problems)


def _stale(one: Measured) -> str | None:
    from ftui.runs.folder import versions

    torch = versions().get("torch")
    if min(one.half, one.single, one.bandwidth, one.launch) <= 0:
        return "a rate in it is not positive"
    if torch is not None and torch != one.torch:
        return f"it was made with torch {one.torch}, and {torch} is installed"
    return None


def _runs(*kinds: str) -> list[Run]:
    """The newest runs of these kinds, newest first."""
    from ftui.runs.folder import list_runs

    try:
        return [run for run in list_runs() if run.info.kind in kinds][:NEWEST]
    except FtuiError:
        # A runs folder that can't be read teaches nothing; whoever lists runs says so.
        return []


def _by_state(read: Callable[[Path, int, int], object]) -> Callable[[Run], object]:
    """`read` once per state of the run's events file: finished runs are read once in a process."""
    remembered = functools.lru_cache(maxsize=4 * NEWEST)(read)

    def look(run: Run) -> object:
        try:
            state = run.events.stat()
        except OSError:
            return None
        return remembered(run.path, state.st_mtime_ns, state.st_size)

    return look


def _read_lesson(path: Path, _changed: int, _size: int) -> Lesson | None:
    from ftui.runs.folder import Run

    run = Run(path)
    ended = _ended(run)
    plan = _plan(run)
    if ended is None or plan is None or (changes := _changes(run)) is None:
        return None
    end, metrics = ended
    option = plan.recommendation
    if not option.time.device or not option.time.basis:
        return None  # planned by an ftui that didn't say what for
    # Steps of smaller micro-batches than planned say nothing of the time model.
    steps = [] if changes else [event["step_seconds"] for event in metrics if event.get("step_seconds")][1:]
    step = memory = None
    if len(steps) >= LEAST_STEPS and option.time.step_seconds > 0:
        step = statistics.median(steps) / (option.time.step_seconds / option.time.factor)
        step = step if 1 / WILD < step < WILD else None
    if peak := end.get("peak_bytes"):
        outside = 0 if plan.device.startswith("CPU") else option.memory.process_bytes - option.memory.reserved_bytes
        # A run that recovered had another peak to reach than the one that was launched.
        expected = end.get("expected_bytes") if changes else option.memory.process_bytes
        memory = peak / (expected - outside) if expected and expected > outside else None
    return Lesson(option.time.device, option.time.basis, step, memory)


def _read_kept(path: Path, _changed: int, _size: int) -> Kept | None:
    from ftui.runs.folder import Run

    run = Run(path)
    ended, plan, changes = _ended(run), _plan(run), _changes(run)
    if ended is None or plan is None or changes is None or not (peak := ended[0].get("peak_bytes")):
        return None
    from ftui.recipe import assign

    end = ended[0]
    try:
        launched = run.recipe()
        trained = assign(launched, changes) if launched is not None else None
    except FtuiError:
        return None  # written by another ftui: whoever shows that run says so
    if launched is None or trained is None:
        return None
    held = _whole(end.get("process_bytes"))
    return Kept(int(peak), _whole(end.get("allocated_bytes")), held, plan, run.id, launched, trained)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


_lesson: Callable[[Run], Lesson | None] = _by_state(_read_lesson)  # type: ignore[assignment]
_kept: Callable[[Run], Kept | None] = _by_state(_read_kept)  # type: ignore[assignment]


def _ended(run: Run) -> tuple[dict[str, float], list[dict[str, float]]] | None:
    """The final metrics of a run that finished, and its last steps' metric events; None for any other."""
    try:
        with open(run.events, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            lines = file.read().splitlines()
    except OSError:
        return None
    metrics, end = [], None
    for line in lines:
        try:
            event = json.loads(line)
            kind, data = event["kind"], event["data"]
        except (ValueError, KeyError, TypeError):
            continue  # the first line is cut, the last may be torn
        if kind == "metric":
            metrics.append(data)
        elif kind == "end":
            end = data
    if end is None or end.get("status") != "finished":
        return None
    return end.get("metrics") or {}, metrics


def _changes(run: Run) -> dict[str, Any] | None:
    """What the last attempt, which has taken the peak, trained otherwise than launched; mostly nothing.

    None where that isn't known to hold the highest peak: after a resume by hand the longest rows may lie behind it.  A
    recovery's attempt has tried them first.
    """
    changes: dict[str, Any] = {}
    recoveries, attempt, tried = 0, 1, False
    try:
        with open(run.events, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            if not ANOTHER_ATTEMPT.search(text):
                return changes
            for line in iter(text.readline, b""):
                if not TELLING.search(line):
                    continue
                event = json.loads(line)
                if event["attempt"] != attempt:
                    attempt, tried = event["attempt"], False
                if event["kind"] == "recovery":
                    recoveries += 1
                    changes |= event["data"]["change"]
                tried |= event["data"].get("trial") is True
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return changes if recoveries == attempt - 1 and tried else None


def _plan(run: Run) -> Plan | None:
    try:
        return run.plan()
    except (OSError, ValidationError):
        return None
