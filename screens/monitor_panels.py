"""What the monitor's charts show: one row per panel, and how its numbers are said.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

from ftui.runs.document import MAIN_VALUES
from ftui.runs.smoothing import LEVELS, suited_level
from ftui.units import GiB, gib, plain

from .monitor_axes import elapsed, short
from .monitor_picture import Picture
from .monitor_raster import Curve, Frame, Limit, visible_bounds
from .monitor_series import Series, Smoothed


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: `metric` is its main curve, `second` another on the same axes, `smooth` whether smoothing applies.

    `floor` is a value the axis always includes, `ceiling` likewise; `scale` turns bytes into GiB or shares into %.
    """

    key: str
    title: str
    metric: str
    unit: str = ""
    second: str | None = None
    second_name: str = ""
    smooth: bool = False
    floor: float | None = None
    ceiling: float | None = None
    scale: float = 1.0
    memory: bool = False

    def said(self, value: float | None) -> str:
        """A value of this panel in words: "1.832", "13.4 GiB", "97 %"."""
        if value is None:
            return "–"
        if self.memory:
            return gib(value)
        return f"{short(value * self.scale)} {self.unit}".rstrip()


PANELS: tuple[Panel, ...] = (
    Panel("loss", "loss", "loss", second="eval_loss", second_name="evaluation", smooth=True),
    Panel("learning_rate", "learning rate", "learning_rate", floor=0.0),
    Panel("grad_norm", "gradient norm", "grad_norm", smooth=True, floor=0.0),
    Panel("tokens_per_second", "tokens/s", "tokens_per_second", smooth=True, floor=0.0),
    Panel("gpu_memory", "GPU memory", "gpu_reserved_bytes", second="gpu_used_bytes", second_name="whole card",
          floor=0.0, scale=1 / GiB, unit="GiB", memory=True),
    Panel("rss", "memory (RSS)", "rss_bytes", floor=0.0, scale=1 / GiB, unit="GiB", memory=True),
    Panel("gpu_utilization", "GPU utilisation", "gpu_utilization", floor=0.0, ceiling=1.0, scale=100, unit="%"),
    Panel("gpu_temperature", "GPU temperature", "gpu_temperature_c", unit="°C"),
    Panel("gpu_power", "GPU power", "gpu_power_w", floor=0.0, unit="W"),
    Panel("step_seconds", "seconds per step", "step_seconds", smooth=True, floor=0.0, unit="s"),
)
"""In the order of importance: a small screen shows the first ones."""


def panels_for(metrics: Set[str]) -> list[Panel]:
    """The panels that have something to show, so that none stands empty; host memory only where no GPU is measured.

    Before the first value there is the loss alone.  Metrics that no panel knows get one of their own, by name: those
    that tell most of an objective right after the loss.
    """
    gpu = "gpu_reserved_bytes" in metrics or "gpu_used_bytes" in metrics
    found = [p for p in PANELS if {p.metric, p.second} & metrics and not (gpu and p.key in ("rss", "step_seconds"))]
    drawn = {p.metric for p in PANELS} | {p.second for p in PANELS} | HIDDEN
    if not any(panel.key == "loss" for panel in found):
        found.insert(0, PANELS[0])
    own = {name.removeprefix("eval_") for name in metrics - drawn}
    main = [name for name in MAIN_VALUES if name in own]
    found[1:1] = [_named(name, metrics) for name in main]
    rest = sorted(own - set(main), key=lambda name: (_place(name), name))
    return found + [_named(name, metrics) for name in rest]


def _named(name: str, metrics: Set[str]) -> Panel:
    """The panel of a value that the run's objective measures; one that only evaluations measure is drawn by them."""
    title = TITLES.get(name) or plain(_spelt(name))
    if name not in metrics:
        return Panel(name, f"{title} (eval)", f"eval_{name}")
    return Panel(name, title, name, second=f"eval_{name}", second_name="evaluation", smooth=True)


def _place(name: str) -> int:
    """Where a value stands among the others: each reward of several first, then what has a title of its own."""
    return -1 if name.startswith("rewards/") else list(TITLES).index(name) if name in TITLES else len(TITLES)


def _spelt(name: str) -> str:
    """A value's name in words; of a reward of several its own name comes first."""
    kind, _, rest = name.partition("/")
    reward, _, what = rest.rpartition("/")
    if kind == "rewards" and reward:
        return reward if what == "mean" else f"{reward}, spread" if what == "std" else f"{reward}, {what}"
    return name.replace("_", " ").replace("/", ": ")


TITLES = {
    "reward_std": "reward spread",
    "frac_reward_zero_std": "groups all alike",
    "entropy": "entropy",
    "completions/mean_length": "answer length",
    "completions/clipped_ratio": "answers cut off",
    "completions/max_length": "longest answer",
    "completions/min_length": "shortest answer",
    "clip_ratio/region_mean": "tokens clipped",
    "clip_ratio/low_mean": "clipped below",
    "clip_ratio/high_mean": "clipped above",
    "input_seconds": "wait for rows",
    "completions/mean_terminated_length": "length, ended",
    "completions/max_terminated_length": "longest, ended",
    "completions/min_terminated_length": "shortest, ended",
    "clip_ratio/low_min": "least below",
    "clip_ratio/high_max": "most above",
}
"""What values of trl's and ours are called, short enough for a line of gauges; what tells little stands last."""

HIDDEN = {"tokens", "epoch", "gpu_allocated_bytes", "gpu_total_bytes"}
"""Metrics that are said elsewhere: in the header, as a limit, in the table of the plan."""

