"""The filter and the order of a list of runs: what is written is what is shown, and what can't be read is said."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from ftui.errors import BadInput
from ftui.runs import choosing
from ftui.runs.choosing import ASKED, Order, order, parse
from ftui.runs.document import RunInfo
from ftui.runs.facts import Depth, Facts
from ftui.runs.folder import Run
from ftui.runs.notes import Notes
from ftui.runs.status import RunStatus


def facts(
    name: str = "support chat", *, state: str = "finished", kind: str = "train", hours: float = 1.0,
    best: float | None = None, tags: tuple[str, ...] = (), note: str = "", model: str | None = "Qwen/Qwen3-8B",
    method: str | None = "sft qlora", step: int | None = 10, depth: Depth = Depth.READ, **metrics: Any,
) -> Facts:
    """A run as a list knows it, made `hours` ago and at work for half of them."""
    now = time.time()
    run = Run(Path(f"/runs/2026-11-22-{name.replace(' ', '-')}-{hours:g}"))
    run.__dict__["info"] = RunInfo(
        id=run.id, kind=kind, name=name, created=now - 3600 * hours, host="box", command="", preset="chat-qlora-24gb"  # type: ignore[arg-type]
    )
    if depth == Depth.LISTED:
        return Facts(run)
    status = RunStatus(state=state, text="", step=step, updated=now - 1800 * hours, metrics=metrics)  # type: ignore[arg-type]
    told = (model, method) if depth == Depth.READ else (None, None)
    return Facts(run, depth, status, Notes(tags=tags, note=note), best, *told)


ONE = facts(state="failed", tags=("good", "sweep/1"), note="Larger rank did nothing", best=1.1, loss=0.9, step=1200,
            tokens_per_second=3480.0)


@pytest.mark.parametrize(
    "text",
    [
        "", "support", "SUPPORT fail", "chat-qlora", "train", "good", '"support chat"',
        "state:failed", "state:fail", "status:failed,crashed", "state:over", "tag:good", "tags:bad,good", "tag:sweep/*",
        "tag:*", "model:qwen", "model:qwen/*8b", "base:Qwen3", "method:qlora", "method:sft", "kind:train",
        "preset:24gb", "name:chat", 'name:"support chat"', 'note:"rank did"', "id:2026-11",
        "loss<1.2", "loss<=0.9", "loss>=.9", "loss=0.9", "best<1.2", "best>1e-3", "step>1k", "steps>=1200", "speed>3k",
        "age<2h", "age>=30min", "age<1d", "took>20m", "took<3600", "-state:running", "-bad", "-loss>1", "-tag:bad",
        "failed loss<1 tag:good",
    ],
)
def test_a_run_fits_what_is_true_of_it(text: str) -> None:
    assert parse(text).fits(ONE)


@pytest.mark.parametrize(
    "text",
    [
        "nothing", "support running", "state:running", "state:live", "tag:goo", "tag:sweep", "model:llama",
        "method:dpo",
        "kind:download", "loss<0.9", "loss>0.9", "best<1", "step<1k", "age<30min", "took>1h", "-support",
        "-state:failed", "-tag:*", "eval<9", "eval>0", "failed loss>1", "note:absent", "model:[q]wen",
    ],
)
def test_a_run_does_not_fit_what_is_not(text: str) -> None:
    assert not parse(text).fits(ONE)


@pytest.mark.parametrize(
    ("text", "says", "helps"),
    [
        ("stat:failed", "no 'stat' in a filter", "Did you mean state?"),
        ("rank=16", "no 'rank' in a filter", "There are age, state"),
        ("state:faild", "no state 'faild'", "Did you mean failed?"),
        ("kind:zzz", "no kind 'zzz'", "There are train, evaluate"),
        ("state<3", "state is a word", "Write state:running."),
        ("loss:1.2", "loss is a number", "Write loss<1.2."),
        ("loss<abc", "not with 'abc'", "Write loss<1.2."),
        ("loss<1h", "not with '1h'", "Write loss<1.2."),
        ("age<3y", "a time such as 90s", "Write age<2h."),
        ("loss<", "loss< has no value", "Write one behind it, loss<1.2."),
        ("tag:", "tag: has no value", "tag:WORD"),
        ("tag:,", "names nothing", "tag:WORD"),
        ('name:"support', "a quote that doesn't end", "Close it"),
    ],
)
def test_what_can_not_be_read_is_said_in_one_sentence_with_what_to_write(text: str, says: str, helps: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert says in refused.value.what
    assert helps in str(refused.value.hint)
    assert "\n" not in str(refused.value)


def test_what_is_not_known_yet_fits_nothing_but_a_name_that_does() -> None:
    unseen, looked = facts(depth=Depth.LISTED), facts(depth=Depth.LOOKED, loss=1.0)
    assert parse("support").fits(unseen)
    for text in ("-other", "state:finished", "-state:failed", "loss<9", "-tag:bad"):
        assert not parse(text).fits(unseen), text
        assert parse(text).fits(looked), text
    assert not parse("-model:llama").fits(looked)
    assert parse("age<2h kind:train").depth == Depth.LISTED
    assert parse("support").depth == parse("loss<1").depth == Depth.LOOKED
    assert parse("loss<1 model:qwen").depth == Depth.READ


def test_each_order_has_a_first_end_of_its_own_and_what_lacks_the_value_comes_last() -> None:
    runs = [
        facts("a", hours=3, loss=2.0, tokens_per_second=5.0, state="finished"),
        facts("b", hours=2, tokens_per_second=9.0, state="running", tags=("z",)),
        facts("c", hours=1, loss=1.0, state="failed", tags=("a", "z")),
    ]

    def names(order: Order) -> str:
        return "".join(each.run.info.name for each in order.sorted(runs))

    assert [names(Order()), names(Order("age", True))] == ["cba", "abc"]
    assert [names(order("loss")), names(order("loss", reverse=True))] == ["cab", "acb"]
    assert [names(order("speed")), names(order("speed", reverse=True))] == ["bac", "abc"]
    assert [names(order("state")), names(order("status", reverse=True))] == ["bca", "acb"]
    assert [names(order("tags")), names(order("took")), names(order("name", reverse=True))] == ["cba", "abc", "cba"]
    with pytest.raises(BadInput, match="no 'colour' to sort by"):
        order("colour")


VALUES = some.one_of(some.none(), some.floats(allow_nan=True, allow_infinity=True), some.integers(0, 10**9))


@given(
    some.lists(some.tuples(VALUES, some.sampled_from(choosing.STATES), some.sampled_from(Depth), some.text(max_size=3)),
               max_size=12),
    some.sampled_from(sorted(ASKED)), some.booleans(),
)  # fmt: skip
def test_sorting_loses_nothing_and_turns_round(rows: list[Any], key: str, turned: bool) -> None:
    runs = [
        facts(name or "x", hours=number, state=state, depth=depth, loss=value, eval_loss=value, tokens_per_second=value)
        for number, (value, state, depth, name) in enumerate(rows)
    ]
    sorted_ = Order(key, turned).sorted(runs)
    assert {id(each) for each in sorted_} == {id(each) for each in runs}
    assert Order(key, turned).sorted(reversed(runs)) == sorted_, "whatever order they come in"
    values = [Order(key)._value(each) for each in sorted_]
    have = [value for value in values if value is not None]
    assert values == have + [None] * (len(values) - len(have))
    if key != "age":
        assert have == sorted(have, reverse=Order(key, turned).descending)  # type: ignore[type-var]


TERMS = some.builds(
    lambda negated, key, sign, value: f"{negated}{key}{sign}{value}",
    some.sampled_from(["", "-"]), some.sampled_from([*ASKED, *choosing.ALSO, "other"]),
    some.sampled_from([":", "<", "<=", ">", ">=", "="]),
    some.one_of(some.text(max_size=6), some.sampled_from(["1.2", "3d", "2h", "failed", "train", "live", "*", "5k"])),
)


@given(some.one_of(some.text(max_size=30), some.lists(TERMS, max_size=4).map(" ".join)), some.sampled_from(Depth))
def test_any_text_is_a_filter_or_is_refused_with_a_hint(text: str, depth: Depth) -> None:
    run = facts(depth=depth, loss=1.0, best=1.0, tags=("good",))
    try:
        found = parse(text)
    except BadInput as error:
        assert error.hint  # noqa: PT017  (either outcome is right)
        return
    fits = found.fits(run)
    if depth >= found.depth and len(found.terms) == 1 and "-" not in text:
        assert parse(f"-{text.strip()}").fits(run) != fits, "a dash means the opposite"
    if found.terms:
        assert fits == all(choosing.Filter((term,)).fits(run) for term in found.terms)


@given(some.floats(allow_nan=False, allow_infinity=False), some.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_compared_as_it_is_written(value: float, limit: float) -> None:
    assume(math.isfinite(value))
    run = facts(loss=value)
    for sign, compare in choosing.COMPARE.items():
        assert parse(f"loss{sign}{limit!r}").fits(run) == compare(value, limit)
