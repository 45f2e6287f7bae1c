"""LoRA: the adapter's options and its row.  On a base of 4 bits it is QLoRA."""

from __future__ import annotations

import math
from typing import Literal

from ftui.documents import Document
from ftui.methods.options import start_from
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import Auto, setting

CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga")
"""Starts that take out of the base what they put into the adapter: the result has to be converted."""
READS_ROWS = ("eva", "corda", "lora_ga")
"""Starts that look at the data first."""


class LoraOptions(Document):
    """Low-rank matrices beside chosen linear modules; the base stays frozen."""

    kind: Literal["lora"] = setting(
        "lora",
        title="Adapter",
        help="LoRA trains two thin matrices beside each target module and leaves the base model frozen.",
        why="'none' trains every weight, which takes about eight times the memory of the model.",
        term="LoRA",
    )
    start_from: str | None = start_from()
    rank: int | Auto = setting(
        "auto",
        title="Rank",
        help="The inner width of the adapter's matrices: how much it can learn.",
        why="Raise it for complex tasks with many rows, lower it for few rows or a small card.",
        term="rank",
        ge=1,
        le=1024,
    )
    alpha: float | Auto = setting(
        "auto",
        title="Alpha",
        help="The adapter's output is scaled by alpha / rank.",
        why="Keep it at twice the rank unless a recipe that you follow says otherwise.",
        term="alpha",
        gt=0,
        le=4096,
    )
    dropout: float | Auto = setting(
        "auto",
        title="Dropout",
        help="Share of the adapter's inputs that are zeroed at random while training.",
        why="Raise it towards 0.1 when the validation loss rises while the training loss falls.",
        term="dropout",
        ge=0,
        lt=1,
    )
    targets: str | tuple[str, ...] = setting(
        "all-linear",
        title="Targets",
        help="The modules that get an adapter: 'all-linear', names such as q_proj, v_proj, or a pattern behind 're:'.",
        why="Attention only (q_proj, v_proj) saves memory and costs some quality.",
        term="target modules",
    )
    layers: str | None = setting(
        None,
        title="Layers",
        help="Which layers get an adapter: 0-7, last 4, or first 2, 10, 12-15; empty for all of them.",
        why="The last layers alone train faster and forget less; they also learn less.",
        advanced=True,
    )
    parameters: tuple[str, ...] = setting(
        (),
        title="Target parameters",
        help="Tensors that belong to no linear module, such as the fused experts' mlp.experts.gate_up_proj.",
        why="Mixtures whose experts all-linear doesn't reach keep them in such tensors.",
        advanced=True,
    )
    rank_pattern: dict[str, int] = setting(
        ...,
        title="Ranks by module",
        help="Other ranks for some modules: names or patterns of their paths, such as {down_proj: 32}.",
        why="Spend rank where it helps: the MLP often needs more than attention.",
        advanced=True,
        default_factory=dict,
    )
    alpha_pattern: dict[str, float] = setting(
        ...,
        title="Alphas by module",
        help="Other alphas for some modules: names or patterns of their paths, such as {down_proj: 64}.",
        why="With other ranks, to keep alpha / rank the same everywhere.",
        advanced=True,
        default_factory=dict,
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        title="Adapter precision",
        help="The number format of the adapter's matrices.",
        why="float32 is peft's default on a 16-bit base; 16 bits halve its states and save casts.",
        advanced=True,
    )
    rslora: bool = setting(
        False,
        title="Rank-stabilized scaling",
        help="Scales by alpha / sqrt(rank) in place of alpha / rank.",
        why="Worth it at ranks of 64 and more, where plain scaling starves the adapter.",
        advanced=True,
        term="rsLoRA",
    )
    dora: bool = setting(
        False,
        title="DoRA",
        help="Learns each weight's magnitude apart from its direction.",
        why="Sometimes better at low ranks; slower, and it keeps more activations.",
        advanced=True,
        term="DoRA",
    )
    bias: bool = setting(
        False,
        title="Bias on B",
        help="Adds a trained bias to the second matrix.",
        why="For adapters taken out of a fully tuned model; it merges only into modules that have a bias.",
        advanced=True,
    )
    init: Literal[
        "default", "gaussian", "orthogonal", "pissa", "olora", "mica", "eva", "corda", "lora_ga", "loftq"
    ] = setting(
        "default",
        title="Start",
        help="What the matrices hold before the first step.",
        why="pissa, olora, lora_ga converge faster; eva, corda, lora_ga read data; loftq makes up for 4 bits.",
        advanced=True,
    )
    pissa_iterations: int | None = setting(
        None,
        title="PiSSA's iterations",
        help="Rounds of a fast approximate decomposition; empty for the exact one.",
        why="16 take seconds where the exact one of a large model takes many minutes.",
        advanced=True,
        ge=1,
        le=1000,
    )
    start_rows: int = setting(
        64,
        title="Rows for the start",
        help="How many training rows eva, corda and lora_ga look at.",
        why="More make a steadier start; CorDA's paper takes 256.",
        unit="rows",
        advanced=True,
        ge=1,
        le=100_000,
    )
    eva_rho: float = setting(
        1.0,
        title="EVA's redistribution",
        help="How far EVA may raise a module's rank at the others' cost: up to this many times the rank.",
        why="2 lets rank go where the data varies most; the plan's count is then only near.",
        advanced=True,
        ge=1,
        le=16,
    )
    corda_method: Literal["ipm", "kpm"] = setting(
        "ipm",
        title="CorDA's mode",
        help="ipm starts in the directions that the data uses most, kpm in those that it uses least.",
        why="kpm with rows of general knowledge keeps that knowledge better.",
        advanced=True,
    )
    update: Literal["plain", "plus", "fa", "riemannian"] = setting(
        "plain",
        title="Update rule",
        help="plus (LoRA+) trains B faster than A, fa (LoRA-FA) trains B alone, riemannian scales both by each other.",
        why="plus may learn faster; fa saves states and activations; riemannian bears higher learning rates.",
        advanced=True,
    )
    plus_ratio: float = setting(
        16.0,
        title="LoRA+ ratio",
        help="B's learning rate over A's with update: plus.",
        why="Lower it, and the learning rate, where training is rough.",
        advanced=True,
        ge=1,
        le=1000,
    )
    tokens: tuple[int | str, ...] = setting(
        (),
        title="Trainable tokens",
        help="Tokens whose embeddings train as well, as texts or as ids.",
        why="For control tokens that the base model has hardly seen, at a row of the embedding for each.",
        advanced=True,
    )
    modules_to_save: tuple[str, ...] = setting(
        (),
        title="Fully trained modules",
        help="Modules trained whole and saved with the adapter, such as lm_head, embed_tokens or norm.",
        why="For a new vocabulary or language; head and embedding are large.",
        advanced=True,
    )
    layer_replication: str | None = setting(
        None,
        title="Layer replication",
        help="Builds a deeper model of the same layers, such as 0-15, 8-23; each copy gets its own adapter.",
        why="A larger model from the same weights; the result loads with peft but can't be merged.",
        advanced=True,
    )
    qalora_group: int | None = setting(
        None,
        title="QALoRA group",
        help="Averages this many neighbouring inputs before the first matrix; empty for none.",
        why="A smaller adapter that is made for bases quantized in groups.",
        advanced=True,
        ge=2,
        le=4096,
    )


