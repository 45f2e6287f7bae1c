"""`Plan`: what fits, what to pick, and why."""

from __future__ import annotations

from typing import Any, Literal

from ftui.documents import Document

Method = Literal["full", "lora", "qlora", "lora-int8"]
Fit = Literal["fits", "tight", "no"]
Badge = Literal["estimate", "traced", "measured"]


class MemoryParts(Document):
    """Bytes at the peak, by part; they sum to the allocated peak plus `context` and `slack`."""

    weights: int = 0
    reference: int = 0
    """A second model beside the trained one: a reference, a teacher, a reward model."""
    adapter: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    logits: int = 0
    workspace: int = 0
    """Dequantization temporaries, attention's backward buffers, cuBLAS."""
    context: int = 0
    """CUDA context and libraries; on a CPU the interpreter with its libraries."""
    slack: int = 0
    """Allocator rounding and fragmentation: reserved minus allocated."""


class MemoryEstimate(Document):
    """The predicted peak of one device.  `low_bytes`..`high_bytes` is the interval around `process_bytes`."""

    parts: MemoryParts
    allocated_bytes: int
    reserved_bytes: int
    process_bytes: int
    """What nvidia-smi would show: reserved plus context."""
    low_bytes: int
    high_bytes: int
    phase: str
    """Where the peak stands: "loss forward", "last layer backward", "optimizer step", ..."""
    phases: dict[str, int] = {}
    """Allocated peak of each phase in bytes, in the step's order; empty where only the highest is known."""
    badge: Badge = "estimate"
    notes: tuple[str, ...] = ()


class TracePoint(Document):
    """One moment of a traced step: bytes by part, after `event` of the step's allocations and frees."""

    event: int
    phase: str
    where: str = ""
    """The module of the model at work, such as "model.layers.31.mlp.down_proj"."""
    allocated_bytes: int
    reserved_bytes: int
    parts: MemoryParts


class Trace(Document):
    """What a dry trace of one training step found, in the training environment's own libraries, without a GPU."""

    version: int = 1
    key: str
    """Hash of everything the result depends on: configuration, model, device, library versions."""
    versions: dict[str, str]
    model: str
    layers: int
    traced_layers: tuple[int, ...]
    """The depths that were traced: a shallow one, whose middle layers are repeated, or the whole model."""
    memory: MemoryEstimate
    """With badge "traced"."""
    where: str
    """The line of the model where the peak stands."""
    phases: dict[str, int]
    """Allocated peak of each phase in bytes, in the step's order."""
    timeline: tuple[TracePoint, ...]
    """At most a few hundred points of the step, the peak among them."""
    flops_half: float = 0.0
    flops_single: float = 0.0
    bytes_moved: float = 0.0
    operations: int = 0
    """The step's products in 16 bits and in float32, memory traffic and kernel launches, for the time model."""
    seconds: float
    peak_rss_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every layer was traced."""
        return self.traced_layers == (self.layers,)

    @property
    def depth(self) -> str:
        """What was traced, in words: "every layer" or "5 of 32 layers"."""
        return "every layer" if self.whole else f"{', '.join(map(str, self.traced_layers))} of {self.layers} layers"


class TimeEstimate(Document):
    """Seconds for one optimizer step and for the whole; `low_seconds`..`high_seconds` is the interval of the whole."""

    steps: int
    step_seconds: float
    tokens_per_second: float
    total_seconds: float
    low_seconds: float
    high_seconds: float
    source: str
    """Where the device's rate comes from."""
    device: str = ""
    """The card or processor that the estimate is for, as its driver calls it."""
    basis: str = ""
    """What the rates rest on, and `factor` what finished runs made of them: later runs learn from both."""
    factor: float = 1.0
    flops: dict[str, float] = {}
    """Floating-point operations of one step by part, where they were asked for."""
    energy_wh: float | None = None
    """What the devices draw, the host left out; None where their power isn't known.  With its interval's ends."""
    energy_low_wh: float | None = None
    energy_high_wh: float | None = None
    cost: float | None = None
    """Money for the whole at `price_per_hour`; None where no price was given."""
    cost_low: float | None = None
    cost_high: float | None = None
    price_per_hour: float | None = None


class Choice(Document):
    """One value the planner picked: `path` is dotted as in the recipe, `reason` a sentence, `source` who says so."""

    path: str
    value: Any
    reason: str
    source: str

    @property
    def text(self) -> str:
        """The value as it is typed: true, null, 0.0002."""
        if isinstance(self.value, bool) or self.value is None:
            return {True: "true", False: "false", None: "null"}[self.value]
        if isinstance(self.value, tuple | list):
            return ",".join(map(str, self.value))
        return f"{self.value:.12g}" if isinstance(self.value, float) else str(self.value)


class Verdict(Document):
    """Whether the high end of the interval fits into what is free now, less the stated reserve.

    `spare_bytes` is negative where it does not fit; `changes` are then the cheapest settings that would make it fit:
    each by itself, or all of them `together`.
    """

    fit: Fit
    spare_bytes: int
    text: str
    changes: tuple[Choice, ...] = ()
    together: bool = False

    @property
    def ways_out(self) -> tuple[tuple[Choice, ...], ...]:
        """The changes as they are to be taken: all of them together, or one of them, each being enough."""
        return (self.changes,) if self.together else tuple((change,) for change in self.changes)


class Option(Document):
    """One way to train: the settings that differ from the draft (dotted path -> value), and what they cost."""

    method: Method
    title: str
    settings: dict[str, Any]
    memory: MemoryEstimate
    time: TimeEstimate
    verdict: Verdict
    adapter_bytes: int
    """Size of the result on disk: the adapter, or the whole model for full tuning."""
    trainable_parameters: int
    quality: float
    """Expected quality relative to full tuning in 0..1: a stated rule for ordering, not a promise."""
    note: str
    """One sentence: what speaks for it, or why it is not the pick."""


class Estimate(Document):
    """What exactly one resolved recipe costs: the answer to every edit."""

    memory: MemoryEstimate
    time: TimeEstimate
    verdict: Verdict
    disk_bytes: int
    """Checkpoints kept, one being written, and the output."""
    adapter_bytes: int
    """Size of the result on disk: the adapter, or the whole model for full tuning."""
    trainable_parameters: int


class Risk(Document):
    """Something in the settings that looks wrong, with what to do."""

    path: str
    text: str
    hint: str
    source: str = ""
    """Who says so, where it is more than arithmetic."""


class Plan(Document):
    """What `plan()` returns.  `choices` explain the recommendation value by value."""

    version: int = 1
    device: str
    budget_bytes: int
    reserve_bytes: int
    recommendation: Option
    choices: tuple[Choice, ...]
    """The values that `resolve` fills in: those that the draft left open."""
    advice: tuple[Choice, ...] = ()
    """What the rules would say for values that the draft has set; never filled in."""
    alternatives: tuple[Option, ...]
    """The best other ways that fit, best first."""
    rejected: tuple[Option, ...]
    """What doesn't fit, by how much, least missing first."""
    risks: tuple[Risk, ...] = ()
    notes: tuple[str, ...] = ()
