"""The recipe's `train`: how the optimizer is led."""

from __future__ import annotations

from typing import Literal

from ftui.documents import Document
from ftui.settings import Auto, setting


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