def pattern_of(options: LoraOptions) -> str | None:
    """The pattern that whole module paths are to match, None where the targets are names."""
    targets = options.targets
    return targets.removeprefix("re:") if isinstance(targets, str) and targets.startswith("re:") else None


def ranks_of(options: LoraOptions) -> tuple[int, ...]:
    """Every rank that is asked for; "auto" is none yet."""
    return (*((options.rank,) if isinstance(options.rank, int) else ()), *options.rank_pattern.values())


def unmergeable(options: LoraOptions, *, biased: bool = False) -> str | None:
    """Why the result of these options can't become one model with its base; None where it can.

    `biased` says whether every target module has a bias.
    """
    if options.layer_replication:
        return "its layers are copies of one another, which share the base's weights (peft would merge them wrongly)"
    if options.bias and not biased:
        return "the adapter has a bias, and the base's modules have none to add it to"
    return None


def as_saved(options: LoraOptions) -> LoraOptions:
    """The options of the plain LoRA that is saved of a training with `options`, none of them left to the planner.

    Starts that took something out of the base are put back by a second LoRA beside the first, and groups are spread:
    `ftui.worker.adapters.lora_result` does both.
    """
    plain: dict[str, object] = {"init": "default", "pissa_iterations": None, "qalora_group": None}
    if options.init in CHANGES_BASE:
        factor = math.sqrt(2) if options.rslora else 2
        plain |= {
            "rank": 2 * int(options.rank), "alpha": factor * float(options.alpha),
            "rank_pattern": {name: 2 * rank for name, rank in options.rank_pattern.items()},
            "alpha_pattern": {name: factor * alpha for name, alpha in options.alpha_pattern.items()},
        }
    return options.model_copy(update=plain)


ROW = AdapterRow(
    kind="lora",
    title="LoRA",
    when="The default: close to full tuning at a few percent of its optimizer memory, and the result is a small file.",
    mergeable=True,
    on_nf4=True,
    on_int8=True,
    options=LoraOptions,
    source="https://arxiv.org/abs/2106.09685",
    compared=Compared(0.513, 18_350_080, "rank 64, rank-stabilized"),
    formula="r · (d_in + d_out) per module; with DoRA + d_out",
    inference="two thin products per module; nothing once it is merged",
    variants="DoRA, rsLoRA, PiSSA, OLoRA, EVA, CorDA, LoRA-GA, MiCA, LoftQ, QALoRA, LoRA+, LoRA-FA",
    requantizes=True,
)
