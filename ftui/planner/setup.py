"""`Setup`: one way to train in plain numbers: what the formulas of memory, time and disk read, and nothing else.

It is built from a resolved recipe (`setup_of`), and the enumeration varies it by `dataclasses.replace`.  The rules by
which the worker loads a model stand here, since the planner must foresee them:

* an adapter's base keeps the recipe's dtype; 4 and 8 bits compute in that dtype;
* adapters are float32 (peft's default) on a 16-bit base and train under autocast; on a quantized base they are
  bfloat16, but float32 with float16, whose gradients must be unscaled; on a float32 base everything is, without
  autocast;
* full tuning holds weights, gradients and optimizer states in the recipe's dtype; only float16 can't be trained so
  (its gradients are unscaled in float16), and gets float32 weights under autocast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from ftui.data.document import DataProfile
from ftui.errors import BadInput
from ftui.hardware.document import Hardware
from ftui.methods import ADAPTERS, AdapterOptions, LoraOptions, Targeted
from ftui.models.document import ModelShape
from ftui.planner import adapters
from ftui.planner.asked_objective import body, objective_fields
from ftui.planner.document import Method
from ftui.planner.geometry import Geometry, Target, chosen, geometry
from ftui.planner.lengths import peak_length, read_profile
from ftui.planner.lora import lora_targets, lora_trained, stacked
from ftui.planner.partial import in_place
from ftui.planner.room import Device, budget, reserve
from ftui.planner.stack import CURRENT, Stack, stack_named
from ftui.recipe.document import Recipe

Loss = Literal["chunked", "tiled", "full", "liger", "cut"]
"""ftui's own, trl's fused head, plain logits of every token, Liger's fused linear and Apple's cut cross-entropy."""
Padding = Literal["longest", "max_length", "free"]
Strategy = Literal["single", "ddp", "zero1", "zero2", "zero3", "fsdp"]
Reference = Literal["none", "adapter off", "copy", "precomputed"]
"""Where an objective's reference log-probabilities come from: the same weights with the adapter switched off, a second
model, or a pass before the training."""

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True)
class Setup:
    """`rows` × `length` is the largest micro-batch in tokens; dtypes are in bytes per element."""

    geometry: Geometry
    method: Method
    device: Device
    rows: int
    length: int
    padded: bool
    """Some rows of the largest micro-batch are shorter (or several are packed into one), so a mask is built."""
    checkpointing: bool
    attention: str
    optimizer: str
    checkpoint_layers: int | None = None
    """How many layers, from the first on, are checkpointed where any are; None for all of them."""
    weight_bytes: int = 2
    compute_bytes: int = 2
    autocast: bool = True
    quantization: str = "none"
    double_quantization: bool = True
    adapter_bytes: int = 4
    adapter: str = "lora"
    """The kind of adapter; see `adapters`."""
    options: AdapterOptions | None = None
    """An adapter's own options; None for LoRA, whose rank, dropout and DoRA stand here, and all else in `lora`."""
    lora: LoraOptions | None = None
    rank: int = 0
    targets: tuple[Target, ...] = ()
    dropout: bool = False
    imitation: bool = True
    """Whether the loss of ORPO or CPO also imitates the chosen answer."""
    dora: bool = False
    projected_rank: int = 128
    """The rank to which GaLore projects gradients."""
    averaged: bool = False
    """A running mean of what trains is kept beside it."""
    anchored: bool = False
    """Something pulls what trains to where it began, `weighed` by its importance."""
    weighed: bool = False
    second_adapter: bool = False
    """The reference is the finished adapter that the training began with, kept beside the one that trains."""
    accumulation: int = 1
    loss: Loss = "chunked"
    rounded: bool = False
    """Weights are rounded in every forward pass, which keeps a rounded copy of them for the backward pass."""
    float8: bool = False
    """Products of weights that train are in 8-bit floats."""
    compute_capability: tuple[int, int] | None = None
    stack: Stack = CURRENT

    # What a published measurement may state besides; the defaults are what ftui's own worker does.
    trainer: Literal["ftui", "trl", "transformers"] = "ftui"
    upcast: Literal["none", "norms", "all"] = "none"
    """Which unquantized parts of a quantized base are float32: no part, the norms, or embeddings and head as well."""
    activation_offload: bool = False
    padding: Padding = "longest"
    """"free": the rows of a micro-batch lie end to end as one sequence of `rows` × `length` tokens."""
    expandable: bool = True
    """The caching allocator grows its segments in place (PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True)."""
    varied: bool = False
    """Micro-batches differ in width from step to step, so that what is cached for one does not fit another."""
    pictured: bool = False
    """Rows have images: a vision tower looks at them before the language model's part begins."""
    unseen: bool = False
    """Nothing is known of the rows' lengths: the widest micro-batch may be narrower than max_length."""
    room: int = 0
    """Bytes that the device can give now, less the reserve; 0 where that is not known."""

    # Objectives other than supervised fine-tuning; see `objectives`.
    objective: str = "sft"
    reference: Reference = "none"
    sequences: int = 1
    """Sequences of one row that pass through the model together: two where an answer is held against another."""
    prompt: int = 0
    """Tokens of a row that are read and not scored."""
    completion: int = 0
    """Tokens generated per completion; 0 where nothing is."""
    generated_rows: int = 0
    """Completions that one call generates on a device."""
    served_steps: float = 1.0
    """Optimizer steps that train on what one call generates."""
    hard_labels: bool = False
    """A distillation's loss holds the plain loss of the data's answers as well."""
    scores: int = 0
    """Rows of a head of scores, which trains in place of the vocabulary's; 0 where the model writes words."""
    second_parameters: int = 0
    """Elements of a teacher or a reward model, held beside the trained model."""
    second_width: float = 2.0
    """Bytes of each of them."""

    # Several devices; see `sharding`.
    devices: int = 1
    strategy: Strategy = "single"
    offload: Literal["none", "optimizer", "all"] = "none"

    @property
    def tokens(self) -> int:
        """Tokens of the largest micro-batch, padding included."""
        return self.rows * self.sequences * self.length

    @property
    def full(self) -> bool:
        return self.method == "full"

    @property
    def prefix(self) -> int:
        """Trained keys and values before those of every row."""
        return adapters.prefix_tokens(self.options)

    @property
    def keys(self) -> int:
        """How many keys a row's queries meet."""
        return self.length + self.prefix

    @property
    def layers_again(self) -> int:
        """How many layers are checkpointed: they keep their inputs, and are computed again going backward."""
        layers = self.geometry.layers
        if not self.checkpointing:
            return 0
        return layers if self.checkpoint_layers is None else min(self.checkpoint_layers, layers)

    @cached_property
    def adapter_parameters(self) -> int:
        """Elements that train beside the frozen base: for LoRA two matrices per target and what its options add; with
        any adapter a head of scores."""
        head = self.scores * self.geometry.hidden
        if self.options is not None:
            return head + adapters.parameters(self.adapter, self.options, self.targets, self.geometry)
        return head + sum(one.elements * one.count for one in self.lora_trained)

    @cached_property
    def lora_trained(self) -> list[adapters.Trained]:
        """Every tensor of LoRA's that trains."""
        return lora_trained(self.lora or LoraOptions(dora=self.dora), self.rank, self.targets, self.geometry)


