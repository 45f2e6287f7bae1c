"""Every term that ftui uses, in two sentences and with who says so."""

from __future__ import annotations

import re
from dataclasses import dataclass

LORA = "https://arxiv.org/abs/2106.09685"
QLORA = "https://arxiv.org/abs/2305.14314"
TRAINER = "https://huggingface.co/docs/transformers/main_classes/trainer"
ANATOMY = "https://huggingface.co/docs/transformers/model_memory_anatomy"
ONE_GPU = "https://huggingface.co/docs/transformers/perf_train_gpu_one"
BOOK = "https://www.deeplearningbook.org/"
NVML = "https://docs.nvidia.com/deploy/nvml-api/"


@dataclass(frozen=True)
class Term:
    """`text` is two sentences, `also` are other names that lead here."""

    name: str
    text: str
    source: str
    also: tuple[str, ...] = ()


TERMS: tuple[Term, ...] = (
    Term(
        "adapter",
        "A small set of weights that is trained beside a frozen base model and saved on its own. "
        "It is loaded on top of the same base model again, or merged into it.",
        "https://huggingface.co/docs/peft/index", ("PEFT",),
    ),
    Term(
        "AdamW",
        "The usual optimizer: it scales each weight's step by the recent size and spread of its gradients. "
        "It keeps two numbers for each trained weight, which full fine-tuning feels and LoRA hardly does.",
        "https://arxiv.org/abs/1711.05101", ("Adam", "optimizer"),
    ),
    Term(
        "8-bit optimizer",
        "An optimizer that keeps its states in one byte each, quantized in blocks. "
        "It takes a quarter of the usual optimizer memory with the same results in most runs.",
        "https://arxiv.org/abs/2110.02861", ("adamw_8bit",),
    ),
    Term(
        "paged optimizer",
        "An optimizer whose states move to the host's memory when the GPU's runs short. "
        "It survives a spike at the price of slow steps while it lasts.",
        QLORA, ("paged_adamw_8bit",),
    ),
    Term(
        "alpha",
        "The number by which a LoRA adapter's output is scaled, divided by the rank. "
        "Twice the rank is the usual choice; raising it acts much like raising the learning rate.",
        LORA, ("lora_alpha",),
    ),
    Term(
        "base model",
        "The model that training starts from. "
        "A plain base model only continues text, while an instruct model has already been taught to answer.",
        "https://arxiv.org/abs/2203.02155", ("base vs instruct", "instruct model", "foundation model"),
    ),
    Term(
        "beta",
        "In preference training and reinforcement learning, the strength that holds the model to its reference. "
        "Low ones let it learn more and stray further, 0 lets it go.",
        "https://arxiv.org/abs/2305.18290", ("KL coefficient",),
    ),
    Term(
        "bf16",
        "A 16-bit number format with the range of 32-bit floats and about three decimal digits. "
        "It trains without loss scaling and needs an NVIDIA GPU of the Ampere generation or later.",
        "https://arxiv.org/abs/1905.12322", ("bfloat16", "precision"),
    ),
    Term(
        "fp16",
        "A 16-bit number format with more digits than bf16 and a much smaller range. "
        "Gradients underflow in it, so the loss is scaled up while training on older GPUs.",
        "https://arxiv.org/abs/1710.03740", ("float16", "half precision"),
    ),
    Term(
        "fp32",
        "The 32-bit float that CPUs and old code compute in. "
        "It takes twice the memory of bf16 and is seldom worth it on a GPU.",
        ANATOMY, ("float32", "full precision"),
    ),
    Term(
        "fp8",
        "An 8-bit number format that GPUs since Ada and Hopper multiply twice as fast as bf16. "
        "It needs scaling factors for each tensor and is mostly used for large matrix products.",
        "https://arxiv.org/abs/2209.05433", ("float8",),
    ),
    Term(
        "cgroup",
        "The Linux mechanism that limits what a container or job may take of CPU and memory. "
        "Plans are made with its limits, as the host's numbers would promise too much.",
        "https://docs.kernel.org/admin-guide/cgroup-v2.html", ("container limit",),
    ),
    Term(
        "chat template",
        "The rule that turns a list of turns into one text with the model's own marks for who speaks. "
        "Training and use must share it, or the model answers worse than it could.",
        "https://huggingface.co/docs/transformers/chat_templating", ("template",),
    ),
    Term(
        "checkpoint",
        "All that is needed to go on with a run, saved at a step: weights, optimizer states, random state. "
        "The best one by validation loss is kept, besides the newest.",
        TRAINER, ("save every",),
    ),
    Term(
        "completion",
        "The part of a row that the model is to write, after the prompt. "
        "Training on it alone keeps the model from learning to write prompts.",
        "https://huggingface.co/docs/trl/dataset_formats", ("prompt and completion",),
    ),
    Term(
        "compute capability",
        "The version number of an NVIDIA GPU's hardware, such as 8.0 for the A100. "
        "It decides on number formats and on which builds of torch hold code for the card.",
        "https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities", ("sm",),
    ),
    Term(
        "CPO",
        "Contrastive preference optimization: prefers the chosen answer and imitates it, without a reference model. "
        "With its loss simpo, which compares answers per token, and no imitation it is SimPO.",
        "https://arxiv.org/abs/2401.08417", ("contrastive preference optimization", "SimPO"),
    ),
    Term(
        "distillation",
        "Training a small model to give the same next-token probabilities as a large one. "
        "Done on the small model's own answers it corrects the mistakes that it really makes.",
        "https://arxiv.org/abs/2306.13649", ("teacher", "knowledge distillation"),
    ),
    Term(
        "DoRA",
        "A LoRA that learns the length of each weight vector apart from its direction. "
        "It comes closer to full fine-tuning at low ranks and is slower.",
        "https://arxiv.org/abs/2402.09353",
    ),
    Term(
        "double quantization",
        "Quantizing the scales of a 4-bit model, too. "
        "It saves about 0.37 bits for each weight at no cost that one could measure.",
        QLORA, ("nested quantization",),
    ),
    Term(
        "DPO",
        "Direct preference optimization: raises the chosen answer's probability over the rejected one's, relative to "
        "the untrained model. It needs pairs of answers, and no reward model.",
        "https://arxiv.org/abs/2305.18290", ("direct preference optimization", "preference training"),
    ),
    Term(
        "dropout",
        "Zeroing a random share of the adapter's inputs in each training step. "
        "It makes learning the rows by heart harder, which helps when there are few.",
        "https://jmlr.org/papers/v15/srivastava14a.html", ("lora_dropout",),
    ),
    Term(
        "dry trace",
        "One training step run by your own libraries on tensors that have shapes but no content, without a GPU. "
        "Its peak carries the badge ◆ traced, between the formula's ≈ estimate and ✔ measured, the device's own word.",
        ANATOMY, ("trace", "badge", "estimate", "measured"),
    ),
    Term(
        "early stopping",
        "Ending a run when the validation loss has not improved for some evaluations. "
        "The best checkpoint is kept, so that nothing is lost but time that would have been wasted.",
        BOOK, ("patience",),
    ),
    Term(
        "ECC",
        "Memory that corrects a flipped bit by itself and reports what it can't correct. "
        "Errors that could not be corrected mean that the GPU needs a reset or is breaking.",
        "https://docs.nvidia.com/deploy/dynamic-page-retirement/index.html", ("error correction",),
    ),
    Term(
        "effective batch",
        "How many rows one optimizer step averages over: micro-batch times accumulation times GPUs. "
        "It decides how the run learns, whereas the micro-batch alone decides on memory.",
        ONE_GPU, ("batch size", "global batch"),
    ),
    Term(
        "epoch",
        "One pass over all training rows. "
        "One to three are usual; after that the model tends to learn the rows by heart.",
        TRAINER, ("epochs",),
    ),
    Term(
        "expected quality",
        "How close a way to train is held to come to the best one for the same model: a rule to sort by, no promise. "
        "It knows what too small an adapter, a quantized base, left-out modules and cut rows cost.",
        "https://thinkingmachines.ai/blog/lora/", ("quality",),
    ),
    Term(
        "FlashAttention",
        "An exact attention that never writes the matrix of all pairs of tokens to memory. "
        "Its memory grows with the length in place of its square, and it is faster, too.",
        "https://arxiv.org/abs/2307.08691", ("flash attention", "flash_attention_2"),
    ),
    Term(
        "full fine-tuning",
        "Training every weight of the model. "
        "It can learn the most and forget the most, and needs memory for weights, gradients and optimizer states.",
        "https://arxiv.org/abs/2405.09673", ("full", "full tuning"),
    ),
    Term(
        "gated",
        "A model on the hub whose terms must be accepted on its page before it can be downloaded. "
        "After that, `ftui login` with a token of the same account opens it.",
        "https://huggingface.co/docs/hub/models-gated", ("gated model",),
    ),
    Term(
        "GGUF",
        "The file format of llama.cpp: weights, mostly quantized, with tokenizer and template in one file. "
        "A tuned model is merged first and then converted to it.",
        "https://github.com/ggml-org/ggml/blob/master/docs/gguf.md", ("llama.cpp",),
    ),
    Term(
        "GiB",
        "1,073,741,824 bytes, two to the thirtieth power. "
        "A GB has a thousand million bytes, so a GPU sold with 24 GB shows up with slightly different numbers.",
        "https://physics.nist.gov/cuu/Units/binary.html", ("gibibyte", "MiB"),
    ),
    Term(
        "gradient accumulation",
        "Adding up the gradients of several micro-batches before one optimizer step. "
        "It gives a large effective batch in the memory of a small one.",
        ONE_GPU, ("accumulation",),
    ),
    Term(
        "gradient checkpointing",
        "Keeping few activations in the forward pass and computing the others again in the backward pass. "
        "It saves most of the activations' memory for about a third more time.",
        "https://arxiv.org/abs/1604.06174", ("checkpointing", "activation checkpointing"),
    ),
    Term(
        "gradient norm",
        "The length of the gradient over all trained weights in one step. "
        "Spikes in it announce a diverging run, and clipping cuts it to a maximum.",
        "https://arxiv.org/abs/1211.5063", ("grad norm", "gradient clipping"),
    ),
    Term(
        "group",
        "The answers that are sampled for one prompt, whose mean reward is the mark for each. "
        "Larger groups give steadier steps and take longer to write.",
        "https://arxiv.org/abs/2402.03300", ("group size", "num_generations"),
    ),
    Term(
        "online DPO",
        "Direct preference optimization on two answers that the model has just written, of which a reward prefers one. "
        "Its preferences stay about what the model would say now.",
        "https://arxiv.org/abs/2402.04792", ("online direct preference optimization",),
    ),
    Term(
        "GRPO",
        "Group relative policy optimization: the model writes several answers to a prompt, and those that score above "
        "their group become likelier. It suits tasks whose answers can be checked, such as mathematics.",
        "https://arxiv.org/abs/2402.03300", ("group relative policy optimization", "reinforcement learning"),
    ),
    Term(
        "PPO",
        "Proximal policy optimization: the model writes answers, and a value head says at each token what reward to "
        "expect; what comes better than expected becomes likelier. It needs more memory and care than GRPO and RLOO.",
        "https://arxiv.org/abs/1707.06347", ("proximal policy optimization", "actor-critic", "value head"),
    ),
    Term(
        "held-out rows",
        "Rows that are kept out of training and only measured on. "
        "They show whether the model has learned the task or the rows.",
        BOOK, ("validation split",),
    ),
    Term(
        "hub",
        "The Hugging Face hub, from which models and datasets are downloaded by ids such as Qwen/Qwen3-8B. "
        "What is there once is kept in a cache on this disk and used without a network.",
        "https://huggingface.co/docs/huggingface_hub/guides/manage-cache", ("Hugging Face", "hub cache"),
    ),
    Term(
        "int8",
        "Eight-bit whole numbers with a scale, here for a frozen base model's weights. "
        "Outliers stay in 16 bits, which keeps the quality and costs speed.",
        "https://arxiv.org/abs/2208.07339", ("8-bit",),
    ),
    Term(
        "KTO",
        "Kahneman-Tversky optimization: learns from single answers marked good or bad. "
        "It needs no pairs, and weighs losses and gains as people do.",
        "https://arxiv.org/abs/2402.01306", ("Kahneman-Tversky optimization",),
    ),
    Term(
        "KV cache",
        "The keys and values of earlier tokens that a model keeps while it writes. "
        "It grows with the length and the number of answers written at once, and training does without it.",
        "https://huggingface.co/docs/transformers/kv_cache", ("cache",),
    ),
    Term(
        "learning rate",
        "How far the weights move in one step, at its peak. "
        "Too high and the loss jumps or diverges, too low and it hardly falls.",
        BOOK, ("lr",),
    ),
    Term(
        "LoRA",
        "Training two thin matrices beside each chosen weight matrix, whose product is added to it. "
        "It comes close to full fine-tuning with a fraction of a percent of the weights trained.",
        LORA, ("low-rank adaptation",),
    ),
    Term(
        "loss",
        "The mean negative log-probability that the model gives to the tokens it should have written. "
        "Lower is better, and a fall of a tenth is much once the run has settled.",
        BOOK, ("training loss", "cross-entropy"),
    ),
    Term(
        "loss mask",
        "The choice of tokens on which the loss is taken, mostly the answers only. "
        "What is masked is read by the model but not learned to be written.",
        "https://huggingface.co/docs/trl/sft_trainer", ("loss on", "masking"),
    ),
    Term(
        "memory parts",
        "Weights, adapter and optimizer states stay; gradients, activations (kept for the backward pass), logits (a "
        "score per vocabulary entry) and workspace come and go within a step. "
        "Context is what CUDA itself takes, slack what the allocator reserves beyond what is in use.",
        ANATOMY, ("activations", "logits", "workspace", "context", "slack"),
    ),
    Term(
        "merge",
        "Adding an adapter's product of matrices into the base model's weights. "
        "The result is a plain model of the full size that needs no peft to run.",
        "https://huggingface.co/docs/peft/developer_guides/lora", ("merging",),
    ),
    Term(
        "micro-batch",
        "The rows that pass through one device at a time. "
        "It decides on activation memory and speed, and what is missing to the effective batch is accumulated.",
        ONE_GPU, ("per-device batch", "per_device_train_batch_size"),
    ),
    Term(
        "MIG",
        "A mode in which one NVIDIA GPU is cut into slices with memory and compute of their own. "
        "A process uses one slice, chosen by its UUID.",
        "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/", ("multi-instance GPU", "MIG slice"),
    ),
    Term(
        "NEFTune",
        "Adding small random noise to the embeddings while training. "
        "It made chat models' answers better in some studies and costs nothing.",
        "https://arxiv.org/abs/2310.05914",
    ),
    Term(
        "NF4",
        "A 4-bit number format whose sixteen values are spaced for weights that follow a bell curve. "
        "It holds a frozen base model in about a quarter of the memory of 16 bits.",
        QLORA, ("4-bit", "quantization", "fp4"),
    ),
    Term(
        "NVML",
        "NVIDIA's library that tells what GPUs do, the one behind nvidia-smi. "
        "It is asked from a process of its own, since a broken driver can hang in any call.",
        NVML, ("nvidia-smi", "pynvml"),
    ),
    Term(
        "objective",
        "What training rewards: SFT rewards writing the given answers, others compare answers or score them. "
        "It decides what the rows must hold.",
        "https://huggingface.co/docs/trl/index", ("training objective",),
    ),
    Term(
        "ORPO",
        "Odds-ratio preference optimization: imitation of the chosen answer and the preference for it in one loss. "
        "It needs no reference model, and so no second forward pass.",
        "https://arxiv.org/abs/2403.07691", ("odds-ratio preference optimization",),
    ),
    Term(
        "out of memory",
        "The GPU has no room for the next tensor, and the step fails. "
        "A smaller micro-batch, shorter sequences or gradient checkpointing make room, in this order of pain.",
        ANATOMY, ("OOM",),
    ),
    Term(
        "overfitting",
        "Learning the training rows rather than the task, seen when the validation loss rises while the training loss "
        "falls. Fewer epochs, more rows, a lower rank or some dropout help.",
        BOOK, ("over-fitting",),
    ),
    Term(
        "packing",
        "Putting several short rows into one sequence of the full length. "
        "It saves computing padding, and the rows are kept from seeing each other.",
        "https://arxiv.org/abs/2107.02027", ("sample packing",),
    ),
    Term(
        "perplexity",
        "The exponential of the loss: among how many tokens the model wavers, on average. "
        "It can be compared only between models that share a tokenizer.",
        "https://huggingface.co/docs/transformers/perplexity",
    ),
    Term(
        "QLoRA",
        "LoRA on a base model that is frozen in 4 bits. "
        "It tunes models four times larger than 16 bits would let on the same card, and a bit slower.",
        QLORA,
    ),
    Term(
        "rank",
        "The inner width of LoRA's two matrices: how much the adapter can learn. "
        "8 to 32 do for style and tasks, 64 and more for new knowledge.",
        LORA, ("lora_r", "r"),
    ),
    Term(
        "reference model",
        "The model as it was before training, against which preference objectives measure how far it moved. "
        "With an adapter it is the base with the adapter switched off, in full tuning a second copy.",
        "https://huggingface.co/docs/trl/dpo_trainer", ("ref_model",),
    ),
    Term(
        "classification",
        "Sorting texts by labels with a model that ends in one score for each label in place of its vocabulary. "
        "It answers in one pass, only with a label, and says how likely it is.",
        "https://huggingface.co/docs/transformers/tasks/sequence_classification", ("classifier", "text classification"),
    ),
    Term(
        "QAT",
        "Quantization-aware training: weights are rounded in every forward pass to the few bits in which the result "
        "will be kept, and learn to do well so. Rounding them afterwards then changes nothing any more.",
        "https://arxiv.org/abs/1712.05877", ("quantization-aware", "quantization-aware training", "fake quantization"),
    ),
    Term(
        "DFT",
        "Dynamic fine-tuning: each token's loss is weighed by the probability that the model gives it already. "
        "What it finds all but impossible then hardly moves it, which keeps more of what it knew.",
        "https://arxiv.org/abs/2508.05629", ("dynamic fine-tuning",),
    ),
    Term(
        "EWC",
        "Elastic weight consolidation: a pull of each weight to where a training began, as strong as that weight was "
        "important for the old task. What the old task hardly used is free to learn the new one.",
        "https://arxiv.org/abs/1612.00796", ("elastic weight consolidation",),
    ),
    Term(
        "replay",
        "Rows of an old task among the new ones, so that it is not forgotten. A few percent of an epoch keep most of "
        "it, where the old rows are still at hand.",
        "https://arxiv.org/abs/1811.11682", ("experience replay", "rehearsal"),
    ),
    Term(
        "on-policy",
        "Training on answers that the model itself has just written, so that it learns from its own mistakes. "
        "Off-policy is the opposite: the answers come from the data.",
        "https://arxiv.org/abs/2306.13649", ("off-policy", "on-policy share"),
    ),
    Term(
        "label smoothing",
        "Training towards a little less than certainty: a share of the probability goes to everything else. "
        "It keeps a model from being too sure of doubtful rows.",
        "https://arxiv.org/abs/1512.00567", ("label_smoothing", "label_smoothing_factor"),
    ),
    Term(
        "reward model",
        "A model that gives an answer one number, trained on pairs of a better and a worse one. "
        "It judges where no program can.",
        "https://arxiv.org/abs/2203.02155", ("reward modelling", "judge"),
    ),
    Term(
        "reward",
        "A number that says how good an answer is: from a program that checks it, or from a reward model. "
        "Objectives that train on the model's own answers make those with more of it likelier.",
        "https://arxiv.org/abs/2402.03300", ("rewards", "reward function"),
    ),
    Term(
        "KL divergence",
        "How far the answers' probabilities have moved away from those of the untrained model. "
        "Training by rewards holds it down, lest the model forgets language for whatever is rewarded.",
        "https://arxiv.org/abs/1909.08593", ("KL", "divergence"),
    ),
    Term(
        "RLOO",
        "REINFORCE leave-one-out: each sampled answer is held against the mean reward of the others to its prompt. "
        "It is plain policy gradient with a good baseline, and works with two answers.",
        "https://arxiv.org/abs/2402.14740", ("REINFORCE leave-one-out",),
    ),
    Term(
        "rsLoRA",
        "LoRA scaled by alpha over the square root of the rank in place of the rank. "
        "It keeps adapters of high rank from learning too slowly.",
        "https://arxiv.org/abs/2312.03732", ("rank-stabilized LoRA",),
    ),
    Term(
        "safetensors",
        "A file format for weights that can be read in part and never runs code. "
        "Its header tells names, shapes and types, so that ftui can count a model without loading it.",
        "https://huggingface.co/docs/safetensors/index",
    ),
    Term(
        "schedule",
        "How the learning rate changes over the run, mostly up from zero and then down along a cosine. "
        "A falling rate lets the weights settle at the end.",
        "https://arxiv.org/abs/1608.03983", ("learning rate schedule", "cosine"),
    ),
    Term(
        "SDPA",
        "PyTorch's own attention, which picks the fastest kernel that the device and the shapes allow. "
        "It is exact, and as frugal as FlashAttention where that can be used.",
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html",
        ("attention", "eager"),
    ),
    Term(
        "sequence length",
        "The most tokens that one training sequence may have; longer rows are cut. "
        "Activations grow with it, so it should be just enough for nearly all rows.",
        "https://huggingface.co/docs/trl/sft_trainer", ("max length", "max_seq_length", "context length"),
    ),
    Term(
        "SFT",
        "Supervised fine-tuning: the model learns to write the answers that the rows give. "
        "It is the first thing to do with examples of the wanted behaviour.",
        "https://arxiv.org/abs/2203.02155", ("supervised fine-tuning", "instruction tuning"),
    ),
    Term(
        "step",
        "One update of the weights, after the gradients of one effective batch. "
        "A run has about rows divided by effective batch of them in each epoch.",
        TRAINER, ("optimizer step", "steps"),
    ),
    Term(
        "target modules",
        "The weight matrices that get an adapter, by the last part of their names. "
        "All linear ones is the best choice, attention alone the cheapest.",
        QLORA, ("targets", "all-linear"),
    ),
    Term(
        "token",
        "The piece of text that a model reads and writes, in English about four characters. "
        "Memory, time and limits are counted in tokens.",
        "https://huggingface.co/docs/transformers/tokenizer_summary", ("tokens",),
    ),
    Term(
        "tokenizer",
        "The table that turns text into tokens and back, belonging to one model family. "
        "The same text has different lengths for different models because of it.",
        "https://huggingface.co/docs/transformers/tokenizer_summary", ("vocabulary",),
    ),
    Term(
        "access token",
        "The password-like text that opens the hub to programs in your name, made on the hub's settings page. "
        "It goes into huggingface_hub's own store and is written nowhere else.",
        "https://huggingface.co/docs/hub/security-tokens", ("hub token", "HF_TOKEN"),
    ),
    Term(
        "validation loss",
        "The loss on rows that were not trained on. "
        "While it falls, the run learns; when it rises and the training loss falls, it learns by heart.",
        BOOK, ("eval loss", "evaluation loss", "validation"),
    ),
    Term(
        "VRAM",
        "The GPU's own memory, in which model, gradients and activations must fit while training. "
        "What other processes hold of it is missing to yours.",
        ANATOMY, ("GPU memory", "video memory"),
    ),
    Term(
        "warm-up",
        "The first steps, in which the learning rate rises from zero. "
        "It keeps the optimizer from jumping before it knows the size of the gradients.",
        "https://arxiv.org/abs/1706.02677", ("warmup",),
    ),
    Term(
        "weight decay",
        "Pulling every trained weight a little towards zero in each step. "
        "It restrains full fine-tuning and does little for adapters.",
        "https://arxiv.org/abs/1711.05101",
    ),
)


def look_up(term: str) -> Term | None:
    """The entry for `term`, whatever its case, hyphens, plural or other name; None if there is none."""
    wanted = _key(term)
    names = _by_key()
    return names.get(wanted) or names.get(wanted.removesuffix("s"))


def sentences(text: str) -> list[str]:
    """`text` cut behind every full stop that ends a sentence."""
    return [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9`])", text.strip()) if part]


def _by_key() -> dict[str, Term]:
    names = {_key(name): entry for entry in TERMS for name in entry.also}
    return names | {_key(entry.name): entry for entry in TERMS}


def _key(term: str) -> str:
    return re.sub(r"[\s_\-.]+", "", term.casefold())
