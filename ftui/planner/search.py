"""The enumeration: for each method the best of sequence length × checkpointing × optimizer × micro-batch that fits.

Only what the draft leaves open is varied.  The length that the rules ask for comes first and shorter ones only where
nothing fits at it, since a cut row is lost and a smaller micro-batch is not; the same for a leaner optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ftui.methods import ADAPTERS, LoraOptions, Targeted
from ftui.methods.lora import CHANGES_BASE
from ftui.planner import rules
from ftui.planner.asked_objective import answers
from ftui.planner.devices import Rate
from ftui.planner.document import Choice, Fit, Method
from ftui.planner.draft import Draft
from ftui.planner.geometry import Geometry, chosen
from ftui.planner.lengths import read_profile
from ftui.planner.memory import least_bytes, process_bytes
from ftui.planner.rules import Job
from ftui.planner.setup import Setup, assemble, devices_of, words_again
from ftui.planner.time import Schedule, schedule, step_seconds
from ftui.planner.verdict import fit_of
from ftui.recipe.adapter_combinations import UNCHECKPOINTED
from ftui.units import gib

METHODS: tuple[Method, ...] = ("full", "lora", "qlora", "lora-int8")
MOST_ROWS = 64
"""Larger micro-batches no longer make a step faster, and the allocator's rounding grows."""
SHORTEST = 256


@dataclass(frozen=True)
class Candidate:
    """One configuration of a method, with what it costs; its memory is looked at only where that is asked for."""

    job: Job
    setup: Setup
    plan: Schedule
    choices: dict[str, Choice]
    """Every value that the planner would pick, by path; those that the draft has fixed among them."""
    step: float
    room: int

    @property
    def seconds(self) -> float:
        return self.step * self.plan.steps

    @cached_property
    def fit(self) -> Fit:
        return "no" if least_bytes(self.setup) > self.room else fit_of(*self._peak, self.room)

    @property
    def process(self) -> int:
        return self._peak[0]

    @cached_property
    def _peak(self) -> tuple[int, int]:
        return process_bytes(self.setup)


def allowed(draft: Draft, job: Job) -> tuple[Method, ...]:
    """The methods that the draft, the model and the device leave."""
    methods = list(METHODS)
    if not draft.open("adapter.kind"):
        full = draft.recipe.adapter.kind == "none"
        methods = [m for m in methods if (m == "full") == full]
    if not draft.open("model.quantization"):
        wanted = {"nf4": "qlora", "fp4": "qlora", "int8": "lora-int8"}.get(draft.recipe.model.quantization)
        methods = [m for m in methods if (m == wanted if wanted else m in ("full", "lora"))] or methods
    elif job.shape.quantization:
        # A base that is stored quantized trains as it is stored: only an adapter can go on it.
        stored: Method = "lora-int8" if "8" in job.shape.quantization else "qlora"
        methods = [m for m in methods if m == stored] or methods
    else:
        methods = [m for m in methods if _runs(m, job)] or methods
    return tuple(methods)


UNQUANTIZED = (*CHANGES_BASE, "mica", "orthogonal")
"""Starts of LoRA that need the base's own weights."""


def _runs(method: Method, job: Job) -> bool:
    """Whether bitsandbytes serves the device (not Apple's; 8 bits from compute capability 7.5 on) and the adapter."""
    if method == "lora-int8" and getattr(job.draft.adapter, "dora", False):
        return False
    init = getattr(job.draft.adapter, "init", "default")
    if (method in ("qlora", "lora-int8") and init in UNQUANTIZED) or (method != "qlora" and init == "loftq"):
        return False
    row = ADAPTERS[job.draft.adapter.kind]
    if row.kind != "none" and ((method == "qlora" and not row.on_nf4) or (method == "lora-int8" and not row.on_int8)):
        return False
    gpu = None if job.cpu else job.hardware.gpu
    if gpu is None or method in ("full", "lora"):
        return True
    if gpu.vendor == "apple":
        return False
    return method != "lora-int8" or gpu.compute_capability is None or gpu.compute_capability >= (7, 5)


def best(job: Job, draft: Draft, method: Method, sizes: Geometry, rate: Rate, room: int) -> Candidate:
    """The best configuration of `method`; where none fits, the smallest one there is."""
    lengths, optimizers = _lengths(job, draft), _optimizers(job, draft, method)
    smallest: Candidate | None = None
    for length in lengths:
        frame = _frame(job, draft, method, sizes, length)
        for optimizer in optimizers:
            if found := _preferred(job, draft, method, rate, room, frame, optimizer):
                return found
            if smallest is None:
                # Whether anything can fit is asked only where the first try does not.
                last, lean = _frame(job, draft, method, sizes, lengths[-1]), _checkpointing(draft, method)[-1]
                smallest = next(_batches(job, draft, method, rate, room, last, optimizers[-1], lean))
            if smallest.fit == "no":
                return smallest
    assert smallest is not None
    return smallest


