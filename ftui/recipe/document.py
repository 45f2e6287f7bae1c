"""`Recipe`: the one document a run is made from.  Each setting is declared here, once, for all its faces.

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
from ftui.settings import Auto, setting


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


class DataSource(Document):
    """One file, folder or hub dataset."""

    path: str = setting(
        ...,
        title="Path",
        help="A file (JSON, JSONL, CSV, Parquet, Arrow, text), a folder or pattern of them, or a hub dataset id.",
        why="Several sources are mixed by weight.",
    )
    format: Literal[
        "auto", "alpaca", "sharegpt", "messages", "prompt-completion", "text", "preference", "safe-rlhf", "shp",
        "arena", "ranked", "kto", "prompt", "classification",
    ] = setting(
        "auto",
        title="Format",
        help="How rows are to be read; 'auto' takes the one detected.",
        why="Set it where the detection is wrong.",
    )
    columns: dict[str, str] = setting(
        ...,
        title="Columns",
        help="Which column plays which part, such as prompt: question, completion: answer.",
        why="Map them where the file's columns have names of their own.",
        default_factory=dict,
    )
    split: str | None = setting(
        None,
        title="Split",
        help="The split of a hub dataset or of a saved one; empty takes train.",
        why="Set it where the rows to train on are in another one.",
    )
    config: str | None = setting(
        None, title="Configuration", help="The configuration (subset) of a hub dataset; empty takes its default one.",
        why="Datasets such as gsm8k hold several.", advanced=True,
    )
    revision: str | None = setting(
        None, title="Revision",
        help="A commit of the hub dataset.",
        why="Pin it to repeat a run after the dataset has moved on.", advanced=True
    )
    weight: float = setting(
        1.0, title="Weight", help="How often this source's rows are taken, relative to 1.",
        why="Raise it for the source that matters most.", gt=0, le=100, advanced=True,
    )
    replay: float = setting(
        0.0, title="Replay", help="A source of an old task: this share of the rows of an epoch comes from it.",
        why="0.05 to 0.2 keep most of what an earlier training has taught.", term="replay", ge=0, lt=1, advanced=True,
    )
    limit: int | None = setting(
        None, title="Limit",
        help="At most this many rows are taken.",
        why="A few hundred make a quick trial.", unit="rows", ge=1
    )
    streaming: bool = setting(
        False, title="Streaming", help="Of a hub dataset, fetch the first rows (limit) alone rather than whole files.",
        why="For a look at, or a trial on, a dataset too large to download; bad rows count, too.", advanced=True,
    )
    task: str | None = setting(
        None, title="Task", help="The task that its rows belong to: a name, or column:NAME for one in each row.",
        why="Several tasks in one Poly or multitask prompt, or an adapter for each; data.balance then evens tasks out.",
    )


class Data(Document):
    """What is trained on."""

    sources: tuple[DataSource, ...] = setting(
        (), title="Sources", help="The files or hub datasets.", why="Several are mixed by weight."
    )
    prepare: tuple[dict[str, object], ...] = setting(
        (), title="Repairs",
        help="Repairs and filters, replayed by every run.",
        why="The data check fills it; remove what you don't want repaired.",
        advanced=True,
    )
    template: str = setting(
        "auto",
        title="Chat template",
        help="How turns become text: 'auto' is the model's own, else ChatML; or chatml, alpaca, or a Jinja file.",
        why="Change it for a base model without a template, or one whose template is broken.",
        term="chat template",
    )
    validation: float | int | str = setting(
        0.05,
        title="Validation",
        help="Held-out part: a share (0.05), a number of rows (200), or a file of its own.",
        why="It is how one sees over-fitting; 0 switches evaluation off.",
        term="validation loss",
    )
    hold_out: str = setting(
        "random",
        title="Hold out by",
        help="Which rows are held out: random, stratified:COLUMN, group:COLUMN (whole ones), time:COLUMN (the newest).",
        why="By group where rows of one document or customer are alike; by time to test on what comes later.",
        advanced=True,
    )
    max_length: int | Auto = setting(
        "auto",
        title="Sequence length",
        help="Rows longer than this are cut.",
        why="Activations grow with it: just enough for nearly all rows is best.",
        unit="tokens",
        term="sequence length",
        ge=8,
        le=1_048_576,
    )
    packing: bool | Auto = setting(
        "auto",
        title="Packing",
        help="Puts several short rows into one sequence, without letting them see each other.",
        why="Saves padding where rows are much shorter than the sequence length.",
        term="packing",
    )
    balance: float = setting(
        0.0,
        title="Balance",
        help="How far the shares of the tasks, or sources, are evened out: 0 leaves their sizes, 1 makes them equal.",
        why="1 where all tasks are to count alike; 0.5 in between. A source that names no task is one.",
        advanced=True,
        ge=0,
        le=1,
    )
    tasks: Literal["together", "apart"] = setting(
        "together",
        title="Tasks",
        help="Whether the sources' tasks train one adapter together, or apart: an adapter for each from the same base.",
        why="'apart' where tasks have little in common, or are to be changed one by one; a run for each, one launch.",
        advanced=True,
    )
    curriculum: str | None = setting(
        None,
        title="Curriculum",
        help="The order of each epoch: length (short rows first), sources (as listed), or column:NAME (small first).",
        why="From easy to hard, where you know which is which; without it rows come in random order.",
        advanced=True,
    )
    padding: Literal["longest", "max_length", "free"] = setting(
        "longest",
        title="Padding",
        help="Rows of a micro-batch are padded to the longest of them, to the sequence length, or not at all (free).",
        why="'max_length' makes every step cost the same, which is the most; 'free' lays the rows end to end.",
        advanced=True,
    )


class Train(Document):
    """How the optimizer is led."""

    epochs: float = setting(
        1.0, title="Epochs",
        help="Passes over the data.",
        why="Take one to three for instructions; stop when the validation loss rises.",
        term="epoch", gt=0, le=1000,
    )
    max_steps: int | None = setting(
        None, title="Step limit", help="Stop after this many optimizer steps, whatever the epochs say.",
        why="Twenty make a trial run.", unit="steps", ge=1,
    )
    micro_batch: int | Auto = setting(
        "auto", title="Micro-batch", help="Rows per device and forward pass.",
        why="As large as fits: it fills the card; the effective batch stays.", unit="rows", term="micro-batch",
        ge=1, le=4096,
    )
    effective_batch: int | Auto = setting(
        "auto", title="Effective batch", help="Rows per optimizer step: micro-batch × accumulation × devices.",
        why="Larger is smoother and needs a higher learning rate; smaller takes more steps per epoch.", unit="rows",
        term="effective batch", ge=1, le=65_536,
    )
    learning_rate: float | Auto = setting(
        "auto", title="Learning rate", help="The peak step size.",
        why="Lower it when the loss jumps or diverges, raise it when it hardly moves.", term="learning rate",
        gt=0, le=1,
    )
    schedule: Literal[
        "cosine", "linear", "constant", "constant_with_warmup", "wsd", "restarts", "polynomial", "inverse_sqrt",
    ] = setting(
        "cosine", title="Schedule", help="How the learning rate falls; wsd holds it and lets it fall at the end.",
        why="Constant and wsd leave the run open to be extended; cosine and linear settle it.",
        term="schedule",
    )
    min_rate: float = setting(
        0.0, title="Lowest rate", help="Share of the learning rate at which cosine, wsd and polynomial end.",
        why="0.1 keeps the last tenth of a long run from standing still.", advanced=True, ge=0, lt=1,
    )
    decay_share: float = setting(
        0.2, title="Decay share", help="Share of the steps in which the schedule wsd lets the rate fall, at the end.",
        why="0.1 to 0.2 give most of what a longer fall would.", advanced=True, gt=0, le=1,
    )
    cycles: int = setting(
        3, title="Cycles", help="How often the schedule restarts begins again at the full rate, the first included.",
        why="Each cycle's end is a result of its own to choose from.", advanced=True, ge=1, le=1000,
    )
    power: float = setting(
        1.0, title="Power", help="The exponent of the schedule polynomial: 1 falls evenly, 2 early.",
        why="Raise it to spend more of the run at small rates.", advanced=True, gt=0, le=10,
    )
    warmup: float = setting(
        0.03, title="Warm-up", help="Share of the steps in which the learning rate rises from zero.",
        why="Raise it when the first steps spike.", term="warm-up", ge=0, le=0.5,
    )
    optimizer: Literal[
        "auto", "adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit", "adafactor", "lion", "lion_8bit",
        "paged_lion_8bit", "sgd", "rmsprop", "ademamix", "ademamix_8bit", "muon", "schedule_free", "galore",
    ] = setting(
        "auto", title="Optimizer", help="The rule that turns gradients into steps.",
        why="8-bit and paged ones save memory in full tuning, and so does galore, which needs pytorch-optimizer.",
        term="AdamW",
    )
    beta1: float | None = setting(
        None, title="Beta 1", help="How much of the mean gradient each step keeps; empty takes the optimizer's own.",
        why="0.9 nearly everywhere; 0.95 steadies small batches.", advanced=True, ge=0, lt=1,
    )
    beta2: float | None = setting(
        None, title="Beta 2", help="How much of the mean square each step keeps; empty takes the optimizer's own.",
        why="AdamW's own is 0.999, Lion's 0.99; 0.95 forgets a spike sooner.", advanced=True, ge=0, lt=1,
    )
    epsilon: float | None = setting(
        None, title="Epsilon", help="Added to the root of the mean square; empty takes the optimizer's own, 1e-8.",
        why="1e-6 where bfloat16 weights jump.", advanced=True, gt=0, le=1,
    )
    galore_rank: int = setting(
        128, title="GaLore's rank", help="The rank to which train.optimizer galore projects each weight's gradient.",
        why="A quarter of the model's width is the paper's choice; less saves more.", advanced=True, ge=1, le=16_384,
    )
    galore_every: int = setting(
        200, title="GaLore's renewal", help="Steps after which each projection is made anew from the gradient.",
        why="Each renewal decomposes every weight's gradient, which takes seconds on large models.", unit="steps",
        advanced=True, ge=1, le=1_000_000,
    )
    galore_scale: float = setting(
        0.25, title="GaLore's scale", help="The projected steps are multiplied by this.",
        why="0.25 is the paper's for pre-training; its fine-tuning at ranks 4 and 8 took 4 and 2.", advanced=True,
        gt=0, le=100,
    )
    weight_decay: float = setting(
        0.0, title="Weight decay",
        help="Pulls every trained weight towards zero.",
        why="0.01 to 0.1 restrain full tuning; adapters do without.",
        advanced=True, ge=0, le=1,
    )
    max_grad_norm: float = setting(
        1.0, title="Gradient clipping", help="Gradients longer than this are shortened.",
        why="0.3 calms a rough QLoRA run; 0 switches it off.", advanced=True, term="gradient norm", ge=0,
    )
    ema: float | None = setting(
        None, title="Weight average", help="Decay of a running mean of what trains, which is evaluated and saved.",
        why="0.99 to 0.999 smooth the end of a noisy run; it holds a float32 copy of what trains.", advanced=True,
        gt=0, lt=1,
    )
    checkpointing: bool | Auto = setting(
        "auto", title="Gradient checkpointing", help="Forgets activations and computes them again going backward.",
        why="On when memory is short: about a third slower for a fraction of the activations.",
        term="gradient checkpointing",
    )
    checkpoint_layers: int | None = setting(
        None, title="Checkpointed layers", help="How many layers, from the first on, are checkpointed; empty for all.",
        why="Where checkpointing all of them leaves room: each layer that keeps its activations saves time.",
        term="gradient checkpointing", unit="layers", advanced=True, ge=1, le=10_000,
    )
    activation_offload: bool = setting(
        False, title="Offload activations", help="Keeps what the backward pass needs in host memory, off the card.",
        why="For sequences that don't fit even with checkpointing; the bus makes steps slower.", advanced=True,
    )
    tf32: bool = setting(
        False, title="TF32", help="Lets float32 matrix products round their factors to 10 bits, on Ampere or newer.",
        why="float32 runs become several times faster; 16-bit runs hardly change.", advanced=True,
    )
    float8: bool = setting(
        False, title="8-bit products", help="Multiplies trained linear modules in 8-bit floats: Ada, Hopper, newer.",
        why="Full tuning of billions of parameters becomes faster, with train.compile; it saves no memory.",
        term="fp8", advanced=True,
    )
    compile: bool = setting(
        False, title="Compile", help="Compiles the model's operations with torch.compile before the first steps.",
        why="Long runs of one row length become faster; the first steps take minutes.", advanced=True,
    )
    loss: Literal["chunked", "tiled", "full", "liger", "cut"] = setting(
        "chunked", title="Loss implementation",
        help="How the loss is computed: ftui's chunks, trl's tiles, all logits at once, Liger's or Apple's kernels.",
        why="All logits at once (full) take 12 bytes per token and vocabulary entry; the others a fraction.",
        advanced=True,
    )
    trainer: Literal["ftui", "trl", "transformers"] = setting(
        "ftui", title="Trainer", help="Whose training step is meant; only ftui's own can be run.",
        why="To plan, or to hold against a plan, a measurement that was made with plain trl or transformers.",
        advanced=True,
    )
    qat: Literal["none", "int8", "int4"] = setting(
        "none", title="Quantization-aware", help="Rounds the weights in every pass to what the result will be kept in.",
        why="Where the result is to be quantized: int4 loses much less so than when it is rounded afterwards.",
        term="QAT", advanced=True,
    )
    neftune: float | None = setting(
        None, title="NEFTune noise", help="Noise on the embeddings while training; empty for none.",
        why="5 has made chat answers better in some studies.",
        advanced=True, ge=0,
    )
    eval_steps: int | Auto = setting(
        "auto", title="Evaluate every", help="Steps between evaluations.", why="About ten per run shows the trend.",
        unit="steps", ge=1,
    )
    save_steps: int | Auto = setting(
        "auto", title="Save every",
        help="Steps between checkpoints.",
        why="What was done since the last one is lost in a crash.", unit="steps", ge=1
    )
    save_minutes: float | None = setting(
        None, title="Save every (minutes)",
        help="A checkpoint at the latest after so many minutes, besides save_steps.",
        why="Set it where steps take long, or a machine may be taken away.", unit="min", gt=0,
    )
    keep_checkpoints: int = setting(
        2, title="Checkpoints kept",
        help="The newest ones that stay, besides the best.",
        why="Each costs the size of the trained weights and their optimizer states on disk.",
        advanced=True, ge=1, le=1000,
    )
    logging_steps: int = setting(
        1, title="Log every", help="Steps between logged values.", why="Raise it for runs of millions of steps.",
        unit="steps", advanced=True, ge=1,
    )
    group_by_length: bool = setting(
        False, title="Group by length", help="Puts rows of like length into one batch, with less padding.",
        why="Saves time where lengths vary and rows aren't packed; batches are a little less random.", advanced=True,
    )
    seed: int = setting(
        17, title="Seed", help="Makes shuffling, dropout and initial adapters repeatable.",
        why="Change it to see how much is luck.", ge=0, le=2**31 - 1,
    )
    deterministic: bool = setting(
        False, title="Deterministic", help="Takes operations that give the same bits each time, on a GPU, too.",
        why="For comparing runs by the last digit; steps become slower.", advanced=True,
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