def words_again(setup: Setup) -> str:
    """Which layers are checkpointed, with the verb; empty where none is."""
    layers, again = setup.geometry.layers, setup.layers_again
    if again == layers:
        return "layers are"
    return f"the first {again} of {layers} layers are" if again else ""


def method_of(recipe: Recipe) -> Method:
    """Which of the four methods a resolved recipe asks for."""
    if recipe.adapter.kind == "none":
        return "full"
    return {"nf4": "qlora", "fp4": "qlora", "int8": "lora-int8"}.get(recipe.model.quantization, "lora")  # type: ignore[return-value]


def device_of(recipe: Recipe, hardware: Hardware) -> Device:
    """Where a run of this recipe trains: the best visible GPU, unless there is none or the recipe wants none."""
    return "cpu" if recipe.compute.gpus == 0 or hardware.gpu is None else "cuda"


def devices_of(recipe: Recipe) -> int:
    """How many devices share an optimizer step: one, unless the recipe asks for more."""
    return recipe.compute.gpus if isinstance(recipe.compute.gpus, int) and recipe.compute.gpus > 1 else 1


def setup_of(recipe: Recipe, hardware: Hardware, shape: ModelShape, profile: DataProfile | None) -> Setup:
    """The numbers of a resolved recipe; "auto" in a field that matters is a ValueError of the caller's making."""
    train, options = recipe.train, recipe.adapter
    return assemble(
        recipe, hardware, geometry(shape), profile, method=method_of(recipe), quantization=recipe.model.quantization,
        dtype=recipe.model.dtype, attention=recipe.model.attention,
        max_length=_number(recipe.data.max_length, "data.max_length"), packing=bool(recipe.data.packing),
        rows=_number(train.micro_batch, "train.micro_batch"),
        effective=_number(train.effective_batch, "train.effective_batch"), checkpointing=bool(train.checkpointing),
        optimizer=train.optimizer, rank=_number(options.rank, "adapter.rank") if options.kind == "lora" else 0,
        dropout=options.kind == "lora" and bool(options.dropout),
    )