Ends = tuple[float, float]
"""The first and the last step that there is to see."""


@dataclass(frozen=True)
class View:
    """How the charts are looked at; one for all of them, so that they stay comparable.

    `left` and `right` are steps, None follows the run's own ends.  `level` indexes LEVELS, None suits the run's length.
    """

    left: float | None = None
    right: float | None = None
    log: bool = False
    level: int | None = None
    axis: str = "step"
    """What is said under the charts: "step", "time" or "epoch"."""

    def span(self, ends: Ends) -> tuple[float, float]:
        """The steps at the charts' two ends, of a run (or of several) with these."""
        first, last = ends
        left = first if self.left is None else self.left
        right = last if self.right is None else self.right
        return (left, right) if right > left else (left, left + 1)

    def zoomed(self, ends: Ends, factor: float, centre: float = 0.5) -> View:
        """`factor` < 1 shows fewer steps, around a place between 0 (left end) and 1; never beyond the run's ends.

        Looking at the newest steps goes on following them.
        """
        first, last = ends
        left, right = self.span(ends)
        width = max((right - left) * factor, 4.0)
        if width >= last - first:
            return replace(self, left=None, right=None)
        if self.right is None and centre == 0.5:
            return replace(self, left=last - width)
        return self._within(left + (right - left - width) * centre, width, first, last)

    def panned(self, ends: Ends, share: float) -> View:
        """Move by a share of the width; at the right end the view follows the run again."""
        first, last = ends
        left, right = self.span(ends)
        width = right - left
        if width >= last - first:
            return self
        return self._within(left + share * width, width, first, last)

    def _within(self, left: float, width: float, first: float, last: float) -> View:
        left = min(max(left, first), last - width)
        follows = left + width >= last - 1e-9
        return replace(self, left=left, right=None if follows else left + width)

    def level_in_use(self, points: int) -> int:
        """The level in use: the chosen one, else one that suits so many points."""
        return suited_level(points) if self.level is None else self.level

    def weight(self, points: int) -> float:
        """The smoothing weight in use."""
        return LEVELS[self.level_in_use(points)]


def points_of(picture: Picture) -> int:
    """How many losses the run is going to have: points to come count too, lest the line change its character while one
    watches."""
    loss = picture.series.get("loss")
    logged = len(loss) if loss is not None else 0
    if logged > 1 and picture.total and loss is not None and loss.steps[-1] > loss.steps[0]:
        return int(logged * picture.total / (loss.steps[-1] - loss.steps[0]))
    return logged


def ends(picture: Picture) -> tuple[float, float]:
    """The first and last step that any curve holds."""
    held = [s for s in picture.series.values() if len(s)]
    if not held:
        return 0.0, float(picture.total or 1)
    lasts = [float(s.superseded.steps[-1]) for s in held if s.superseded is not None]
    first = float(min(s.steps[0] for s in held))
    return min(first, 1.0), max([float(s.steps[-1]) for s in held] + lasts)


class Averages:
    """The smoothed curves, kept between drawings so that only new points cost something."""

    def __init__(self) -> None:
        self._held: dict[str, Smoothed] = {}

    def of(self, name: str, series: Series, weight: float, left: float, right: float) -> Series:
        """The average of `series` with that weight, between two steps at least."""
        held = self._held.get(name)
        if held is None or held.weight != weight or held.source is not series:
            held = self._held[name] = Smoothed(series, weight)
        return held.series(left, right)


def frame(
    panel: Panel, picture: Picture, view: View, averages: Averages, limits: Sequence[Limit] = ()
) -> tuple[Frame, list[tuple[str, str]]]:
    """What a panel draws now, and its legend as (style, name) pairs.  `limits` are in the metric's own unit."""
    left, right = view.span(ends(picture))
    curves: list[Curve] = []
    legend: list[tuple[str, str]] = []
    raw = picture.series.get(panel.metric)
    weight = view.weight(points_of(picture)) if panel.smooth else 0.0
    if raw is not None and weight > 0:
        curves += [Curve(raw, "raw"), Curve(averages.of(panel.metric, raw, weight, left, right), "line")]
        legend += [("raw", "each step"), ("line", f"smoothed {weight:g}")]
    elif raw is not None and len(raw):
        curves.append(Curve(raw, "line"))
        legend.append(("line", ""))
    second = picture.series.get(panel.second) if panel.second else None
    if second is not None and len(second):
        marked = panel.second is not None and panel.second.startswith("eval_")
        # Sparse evaluations go on top, a second dense curve below the one that the panel is about.
        curves.insert(len(curves) if marked else 0, Curve(second, "second", marks=marked))
        legend.append(("second", panel.second_name))
    if any(curve.series.superseded is not None for curve in curves):
        legend.append(("old", "earlier attempt"))
    held = [*limits]
    if panel.ceiling is not None:
        low, high = panel.floor or 0.0, panel.ceiling
    else:
        low, high = visible_bounds(curves, left, right, view.log, panel.floor, held)
    log = view.log and low > 0
    return Frame(curves, left, right, low, high, log, held, panel.scale, step_sayer(picture, view)), legend


def step_sayer(picture: Picture, view: View) -> Callable[[float], str | None] | None:
    """What turns a step into what stands under the charts; None for the step's own number."""
    if view.axis == "time":
        return lambda step: elapsed(picture.seconds_at(step))
    if view.axis == "epoch" and picture.epoch_at(0) is not None:
        return lambda step: f"ep. {picture.epoch_at(step):.2f}"
    return None