def _preferred(
    job: Job, draft: Draft, method: Method, rate: Rate, room: int, frame: _Frame, optimizer: str
) -> Candidate | None:
    """Of what fits, with and without checkpointing, the leanest that is hardly slower than the fastest.

    Among nearly equal ones a larger micro-batch only adds risk; with memory first half as long again is allowed.
    """
    slower = 1.5 if draft.recipe.goal.priority == "memory" else 1.03
    found: list[Candidate] = []
    most = math.inf
    for checkpointing in _checkpointing(draft, method):
        for candidate in _batches(job, draft, method, rate, room, frame, optimizer, checkpointing):
            if candidate.seconds > most:
                continue
            if candidate.fit == "no":
                break
            if candidate.fit == "fits":
                found.append(candidate)
                most = min(most, slower * candidate.seconds)
    return min((c for c in found if c.seconds <= most), key=lambda c: c.process, default=None)


def _lengths(job: Job, draft: Draft) -> list[int]:
    if not draft.open("data.max_length"):
        return [draft.value("data.max_length")]
    wanted = job.wanted_length.value
    shorter, length = [], wanted
    while length > SHORTEST:
        length = max(SHORTEST, length // 2 // 64 * 64)
        shorter.append(length)
    return [wanted, *shorter]


def _optimizers(job: Job, draft: Draft, method: Method) -> list[str]:
    if not draft.open("train.optimizer"):
        return [draft.value("train.optimizer")]
    if method != "full":
        return ["adamw"]
    quantized = [] if job.hardware.gpu and job.hardware.gpu.vendor == "apple" else ["adamw_8bit"]
    return ["adamw", *quantized, *(["paged_adamw_8bit"] if quantized and not job.cpu else [])]


def _checkpointing(draft: Draft, method: Method) -> list[bool]:
    if not draft.open("train.checkpointing"):
        return [bool(draft.value("train.checkpointing"))]
    if method != "full" and draft.recipe.adapter.kind in UNCHECKPOINTED:
        return [False]
    # Who says how many layers are checkpointed has them checkpointed.
    return [False, True] if draft.recipe.train.checkpoint_layers is None else [True]


@dataclass(frozen=True)
class _Frame:
    """What is settled before micro-batch, optimizer and checkpointing are varied."""

    sizes: Geometry
    choices: dict[str, Choice]
    values: dict[str, Any]


def _frame(job: Job, draft: Draft, method: Method, sizes: Geometry, length: int) -> _Frame:
    recipe = draft.recipe
    choices: dict[str, Choice] = {}

    def add(choice: Choice) -> Any:
        choices[choice.path] = choice
        return draft.pick(choice.path, choice.value)

    asked_for = job.wanted_length
    add(asked_for if length == asked_for.value or not draft.open("data.max_length") else rules.plain_choice(
        "data.max_length", length, f"{length} tokens — {asked_for.value} do not fit; longer rows are cut"))
    packing = bool(add(rules.packing(job, length)))
    values: dict[str, Any] = {"length": length, "packing": packing}
    values["dtype"] = add(rules.dtype(job, method))
    values["attention"] = add(rules.attention(job))
    values["epochs"] = add(rules.epochs(job))
    for choice in (
        rules.objective(job), rules.validation(job), rules.schedule(job), rules.weight_decay(),
        rules.clipping(method), rules.threads(job), rules.gpus(job), rules.strategy(),
    ):
        add(choice)
    validates = draft.value("data.validation") not in (0, 0.0)
    add(rules.patience(job, values["epochs"], validates))
    if job.objective == "sft":
        add(rules.loss_on(job))
    if rewarded := rules.rewards(job):
        add(rewarded)
    values["rate"] = add(rules.learning_rate(job, method))
    if method != "full" and recipe.adapter.kind in ("lora", "none"):
        values["rank"] = add(rules.rank(job))
        add(rules.alpha(job, values["rank"]))
        add(rules.targets(job))
        add(rules.rslora(job, values["rank"]))
        values["dropout"] = add(rules.dropout(job, any(t.packed for t in chosen(sizes, _targets(draft)))))
    probe = schedule(
        read_profile(job.profile, recipe.objective),
        max_length=length, packing=packing, micro_batch=1, effective_batch=1, epochs=1, max_steps=None,
        validation=recipe.data.validation, eval_steps=1,
    )
    values["effective"] = add(rules.effective_batch(job, method, probe.sequences * answers(recipe)))
    return _Frame(sizes, choices, values)


def _batches(
    job: Job, draft: Draft, method: Method, rate: Rate, room: int, frame: _Frame, optimizer: str, checkpointing: bool
) -> Iterator[Candidate]:
    """Candidates from the smallest micro-batch up."""
    for rows, effective in _micro_batches(draft, frame):
        setup = _setup(job, draft, method, frame, optimizer, checkpointing, rows, effective)
        plan = schedule(
            read_profile(job.profile, draft.recipe.objective),
            max_length=frame.values["length"], packing=frame.values["packing"], micro_batch=rows,
            effective_batch=effective, epochs=frame.values["epochs"], max_steps=draft.recipe.train.max_steps,
            validation=draft.recipe.data.validation, eval_steps=1, answers=answers(draft.recipe),
        )
        yield Candidate(job, setup, plan, frame.choices, step_seconds(setup, rate, plan), room)


def _targets(draft: Draft) -> str | tuple[str, ...]:
    """The adapter's targets as drafted; for a draft of full tuning that may become an adapter, all linear modules."""
    adapter = draft.recipe.adapter
    return adapter.targets if isinstance(adapter, LoraOptions | Targeted) else "all-linear"


def _micro_batches(draft: Draft, frame: _Frame) -> list[tuple[int, int]]:
    """Pairs of micro-batch and effective batch; where both are open the first divides the second.

    An effective batch holds whole groups of answers to one prompt, and the two that online DPO compares stay together;
    KTO takes its baseline from the other rows of a micro-batch.
    """
    effective = frame.values["effective"]
    group = getattr(draft.recipe.objective, "generations", 1)
    together = group if draft.recipe.objective.kind == "online_dpo" else 1
    devices = devices_of(draft.recipe)
    fixed = not draft.open("train.effective_batch")
    if not draft.open("train.micro_batch"):
        rows = draft.value("train.micro_batch")
        unit = math.lcm(rows * devices, group)
        return [(rows, effective if fixed else max(unit, round(effective / unit) * unit))]
    if not fixed:
        effective = max(devices, effective // devices * devices)
    shares = max(1, effective // devices)
    least = 2 if draft.recipe.objective.kind == "kto" and shares > 1 else together
    steps = range(least, min(shares, MOST_ROWS) + 1, together)
    return [(rows, effective) for rows in steps if shares % rows == 0]


def _setup(
    job: Job, draft: Draft, method: Method, frame: _Frame, optimizer: str, checkpointing: bool, rows: int,
    effective: int,
) -> Setup:
    values = frame.values
    quantization = "none" if method in ("full", "lora") else draft.pick(
        "model.quantization", "nf4" if method == "qlora" else "int8"
    )
    return assemble(
        draft.recipe, job.hardware, frame.sizes, job.profile, method=method, quantization=quantization,
        dtype=values["dtype"], attention=values["attention"], max_length=values["length"], packing=values["packing"],
        rows=rows, effective=effective, checkpointing=checkpointing, optimizer=optimizer, rank=values.get("rank", 0),
        dropout=bool(values.get("dropout", 0)),
    )


def settle(candidate: Candidate, draft: Draft, method: Method, room: int, budget_text: str) -> dict[str, Choice]:
    """All choices of a candidate: those of the rules and those that the search made by what fits."""
    setup, plan = candidate.setup, candidate.plan
    choices = dict(candidate.choices)
    effective = setup.rows * setup.accumulation * devices_of(draft.recipe)

    def add(path: str, value: Any, reason: str, source: str = rules.MEMORY) -> None:
        choices[path] = rules.plain_choice(path, value, reason, source)

    kind = draft.recipe.adapter.kind if draft.recipe.adapter.kind != "none" else "lora"
    add("adapter.kind", "none" if method == "full" else kind,
        "every weight trains" if method == "full" else "an adapter trains, the base model stays as it is", rules.LORA)
    add("model.quantization", setup.quantization if method != "full" else "none", {
        "full": "not quantized — every weight trains",
        "lora": f"not quantized — the base fits as it is ({budget_text})",
        "qlora": "4 bits — a quarter of the base model's memory for a little quality and time",
        "lora-int8": "8 bits — half of the base model's memory; slower than 4 bits",
    }[method], rules.QLORA)
    peak = f"{gib(candidate.process)} of {budget_text}"
    most = "rows" if not candidate.choices["data.packing"].value else "sequences"
    add("train.micro_batch", setup.rows, f"{setup.rows} {most} at once — {peak}")
    if candidate.choices["train.effective_batch"].value != effective:
        add("train.effective_batch", effective, f"{effective} — a multiple of {setup.rows} rows per device and pass",
            rules.FTUI)
    again = words_again(setup)
    add("train.checkpointing", setup.checkpointing,
        f"on — {again} computed again going backward, a third more time for most of their activations' memory"
        if again else "off — the activations fit, and nothing is computed twice", rules.CHECKPOINTING)
    names = {"adamw": "AdamW — its states fit", "adamw_8bit": "AdamW with states in 8 bits — in full they do not fit",
             "paged_adamw_8bit": "AdamW with 8-bit states in host memory — on the card they do not fit"}
    add("train.optimizer", setup.optimizer, names.get(setup.optimizer, setup.optimizer),
        rules.EIGHT_BIT if "8bit" in setup.optimizer else rules.MEMORY)
    rate = candidate.choices["train.learning_rate"].value
    job = candidate.job
    looks = rules.cadence(plan.steps, plan.held_out, plan.steps * plan.step_sequences)
    for choice in (rules.warmup(job, draft.pick("train.learning_rate", rate), plan.steps), *looks):
        choices[choice.path] = choice
    return choices

