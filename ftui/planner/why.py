"""Why not another value?  What it would change in memory, time and quality, and what the rule for it says.

The answer is worked out, not written down: the changed recipe is estimated like any other.  For another method
(full tuning, another quantization) the plan's own best way of it is taken, since a fair comparison lets it choose its
micro-batch; for every other value only that value changes, and what can't stand beside it.
"""

from __future__ import annotations

from typing import Any

from ftui.data.document import DataProfile
from ftui.documents import Document
from ftui.errors import FtuiError
from ftui.hardware.document import Hardware
from ftui.methods import ADAPTERS, OBJECTIVES
from ftui.models.document import ModelShape
from ftui.planner.document import Choice, Fit, MemoryEstimate, Method, Option, Plan, TimeEstimate, Verdict
from ftui.planner.draft import OPTIONS, fill
from ftui.planner.engine import Calibration, estimate, resolve
from ftui.planner.engine import plan as plan_again
from ftui.planner.quality import quality
from ftui.planner.rules import Job, max_length, rule
from ftui.planner.setup import device_of, method_of, setup_of
from ftui.recipe import assign, get, walk
from ftui.recipe.document import Recipe
from ftui.units import gib

SAME_RESULT = (
    "train.micro_batch", "train.checkpointing", "train.checkpoint_layers", "train.activation_offload", "train.loss",
    "model.attention", "compute.allocator", "compute.threads", "train.eval_steps", "train.save_steps", "data.padding",
    "compute.data_workers",
)
"""Settings that change how a step is computed and not what it comes to."""
FITS: dict[Fit | None, int] = {"fits": 0, "tight": 1, "no": 2, None: 3}
WAYS: dict[Method, tuple[str, str]] = {
    "full": ("adapter.kind", "none"), "lora": ("model.quantization", "none"), "qlora": ("model.quantization", "nf4"),
    "lora-int8": ("model.quantization", "int8"),
}
"""The setting that tells each of the plan's ways from the others."""


class WhyNot(Document):
    """One value of one setting beside the one that is picked; numbers are None where the value can't be."""

    path: str
    value: Any
    picked: Any
    is_picked: bool
    method: Method | None = None
    """The plan's way that is asked about, where it is one."""
    settings: dict[str, Any] = {}
    """What takes it: the value and what can't stay as it is beside it; dotted path -> value."""
    fit: Fit | None = None
    verdict: Verdict | None = None
    """Whether it fits, and the changes that would make it."""
    process_bytes: int | None = None
    more_bytes: int | None = None
    """Expected peak less that of the recipe as it is."""
    time_ratio: float | None = None
    """Time of the whole run over that of the recipe as it is."""
    quality: float | None = None
    """Expected quality by the stated rule, `ftui.planner.quality`."""
    better: float | None = None
    """That less the recipe's own."""
    reason: str = ""
    """Why the picked value was picked."""
    source: str = ""
    unknown: str = ""
    """What the rule doesn't know."""
    trains: bool = True
    """False for what can be planned and not trained yet."""
    text: str


def why_not(
    plan: Plan, recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, path: str,
    value: Any,
) -> str:
    """In sentences: what `path=value` would change in this resolved recipe, and why it is not the pick."""
    return answer(plan, recipe, hardware, shape, profile, path, value).text


def answer(
    plan: Plan, recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, path: str,
    value: Any, calibration: Calibration | None = None,
) -> WhyNot:
    """The same with its numbers.  `recipe` is resolved and `plan` the plan it was resolved from.

    Raises BadInput for a path that no recipe has; a value that can't be is an answer, not an error.
    """
    picked = _current(recipe, path)
    choice = next((c for c in (*plan.choices, *plan.advice) if c.path == path), None)
    known = rule(path)
    common: dict[str, Any] = {
        "path": path, "picked": picked, "reason": choice.reason if choice else "",
        "source": choice.source if choice else ", ".join(known.sources) if known else "",
        "unknown": known.unknown if known else "",
    }
    try:
        settings = _with_companions(recipe, path, value)
        changed = _changed(recipe, hardware, shape, profile, settings)
        then = _best_of(plan, changed, path, shape, profile) or _weighed(changed, hardware, shape, profile, calibration)
    except FtuiError as error:
        said = str(error).removeprefix("The recipe: ")
        return WhyNot(**common, value=value, is_picked=False, text=f"{path}={shown(value)} can't be: {said}")
    value = _current(changed, path)
    now = _weighed(recipe, hardware, shape, profile, calibration)
    if value == picked:
        text = f"{path}={shown(value)} is what is taken{_because(choice)}."
        return WhyNot(
            **common, value=value, is_picked=True, settings=settings, fit=now.verdict.fit, verdict=now.verdict,
            process_bytes=now.memory.process_bytes, more_bytes=0, time_ratio=1.0, quality=now.quality, better=0.0,
            text=text,
        )
    more = then.memory.process_bytes - now.memory.process_bytes
    ratio = then.time.total_seconds / now.time.total_seconds
    better = round(then.quality - now.quality, 4)
    beside, trains = _beside(recipe, changed, path), _trains(changed, path)
    # What does not fit even at its smallest was cut short to be tried: its time and quality say nothing.
    costs = then.note if then.note and then.verdict.fit == "no" else f"{_time(ratio)}; {_quality(path, better)}."
    text = " ".join((
        f"{path}={shown(value)}{beside}: {_memory(then, more)}; {costs[0].lower()}{costs[1:]}",
        *(() if trains else ("ftui can plan it, but not train it yet.",)),
        f"Taken is {shown(picked)}{_because(choice)}.",
    ))
    return WhyNot(
        **common, value=value, is_picked=False, settings=settings, fit=then.verdict.fit, verdict=then.verdict,
        process_bytes=then.memory.process_bytes, more_bytes=more, time_ratio=ratio, quality=then.quality,
        better=better, trains=trains, text=text,
    )


