"""What objectives share that score completions rather than copy rows: which tokens they look at, and their settings."""

from __future__ import annotations

from typing import Any, Literal

from ftui.documents import Document
from ftui.settings import setting


class CompletionOptions(Document):
    """Options of an objective that looks at completions only: their prompts are read, never trained."""

    @property
    def loss_on(self) -> Literal["completion"]:
        """The trained tokens, under the name that supervised fine-tuning lets one set."""
        return "completion"


def beta(default: float, help: str, why: str) -> Any:
    """How strongly the model is held to its reference; `default` is trl's."""
    return setting(default, title="Beta", help=help, why=why, term="beta", ge=0, le=100)


def precomputed_reference() -> Any:
    """trl's `precompute_ref_log_probs`."""
    return setting(
        False, title="Precompute the reference",
        help="Scores all rows with the untrained model once, before training, in place of at every step.",
        why="In full tuning it spares a second copy of the model; with an adapter, a forward pass per step.",
        term="reference model",
    )


def completion_length() -> Any:
    """trl's `max_completion_length`."""
    return setting(
        512, title="Completion length", help="Most tokens that the model writes for a prompt.",
        why="Long reasoning needs more; the cache of a generation and the step both grow with it.", unit="tokens",
        ge=1, le=131_072,
    )


def temperature() -> Any:
    """The sampling temperature of trl's trainers that generate."""
    return setting(
        1.0, title="Temperature", help="How freely completions are sampled.",
        why="Lower it when completions fall apart, raise it when all of a group are the same.", advanced=True, gt=0,
        le=10,
    )


def generations(default: int) -> Any:
    """trl's `num_generations`."""
    return setting(
        default, title="Group size", help="Completions that are sampled for each prompt and held against each other.",
        why="More give a steadier baseline, and take generation time and cache.", term="group", ge=2, le=1024,
    )


def clipping(whose: str) -> Any:
    """trl's `epsilon`; `whose` probability it clips."""
    return setting(
        0.2, title="Clipping",
        help=f"How far {whose} probability may move in one step, relative to what it was.",
        why="Lower it when runs collapse.", advanced=True, gt=0, le=1,
    )


def generation_steps() -> Any:
    """trl's `steps_per_generation`."""
    return setting(
        None, title="Steps per generation",
        help="Micro-batches that one generation serves; empty takes as many as are accumulated.",
        why="Fewer generate smaller batches at once, which takes less cache.", advanced=True, ge=1, le=1024,
    )


def scorer_parameters() -> Any:
    """The size of a reward model, which the planner can't read off the policy's own shape."""
    return setting(
        0.0, title="Reward model", help="Billions of parameters of a reward model held beside the policy, in 16 bits.",
        why="0 where rewards are plain functions, such as a checker of answers.", unit="billion", advanced=True, ge=0,
        le=2000,
    )


def rewards() -> Any:
    """What scores the answers that a model generates: see `ftui.methods.rewards`."""
    return setting(
        (), title="Rewards", help="What scores the answers, as a list: exact, format, length:200, json, code, "
        "module:function, model:folder; a weight stands before it, as in 0.2*format.",
        why="Add a small weight of form or length to the one that says what is right.", term="reward",
    )


def judges() -> Any:
    """What compares two answers: see `ftui.methods.judges`."""
    return setting(
        (), title="Judge", help="What tells the better of two answers, as a list, of which the first that is no draw "
        "decides: shorter, longer, asks:MODEL, module:function, or any reward.",
        why="Where nothing scores an answer by itself, but two can be held against each other.", term="online DPO",
    )


def criterion() -> Any:
    """What a model goes by that is asked which answer is better."""
    return setting(
        "The better answer is the one that is right, helpful and clear.", title="Criterion",
        help="What the model that a judge asks:MODEL asks is told to go by.",
        why="Say what you want more of, such as: the better answer is the friendlier one.", advanced=True,
    )


def runs_code() -> Any:
    """Whether a reward may execute what the model writes."""
    return setting(
        False, title="Run code", help="Allows the reward code to execute the model's answers on this machine.",
        why="Needed for code rewards; only on a machine where nothing can be harmed, for the limits are no sandbox.",
        advanced=True,
    )


def eval_prompts() -> Any:
    """How many held-out prompts an evaluation answers."""
    return setting(
        64, title="Evaluation prompts", help="Most held-out prompts that an evaluation answers to measure the reward.",
        why="More measure better and take longer, since each answer is generated.", advanced=True, ge=1, le=100_000,
    )


def iterations(default: int = 1) -> Any:
    """trl's `num_iterations`."""
    return setting(
        default, title="Passes per generation", help="How often the same generated answers are trained on.",
        why="More save generation time, and learn from answers that the model would no longer give.", advanced=True,
        ge=1, le=64,
    )


def unfinished() -> Any:
    """trl's `mask_truncated_completions`."""
    return setting(
        False, title="Leave out unfinished", help="Answers that were cut at the completion length train nothing.",
        why="Set it where cut answers get rewards that mean nothing.", advanced=True,
    )
