"""Advice: each rule by the data, the task and the model it answers for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner import plan, rules
from ftui.planner.draft import AUTO, ORDER, UNASKED
from ftui.planner.lengths import cut, expected_longest, mean_length, peak_length
from ftui.planner.rules import Job
from ftui.recipe import Recipe, assign


@pytest.fixture
def job(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> Callable[..., Job]:
    def make(
        box: str = "a100", model: str = "llama3-8b", task: str = "chat", priority: str = "balanced",
        profile: DataProfile | None = None, unread: bool = False, objective: str = "sft",
    ) -> Job:
        draft = assign(Recipe(), {"goal.task": task, "goal.priority": priority, "objective.kind": objective})
        data = None if unread else profile or rows()
        return Job(boxes[box], shapes[model], data, draft, cpu=boxes[box].gpu is None)

    return make


@pytest.mark.parametrize(("task", "count", "rank"), [
    ("classify", 9400, 8), ("chat", 9400, 16), ("reasoning", 9400, 32), ("domain", 9400, 64),
    ("domain", 800, 16), ("chat", 200, 8), ("classify", 40, 8),
])
def test_the_rank_follows_the_task_and_what_the_rows_can_feed(
    job: Callable[..., Job], rows: Callable[..., DataProfile], task: str, count: int, rank: int
) -> None:
    assert rules.rank(job(task=task, profile=rows(count))).value == rank


def test_a_tiny_model_gets_no_rank_beyond_a_quarter_of_its_width(job: Callable[..., Job]) -> None:
    assert rules.rank(job(model="tiny", task="domain")).value == 32


def test_loras_learning_rate_falls_with_the_width_and_is_ten_times_full_tunings(job: Callable[..., Job]) -> None:
    rates = [rules.learning_rate(job(model=m), "lora").value for m in ("qwen2-0.5b", "llama3-8b", "llama3-70b")]
    assert rates == sorted(rates, reverse=True)
    assert all(1e-4 <= rate <= 5e-4 for rate in rates)
    for model in ("qwen2-0.5b", "llama3-8b"):
        lora, full = (rules.learning_rate(job(model=model), m).value for m in ("lora", "full"))
        assert full == pytest.approx(lora / 10, rel=0.2)


def test_a_tiny_model_gets_a_larger_learning_rate_than_published_ones(job: Callable[..., Job]) -> None:
    choice = rules.learning_rate(job(box="none", model="tiny"), "lora")
    assert 1e-3 <= choice.value <= 5e-3
    assert "small" in choice.reason


def test_the_sequence_length_holds_99_percent_of_the_rows_and_says_what_is_cut(
    job: Callable[..., Job], rows: Callable[..., DataProfile]
) -> None:
    long_tail = rules.max_length(job(profile=rows(longest=3000)))
    assert long_tail.value == 1536
    assert "rows are longer" in long_tail.reason
    short_tail = rules.max_length(job(profile=rows(longest=1600)))
    assert short_tail.value == 1600
    assert "no row is cut" in short_tail.reason


def test_the_sequence_length_never_exceeds_the_models_context(job: Callable[..., Job]) -> None:
    choice = rules.max_length(job(model="tiny"))
    assert choice.value == 512
    assert "context ends here" in choice.reason
    assert rules.max_length(job(model="tiny", unread=True)).value == 512


def test_text_is_packed_and_whole_conversations_are_not(
    job: Callable[..., Job], rows: Callable[..., DataProfile]
) -> None:
    assert rules.packing(job(profile=rows(kind="text")), 2048).value is True
    assert rules.packing(job(), 1024).value is False
    assert rules.packing(job(profile=rows(20, kind="text")), 2048).value is False


@pytest.mark.parametrize(("box", "method", "dtype"), [
    ("none", "lora", "float32"), ("t4", "lora", "float16"), ("t4", "full", "float16"), ("a100", "full", "bfloat16"),
])
def test_the_number_format_is_what_the_device_has(job: Callable[..., Job], box: str, method: str, dtype: str) -> None:
    assert rules.dtype(job(box=box), method).value == dtype  # type: ignore[arg-type]


def test_capped_attention_scores_need_eager_attention(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape]
) -> None:
    gemma = shapes["tiny"].model_copy(update={"attention_softcap": 50.0})
    assert rules.attention(Job(boxes["a100"], gemma, None, Recipe(), cpu=False)).value == "eager"


def test_adapters_on_fused_experts_get_no_dropout(job: Callable[..., Job], rows: Callable[..., DataProfile]) -> None:
    assert rules.dropout(job(profile=rows(2000)), experts=False).value == 0.05
    assert rules.dropout(job(profile=rows(2000)), experts=True).value == 0.0


def test_a_small_dataset_still_gets_ten_steps_an_epoch(job: Callable[..., Job]) -> None:
    for sequences in (1, 5, 30, 100, 1000, 10**6):
        batch = rules.effective_batch(job(), "lora", sequences).value
        assert batch == 1 or sequences >= 10 * batch
    assert rules.effective_batch(job(), "lora", 10**6).value < rules.effective_batch(job(), "full", 10**6).value


def test_evaluation_and_saving_fall_on_the_same_steps() -> None:
    evaluate, save = rules.cadence(1118)
    assert evaluate.value == save.value == 112
    assert rules.cadence(3)[0].value == 1


def test_the_longest_row_decides_the_peak_and_the_expected_longest_the_time(rows: Callable[..., DataProfile]) -> None:
    profile = rows(longest=3000)
    assert peak_length(profile, 2048) == 2048
    assert peak_length(profile, 4096) == 3000
    assert peak_length(None, 777) == 777
    longest = [expected_longest(profile, 4096, n) for n in (1, 2, 8, 64)]
    assert longest == sorted(longest)
    assert longest[0] == mean_length(profile, 4096) < longest[-1] <= 3000
    assert expected_longest(profile, 300, 64) <= 300


def test_what_a_cut_loses_is_counted_in_rows_and_in_tokens(rows: Callable[..., DataProfile]) -> None:
    lengths = rows(longest=3000).lengths
    assert lengths is not None
    assert cut(lengths, 4096) == (0.0, 0.0)
    over, lost = cut(lengths, 512)
    assert over == pytest.approx(0.25, abs=0.01)
    assert 0 < lost < 0.5


def test_every_reason_is_made_of_the_users_own_figures(job: Callable[..., Job]) -> None:
    for unread in (False, True):
        for choice in (rules.rank(job(unread=unread)), rules.epochs(job(unread=unread)),
                       rules.dropout(job(unread=unread), experts=False)):
            assert ("unread" if unread else "9,400 rows") in choice.reason


def test_every_planned_setting_has_a_rule_and_every_rule_a_setting() -> None:
    assert set(ORDER) == set(AUTO) | set(UNASKED) == set(rules.RULES)
    assert all(rule.says and rule.sources for rule in rules.RULES.values())


def test_what_a_plan_cites_is_what_its_rule_declares(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    for box in ("none", "t4", "3090", "h200"):
        for model in ("tiny", "qwen2-0.5b", "llama3-8b", "mixture"):
            for kind in ("conversation", "text", "preference", "labelled"):
                found = plan(boxes[box], shapes[model], rows(kind=kind), Recipe())
                for choice in (*found.choices, *found.advice):
                    declared = rules.RULES[choice.path].sources
                    cited = choice.source.split(", ") if choice.source.startswith("https://") else [choice.source]
                    assert set(cited) <= set(declared) or choice.source.startswith("measured"), choice


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 10**6), longest=st.integers(8, 50_000),
    model=st.sampled_from(["tiny", "qwen2-0.5b", "llama3-8b"]),
    task=st.sampled_from(["chat", "instruct", "classify", "domain", "code", "reasoning"]),
    kind=st.sampled_from(["conversation", "text", "preference", "labelled"]),
)
def test_whatever_the_job_the_advice_stays_within_what_is_published(
    boxes: dict[str, Hardware], shapes: dict[str, ModelShape], rows: Callable[..., DataProfile],
    count: int, longest: int, model: str, task: str, kind: str,
) -> None:
    draft = assign(Recipe(), {"goal.task": task})
    found = {c.path: c.value for c in plan(boxes["a100"], shapes[model], rows(count, kind, longest), draft).choices}
    assert found["train.warmup"] in (0.03, 0.1)
    assert 1 <= found["train.epochs"] <= 10
    assert 5e-7 <= found["train.learning_rate"] <= 5e-3
    assert found.get("adapter.rank", 16) in (4, 8, 16, 32, 64, 128)
    assert 1 <= found["train.effective_batch"] <= 64
    assert found["objective.kind"] == {"preference": "dpo", "labelled": "kto"}.get(kind, "sft")
    assert found["train.eval_steps"] == found["train.save_steps"] >= 1
    assert (found["evaluate.patience"] is not None) == (found["train.epochs"] > 1)


@pytest.mark.parametrize(("kind", "objective"), [
    ("conversation", "sft"), ("text", "sft"), ("preference", "dpo"), ("labelled", "kto"),
])
def test_the_objective_follows_from_what_the_rows_are(
    job: Callable[..., Job], rows: Callable[..., DataProfile], kind: str, objective: str
) -> None:
    assert rules.objective(job(profile=rows(kind=kind))).value == objective
    assert rules.objective(job(unread=True)).value == "sft"


def test_preferences_take_their_own_recipes_rates_ranks_and_one_pass(job: Callable[..., Job]) -> None:
    dpo = job(objective="dpo", task="domain")
    assert rules.learning_rate(dpo, "lora").value == 5e-6
    assert rules.learning_rate(dpo, "full").value == 5e-7
    assert rules.rank(dpo).value == 16
    assert rules.epochs(dpo).value == 1
    assert rules.packing(dpo, 1024).value is False
    assert rules.rank(job(objective="grpo", task="domain")).value == 8


def test_alpha_is_the_same_at_every_rank_so_that_the_learning_rate_holds(job: Callable[..., Job]) -> None:
    assert {rules.alpha(job(), rank).value for rank in (4, 16, 64, 256)} == {32.0}
    assert "the rank itself" in rules.alpha(job(), 32).reason


def test_a_short_run_a_high_rate_and_preferences_warm_up_longer(job: Callable[..., Job]) -> None:
    assert rules.warmup(job(), 2e-4, 1000).value == 0.03
    assert rules.warmup(job(), 2e-4, 40).value == 0.1
    assert rules.warmup(job(), 3e-3, 1000).value == 0.1
    assert rules.warmup(job(objective="dpo"), 5e-6, 1000).value == 0.1
    assert "30 steps of 1,000" in rules.warmup(job(), 2e-4, 1000).reason


def test_a_domain_in_few_rows_is_passed_more_often_than_instructions(
    job: Callable[..., Job], rows: Callable[..., DataProfile]
) -> None:
    for count in (500, 5000, 30_000):
        profile = rows(count)
        domain, chat = (rules.epochs(job(task=task, profile=profile)).value for task in ("domain", "chat"))
        assert domain > chat
    assert 5 <= rules.epochs(job(task="domain", profile=rows(500))).value <= 10
    assert 1 <= rules.epochs(job(task="chat", profile=rows(500))).value <= 3


def test_what_is_held_out_is_enough_to_judge_by_and_no_more(
    job: Callable[..., Job], rows: Callable[..., DataProfile]
) -> None:
    assert rules.validation(job(profile=rows(300))).value == 0.1
    assert rules.validation(job(profile=rows(9400))).value == 0.05
    assert rules.validation(job(profile=rows(100_000))).value == 2000


def test_looking_takes_at_most_a_tenth_of_the_time() -> None:
    often, _ = rules.cadence(1000, held_out=100, trained=16_000)
    assert often.value == 100
    seldom, _ = rules.cadence(1000, held_out=4000, trained=16_000)
    assert seldom.value > often.value
    assert "a tenth of the time" in seldom.reason


def test_patience_needs_several_passes_and_something_to_look_at(job: Callable[..., Job]) -> None:
    assert rules.patience(job(), 3.0, validates=True).value == 3
    assert rules.patience(job(), 1.0, validates=True).value is None
    assert rules.patience(job(), 3.0, validates=False).value is None
