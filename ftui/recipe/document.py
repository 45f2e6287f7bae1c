"""`Recipe`: the one document a run is made from.  Each setting is declared once, here or in the section's own module,
for all its faces.

A value of "auto" is left to the planner, which fills it at launch with its reason.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ftui.documents import Document
from ftui.methods import (
    ClassifyOptions,
    CpoOptions,
    DistillOptions,
    DpoOptions,
    GrpoOptions,
    KtoOptions,
    LoraOptions,
    NoAdapterOptions,
    OnlineDpoOptions,
    OrpoOptions,
    PpoOptions,
    RewardOptions,
    RlooOptions,
    SftOptions,
    bottleneck,
    freezing,
    lowrank,
    mixtures,
    products,
    prompts,
    rotations,
    scaling,
    shared,
    sparse,
    spectral,
)
from ftui.recipe.continual import Continual
from ftui.recipe.data_section import Data, DataSource
from ftui.recipe.train_section import Train
from ftui.settings import Auto, setting

__all__ = [
    "Adapter", "Compute", "Continual", "Data", "DataSource", "Evaluate", "Goal", "Model", "Objective", "Recipe",
    "Recovery", "Remedy", "Tracking", "Train",
]


class Goal(Document):
    """What one wants; the planner's rules read it."""

    task: Literal[
        "instruct", "chat", "classify", "prefer", "reasoning", "domain", "distill", "code", "tools", "judge",
    ] = setting(
        "instruct",
        title="Task",
        help="What the tuned model is for.",
        why="With the kind of rows it decides the objective; it moves rank, epochs and which tokens are trained.",
    )
    priority: Literal["quality", "balanced", "speed", "memory"] = setting(
        "balanced",
        title="Priority",
        help="What to prefer where quality, time and memory pull apart.",
        why="'quality' takes more of the card and more time; 'memory' leaves room for others.",
    )


