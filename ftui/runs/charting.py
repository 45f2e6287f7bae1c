"""Curves of one to eight runs as a picture for a paper, SVG or PNG; matplotlib is imported when one is drawn.

The same runs give the same file, byte for byte, with the same matplotlib: no date and no chance is in it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.errors import BadInput, Refused
from ftui.files import write_atomic
from ftui.runs.alignment import Axis
from ftui.runs.comparing import Side, check_number, colours, labels, not_measured, read_side
from ftui.runs.folder import Run
from ftui.runs.smoothing import LEVELS, Average, suited_level
from ftui.runs.thinning import gap_places, thinned
from ftui.units import GiB, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".svg", ".png")
WIDTH, FIRST_HEIGHT, NEXT_HEIGHT = 6.5, 3.4, 2.1
"""Inches: a paper's text width, the first panel with a row of its legend, each further one."""
ROW_HEIGHT, LEGEND_LETTERS = 0.17, 104
"""Inches of a row of the legend, and how many letters have room in it."""
NAME_LETTERS = 70
GENERAL = ("evaluation", "best evaluation", "not a number")
"""What the legend of several runs says of all of them."""
DPI = 200
COLOURS = ("#0b62b8", "#c26a00", "#1b7a36", "#b3202c", "#7437ba", "#857d00", "#008a86", "#b83289")
"""By `comparing.colours`; dark enough for lines on white."""
TRAINED, EVALUATED = COLOURS[0], COLOURS[1]
"""Of a single run."""
SIGNS = "os^Dv<>P"
"""The marker of each run, by its place: nobody needs the colours to tell them apart."""
FAINT = 3
"""Up to so many runs each step is drawn behind the smoothed line."""
STEADY = ("learning_rate", "epoch", "tokens")
"""Curves that have nothing to smooth, besides what is measured of the machine."""
AXIS_TITLES = {"step": "step", "tokens": "tokens seen"}
SPANS = ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (180, 60, "min"), (0, 1, "s"))
"""From so many seconds on the time is told in units of so many."""


@dataclass(frozen=True)
class Drawn:
    """The files that were written, and a sentence for each run that lacks a curve."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def chart(
    runs: Sequence[Run], files: Sequence[Path], *, curves: Sequence[str] = (), axis: Axis = "step", log: bool = False,
    weight: float | None = None,
) -> Drawn:
    """Draw the curves of these runs into each of the files.

    A curve and its evaluation share a panel; without any named it is the loss with its evaluation.  `weight` smooths
    (0: not at all; None: as suits the length).  Raises BadInput for an ending or a curve that there is none of, Refused
    for a file that exists.
    """
    check_number(runs, least=1)
    for file in files:
        if file.suffix.lower() not in ENDINGS:
            raise BadInput(f"{file.name}: no picture is drawn as {file.suffix or 'that'}.", "End it in .svg or .png.")
        if file.exists():
            raise Refused(f"{file} exists; nothing was overwritten.", "Choose another name.")
    sides = [read_side(run) for run in runs]
    measured = set().union(*(side.curves for side in sides))
    names = list(dict.fromkeys(curves)) or [name for name in ("loss", "eval_loss") if name in measured] or ["loss"]
    if unknown := next((name for name in names if name not in measured), None):
        raise not_measured(unknown, sides)
    told, notes = [_cut(label) for label in labels(runs)], []
    for side, label in zip(sides, told, strict=True):
        lacking = [name for name in names if not side.placed(name, axis)[0]]
        if lacking:
            by = f" over {axis}" if any(name in side.curves for name in lacking) else ""
            notes.append(f"{label} has no {', '.join(lacking)}{by}.")
    if not any(side.placed(name, axis)[0] for side in sides for name in names):
        why = "no tokens were counted" if axis == "tokens" else "no step was trained"
        raise BadInput(f"Nothing can be laid over {axis}: {why}.", "Lay it over steps: --by step")
    for file in files:
        write_atomic(file, _picture(sides, told, names, axis, log, weight, file.suffix.lower()[1:]), mode=0o644)
    return Drawn(tuple(files), tuple(notes))


def title(name: str) -> tuple[str, float]:
    """What a curve's axis says, with its unit, and what its values are multiplied by."""
    prefix, base = ("evaluation ", name[5:]) if name.startswith("eval_") else ("", name)
    for ending, unit, scale in (
        ("_bytes", "GiB", 1 / GiB), ("_utilization", "%", 100.0), ("_seconds", "s", 1.0), ("_c", "°C", 1.0),
        ("_w", "W", 1.0),
    ):
        if base.endswith(ending) and base != ending:
            words = base if ending == "_utilization" else base.removesuffix(ending)
            return f"{prefix}{plain(words.replace('_', ' ')).replace('gpu', 'GPU')} ({unit})", scale
    words = {"grad_norm": "gradient norm", "tokens_per_second": "tokens/s"}.get(base, base.replace("_", " "))
    return f"{prefix}{plain(words)}", 1.0


