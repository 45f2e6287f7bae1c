"""`plan()`, `resolve()`, `estimate()`: from a draft to a recommendation with its reasons, pure and in milliseconds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.methods import ADAPTERS
from ftui.models.document import ModelShape
from ftui.planner import rules, search
from ftui.planner.asked_objective import answers
from ftui.planner.calibration import Calibration
from ftui.planner.changes import Costs
from ftui.planner.devices import Rate, rate
from ftui.planner.disk import disk_bytes, result_bytes
from ftui.planner.document import Choice, Estimate, MemoryEstimate, Method, Option, Plan, Verdict
from ftui.planner.draft import AUTO, ORDER, Draft, fill
from ftui.planner.geometry import geometry
from ftui.planner.lengths import expected_longest, mean_length, read_profile
from ftui.planner.memory import memory
from ftui.planner.quality import quality
from ftui.planner.risks import risks
from ftui.planner.rules import Job
from ftui.planner.setup import Device, Setup, device_of, devices_of, masks_one_row, setup_of, words_again
from ftui.planner.sharding import weakest
from ftui.planner.states import trainable_parameters
from ftui.planner.time import Schedule, schedule, step_seconds, time
from ftui.planner.verdict import budget, reserve, verdict
from ftui.recipe.document import Recipe
from ftui.units import count, gib

TITLES: dict[Method, str] = {
    "full": "Full fine-tuning", "lora": "LoRA", "qlora": "QLoRA (4-bit base)", "lora-int8": "LoRA (8-bit base)",
}

# By priority: what doubling the time costs in quality, and what filling the whole device does.
WEIGHTS = {"quality": (0.003, 0.0), "balanced": (0.010, 0.0), "speed": (0.05, 0.0), "memory": (0.008, 0.08)}

def plan(
    hardware: Hardware, shape: ModelShape, profile: DataProfile | None, draft: Recipe,
    calibration: Calibration | None = None,
) -> Plan:
    """What fits this machine, what to pick and why.

    What the draft has set is a constraint; only what it leaves open is varied.  The recommendation fits if anything
    does; where nothing does, it is the option that misses by least and its verdict says "no".
    """
    hardware = weakest(hardware, devices_of(draft))
    cpu = device_of(draft, hardware) == "cpu"
    view, job = _begun(hardware, shape, profile, draft, cpu)
    sizes = geometry(shape)
    device: Device = "cpu" if cpu else "cuda"
    free, kept = budget(hardware, device), reserve(hardware, device)
    speed = _rate(job, view, calibration)
    built: list[tuple[Option, dict[str, Choice]]] = []
    for method in search.allowed(view, job):
        candidate = search.best(job, view, method, sizes, speed, free - kept)
        built.append(_option(job, view, method, candidate, speed, free, kept))
    ranked = _ranked(built, draft.goal.priority, free)
    fitting = [item for item in ranked if item[0].verdict.fit != "no"]
    missing = sorted((i for i in ranked if i[0].verdict.fit == "no"), key=lambda i: -i[0].verdict.spare_bytes)
    picked, choices = fitting[0] if fitting else missing[0]
    ordered = sorted(choices.values(), key=lambda choice: ORDER.index(choice.path))
    resolved = fill(draft, picked.settings)
    return Plan(
        device=f"CPU ({hardware.cpu.cores:g} cores)" if cpu else _cards(hardware, devices_of(draft)),
        budget_bytes=free, reserve_bytes=kept, recommendation=_explained(picked, fitting),
        choices=tuple(c for c in ordered if c.path in picked.settings),
        advice=tuple(c for c in ordered if c.path not in picked.settings and view.value(c.path) != c.value),
        alternatives=tuple(option for option, _ in fitting[1:]),
        rejected=tuple(option for option, _ in (missing if fitting else missing[1:])),
        risks=risks(resolved, hardware, shape, profile), notes=_notes(job, bool(fitting)),
    )


def _begun(
    hardware: Hardware, shape: ModelShape, profile: DataProfile | None, draft: Recipe, cpu: bool
) -> tuple[Draft, Job]:
    """The draft with what the other rules build on already filled in: the objective and the rows that are held out."""
    view, job = Draft.of(draft), Job(hardware, shape, profile, draft, cpu)
    first = {choice.path: choice.value for choice in (rules.objective(job), rules.validation(job))}
    recipe = fill(draft, {path: value for path, value in first.items() if view.open(path)})
    return Draft(recipe, view.asked), Job(hardware, shape, profile, recipe, cpu)


def resolve(draft: Recipe, plan: Plan, option: Option | None = None) -> Recipe:
    """`draft` with every open value filled from `option` (the recommendation by default); what the user set stays.

    Where the draft was changed after the plan so that another method is asked for, that method's option is taken.
    """
    view = Draft.of(draft)
    source = option or _matching(view, plan)
    settings = {path: value for path, value in source.settings.items() if view.open(path)}
    resolved = fill(draft, settings)
    left = [path for path in AUTO if Draft(resolved, frozenset()).open(path) and _has(resolved, path)]
    for other in (plan.recommendation, *plan.alternatives, *plan.rejected):
        more = {path: other.settings[path] for path in left if path in other.settings}
        if more:
            resolved = fill(resolved, more)
            left = [path for path in left if path not in more]
    if left:
        raise ValueError(f"the plan was made for another draft and has nothing for {', '.join(left)}: plan again")
    return resolved


def estimate(
    recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None,
    calibration: Calibration | None = None,
) -> Estimate:
    """Memory, time, verdict and disk of exactly this resolved recipe; ValueError where it is not resolved.

    Where several devices share it, memory and verdict are those of the least of them.
    """
    hardware = weakest(hardware, devices_of(recipe))
    setup = setup_of(recipe, hardware, shape, profile)
    predicted = memory(setup)
    speed, steps, costs = _priced(recipe, hardware, shape, profile, setup, calibration)
    return Estimate.model_construct(
        memory=predicted,
        time=time(setup, speed, steps, price=recipe.compute.price_per_hour, by_part=True),
        verdict=verdict(predicted, setup, hardware, costs=costs),
        disk_bytes=disk_bytes(setup, recipe.train.keep_checkpoints),
        adapter_bytes=result_bytes(setup), trainable_parameters=trainable_parameters(setup),
    )


def judge(
    memory: MemoryEstimate, recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None,
    calibration: Calibration | None = None,
) -> Verdict:
    """The verdict on a memory that is known better than by formula: traced or measured, for this resolved recipe."""
    hardware = weakest(hardware, devices_of(recipe))
    setup = setup_of(recipe, hardware, shape, profile)
    _, _, costs = _priced(recipe, hardware, shape, profile, setup, calibration)
    return verdict(memory, setup, hardware, costs=costs)


def _priced(
    recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None, setup: Setup,
    calibration: Calibration | None,
) -> tuple[Rate, Schedule, Costs]:
    """What a resolved recipe's time rests on, and what its changes would cost."""
    cpu = setup.device == "cpu"
    threads = recipe.compute.threads if isinstance(recipe.compute.threads, int) else 1
    steps = _schedule(recipe, profile, setup)
    speed = rate(hardware, cpu=cpu, threads=threads, calibration=calibration)
    job = Job(hardware, shape, profile, recipe, cpu)
    return speed, steps, _costs(job, speed, steps, packed=bool(recipe.data.packing))


