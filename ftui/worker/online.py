"""What the objectives share whose model writes the answers that it learns from: GRPO, RLOO, online DPO and PPO."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from transformers.trainer_utils import EvalLoopOutput
from trl.trainer.utils import RepeatSampler, pad, use_adapter

from ftui.data import Prepared
from ftui.errors import BadInput
from ftui.methods.rewards import parse_all
from ftui.recipe.document import Recipe
from ftui.worker.arguments import arguments
from ftui.worker.precision import Precision
from ftui.worker.reference import COPY, reference_of
from ftui.worker.rewards import Place, Scorer, build
from ftui.worker.trainer import RunTrainer, settled

if TYPE_CHECKING:
    from trl import RLOOTrainer as _Base
else:
    _Base = object

ROLLOUT = "rollout.pt"
"""In a checkpoint: what of the generated answers is still to be trained on."""


class GroupSampler(RepeatSampler):
    """trl's order of the prompts, but an epoch's order follows from its number: a resumed run finds the same."""

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch: the order is that of the seed and this number."""
        self.generator.manual_seed(int(self.seed or 0) + epoch)


class OnlineTrainer(RunTrainer, _Base):
    """A mixin before trl's GRPO or RLOO trainer: the prompts come as tokens, as ftui's template wrote them, answers end
    where the template ends a turn, and rewards see the columns of the prompts' rows.

    An evaluation answers held-out prompts by the likeliest tokens and measures the reward.  `scorers` are the rewards.
    """

    args: Any

    def __init__(
        self, model: Any, args: Any, prepared: Prepared, tokenizer: Any, scorers: Sequence[Scorer], eval_prompts: int
    ) -> None:
        # trl insists on a Dataset; the rows themselves stay where they are.
        first = Dataset.from_list([{"prompt": "-"}])
        super().__init__(
            model=model, reward_funcs=list(scorers), args=args, train_dataset=first, processing_class=tokenizer
        )
        self.scorers = scorers
        self.train_dataset: Any = prepared.train
        self.eval_dataset: Any = prepared.validation[:eval_prompts]
        self.rows: Sequence[dict[str, Any]] = ()
        """The rows whose prompts are being answered."""
        if prepared.stop_ids:
            self.eos_token_ids = list(prepared.stop_ids)
            self._generate_with({"eos_token_id": self.eos_token_ids})

    # --- prompts and answers --------------------------------------------------------------------------------------

    def _tokenize_prompts(self, prompts: Sequence[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """The tokens that the data was prepared with; trl would write the texts with a template of its own."""
        return [row["prompt_ids"] for row in self.rows], None, {}

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        """As trl, in the number format that the training computes in."""
        with self.accelerator.autocast():
            return super()._generate_single_turn(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        """trl sees the prompts alone: a column that is called images would be taken for pictures."""
        self.rows = inputs
        return super()._generate_and_score_completions([{"prompt": row["prompt"]} for row in inputs])

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        """(answers, rewards) in float32, no number where a reward has nothing to say."""
        texts = [self._text(ids) for ids in completion_ids_list]
        columns = columns_of(self.rows) | {"tokens": [len(ids) for ids in completion_ids_list]}
        none = float("nan")
        scores = [[none if score is None else score for score in scorer(texts, columns)] for scorer in self.scorers]
        found = torch.tensor(scores, dtype=torch.float32, device=self.accelerator.device)
        return found.view(len(self.scorers), len(texts)).T

    def _text(self, ids: list[int]) -> str:
        own = ids[:-1] if ids and ids[-1] in self.eos_token_ids else ids
        return str(self.processing_class.decode(own, skip_special_tokens=True))  # type: ignore[union-attr]

    def answered(self, rows: Sequence[dict[str, Any]]) -> tuple[list[list[int]], list[list[int]], torch.Tensor]:
        """An answer to each row's prompt: the prompts' tokens, the answers' tokens, and (answers, rewards)."""
        self.rows = rows
        prompts, answers = self._generate([row["prompt"] for row in rows])[:2]
        return prompts, answers, self._calculate_rewards(rows, None, None, answers)

    def total(self, scores: torch.Tensor) -> torch.Tensor:
        """The weighted sum of each answer's rewards, no number where none of them has anything to say."""
        total = (scores * self.reward_weights.to(scores.device)).nansum(dim=1)
        return total.masked_fill(scores.isnan().all(dim=1), float("nan"))

    def told(self, scores: torch.Tensor) -> dict[str, float]:
        """The means of (answers, rewards) by name, and of their sum."""
        if not self.scorers:
            return {}
        means = scores.nanmean(dim=0).tolist()
        return {
            "reward": float(self.total(scores).nanmean()),
            **{f"rewards/{scorer.reward.label}/mean": mean for scorer, mean in zip(self.scorers, means, strict=True)},
        }

    def tell(self, values: dict[str, float]) -> None:
        """Have `values` in the next event of the training."""
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    def padded(self, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> dict[str, torch.Tensor]:
        """prompt_ids and prompt_mask, padded on the left, completion_ids and completion_mask, on the right."""
        token, device = self.processing_class.pad_token_id, self.accelerator.device  # type: ignore[union-attr]
        made = {}
        for name, rows, side in (("prompt", prompts, "left"), ("completion", answers, "right")):
            ids = [torch.tensor(row) for row in rows]
            made[f"{name}_ids"] = pad(ids, padding_value=token, padding_side=side).to(device)
            made[f"{name}_mask"] = pad([torch.ones_like(row) for row in ids], padding_side=side).to(device)
        return made

    def reference_logps(self, batch: dict[str, torch.Tensor], rows: int) -> torch.Tensor:
        """(answers, tokens): the log-probabilities that the untrained model gives, `rows` answers at once."""
        with torch.no_grad(), contextlib.ExitStack() as stack:
            model = self.ref_model
            if model is None:
                model = self.accelerator.unwrap_model(self.model)
                stack.enter_context(use_adapter(model, COPY if COPY in model.peft_config else None))
            return self.answer_logps(model, batch, rows)[0]

    def answer_logps(
        self, model: Any, batch: dict[str, torch.Tensor], rows: int | None = None, *, entropy: bool = False
    ) -> tuple[torch.Tensor, Any]:
        """(answers, tokens) of log-probabilities, and of entropies where asked for."""
        found = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].shape[1],
            batch_size=rows,
            compute_entropy=entropy,
        )
        return found[0], found[1]

    # --- steps ----------------------------------------------------------------------------------------------------

    def _get_train_sampler(self, dataset: Any = None) -> GroupSampler:
        group: Any = self.num_generations
        per_generation = self.args.generation_batch_size // group
        prompts = len(self.train_dataset)
        if prompts < per_generation:
            raise BadInput(
                f"One generation takes {per_generation} prompts, and only {prompts} train.",
                "Lower train.effective_batch or data.validation, raise objective.generations, or add prompts.",
            )
        return GroupSampler(
            self.train_dataset, mini_repeat_count=group, batch_size=per_generation,
            repeat_count=self.num_iterations * self.args.steps_per_generation, seed=self.args.seed,
        )

    def count_tokens(self, inputs: Any) -> int:
        """None yet: a step is handed prompts, and counts in `compute_loss` what it trains on."""
        return 0

    def _prepare_inputs(self, inputs: Any) -> Any:
        """A micro-batch with answers for one of prompts; that of the trial step has them already."""
        return inputs if isinstance(inputs, dict) else super()._prepare_inputs(inputs)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """One forward and backward; a trial step is none of those that say when to generate."""
        step = self._step
        loss = super().training_step(model, inputs, num_items_in_batch)
        if isinstance(inputs, dict):
            self._step = step
        return loss

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """trl's, and the real tokens of the micro-batch are counted."""
        self.tokens_seen += sum(int(tensor.sum()) for name, tensor in inputs.items() if name.endswith("_mask"))
        return super().compute_loss(model, inputs, *args, **kwargs)

    def longest_batch(self, rows: int) -> tuple[Any, Any]:
        """A micro-batch of the longest prompt, each with as many random tokens as an answer may have.

        What a generation takes is not tried: it is the first thing that the first step does.
        """
        lengths = self.train_dataset.lengths()
        prompt = self.train_dataset[lengths.index(max(lengths))]["prompt_ids"]
        words = len(self.processing_class)  # type: ignore[arg-type]
        longest: Any = self.max_completion_length
        answers = torch.randint(words, (rows, longest)).tolist()
        return self.trial(self.padded([prompt] * rows, answers)), None

    def try_evaluation(self, rows: int) -> None:
        """Nothing: it generates, which isn't tried either."""

    def trial(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the objective's loss needs beside prompts and answers, with no sense but of its size."""
        raise NotImplementedError

    # --- evaluation -----------------------------------------------------------------------------------------------

    def evaluation_loop(
        self, dataloader: Any, description: str, prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """The mean rewards of the likeliest answers to the held-out prompts; there is no loss to speak of."""
        model = self._trained_model()
        was_training = model.training
        model.eval()
        asked: list[Any] = []
        scores, given = [], []
        with torch.no_grad(), self._greedily():
            for rows in dataloader:
                _, answers, scored = self.answered(rows)
                scores.append(scored)
                asked += rows
                given += answers
            compared = self.compared(asked, given)
        self._metrics["eval"].clear()
        model.train(was_training)
        tokens = [len(answer) for answer in given]
        metrics = {
            **self.told(torch.cat(scores)), **compared, "completions/mean_length": sum(tokens) / len(tokens)
        }
        nothing: Any = None
        named = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        return EvalLoopOutput(nothing, nothing, named, len(self.eval_dataset))

    def compared(self, rows: Sequence[dict[str, Any]], answers: Sequence[list[int]]) -> dict[str, float]:
        """What else an evaluation measures of the answers to the held-out prompts `rows`."""
        return {}

    @contextlib.contextmanager
    def untrained(self) -> Iterator[None]:
        """Answers within are those of the model as it was before the training."""
        with contextlib.ExitStack() as stack:
            if self.ref_model is None:
                model = self.accelerator.unwrap_model(self.model)
                stack.enter_context(use_adapter(model, COPY if COPY in model.peft_config else None))
                yield
                return
            trained, self.model_wrapped = self.model_wrapped, self.ref_model
            try:
                yield
            finally:
                self.model_wrapped = trained

    def _generate_with(self, changes: dict[str, Any]) -> None:
        self.generation_kwargs = {**self.generation_kwargs, **changes}
        for name, value in changes.items():
            setattr(self.generation_config, name, value)

    @contextlib.contextmanager
    def _greedily(self) -> Iterator[None]:
        plain = {"do_sample": False, "temperature": None, "top_k": None, "top_p": None, "min_p": None}
        sampled = {name: self.generation_kwargs.get(name) for name in plain}
        self._generate_with(plain)
        try:
            yield
        finally:
            self._generate_with(sampled)

    def measured(self, mode: str, counts: Sequence[int] = ()) -> dict[str, float]:
        """As ever, but for what was no number: a reward that had nothing to say to a whole micro-batch."""
        kept = self._metrics[mode]
        for name in list(kept):
            kept[name] = [value for value in kept[name] if value == value]
        return super().measured(mode, counts)

    # --- checkpoints ----------------------------------------------------------------------------------------------

    def keep_rest(self, folder: Path) -> None:
        """The answers that are still to be trained on, and where in them the training stands."""
        whole = self._step % (self.args.steps_per_generation * self.num_iterations) == 0
        rest = None if whole else self._buffered_inputs
        rows = self.args.per_device_train_batch_size
        torch.save({"step": self._step, "rows": rows, "inputs": rest, **self.steering()}, folder / ROLLOUT)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            kept = torch.load(Path(checkpoint) / ROLLOUT, map_location=self.accelerator.device, weights_only=True)
            step, rows, self._buffered_inputs = kept.pop("step"), kept.pop("rows"), kept.pop("inputs")
            self._step = step * rows // self.args.per_device_train_batch_size
            if rows != self.args.per_device_train_batch_size:
                # The micro-batch was halved since, and what was generated is cut into the old ones: it is written anew.
                self._buffered_inputs = None
            self.steer(kept)

    def steering(self) -> dict[str, Any]:
        """What else a resumed run must know: numbers and tensors by name."""
        return {}

    def steer(self, kept: dict[str, Any]) -> None:
        """Take over what `steering` gave."""


def columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The rows' columns, None where a row lacks one; the tokens of the prompts are left out."""
    names = dict.fromkeys(name for row in rows for name in row if name != "prompt_ids")
    return {name: [row.get(name) for row in rows] for name in names}


def build_online(
    kind: Any, config: Any, model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision,
    device: str, folder: Path, beside: Mapping[str, Any] = MappingProxyType({}), **own: Any,
) -> Any:
    """A trainer of class `kind` with arguments of class `config`; `own` are what the objective adds to them, and
    `beside` what it hands to its trainer alone."""
    options: Any = recipe.objective
    rewards = parse_all(options.rewards)
    scorers = build(rewards, Place(device, precision.compute, int(recipe.train.micro_batch)))
    made = arguments(
        config, recipe, precision, device, folder,
        max_completion_length=options.max_completion_length, temperature=options.temperature,
        reward_weights=[reward.weight for reward in rewards], num_generations_eval=1,
        # The ratio of two passes over the same answer would be noise: a recipe that asks for dropout is refused.
        disable_dropout=True, router_aux_loss_coef=0.0, **own,
    )
    with settled(model, precision), reference_of(model, recipe):
        return kind(model, made, prepared, tokenizer, scorers, options.eval_prompts, **beside)
