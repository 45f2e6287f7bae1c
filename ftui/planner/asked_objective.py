"""From a recipe's objective to the fields of a `Setup`: rows that pass together, reference, prompt and completion.

trl 1.16's trainers decide how an objective is computed (`trl/trainer/*_trainer.py`, `trl/experimental/{orpo,cpo}`):

* DPO, ORPO, CPO and reward concatenate chosen and rejected into one forward pass: two sequences per row;
* DPO, KTO, GRPO and RLOO score tokens by trl's fused head whatever loss the recipe names; ORPO and CPO make all logits,
  a reward model or classifier none;
* the reference is the model with its adapter switched off, or in full tuning a second model in the same number format,
  unless its log-probabilities were computed before; GRPO and RLOO have none at beta 0;
* distillation calls the backbone itself, past the forward that accelerate wraps in autocast;
* online DPO and PPO are ftui's own on RLOO's rollouts: the pairs' answers are counted one by one, and both have a
  reference always;
* GRPO, RLOO and online DPO generate the completions of `steps_per_generation` micro-batches at once, by default as
  many as are accumulated; PPO those of `mini_batches` optimizer steps, and distillation those of one accumulated batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ftui.data.document import DataProfile
from ftui.methods import (
    ADAPTERS,
    ClassifyOptions,
    CpoOptions,
    DistillOptions,
    DpoOptions,
    GrpoOptions,
    KtoOptions,
    OnlineDpoOptions,
    PpoOptions,
    RewardOptions,
    RlooOptions,
    SftOptions,
)
from ftui.planner.geometry import Geometry
from ftui.recipe.document import Recipe

PAIRED = ("dpo", "orpo", "cpo", "reward")
"""Objectives whose rows are two sequences in one forward pass."""
GENERATING = ("grpo", "rloo", "online_dpo", "ppo", "distill")
"""Objectives that train on completions which the model has just written."""
SECOND_WIDTHS = {"none": 2.0, "int8": 1.1, "nf4": 0.6}
"""Bytes of an element of a teacher by its quantization, which leaves its embeddings at 16 bits."""
Online = GrpoOptions | RlooOptions | OnlineDpoOptions | PpoOptions


def objective_fields(
    recipe: Recipe, sizes: Geometry, *, rows: int, length: int, accumulation: int, weight_bytes: int,
    profile: DataProfile | None,
) -> dict[str, Any]:
    """The fields of a `Setup` that the objective decides; empty for supervised fine-tuning.

    `length` is the widest row in tokens.  Where completions are generated it is the longest prompt, and the field
    `length` in the answer is that of prompt and completion together.
    """
    options = recipe.objective
    if isinstance(options, SftOptions):
        return {}
    fields: dict[str, Any] = {
        "objective": options.kind, "loss": "full" if options.kind in ("orpo", "cpo") else "tiled",
        "sequences": 2 if options.kind in PAIRED else 1, "padded": True,
    }
    fields["scores"] = scores(recipe, profile)
    # Freeze tuning and the like have no adapter that could be switched off.
    held: str = "adapter off" if ADAPTERS[recipe.adapter.kind].saved == "adapter" else "copy"
    if isinstance(options, CpoOptions):
        fields["imitation"] = options.cpo_alpha > 0
    if isinstance(options, DpoOptions | KtoOptions):
        fields["reference"] = "precomputed" if options.precompute_reference else held
    if isinstance(options, Online):
        fields["reference"] = "none" if isinstance(options, GrpoOptions | RlooOptions) and not options.beta else held
        fields["second_parameters"] = int(options.reward_parameters * 1e9)
        if isinstance(options, PpoOptions):
            fields["generated_rows"] = rows * accumulation * options.mini_batches
        else:
            fields["generated_rows"] = rows * (options.steps_per_generation or accumulation)
        passes = 1 if isinstance(options, OnlineDpoOptions) else options.iterations
        fields["served_steps"] = passes * fields["generated_rows"] / (rows * accumulation)
    fields["second_adapter"] = (
        fields.get("reference", "none") != "none" and getattr(recipe.adapter, "start_from", None) is not None
    )
    if isinstance(options, DistillOptions):
        stated = options.teacher_parameters
        fields["second_width"] = SECOND_WIDTHS[options.teacher_quantization]
        fields["second_parameters"] = sizes.parameters if stated is None else int(stated * 1e9)
        fields |= {"autocast": False, "compute_bytes": weight_bytes}
        fields["hard_labels"] = bool(options.hard_labels) and options.on_policy < 1
        if options.on_policy:
            fields["generated_rows"] = rows * accumulation
    if "generated_rows" in fields and isinstance(options, Online | DistillOptions):
        completion = options.max_completion_length
        fields |= {"prompt": length, "completion": completion, "length": length + completion}
    return fields


def answers(recipe: Recipe) -> int:
    """How many trained answers a row becomes in an epoch: 1 but where the model writes several, or one serves again."""
    options = recipe.objective
    if isinstance(options, PpoOptions):
        return options.iterations
    if isinstance(options, OnlineDpoOptions):
        return options.generations
    return options.generations * options.iterations if isinstance(options, Online) else 1


def scores(recipe: Recipe, profile: DataProfile | None) -> int:
    """Rows of the head of scores: one in a reward model, one for each label in a classifier; 0 for a head of words."""
    if isinstance(recipe.objective, ClassifyOptions):
        return len(profile.labels) if profile and profile.labels else 2
    return 1 if isinstance(recipe.objective, RewardOptions) else 0


def body(recipe: Recipe, sizes: Geometry, profile: DataProfile | None) -> Geometry:
    """The model that the objective trains: a reward model or classifier has scores in place of the head of words."""
    rows = scores(recipe, profile)
    if not rows:
        return sizes
    parameters = sizes.parameters - (0 if sizes.tied else sizes.embedding) + rows * sizes.hidden
    return replace(sizes, tied=False, parameters=parameters)