def compare(
    plan: Plan, recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, question: str,
    calibration: Calibration | None = None,
) -> tuple[WhyNot, ...]:
    """The answer to `section.setting=value`, or to `section.setting` alone: every option of it, best first."""
    path, equals, value = question.partition("=")
    path = path.strip()
    if equals:
        return (answer(plan, recipe, hardware, shape, profile, path, value.strip(), calibration),)
    return compared(plan, recipe, hardware, shape, profile, path, calibration)


def compared(
    plan: Plan, recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, path: str,
    calibration: Calibration | None = None,
) -> tuple[WhyNot, ...]:
    """Every option of one choice, what fits first, then by expected quality, then by time; what can't be comes last."""
    found = [answer(plan, recipe, hardware, shape, profile, path, value, calibration) for value in values(recipe, path)]
    return tuple(sorted(found, key=lambda one: (FITS[one.fit], -(one.quality or 0.0), one.time_ratio or 0.0)))


def ways(
    plan: Plan, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, draft: Recipe,
    calibration: Calibration | None = None,
) -> tuple[WhyNot, ...]:
    """Every way of the plan that was made for `draft` beside the one that it recommends, in the plan's order."""
    recipe = resolve(draft, plan)
    found = []
    for option in (plan.recommendation, *plan.alternatives, *plan.rejected):
        path, value = WAYS[option.method]
        if option.method == "lora" and recipe.adapter.kind == "none":
            path, value = "adapter.kind", "lora"
        one = answer(plan, recipe, hardware, shape, profile, path, value, calibration)
        found.append(one.model_copy(update={"method": option.method}))
    return tuple(found)


def values(recipe: Recipe, path: str) -> tuple[Any, ...]:
    """What there is to choose from: the setting's own options, or for a number its picked value, halves and doubles.

    Raises BadInput for a path that no recipe has.
    """
    if path == "adapter.kind":
        return tuple(ADAPTERS)
    if path == "objective.kind":
        return tuple(OBJECTIVES)
    current = _current(recipe, path)
    entry = next((entry for entry in walk(recipe) if entry.path == path), None)
    if path == "adapter.targets":
        return ("all-linear", ("q_proj", "v_proj"), ("q_proj", "k_proj", "v_proj", "o_proj"),
                ("gate_proj", "up_proj", "down_proj"))
    if isinstance(current, bool) or (entry and entry.kind == "bool"):
        return (True, False)
    if entry and entry.choices:
        return tuple(entry.choices)
    if isinstance(current, int):
        return tuple(dict.fromkeys(max(1, value) for value in (current // 4, current // 2, current, 2 * current,
                                                               4 * current)))
    if isinstance(current, float):
        return tuple(float(f"{current * factor:.3g}") for factor in (0.25, 0.5, 1, 2, 4)) if current else (current,)
    return (current,)


class _Weighed(Document):
    """What one way costs and is worth."""

    memory: MemoryEstimate
    time: TimeEstimate
    verdict: Verdict
    quality: float
    note: str = ""


def _weighed(
    recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, calibration: Calibration | None
) -> _Weighed:
    found = estimate(recipe, hardware, shape, profile, calibration)
    cpu = device_of(recipe, hardware) == "cpu"
    wanted = max_length(Job(hardware, shape, profile, recipe, cpu)).value
    worth = quality(setup_of(recipe, hardware, shape, profile), shape, profile, wanted, recipe.adapter.kind)
    return _Weighed.model_construct(memory=found.memory, time=found.time, verdict=found.verdict, quality=worth, note="")