class Model(Document):
    """The base model and how it is loaded."""

    base: str = setting(
        "",
        title="Base model",
        help="A hub id such as Qwen/Qwen3-8B, a local folder, or 'demo' for the embedded tiny model.",
        why="A larger model answers better and takes proportionally more memory and time.",
        term="base model",
    )
    revision: str | None = setting(
        None,
        title="Revision",
        help="A branch, tag or commit of the hub repository.",
        why="Pin a commit to make the run repeatable after the repository moves.",
        advanced=True,
    )
    trust_code: str | None = setting(
        None,
        title="Trust code",
        help="The commit (of a folder the sha256) of the model's own Python code that may run; any other is refused.",
        why="A few models need code of their own, which runs as you: read it first, with `ftui models code`.",
        advanced=True,
    )
    quantization: Literal["auto", "none", "nf4", "fp4", "int8"] = setting(
        "auto",
        title="Base quantization",
        help="How the frozen base is stored while an adapter trains: 16-bit (none), 4-bit (nf4, fp4) or 8-bit.",
        why="nf4 needs a quarter of the weights' memory for a little quality and about a third more time.",
        term="NF4",
    )
    double_quantization: bool = setting(
        True,
        title="Double quantization",
        help="Quantizes the 4-bit scales, too: 0.37 bits less per weight.",
        why="Off is marginally faster.",
        advanced=True,
        term="double quantization",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = setting(
        "auto",
        title="Precision",
        help="The number format of weights and activations.",
        why="bfloat16 where the device has it; float16 on older cards; float32 on a CPU.",
        term="bf16",
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = setting(
        "auto",
        title="Attention",
        help="The implementation of attention.",
        why="'eager' only for models that need it: its memory grows with the square of the length.",
        advanced=True,
        term="SDPA",
    )
    upcast: Literal["none", "norms", "all"] = setting(
        "none",
        title="Upcast",
        help="Which unquantized parts of a 4- or 8-bit base are held in float32: none, the norms, or all of them.",
        why="'all' is what peft's prepare_model_for_kbit_training does: steadier, at four bytes per embedding entry.",
        advanced=True,
    )
    kernels: bool = setting(
        False,
        title="Hub kernels",
        help="Takes compiled kernels from the hub for norms, activations and the like, where the GPU has such.",
        why="Steps become faster on some GPUs; it downloads and runs compiled code, and needs the package kernels.",
        advanced=True,
    )


class Evaluate(Document):
    """What is looked at while training."""

    prompts: tuple[str, ...] = setting(
        (), title="Sample prompts", help="Answered at each evaluation; empty takes three from the held-out rows.",
        why="Reading answers shows what a loss can't.", separator="\n",
    )
    max_new_tokens: int = setting(
        64, title="Sample length", help="Most tokens in a sample's answer.", why="Longer samples cost evaluation time.",
        unit="tokens", advanced=True, ge=1, le=8192,
    )
    first: bool = setting(
        False, title="Evaluate first", help="Evaluates before the first step as well.",
        why="Shows what the training brought, for the price of one more evaluation.", advanced=True,
    )
    batch: int | None = setting(
        None, title="Evaluation batch", help="Rows that an evaluation reads at once; empty is the micro-batch.",
        why="Fewer need less memory; the numbers stay the same.", unit="rows", advanced=True, ge=1,
    )
    best_by: str = setting(
        "auto", title="Best by", help="The value of an evaluation that marks the best checkpoint; 'auto' is the "
        "objective's own, mostly the loss.",
        why="Such as f1 or accuracy for a classifier, rewards/margins for DPO, reward for GRPO.",
        advanced=True,
    )
    patience: int | None = setting(
        None, title="Patience", help="Stop after this many evaluations without a better one.",
        why="3 saves time when the run over-fits.", term="early stopping", ge=1,
    )


Remedy = Literal["halve_batch", "checkpointing", "chunked_loss", "paged_8bit", "quantize_base"]


class Recovery(Document):
    """What ftui may change by itself when memory runs out."""

    out_of_memory: tuple[Remedy, ...] = setting(
        ("halve_batch", "checkpointing"), title="When out of memory",
        help="Remedies tried in this order, each said in the events.",
        why="Leave it empty to fail at once and decide yourself.", advanced=True, term="out of memory",
    )
    wait_minutes: float = setting(
        10.0, title="Wait for the GPU", help="How long to wait for memory that another process took, before anything "
        "is changed.",
        why="On a shared card 60 keeps the batch; 0 never waits.", unit="minutes", advanced=True, ge=0, le=10_080,
    )


class Tracking(Document):
    """Where the curves go besides the run folder."""

    wandb: str | None = setting(
        None, title="Weights & Biases", help="The project to log to; needs `pip install wandb` and a login.",
        why="Set it to share curves with a team.",
    )
    tensorboard: bool = setting(
        False, title="TensorBoard", help="Writes event files into the run folder; needs `pip install tensorboard`.",
        why="Switch it on where you already read curves there.",
    )
    mlflow: str | None = setting(
        None, title="MLflow", help="The experiment to log to, at MLFLOW_TRACKING_URI; needs `pip install mlflow`.",
        why="Set it where a server keeps your experiments.",
    )
    trackio: str | None = setting(
        None, title="trackio", help="The project to log to, on this machine; needs `pip install trackio`.",
        why="Set it to keep curves in a local dashboard without an account.",
    )
    hub: str | None = setting(
        None, title="Upload to", help="The hub repository, owner/name, to which the result is uploaded at the end.",
        why="Set it to use the result elsewhere; needs a login with the right to write.",
    )
    hub_private: bool = setting(
        True, title="Private upload", help="Whether a repository that the upload has to make is private.",
        why="Switch it off to publish the result at once.", advanced=True,
    )


class Compute(Document):
    """What the run may use."""

    gpus: int | Auto = setting(
        "auto", title="GPUs",
        help="How many GPUs to use; 0 forces the CPU.",
        why="Fewer leave the others to somebody else.",
        ge=0, le=1024,
    )
    strategy: Literal["auto", "single", "ddp", "zero1", "zero2", "zero3", "fsdp"] = setting(
        "auto", title="Strategy", help="How several GPUs share the work: each a copy (ddp), or shards of the states.",
        why="'single' keeps to one card even where there are more; zero3 and fsdp hold what no card holds alone.",
        advanced=True,
    )
    offload: Literal["none", "optimizer", "all"] = setting(
        "none", title="Offload", help="What a sharded run keeps in host memory: nothing, optimizer states, or all.",
        why="It trains models beyond the cards' memory, at the bus's speed.", advanced=True,
    )
    allocator: Literal["expandable", "native"] = setting(
        "expandable", title="Allocator", help="Whether torch's caching allocator may grow its segments in place.",
        why="'native' is torch's default: it loses more of the card to fragments.", advanced=True,
    )
    stack: str = setting(
        "current", title="Library stack", help="Which libraries' memory behaviour the plan assumes.",
        why="To plan for an older environment, or to hold a published measurement against the formula.",
        advanced=True,
    )
    threads: int | Auto = setting(
        "auto", title="CPU threads", help="Threads that torch uses for its operations.",
        why="Small models on a CPU train faster with one.", advanced=True, ge=1, le=1024,
    )
    data_workers: int = setting(
        0, title="Data workers", help="Processes that put rows into batches beside the training; 0 does it in between.",
        why="Where the device waits for its rows, as with many pictures. The training comes to the same.",
        advanced=True, ge=0, le=64,
    )
    price_per_hour: float | None = setting(
        None, title="Price per hour",
        help="What an hour of this machine costs, in your currency; plans then say money.",
        why="Set it for a rented machine, to compare a longer run on a small card with a short one on a large.",
        unit="per h", ge=0,
    )
    max_hours: float | None = setting(
        None, title="Time limit", help="Stops with a checkpoint after this many hours.",
        why="Set it for a card rented by the hour.", unit="h", gt=0,
    )
    on_end: str | None = setting(
        None, title="Command at the end", help="A shell command run when the run ends, however it ends.",
        why="It can switch a rented machine off or send a message.", advanced=True,
    )
    webhook: str | None = setting(
        None, title="Webhook", help="Where a message goes at the end, or when the run needs somebody: env:NAME or "
        "file:PATH of what holds the URL.",
        why="Slack, Discord, Mattermost or ntfy then tell you. The URL is a secret, so it stands outside the recipe.",
        advanced=True,
    )


Objective = Annotated[
    SftOptions | ClassifyOptions | DpoOptions | KtoOptions | OrpoOptions | CpoOptions | RewardOptions | GrpoOptions
    | RlooOptions | OnlineDpoOptions | PpoOptions | DistillOptions,
    Field(discriminator="kind"),
]
Adapter = Annotated[
    LoraOptions | NoAdapterOptions | lowrank.Options | products.Options | rotations.Options | shared.Options
    | spectral.Options | sparse.Options | scaling.Options | prompts.Options | mixtures.Options
    | bottleneck.Options | freezing.Options,
    Field(discriminator="kind"),
]


class Recipe(Document):
    """The whole; sections in the order in which a person thinks about them."""

    version: Literal[1] = 1
    name: str = setting(
        "run", title="Name",
        help="A short name; it becomes part of the run's folder.",
        why="Name the runs that you want to find again."
    )
    goal: Goal = Goal()
    model: Model = Model()
    data: Data = Data()
    objective: Objective = SftOptions()
    adapter: Adapter = LoraOptions()
    train: Train = Train()
    continual: Continual = Continual()
    evaluate: Evaluate = Evaluate()
    recovery: Recovery = Recovery()
    tracking: Tracking = Tracking()
    compute: Compute = Compute()
    stages: tuple[dict[str, object], ...] = setting(
        (), title="Stages", help="Trainings that start from each other, as SFT and then DPO, each a partial recipe.",
        why="One launch for all of them: each takes from the recipe what it leaves out.", advanced=True,
    )