def panels(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The curves of each panel: an evaluation stands with what it evaluates where that is drawn, too."""
    return [
        (name, *(f"eval_{name}" for _ in "." if f"eval_{name}" in names))
        for name in names
        if not (name.startswith("eval_") and name.removeprefix("eval_") in names)
    ]


def _picture(
    sides: Sequence[Side], told: Sequence[str], names: Sequence[str], axis: Axis, log: bool, weight: float | None,
    form: str,
) -> bytes:
    import logging

    import matplotlib

    # It tells on stderr that it looks for fonts, which takes a while once; a name's letters that they lack are boxes.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({
            # Names are untrusted: none is a formula, and letters become paths, which look alike everywhere.
            "text.parse_math": False, "svg.fonttype": "path", "svg.hashsalt": "ftui", "font.size": 9,
            "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#dddddd",
            "grid.linewidth": 0.6, "axes.axisbelow": True, "axes.xmargin": 0.02, "axes.formatter.limits": (-3, 5),
            "legend.frameon": False, "lines.solid_capstyle": "round",
        })
        figure = _figure(sides, told, panels(names), axis, log, weight)
        written = io.BytesIO()
        creator = {"Creator": "ftui", "Date": None} if form == "svg" else {"Software": "ftui"}
        figure.savefig(written, format=form, dpi=DPI, facecolor="white", metadata=creator)
    return written.getvalue()


def _figure(
    sides: Sequence[Side], told: Sequence[str], parts: Sequence[tuple[str, ...]], axis: Axis, log: bool,
    weight: float | None,
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    grid = figure.subplots(len(parts), sharex=True, squeeze=False)[:, 0]
    unit, shown = _axis(sides, axis)
    numbers = colours([side.run.id for side in sides])
    handles: dict[str, Any] = {}
    for place, (axes, curves) in enumerate(zip(grid, parts, strict=True)):
        for number, side in enumerate(sides):
            one = _Line(side, axes, axis, 1 / unit, weight, number, len(sides), told[number], COLOURS[numbers[number]])
            for name in curves:
                one.draw(name)
            handles |= one.handles
        label, _ = title(curves[0])
        axes.set_ylabel(label)
        if log:
            _logarithmic(axes)
        if place == 0:
            axes.set_title(_heading(sides, parts), fontsize=10)
    last = grid[-1]
    last.set_xlabel(shown)
    if axis != "time":
        from matplotlib.ticker import EngFormatter, StrMethodFormatter

        last.xaxis.set_major_formatter(EngFormatter(sep="") if axis == "tokens" else StrMethodFormatter("{x:,.0f}"))
        last.xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels()
    # What is said of all runs stands behind their names.  A label that began with "_" would be left out: none does.
    ordered = sorted(handles, key=lambda label: (label in GENERAL, label)) if len(sides) > 1 else list(handles)
    columns = max(1, min(4, LEGEND_LETTERS // (max(map(len, ordered)) + 8)))
    figure.legend([handles[label] for label in ordered], ordered, loc="outside lower center", ncols=columns, fontsize=8)
    rows = math.ceil(len(ordered) / columns)
    figure.set_size_inches(WIDTH, FIRST_HEIGHT + NEXT_HEIGHT * (len(parts) - 1) + ROW_HEIGHT * (rows - 1))
    return figure


@dataclass
class _Line:
    """One run in one panel."""

    side: Side
    axes: Axes
    axis: Axis
    scale: float
    """What a place on the axis is multiplied by."""
    weight: float | None
    number: int
    count: int
    label: str
    colour: str

    def __post_init__(self) -> None:
        self.handles: dict[str, Any] = {}

    def draw(self, name: str) -> None:
        """Draw a curve of it; nothing where it has none."""
        places, values = self.side.placed(name, self.axis)
        if not places:
            return
        _, factor = title(name)
        xs, ys = [place * self.scale for place in places], [value * factor for value in values]
        if name.startswith("eval_"):
            self._evaluations(name, xs, ys, factor)
        else:
            self._measured(name, xs, ys)
        if gaps := gap_places(xs, ys):
            marks = self.axes.plot(
                gaps, [0.02] * len(gaps), "x", color="#b3202c", markersize=4, transform=self.axes.get_xaxis_transform(),
                clip_on=False,
            )
            self.handles["not a number"] = marks[0]

    def _measured(self, name: str, xs: list[float], ys: list[float]) -> None:
        single = self.count == 1
        colour = TRAINED if single else self.colour
        weight = _weight(name, len(ys), self.weight)
        if weight and self.count <= FAINT:
            faint = self.axes.plot(*thinned(xs, ys), color=colour, alpha=0.3, linewidth=0.6)
            if single:
                self.handles["each step"] = faint[0]
        tx, ty = thinned(xs, _smoothed(ys, weight)) if weight else thinned(xs, ys)
        every = max(len(tx) // 8, 1)
        marker: dict[str, Any] = {} if single else {"marker": SIGNS[self.number], "markersize": 4.5,
                                    "markevery": (every * (self.number + 1) // (self.count + 1), every)}
        line = self.axes.plot(tx, ty, color=colour, linewidth=1.4, **marker)
        word = f"smoothed {weight:g}" if weight else "training" if name in ("loss", "reward") else title(name)[0]
        self.handles[word if single else self.label] = line[0]

    def _evaluations(self, name: str, xs: list[float], ys: list[float], factor: float) -> None:
        single = self.count == 1
        colour = EVALUATED if single else self.colour
        tx, ty = thinned(xs, ys)
        line = self.axes.plot(
            tx, ty, color=colour, linewidth=1.0, linestyle=(0, (4, 2)), marker="o" if single else SIGNS[self.number],
            markersize=5, markerfacecolor="white", markeredgewidth=1.2, markevery=max(len(tx) // 60, 1), zorder=3,
        )
        if single:
            self.handles["evaluation"] = line[0]
        else:
            self._tell_evaluations(line[0])
        best = self.side.best
        if best is None or name != f"eval_{self.side.judged_by}":
            return
        places = self.side.places.of([best[0]], self.axis)
        if places:
            star = self.axes.plot(
                [places[0] * self.scale], [best[1] * factor], "*", color=colour, markersize=13, markeredgecolor="black",
                markeredgewidth=0.7, zorder=4, linestyle="none",
            )
            if single:
                self.handles[f"best: {best[1]:.4g} at step {best[0]:,}"] = star[0]
            else:
                self.handles["best evaluation"] = _sign("*", markersize=11, linestyle="none")

    def _tell_evaluations(self, line: Any) -> None:
        """The legend names a run once: by its training where that is drawn, and says once how evaluations look."""
        if self.label in self.handles:
            self.handles["evaluation"] = _sign("o", markersize=5, markerfacecolor="white", linestyle=(0, (4, 2)))
        else:
            self.handles[self.label] = line


def _sign(marker: str, **more: Any) -> Any:
    """A line of the legend that is of no run."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color="#444444", marker=marker, linewidth=1.0, **more)


def _weight(name: str, points: int, wanted: float | None) -> float:
    """The smoothing weight of a curve; what a machine measures, and what was set, stays as it is."""
    if name in STEADY or name.startswith("gpu_") or name.endswith("_bytes"):
        return 0.0
    return LEVELS[suited_level(points)] if wanted is None else wanted


def _smoothed(values: Sequence[float], weight: float) -> list[float]:
    average = Average(weight)
    return [average.add(value) if math.isfinite(value) else math.nan for value in values]


def _axis(sides: Sequence[Side], axis: Axis) -> tuple[float, str]:
    """How much of the axis is one of what it tells, and what it says."""
    if axis != "time":
        return 1.0, AXIS_TITLES[axis]
    longest = max((side.places.seconds[-1] for side in sides if len(side.places.seconds)), default=0.0)
    _, unit, name = next(span for span in SPANS if longest >= span[0])
    return unit, f"time trained ({name})"


def _cut(name: str) -> str:
    """A name that has room in a picture."""
    return name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"


def _heading(sides: Sequence[Side], parts: Collection[tuple[str, ...]]) -> str:
    if len(sides) == 1:
        return _cut(plain(sides[0].run.info.name).replace("\n", " "))
    return f"{len(sides)} runs: {', '.join(title(part[0])[0].split(' (')[0] for part in parts)}"


def _logarithmic(axes: Axes) -> None:
    """A logarithmic value axis with round numbers on it; nothing where no value is above zero."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    shown = [value for line in axes.get_lines() for value in map(float, line.get_ydata()) if value > 0]  # type: ignore[arg-type]
    if not shown:
        return
    axes.set_yscale("log", nonpositive="mask")
    short = max(shown) < 20 * min(shown)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if short else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
