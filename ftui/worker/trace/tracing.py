"""`trace_step`: a resolved recipe and a model's config to the memory of one training step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ftui.methods import ADAPTERS
from ftui.planner.caching import Replayed, replay
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.worker.objectives import builder
from ftui.worker.trace.batches import ONLINE, answer_tokens, micro_batch
from ftui.worker.trace.building import at_depth, config_of, depth
from ftui.worker.trace.companions import teacher_note
from ftui.worker.trace.deepen import Irregular, Pattern, deepen, kinds_of, pattern, shallow_depth
from ftui.worker.trace.fake import World
from ftui.worker.trace.log import Log, Peaks, Work, peaks
from ftui.worker.trace.step import trace_trainer, trainer_of
from ftui.worker.trace.tracker import Tracker
from ftui.worker.trace.workspace import Capability

SAMPLES = 4096
"""Points of a replay's series: the timeline takes its reserved bytes from them."""


@dataclass(frozen=True)
class Traced:
    """One training step of the whole model.  Bytes are of the device that the trace stands for."""

    log: Log
    layers: int
    traced_layers: tuple[int, ...]
    rows: int
    length: int
    notes: tuple[str, ...] = ()

    @cached_property
    def peaks(self) -> Peaks:
        """The fullest moment of the step and of each of its phases."""
        return peaks(self.log)

    @property
    def allocated_bytes(self) -> int:
        return self.peaks.whole.total

    @cached_property
    def work(self) -> Work:
        """Products, traffic and kernel launches of the step, what comes before it left out."""
        total = Work()
        for (phase, _), spent in self.log.work.items():
            if phase not in ("load", "setup"):
                total.add(spent)
        return total

    def reserved(self, *, expandable: bool, capacity: int | None = None) -> Replayed:
        """Two steps replayed through CUDA's caching allocator, from the loading on."""
        return replay(self.log.training()[0], expandable=expandable, capacity=capacity, points=SAMPLES)


def trace_step(
    recipe: Recipe, config: Any, *, device: str = "cuda", capability: Capability | None = None,
    rows: int | None = None, length: int | None = None, layers: int | None = None, full: bool = False,
    padded: bool | None = None, trained_share: float = 1.0, labels: int = 2,
) -> Traced:
    """Trace one optimizer step of a resolved `recipe` on the model of `config`.

    `config` is a transformers config, its fields as a mapping, or the path of a config.json.  `rows` × `length` is the
    micro-batch (default: train.micro_batch, data.max_length).  `layers` cuts the model to that depth; `full` traces
    every layer.  `labels` are those that a classifier tells apart.  `padded` says whether attention needs a mask
    (default: where rows differ in length, or are packed).
    Where the model writes its answers, these are the end of each row, and the step is the one that learns from them:
    the writing isn't traced.  Nothing of this process is left changed.  Raises BadInput for a model that transformers
    can't build.
    """
    # Before anything else, for the world leads as on CUDA what is loaded by then.
    builder(recipe.objective.kind)
    whole = config_of(config)
    whole = at_depth(whole, layers) if layers else whole
    rows = rows or int(recipe.train.micro_batch)
    answer = answer_tokens(recipe)
    length = length or int(recipe.data.max_length) + answer
    flash, free = recipe.model.attention == "flash_attention_2", recipe.data.padding == "free"
    packed = bool(recipe.data.packing) or free
    padded = (packed or rows > 1 if padded is None else padded) and not flash
    accumulation = min(2, max(1, -(-int(recipe.train.effective_batch) // rows)))
    if device == "cuda" and not packed and not answer:
        length = -(-length // 8) * 8
    if free or (packed and flash):
        # The collator lays the rows end to end.
        rows, length = 1, rows * length
    if recipe.objective.kind in ONLINE:
        # Log-probabilities are those of the answers' tokens, one less than a row has altogether.
        trained_share = answer / (length - 1)
    here = World(device=device, capability=capability or (8, 0), padded=padded, trained_share=trained_share,
                 float16=recipe.model.dtype == "float16")  # fmt: skip

    def beside(_: Any, tracker: Tracker) -> None:
        if scoring := getattr(recipe.objective, "reward_parameters", 0):
            tracker.keep(int(2 * scoring * 1e9), "reference", "the reward model")

    def trace(shallow: Any, layers: int, checkpointed: int | None = None) -> Log:
        cut = recipe if checkpointed is None else assign(recipe, {"train.checkpoint_layers": checkpointed})
        return trace_trainer(
            lambda: trainer_of(cut, shallow, here, labels),
            lambda trainer: [
                micro_batch(recipe, trainer, rows, length, packed=packed) for _ in range(accumulation)
            ],
            here, adapter=ADAPTERS[recipe.adapter.kind].saved == "adapter", layers=layers, setup=beside,
        )

    first = recipe.train.checkpoint_layers if recipe.train.checkpointing else None
    if first is not None and first < depth(whole):
        log, traced, notes = in_two_stretches(trace, whole, first, full=full)
    else:
        log, traced, notes = at_whole_depth(trace, whole, full=full)
    notes += teacher_note(recipe)
    if flash:
        notes += ("FlashAttention 2 was traced as torch's own flash kernel.",)
    return Traced(log, depth(whole), traced, rows, length, notes)


def at_whole_depth(
    trace: Callable[[Any, int], Log], config: Any, *, full: bool = False
) -> tuple[Log, tuple[int, ...], tuple[str, ...]]:
    """(the log of all of a config's layers, the depths that were traced for it, notes).

    `trace` gets the config at some depth and that depth.  `full` traces every layer; so does a model whose layers turn
    out not to repeat.
    """
    whole = depth(config)
    found = None if full else pattern(kinds_of(config))
    if found is None:
        return trace(config, whole), (whole,), ()
    shallow = shallow_depth(found, whole)
    try:
        return deepen(trace(at_depth(config, shallow), shallow), found, shallow, whole), (shallow,), ()
    except Irregular as irregular:
        return trace(config, whole), (whole,), (f"Every layer was traced: {irregular}.",)


def in_two_stretches(
    trace: Callable[[Any, int, int], Log], config: Any, first: int, *, full: bool = False
) -> tuple[Log, tuple[int, ...], tuple[str, ...]]:
    """The same where the `first` layers do otherwise than the rest, being checkpointed: each stretch is repeated by
    itself.  `trace` gets the config at some depth, that depth, and how many layers of it are of the first stretch.
    """
    whole = depth(config)
    found = None if full else pattern(kinds_of(config))
    if found is None or found.last:
        return trace(config, whole, first), (whole,), ()
    before, after = _enough(found, first), _enough(Pattern(0, found.period, 0), whole - first)
    try:
        log = trace(at_depth(config, before + after), before + after, before)
        log = deepen(log, Pattern(found.first, found.period, after), before + after, first + after)
        log = deepen(log, Pattern(first, found.period, 0), first + after, whole)
    except Irregular as irregular:
        return trace(config, whole, first), (whole,), (f"Every layer was traced: {irregular}.",)
    return log, (before + after,), ()


def _enough(pattern: Pattern, layers: int) -> int:
    """From how many layers a stretch of so many follows: from all where these are few."""
    return shallow_depth(pattern, layers) if layers > pattern.smallest else layers
