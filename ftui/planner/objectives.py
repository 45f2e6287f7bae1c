"""What an objective other than supervised fine-tuning adds to a step: a second model, its passes, its loss, generation.

Everything is read off trl 1.16 (`trl/trainer/{dpo,kto,reward,grpo,rloo,distillation}_trainer.py`,
`trl/experimental/orpo/orpo_trainer.py`, `trl/kernels/`) and held against traced steps of those trainers
(`tests/planner/traced_objectives.json`).  All results in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ftui.planner.activations import layers_of, peak
from ftui.planner.losses import Loss, loss_of
from ftui.planner.moment import Moment
from ftui.planner.setup import Setup
from ftui.planner.states import trainable_parameters, trained_bytes, weight_bytes


def second_model_bytes(setup: Setup) -> int:
    """What stays beside the trained model: a reference like it, a teacher or reward model, and what a training that
    goes on keeps of its start."""
    copy = weight_bytes(setup) if setup.reference == "copy" else 0
    return copy + int(setup.second_width * setup.second_parameters) + _start_bytes(setup)


def _start_bytes(setup: Setup) -> int:
    """A pull to the start holds what trains as it began, EWC each weight's importance in float32 as well
    (`ftui.worker.anchor`); a reference that is a finished adapter is a second one (`ftui.worker.reference`)."""
    start = trained_bytes(setup) if setup.anchored else 0
    importance = 4 if setup.weighed else 0
    second = setup.adapter_parameters * setup.adapter_bytes if setup.second_adapter else 0
    return trainable_parameters(setup) * (start + importance) + second


def loss(setup: Setup) -> Loss:
    """The terms of the objective's loss, over the tokens that it scores."""
    match setup.objective:
        case "sft":
            return loss_of(setup)
        case "reward" | "classify":
            return _score_loss(setup)
        case "orpo" | "cpo":
            return _odds_ratio_loss(setup)
        case "distill":
            return _divergence_loss(setup)
        case "ppo":
            return _actor_critic_loss(setup)
        case _:
            return loss_of(replace(setup, length=setup.length - setup.prompt, loss="tiled"))


GENERATED = ("prompt reading", "generation")
"""The phases of writing answers, which is done before the step's first pass."""
BESIDE = ("reference forward", "reference scores", "teacher forward", *GENERATED)
"""The phases of the moments that `beside` makes."""


def beside(setup: Setup, step: list[Moment]) -> list[Moment]:
    """The moments that the objective adds to those of the training pass, which `step` lists."""
    start = next(moment for moment in step if moment.phase == "loss forward")
    found = []
    if setup.objective in ("dpo", "kto") and setup.reference in ("adapter off", "copy"):
        # The reference is asked when the policy's graph, with what its loss keeps, is waiting for the backward pass.
        # Without the adapter nothing is cast for it.
        bare = setup if setup.full else replace(setup, rank=0, targets=())
        kept, hidden = _kept_by_scores(setup), _hidden(setup, setup.tokens)
        found += [
            Moment("reference forward", start.gradients, start.activations + _passing(bare, setup.tokens), kept),
            Moment("reference scores", start.gradients, start.activations + hidden, kept + loss(setup).evaluation),
        ]
    if setup.objective == "distill":
        teacher = _teacher_width(setup) * _passing(setup, setup.tokens)
        found.append(Moment("teacher forward", start.gradients, start.activations + teacher))
    if setup.generated_rows:
        found += _generation(setup)
    return found


def _hidden(setup: Setup, tokens: int) -> float:
    return float(tokens * setup.geometry.hidden * setup.weight_bytes)


def _passing(setup: Setup, tokens: int) -> float:
    """A forward pass that keeps nothing: the most that one layer takes."""
    return max(peak(kind.parts.layer.alone, tokens) for kind in layers_of(setup))


def notes(setup: Setup) -> Iterator[str]:
    """Where the formula of the objective is weak, in sentences."""
    if setup.generated_rows:
        yield "Generation is counted with transformers' own cache; vLLM's share of the card would come on top."
    if setup.objective == "distill":
        yield "The teacher's shape is guessed from its number of parameters."


def doubt(setup: Setup) -> float:
    """How much wider the interval of what comes and goes is than for supervised fine-tuning."""
    return 0.10 if setup.objective == "distill" else 0.05 if setup.generated_rows else 0.0


def _scored(setup: Setup) -> int:
    """Tokens that the loss looks at in one micro-batch."""
    return setup.rows * setup.sequences * (setup.length - setup.prompt)