def _cards(hardware: Hardware, count: int) -> str:
    """The cards that share a run; every figure of the plan is one card's."""
    return f"each of {count} × {hardware.device_name}" if count > 1 else hardware.device_name


def _schedule(recipe: Recipe, profile: DataProfile | None, setup: Setup) -> Schedule:
    train = recipe.train
    assert isinstance(recipe.data.max_length, int)
    assert isinstance(train.effective_batch, int)
    return schedule(
        read_profile(profile, recipe.objective), max_length=recipe.data.max_length,
        packing=bool(recipe.data.packing), micro_batch=setup.rows,
        effective_batch=train.effective_batch, epochs=train.epochs, max_steps=train.max_steps,
        validation=recipe.data.validation,
        eval_steps=train.eval_steps if isinstance(train.eval_steps, int) else 10**9, answers=answers(recipe),
    )


def _option(
    job: Job, view: Draft, method: Method, candidate: search.Candidate, speed: Rate, free: int, kept: int
) -> tuple[Option, dict[str, Choice]]:
    setup = candidate.setup
    choices = search.settle(candidate, view, method, free - kept, f"{gib(free)} free")
    if "adapter.rank" in choices:
        choices["adapter.rank"] = _rank_with_price(choices["adapter.rank"], setup)
    settings: dict[str, Any] = {path: c.value for path, c in choices.items() if view.open(path)}
    predicted = memory(setup)
    costs = _costs(job, speed, candidate.plan, packed=bool(view.pick("data.packing", choices["data.packing"].value)))
    held = verdict(predicted, setup, job.hardware, with_changes=candidate.fit != "fits", costs=costs)
    every = choices["train.eval_steps"].value if view.open("train.eval_steps") else view.value("train.eval_steps")
    steps = candidate.plan
    evaluations = math.ceil(steps.steps / max(1, every)) if steps.held_out else 0
    steps = replace(steps, evaluations=evaluations)
    option = Option(
        method=method, title=_title(method, job.draft.adapter.kind), settings=settings, memory=predicted,
        time=time(setup, speed, steps, price=job.draft.compute.price_per_hour), verdict=held,
        adapter_bytes=result_bytes(setup), trainable_parameters=trainable_parameters(setup),
        quality=costs.worth(setup) if costs.worth else 1.0,
        note=_note(method, setup, held.fit),
    )
    return option, choices


def _costs(job: Job, rate: Rate, steps: Schedule, *, packed: bool) -> Costs:
    """What prices a change of a setup: its seconds per real token, and its expected quality."""
    kind = job.draft.adapter.kind
    read = read_profile(job.profile, job.draft.objective)
    lengths = read.lengths if read else None

    def pace(setup: Setup) -> float:
        # What the model writes comes behind what it reads of a row.
        width = setup.length - setup.completion
        real = min(steps.real, width) if packed else mean_length(read, width)
        padded = real if packed else expected_longest(read, width, setup.rows)
        tokens = steps.step_sequences * (real + setup.completion)
        return step_seconds(setup, rate, replace(steps, padded=padded, real=real)) / tokens

    def worth(setup: Setup) -> float:
        return quality(setup, job.shape, job.profile, job.wanted_length.value, kind if kind != "none" else "lora")

    return Costs(pace, worth, lengths, masks_one_row(job.draft, packed=packed))


