"""The rules as data: what each says, who says so, and what it doesn't know.  docs/reference/rules.md is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from ftui.planner.rules import sources


@dataclass(frozen=True)
class Rule:
    """The rule behind one value of a recipe, in sentences."""

    path: str
    says: str
    sources: tuple[str, ...]
    unknown: str = ""
    """What it doesn't know; empty where it is plain arithmetic."""


RULES: dict[str, Rule] = {rule.path: rule for rule in (
    Rule(
        "model.quantization",
        "16 bits where they fit and the time is right; 4 bits (nf4) and 8 cost about a hundredth of the quality, and "
        "time: which of them is faster depends on the card.",
        (sources.QLORA,),
        "How much 4 bits cost a given model: small and much-trained ones lose more than QLoRA's did.",
    ),
    Rule(
        "model.dtype", "bfloat16 where the device computes in it, else float16; float32 on a CPU.",
        (sources.CAPABILITY, sources.MIXED_PRECISION, sources.FTUI),
    ),
    Rule(
        "model.attention", "SDPA, which comes with torch; eager only for models that cap their attention scores.",
        (sources.SDPA, sources.GEMMA2),
        "Whether FlashAttention 2 is installed, which is faster on long packed rows.",
    ),
    Rule(
        "data.validation", "A twentieth; a tenth below 1,000 rows, 2,000 rows above 40,000.", (sources.FTUI,),
        "Whether neighbouring rows say the same: then a random part is no test, and a file of its own is.",
    ),
    Rule(
        "data.max_length",
        "The smallest multiple of 64 that holds 99 % of the rows (all, where the longest is near), within the model's "
        "context; shorter only where nothing fits.",
        (sources.THE_DATA, sources.FTUI, sources.MEMORY), "Whether the ends of the longest rows matter.",
    ),
    Rule(
        "data.packing", "On for plain text, and for rows that fill under a quarter of the length; SFT only.",
        (sources.PACKING, sources.FTUI),
        "Packing makes each step's rows fewer and longer: its effect on quality is small but not measured here.",
    ),
    Rule(
        "objective.kind",
        "What serves the goal among that for which there are rows: answers and text SFT, pairs DPO (a reward model to "
        "judge), judged answers KTO, prompts GRPO.",
        (sources.TRL_DATASETS,), "Whether ORPO, or SFT first, would serve pairs better.",
    ),
    Rule(
        "objective.loss_on", "The assistant's turns; all of a plain text.", (sources.QLORA, sources.FTUI),
        "Whether only the last answer of a chat is good: then 'completion' is right.",
    ),
    Rule(
        "objective.rewards", "Right answers (exact), where the goal is to reason and the rows hold the answers.",
        (sources.TRL_GRPO,), "What else makes an answer good: a form, a length, a judge: that you must say.",
    ),
    Rule(
        "adapter.kind", "An adapter, unless full tuning fits and the data is more than an adapter can hold.",
        (sources.LORA, sources.WITHOUT_REGRET, sources.LEARNS_LESS, sources.COMPARISON),
        "PEFT's comparison is one model, one task and one seed: the order of its adapters is no law.",
    ),
    Rule(
        "adapter.rank",
        "8 for simple tasks and rewards, 16 standard, 32 for reasoning and code, 64 for a domain; less for few rows, "
        "doubled for more than 50,000 with quality first.",
        (sources.LORA, sources.WITHOUT_REGRET),
        "How much is new to the model in these rows: the task's name stands for it.",
    ),
    Rule(
        "adapter.alpha", "32 at every rank: the scale at which the learning rate was fitted.",
        (sources.WITHOUT_REGRET, sources.RATE_AND_RANK),
        "Much published work takes twice the rank or the rank itself, with rates found by trying.",
    ),
    Rule(
        "adapter.targets", "Every linear module of the layers.", (sources.WITHOUT_REGRET, sources.QLORA),
        "For mixtures of experts, whether all experts see enough rows to learn.",
    ),
    Rule(
        "adapter.dropout", "0.05 below 5,000 rows, else none; none on fused experts.",
        (sources.QLORA, sources.PEFT_EXPERTS, sources.FTUI), "Its gain is small and seldom measured apart.",
    ),
    Rule(
        "adapter.rslora", "Off: it is another scale for alpha.", (sources.RSLORA, sources.COMPARISON),
        "At ranks of 64 and more with a small alpha it has won; nobody has tried it at alpha 32 with the fitted rate.",
    ),
    Rule(
        "train.learning_rate",
        "LoRA 5e-4 × (2000 / width)^0.78, within 1e-4 to 5e-4 (4 bits: at least 2e-4 below 20 B); full tuning a tenth; "
        "below 0.3 B parameters up to 5e-3.  Preferences 5e-6, full 5e-7; reward models 1e-4, full 1e-5.  Other "
        "adapters what PEFT's comparison chose for them (5e-5 to 0.3).",
        (sources.RATE_FIT, sources.QLORA, sources.WITHOUT_REGRET, sources.ZEPHYR, sources.TRL_KTO, sources.TRL_ORPO,
         sources.TRL_REWARD, sources.TRL_GRPO, sources.COMPARISON),
        "The fit was made on Llama models with batches larger than most here.  For Qwen it falls less with the width "
        "(4.7e-4 at 4,096): raise it where the loss falls slowly.",
    ),
    Rule(
        "train.schedule", "Cosine to zero; constant for training by rewards.",
        (sources.DECAY_TO_ZERO, sources.WITHOUT_REGRET), "A run that shall be extended later wants a constant rate.",
    ),
    Rule(
        "train.warmup",
        "3 % of the steps; 10 % below 100 steps, for rates above 5e-4, and for preferences.",
        (sources.QLORA, sources.UNSLOTH, sources.ZEPHYR),
    ),
    Rule(
        "train.weight_decay", "None.", (sources.TULU3,),
        "PEFT's comparison takes 0.1 with AdamW; what it does to an adapter in few passes is within the noise.",
    ),
    Rule("train.max_grad_norm", "1; 0.3 on a 4-bit base.", (sources.QLORA, sources.TULU3)),
    Rule(
        "train.epochs",
        "2 for chat and instructions, 3 to classify, one more below 1,000 rows, one above 20,000; for a domain 8 below "
        "1,000 rows, 5 below 10,000, 3 below 50,000; 1 for preferences and rewards.",
        (sources.LEARNS_LESS, sources.REPEATED_DATA, sources.ZEPHYR),
        "How alike the rows are: many alike need fewer passes.  The validation loss tells.",
    ),
    Rule(
        "train.effective_batch",
        "8 below 1,000 sequences, 16 below 20,000, else 32 (full tuning 64 from 50,000); at least ten steps an epoch.",
        (sources.WITHOUT_REGRET, sources.ZEPHYR, sources.FTUI),
        "Where the largest good batch lies: LoRA loses from large ones, by how much depends on the data.",
    ),
    Rule(
        "train.micro_batch", "The fastest that fits; the leaner among equals.", (sources.MEMORY,),
    ),
    Rule(
        "train.checkpointing", "Off where the activations fit and that is faster, else on.",
        (sources.CHECKPOINTING, sources.MEMORY),
    ),
    Rule(
        "train.optimizer", "AdamW; in full tuning its states in 8 bits, then paged, where they don't fit.",
        (sources.EIGHT_BIT, sources.MEMORY),
    ),
    Rule(
        "train.eval_steps", "About ten times a run, less often where it would take over a tenth of the time.",
        (sources.FTUI,),
    ),
    Rule("train.save_steps", "With each evaluation.", (sources.FTUI,)),
    Rule("evaluate.patience", "3 where the data is passed more than once.", (sources.FTUI,)),
    Rule("compute.gpus", "One: the card with most free memory.", (sources.PROBE,)),
    Rule("compute.strategy", "One device.", (sources.FTUI,)),
    Rule(
        "compute.threads", "The cores; one for a model under 30 M parameters, at most eight beside a GPU.",
        (sources.FTUI,), "What else the machine does.",
    ),
)}


def rule(path: str) -> Rule | None:
    """The rule for a setting, None where there is none."""
    return RULES.get(path)