def assemble(
    recipe: Recipe, hardware: Hardware, sizes: Geometry, profile: DataProfile | None, *, method: Method,
    quantization: str, dtype: str, attention: str, max_length: int, packing: bool, rows: int, effective: int,
    checkpointing: bool, optimizer: str, rank: int, dropout: bool,
) -> Setup:
    """The one way from a recipe to numbers: what the planner varies comes as an argument, all else from the recipe.

    Raises BadInput for a library stack that ftui does not know, and for an adapter that the model can't take.
    """
    if checkpointing and method != "full" and recipe.adapter.kind in adapters.PREFIXES:
        raise BadInput(f"{ADAPTERS[recipe.adapter.kind].title} can't train with gradient checkpointing, which drops "
                       "the cache that its keys and values are in.", "Set train.checkpointing to false.")
    device = device_of(recipe, hardware)
    gpu = hardware.gpu if device == "cuda" else None
    lora = recipe.adapter if isinstance(recipe.adapter, LoraOptions) and method != "full" else None
    other = recipe.adapter if isinstance(recipe.adapter, AdapterOptions) and method != "full" else None
    quantized = method != "full" and quantization not in ("none", "auto")
    sizes = stacked(lora, sizes) if lora else sizes
    compute = recipe.compute
    read = read_profile(profile, recipe.objective)
    length, padded = row_width(recipe.data.padding, peak_length(read, max_length), max_length, packing, rows, device)
    length += adapters.virtual_tokens(other)
    # No kernel's causal mask lets queries see keys before the first of them.
    padded = padded or adapters.prefix_tokens(other) > 0
    accumulation = max(1, -(-effective // (rows * devices_of(recipe))))
    stack = stack_named(compute.stack)
    trained_as: Method = "full" if in_place(other) else method
    formats = number_formats(trained_as, device, dtype, lora.dtype if lora else "auto", recipe.train.trainer)
    formats["autocast"] = formats["autocast"] and stack.autocast
    free, kept = budget(hardware, device), reserve(hardware, device)
    setup = Setup(
        geometry=body(recipe, sizes, profile), method=method, device=device, rows=rows, length=length, padded=padded,
        checkpointing=checkpointing, checkpoint_layers=recipe.train.checkpoint_layers, attention=attention,
        optimizer=optimizer,
        quantization=quantization if quantized else "none", double_quantization=recipe.model.double_quantization,
        rank=rank if method != "full" else 0,
        adapter=other.kind if other else "lora", options=other,
        targets=() if method == "full" else _targets(recipe.adapter, sizes),
        dropout=dropout and method != "full", dora=bool(lora and lora.dora), lora=lora,
        projected_rank=recipe.train.galore_rank, averaged=recipe.train.ema is not None,
        anchored=bool(recipe.continual.pull or recipe.continual.ewc), weighed=bool(recipe.continual.ewc),
        accumulation=accumulation, loss=recipe.train.loss,
        rounded=recipe.train.qat != "none", float8=recipe.train.float8,
        compute_capability=gpu.compute_capability if gpu else None, stack=stack,
        trainer=recipe.train.trainer, upcast=recipe.model.upcast if quantized else "none",
        activation_offload=recipe.train.activation_offload and device == "cuda",
        padding="longest" if packing else recipe.data.padding, expandable=compute.allocator == "expandable",
        varied=device == "cuda" and (packing or not _alike(profile)) and recipe.data.padding != "max_length"
        and not stack.empties_cache,
        pictured=profile is not None and profile.images > 0,
        unseen=profile is None and not packing and recipe.data.padding != "max_length",
        room=max(0, free - kept),
        devices=devices_of(recipe), strategy=strategy_of(recipe), offload=compute.offload,
        **formats,
    )
    asked = objective_fields(
        recipe, sizes, rows=rows, length=length, accumulation=accumulation,
        weight_bytes=setup.weight_bytes, profile=profile,
    )
    return replace(setup, **asked) if asked else setup


def _targets(adapter: object, sizes: Geometry) -> tuple[Target, ...]:
    """The modules that get an adapter; only LoRA reaches fused experts, and adapters in front of the model none.

    Raises BadInput where peft would refuse the adapter's options on one of them.
    """
    if isinstance(adapter, AdapterOptions):
        wanted = adapter.targets if isinstance(adapter, Targeted) else ()
        targets = chosen(sizes, wanted, lora=False)
        if adapter.kind == "bitfit" and not sizes.biases:
            raise BadInput("The base model has no biases, so BitFit has nothing to train.",
                           "Write adapter: {kind: ln_tuning}, or adapter: {kind: lora}.")
        if reason := adapters.unfit(adapter.kind, adapter, targets):
            raise BadInput(f"{ADAPTERS[adapter.kind].title} can't be put on this model: {reason}.",
                           "Choose another value, or name other modules in adapter.targets.")
        return targets
    return lora_targets(adapter, sizes) if isinstance(adapter, LoraOptions) else chosen(sizes, "all-linear")


def strategy_of(recipe: Recipe) -> Strategy:
    """How the devices share the work: copies, unless the recipe asks for shards.

    One device shares with nobody, but may still keep a sharded run's states in host memory.
    """
    wanted = recipe.compute.strategy
    if devices_of(recipe) == 1 and (recipe.compute.offload == "none" or wanted in ("auto", "ddp")):
        return "single"
    return "ddp" if wanted == "auto" or wanted == "single" else wanted


def _alike(profile: DataProfile | None) -> bool:
    """Whether all rows have one length: where nothing is known of them they are taken to differ."""
    return profile is not None and profile.lengths is not None and profile.lengths.mean >= profile.lengths.max


def row_width(
    padding: Padding, longest: int, max_length: int, packing: bool, rows: int, device: Device
) -> tuple[int, bool]:
    """Tokens of a row of the largest micro-batch, and whether a mask must say what is padding or another row's."""
    if packing:
        return max_length, True
    match padding:
        case "max_length":
            return padded_width(max_length, device), rows > 1 or longest < max_length
        case "free":
            return longest, rows > 1
        case _:
            return padded_width(longest, device), rows > 1


def masks_one_row(recipe: Recipe, *, packed: bool) -> bool:
    """Whether a micro-batch of a single row may need a mask as well."""
    return packed or recipe.data.padding == "max_length" or recipe.objective.kind != "sft"


def number_formats(
    method: Method, device: Device, dtype: str, adapter: str = "auto", trainer: str = "ftui"
) -> dict[str, Any]:
    """Bytes of weights, of matrix products and of adapters, and whether autocast is on, as the module's text says.

    `adapter` is the recipe's adapter.dtype.  Plain transformers leaves an adapter on a quantized base in peft's
    float32, where ftui and trl (`SFTTrainer.__init__`) cast it to bfloat16.
    """
    size = BYTES[dtype]
    if size == 4:
        return {"weight_bytes": 4, "compute_bytes": 4, "adapter_bytes": BYTES.get(adapter, 4), "autocast": False}
    if method == "full" and dtype == "float16":
        return {"weight_bytes": 4, "compute_bytes": 2, "adapter_bytes": 4, "autocast": True}
    single = method == "lora" or dtype == "float16" or trainer == "transformers"
    return {
        "weight_bytes": 2, "compute_bytes": 2, "adapter_bytes": BYTES.get(adapter, 4 if single else 2),
        "autocast": True,
    }


def padded_width(length: int, device: Device) -> int:
    """What the collator makes of a micro-batch whose longest row has `length` tokens: a multiple of 8 on a GPU."""
    return -(-length // 8) * 8 if device == "cuda" else length


def _number(value: int | str, path: str) -> int:
    if isinstance(value, str):
        raise ValueError(f"{path} is still {value!r}: resolve the recipe before estimating it")
    return value