def _title(method: Method, kind: str) -> str:
    """The way's name; an adapter other than LoRA gives its own."""
    if method == "full" or kind in ("lora", "none"):
        return TITLES[method]
    return ADAPTERS[kind].title + {"qlora": " (4-bit base)", "lora-int8": " (8-bit base)"}.get(method, "")


def _ranked(
    built: list[tuple[Option, dict[str, Choice]]], priority: str, free: int
) -> list[tuple[Option, dict[str, Choice]]]:
    """Best first: what surely fits before what is tight, then quality less what time and memory cost.

    Time is that of a token: an option with shorter sequences is done sooner for having read less.
    """
    slow, full = WEIGHTS[priority]
    fastest = max(option.time.tokens_per_second for option, _ in built)

    def score(item: tuple[Option, dict[str, Choice]]) -> tuple[bool, float]:
        option = item[0]
        slower = math.log2(fastest / option.time.tokens_per_second)
        cost = slow * slower + full * option.memory.process_bytes / max(free, 1)
        return option.verdict.fit != "fits", cost - option.quality

    return sorted(built, key=score)


def _explained(picked: Option, fitting: list[tuple[Option, dict[str, Choice]]]) -> Option:
    if not fitting:
        return picked.model_copy(update={"note": "Nothing fits; this misses by least."})
    return picked.model_copy(update={"note": f"The pick: {picked.note[0].lower()}{picked.note[1:]}"})


def _note(method: Method, setup: Setup, fit: str) -> str:
    if fit == "no":
        rows = "1 row" if setup.rows == 1 else f"{setup.rows} rows"
        return f"Does not fit even with {rows} of {setup.length} tokens at once."
    said = {
        "full": "Can learn and forget most; the result is a whole model.",
        "lora": "Close to full tuning on data of this size, and the result is a small file.",
        "qlora": "A quarter of the base model's memory for a little quality and time.",
        "lora-int8": "Half of the base model's memory for a little quality and time.",
    }[method]
    again = words_again(setup)
    if not again:
        return f"{said} Activations are kept: they fit."
    whose = "Activations are" if setup.layers_again == setup.geometry.layers else f"Those of {again}"
    return f"{said} {whose} computed again going backward, to save memory."


def _rank_with_price(choice: Choice, setup: Setup) -> Choice:
    """The rank's reason with what doubling it costs: another adapter with its gradients and optimizer states."""
    per_element = setup.adapter_bytes * 4
    return choice.model_copy(
        update={"reason": f"{choice.reason}; doubling it costs {gib(setup.adapter_parameters * per_element, 2)}"}
    )


def _matching(view: Draft, plan: Plan) -> Option:
    options = (plan.recommendation, *plan.alternatives, *plan.rejected)
    recipe = view.recipe
    full = None if view.open("adapter.kind") else recipe.adapter.kind == "none"
    wanted = None
    if not view.open("model.quantization"):
        wanted = {"nf4": "qlora", "fp4": "qlora", "int8": "lora-int8"}.get(recipe.model.quantization, "plain")
    for option in options:
        if full is not None and (option.method == "full") != full:
            continue
        kind = "plain" if option.method in ("full", "lora") else option.method
        if wanted is not None and kind != wanted:
            continue
        return option
    return plan.recommendation


def _has(recipe: Recipe, path: str) -> bool:
    section, _, name = path.partition(".")
    return hasattr(getattr(recipe, section), name)


def _rate(job: Job, view: Draft, calibration: Calibration | None) -> Rate:
    threads = int(view.pick("compute.threads", rules.threads(job).value))
    return rate(job.hardware, cpu=job.cpu, threads=threads, calibration=calibration)


def _notes(job: Job, fits: bool) -> tuple[str, ...]:
    notes = []
    if not fits:
        notes.append("Nothing fits this machine as it is now: see what would change it, or take a smaller base model.")
    if job.profile is None:
        notes.append("No data has been read: lengths and time are assumed.")
    elif job.profile.lengths is None:
        notes.append("The rows' lengths are not known: every row is taken to fill the sequence length.")
    if job.profile is not None and job.profile.images:
        notes.append("Rows have images: what the vision tower needs while it looks at them is not in the memory.")
    if not job.shape.exact:
        notes.append(job.shape.inexact_reason or f"The parameter count of {job.shape.name} is estimated.")
    if job.shape.quantization:
        notes.append(f"{job.shape.name} is stored in {job.shape.quantization}: an adapter trains on it as it is.")
    if job.cpu and job.shape.parameters > 1_000_000_000:
        notes.append(f"{count(job.shape.parameters)} parameters take days on a CPU: a smaller model shows the way.")
    return tuple(notes)