def _best_of(
    plan: Plan, changed: Recipe, path: str, shape: ModelShape, profile: DataProfile | None
) -> _Weighed | None:
    """The plan's own option for the method that the changed recipe asks for, where the method is what changes."""
    if path not in ("adapter.kind", "model.quantization") or changed.adapter.kind not in ("none", "lora"):
        return None
    if changed.model.quantization == "fp4":
        return None
    options: tuple[Option, ...] = (plan.recommendation, *plan.alternatives, *plan.rejected)
    found = next((option for option in options if option.method == method_of(changed)), None)
    if found is None:
        return None
    return _Weighed.model_construct(
        memory=found.memory, time=found.time, verdict=found.verdict, quality=found.quality, note=found.note
    )


def _with_companions(recipe: Recipe, path: str, value: Any) -> dict[str, Any]:
    """The value with what must change beside it, in the order in which they are to be set."""
    section, _, name = path.partition(".")
    changes = {other: new for other, new in _companions(recipe, path, value).items() if get(recipe, other) != new}
    if section == "adapter" and name != "kind" and name not in OPTIONS["adapter"][recipe.adapter.kind]:
        changes = {"adapter.kind": "lora", **changes}
    return {**changes, path: value}


def _changed(
    recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, settings: dict[str, Any]
) -> Recipe:
    """`recipe` with these settings; what it leaves to the planner is planned."""
    changed = assign(recipe, settings)
    if _left_open(changed):
        found = plan_again(hardware, shape, profile, changed)
        planned = found.recommendation.settings
        changed = fill(changed, {path: planned[path] for path in _left_open(changed) if path in planned})
    return changed


def _companions(recipe: Recipe, path: str, value: Any) -> dict[str, Any]:
    """What can't stay as it is beside this value."""
    text = str(value).strip()
    quantization = recipe.model.quantization
    if path == "adapter.kind" and text in ADAPTERS:
        row = ADAPTERS[text]
        served = {"nf4": row.on_nf4, "fp4": row.on_nf4, "int8": row.on_int8}.get(quantization, True)
        return {} if served else {"model.quantization": "none"}
    if path == "model.quantization" and text not in ("none", "auto") and recipe.adapter.kind == "none":
        return {"adapter.kind": "lora"}
    if path == "train.micro_batch" and text.isdecimal() and int(text):
        rows, effective = int(text), int(recipe.train.effective_batch)
        return {"train.effective_batch": max(rows, -(-effective // rows) * rows)}
    if path == "train.effective_batch" and text.isdecimal() and int(text) % int(recipe.train.micro_batch):
        return {"train.micro_batch": max(n for n in range(1, int(recipe.train.micro_batch) + 1) if int(text) % n == 0)}
    return {}


def _left_open(recipe: Recipe) -> list[str]:
    return [entry.path for entry in walk(recipe) if entry.auto and get(recipe, entry.path) == "auto"
            and entry.path != "adapter.dtype"]


def _current(recipe: Recipe, path: str) -> Any:
    section, _, name = path.partition(".")
    if section == "adapter" and name in OPTIONS["adapter"]["lora"] and not hasattr(recipe.adapter, name):
        return None
    return get(recipe, path)


def _beside(recipe: Recipe, changed: Recipe, path: str) -> str:
    """What had to change with it, where that is worth saying."""
    moved = [
        f"{other}={shown(get(changed, other))}"
        for other in ("adapter.kind", "model.quantization", "train.effective_batch", "train.micro_batch")
        if other != path and get(changed, other) != get(recipe, other)
    ]
    return f" (with {', '.join(moved)})" if moved else ""


def _memory(then: _Weighed, more: int) -> str:
    change = "the same memory" if abs(more) < 1 << 20 else (
        f"{gib(then.memory.process_bytes)} expected, {gib(abs(more), 2)} {'more' if more > 0 else 'less'}"
    )
    room = then.verdict.spare_bytes
    match then.verdict.fit:
        case "fits":
            return f"{change}, which fits"
        case "tight":
            return f"{change}, which is tight (it may miss by {gib(-room)})"
        case _:
            return f"{change}, which does not fit (its high end misses by {gib(-room)})"


def _time(ratio: float) -> str:
    if abs(ratio - 1) < 0.02:
        return "about as long"
    if ratio >= 2:
        return f"{ratio:.2g} times as long"
    return f"{abs(ratio - 1):.0%} {'longer' if ratio > 1 else 'less time'}"


def _quality(path: str, better: float) -> str:
    if abs(better) < 0.0005:
        if path in SAME_RESULT:
            return "the same quality"
        return "no difference that the rule for quality knows of"
    return f"by the rule for quality {abs(100 * better):.2g} % {'better' if better > 0 else 'worse'}"


def _trains(changed: Recipe, path: str) -> bool:
    row = {"adapter.kind": ADAPTERS.get(changed.adapter.kind), "objective.kind": OBJECTIVES.get(changed.objective.kind)}
    found = row.get(path)
    return found is None or found.trains


def _because(choice: Choice | None) -> str:
    if choice is None:
        return ", as the recipe says"
    head, dash, rest = choice.reason.partition(" — ")
    reason = rest if dash and len(head) < 30 else choice.reason
    return f": {reason} ({choice.source})"


def shown(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