def _kept_by_scores(setup: Setup) -> float:
    """What the fused head keeps for its backward pass, and the outputs that the trainer reads its metrics from.

    The scored tokens' hidden states, log-normalizer, entropy and target; log-probability, entropy and mean logit of
    every token in float32 and whether the target was the likeliest.
    """
    return float(_scored(setup) * (setup.geometry.hidden * setup.compute_bytes + 16) + 13 * setup.tokens)


def _score_loss(setup: Setup) -> Loss:
    """A reward model's or classifier's: a score of each row of its head per token, of which the last token's count."""
    scores = float(setup.tokens * max(1, setup.scores) * (setup.compute_bytes + 4))
    return Loss(scores, scores, scores)


def _odds_ratio_loss(setup: Setup) -> Loss:
    """ORPO's and CPO's: all logits of both answers in float32, log-softmax of the chosen one's, and their gradients."""
    sizes, width = setup.geometry, setup.compute_bytes
    logits = float(setup.tokens * sizes.vocab)
    left = (4 + width) * logits + setup.tokens * sizes.hidden * width
    if not setup.imitation:
        # The kernel for the preference keeps the logits alone, and makes one gradient of them.
        return Loss(6 * logits, (4 + 4) * logits, 6 * logits, left)
    # The logits in 16 bits and in float32; then those in float32 with the chosen half's shifted copy (one row is no
    # copy) and its log-softmax.  trl's kernel for the preference keeps the logits alone.
    forward = (8 if setup.rows > 1 else 6) * logits
    # The logits, the gradient of the preference's, and its sum with the imitation's.
    backward = (4 + 4 + 4) * logits
    return Loss(forward, backward, forward, left)


def _actor_critic_loss(setup: Setup) -> Loss:
    """PPO's: that of the other objectives on answers, with the hidden states in float32 for the value head."""
    policy = loss_of(replace(setup, length=setup.length - setup.prompt, loss="tiled"))
    hidden = 4.0 * _scored(setup) * setup.geometry.hidden
    return Loss(policy.forward + hidden, policy.backward + 2 * hidden, policy.evaluation + hidden, policy.left + hidden)


def _divergence_loss(setup: Setup) -> Loss:
    """Distillation's: two float32 tiles, the student's and the teacher's, and never either model's logits whole."""
    sizes, width, scored = setup.geometry, setup.compute_bytes, _scored(setup)
    tile = 4.0 * min(scored, setup.stack.tile_tokens) * setup.stack.tile_vocabulary
    inputs = scored * sizes.hidden * width * (1 + _teacher_width(setup))
    statistics = 4.0 * 12 * scored
    table = sizes.vocab * sizes.hidden
    forward = 2 * tile + inputs + statistics
    # float32 gradients and what they are handed on as; a tile of gradients in the products' format.
    gradient = (4.0 + width) * (scored * sizes.hidden + (table if setup.full else 0))
    backward = forward + tile * width / 4 + gradient
    if not setup.hard_labels:
        return Loss(forward, backward, forward)
    # The answers that are the data's: once the divergence is there, ftui's own loss of them, which makes the gradients
    # of its hidden states and of the head on the way.
    plain = loss_of(replace(setup, length=setup.length - setup.prompt, loss="chunked"))
    made = float(width * (scored * sizes.hidden + (table if setup.full else 0)))
    return Loss(max(forward, forward - 2 * tile + plain.forward), backward + made, forward)


def _teacher_width(setup: Setup) -> float:
    """The teacher's hidden width over the student's: a guess from their sizes, since only its parameters are known.

    Parameters grow with depth times the square of the width, and depth about with the width.
    """
    return max(1.0, (setup.second_parameters / max(1, setup.geometry.parameters)) ** (1 / 3))


def _generation(setup: Setup) -> list[Moment]:
    """Reading the prompts and writing the completions: keys and values of every token, and the last token's logits.

    transformers' dynamic cache makes each layer's tensor anew with every token, keys first.
    """
    sizes, width = setup.geometry, setup.compute_bytes
    per_layer = 2.0 * setup.generated_rows * sizes.key * width
    cache = per_layer * sizes.layers
    # The last token's logits with a float32 copy, their softmax and the sampler's noise.
    logits = float(setup.generated_rows * sizes.vocab * (width + 4 + 4 + 4))
    prompts = setup.generated_rows * setup.prompt
    reading = _passing(setup, prompts) + _hidden(setup, prompts)
    whole = cache * (setup.prompt + setup.completion)
    grown = per_layer / 2 * (setup.prompt + setup.completion)
    return [
        Moment("prompt reading", 0.0, cache * setup.prompt + reading),
        Moment("generation", 0.0, whole + max(0.0, grown - logits), logits),
    ]
