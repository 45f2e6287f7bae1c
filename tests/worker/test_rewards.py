"""What the bundled rewards, and those of the user's own, give to an answer; none of it needs torch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.errors import BadInput, RunFailed
from ftui.methods.rewards import KINDS, Reward, parse, parse_all
from ftui.worker.rewards import MODULES, Place, Scorer, build
from ftui.worker.rewards.code import code_of, passed, runs
from ftui.worker.rewards.exact import final, same
from ftui.worker.rewards.length import near, within

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k"


def scores(text: str, completions: Sequence[str], **columns: Any) -> list[float | None]:
    """What the reward `text` gives to these completions."""
    told = {"prompt": [[{"role": "user", "content": "?"}]] * len(completions), **columns}
    return build([parse(text)], Place())[0](completions, told)


# --- as a recipe writes them ----------------------------------------------------------------------------------------

weights = st.floats(allow_nan=False, allow_infinity=False)
functions = st.from_regex(r"[a-z_]\w{0,8}(\.[a-z_]\w{0,8})?:[a-z_]\w{0,8}", fullmatch=True).filter(str.isascii)
rewards = st.one_of(
    st.sampled_from([Reward("exact", "answer"), Reward("exact", "gold"), Reward("json", ""), Reward("json", "s.json"),
                     Reward("code", "tests"), Reward("format", ""), Reward("model", "/a b/c:d")]),
    st.integers(1, 10**6).map(lambda number: Reward("length", str(number))),
    st.integers(1, 10**6).map(lambda number: Reward("length", f"<{number}")),
    functions.map(lambda name: Reward("function", name)),
)  # fmt: skip


@given(rewards, weights)
def test_a_reward_is_read_back_as_it_was_written(reward: Reward, weight: float) -> None:
    weighted = Reward(reward.kind, reward.argument, weight)
    assert parse(str(weighted)) == weighted


@given(st.text(max_size=40))
def test_any_text_is_a_reward_or_one_sentence_that_says_what_to_write(text: str) -> None:
    try:
        reward: Reward | BadInput = parse(text)
    except BadInput as error:
        reward = error
    if isinstance(reward, Reward):
        assert reward.kind in KINDS
        assert math.isfinite(reward.weight)
    else:
        assert "objective.rewards" in reward.what
        assert "\n" not in str(reward.hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [("exakt", "Did you mean exact"), ("length", "lacks a number of tokens"), ("length:many", "no number of tokens"),
     ("format:(", "no regular expression"), ("model", "lacks the folder"), ("function:x", "names no function"),
     ("", "is no reward"), ("1e999*exact", "too large")],
)  # fmt: skip
def test_what_is_no_reward_is_said_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert said in f"{caught.value} {caught.value.hint}"


def test_a_reward_that_is_written_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="twice"):
        parse_all(["exact", "0.5*exact"])
    assert [reward.name for reward in parse_all(["length:20", "length:<90"])] == ["length:20", "length:<90"]


def test_every_kind_has_its_scorer() -> None:
    assert MODULES.keys() == KINDS.keys()


# --- exact ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("completion", "answer"),
    [("So she has 3 + 4 = 7 apples.", "7"), ("#### 1,234", "1234"), ("It is \\boxed{42}.", "42.0"),
     ("<think>1 or 2?</think><answer>2</answer>", "2"), ("\\boxed{\\frac{1}{2}}", "0.5"),
     ("It costs $1,200.50.", "1200.5"), ("That makes −5 degrees", "-5"),
     ("Natalia sold 72 clips.", "In April ... 48/2 = 24 ...\n#### 72"),
     ("\\boxed{\\text{east}}", "\\boxed{\\text{east}}"), ("Paris.", "paris"),
     ("<answer>New  York</answer>", "new york"), ("1/3", "1/3")],
)  # fmt: skip
def test_an_answer_is_right_by_its_value_however_it_is_written(completion: str, answer: str) -> None:
    assert same(completion, answer)


@pytest.mark.parametrize(
    ("completion", "answer"),
    [("7 apples and 8 pears", "7"), ("", "7"), ("", ""), ("#### ", "7"), ("\\boxed{4", "5"), ("London", "Paris"),
     ("It is \\boxed{41}, no, \\boxed{42}", "41"), ("seven", "7")],
)  # fmt: skip
def test_a_wrong_answer_is_wrong(completion: str, answer: str) -> None:
    assert not same(completion, answer)


@given(st.integers(-(10**9), 10**9), st.text(alphabet="abc .\n", max_size=20))
def test_a_number_is_found_behind_any_words(number: int, words: str) -> None:
    for written in (f"{number}", f"{number:,}", f"{number}.0"):
        assert same(f"{words} {written}", str(number))
        assert same(f"#### {written}", f"{words}\n#### {number}")
        assert not same(f"{words} {written}", str(number + 1))


@given(st.text(max_size=60))
def test_the_answer_of_any_text_is_a_part_of_it(text: str) -> None:
    assert final(text) in text


def test_rows_without_an_answer_are_not_scored_and_a_missing_column_is_named() -> None:
    assert scores("exact", ["4", "5"], answer=["4", None]) == [1.0, None]
    assert scores("exact:gold", ["4"], gold=[4]) == [1.0]
    with pytest.raises(BadInput, match="column answer") as caught:
        scores("exact", ["4"], solution=["4"])
    assert "solution" in str(caught.value.hint)


@pytest.mark.skipif(not GSM8K.is_dir(), reason="the shared data sets are not here")
def test_every_solution_of_gsm8k_is_right_for_itself_and_its_bare_answer() -> None:
    solutions = [json.loads(line)["answer"] for file in GSM8K.rglob("*.jsonl") for line in file.open(encoding="utf-8")]
    assert solutions
    for solution in solutions:
        bare = solution.rpartition("#### ")[2]
        assert same(solution, solution)
        assert same(f"So the answer is \\boxed{{{bare}}}.", solution)
        assert not same(f"{bare} and 1", solution) or bare == "1"


# --- form and length ------------------------------------------------------------------------------------------------


def test_the_form_is_reasoning_and_then_the_answer_in_their_tags() -> None:
    good = "<think>one\ntwo</think>\n<answer>4</answer>"
    bad = ["", "4", f"{good} and more", "<answer>4</answer><think>x</think>", f"<think>{good}</think>", good + good]
    assert scores("format", [good, *bad]) == [1.0] + [0.0] * len(bad)
    assert scores(r"format:\d+,\s*\d+", ["1, 2", "1, 2 and 3"]) == [1.0, 0.0]


@given(st.integers(0, 5000), st.integers(1, 1000))
def test_a_length_is_worth_most_at_its_aim_and_nothing_within_its_limit(tokens: int, wanted: int) -> None:
    assert 0 <= near(tokens, wanted) <= near(wanted, wanted) == 1
    assert -1 <= within(tokens, wanted) <= 0
    assert (within(tokens, wanted) == 0) == (tokens <= wanted)
    assert scores(f"length:{wanted}", ["x"], tokens=[tokens]) == [near(tokens, wanted)]


# --- JSON -----------------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


def test_json_is_worth_half_where_its_schema_refuses_it(tmp_path: Path) -> None:
    answers = ['{"name": "Ada"}', '```json\n{"name": "Ada"}\n```', '{"name": 7}', "[]", "{", "NaN", ""]
    assert scores("json", answers) == [1, 1, 1, 1, 0, 0, 0]
    wanted = [1, 1, 0.5, 0.5, 0, 0, 0]
    assert scores("json:schema", answers, schema=[SCHEMA, json.dumps(SCHEMA), *[SCHEMA] * 5]) == wanted
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    assert scores(f"json:{tmp_path}/schema.json", answers) == wanted
    assert scores("json:schema", ["{}"], schema=[None]) == [None]


def test_what_is_no_schema_is_said_before_anything_is_scored(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        scores(f"json:{tmp_path}/none.json", [])
    (tmp_path / "broken.json").write_text('{"type": "objekt"}')
    with pytest.raises(BadInput, match="no JSON Schema"):
        scores(f"json:{tmp_path}/broken.json", [])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8))  # fmt: skip
def test_whatever_python_writes_as_json_is_json(value: Any) -> None:
    assert scores("json", [json.dumps(value), json.dumps(value, indent=1)]) == [1.0, 1.0]


# --- code -----------------------------------------------------------------------------------------------------------

RIGHT = "Here it is:\n```python\ndef double(x):\n    return 2 * x\n```\nIt doubles."


def test_code_is_worth_the_share_of_its_tests_that_pass() -> None:
    tests = ["assert double(2) == 4", "assert double('a') == 'aa'", "assert double(2) == 5", "assert half(2) == 1"]
    assert passed(RIGHT, tests) == 0.5
    assert passed(RIGHT, "assert double(0) == 0") == 1
    assert passed("def double(x: return", tests) == 0
    assert passed(RIGHT, None) is None
    assert scores("code:checks", [RIGHT], checks=[tests]) == [0.5]
    assert code_of("x = 1") == "x = 1"


@pytest.mark.parametrize(
    "trick", ["import sys; sys.exit(0)", "import os; os._exit(0)", "print('passed')", "raise SystemExit",
              "class A:\n    def __eq__(self, other): raise SystemExit\ndouble = lambda x: A()"],
)  # fmt: skip
def test_code_that_ends_before_its_test_passes_nothing(trick: str) -> None:
    assert not runs(trick, "assert double(2) == 4")


def test_code_is_held_to_its_time_memory_and_files_and_inherits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    assert not runs("while True: pass", "", seconds=1)
    assert not runs("import time; time.sleep(60)", "", seconds=1)
    assert time.monotonic() - began < 8
    assert not runs("x = bytearray(2 << 30)", "")
    assert not runs("open('big', 'wb').write(bytes(64 << 20))", "")
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    assert runs("import os", "assert 'SECRET_TOKEN' not in os.environ")
    assert runs("import os", f"assert os.getcwd() != {str(Path.cwd())!r}")


# --- the user's own -------------------------------------------------------------------------------------------------

OWN = '''
def shout(completions, **columns):
    return [float(text.isupper()) for text in completions]
def fits(completions, answer, tokens=None):
    return [None if a is None else len(text) == len(a) for text, a in zip(completions, answer)]
def whole(completions, columns):
    return [len(columns)] * len(completions)
def few(completions): return [1.0]
def words(completions): return ["good" for _ in completions]
def broken(completions): raise KeyError("colour")
def endless(completions): return [float("inf"), float("nan")]
number = 7
'''


def test_a_function_of_ones_own_gets_the_columns_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my_rewards.py"
    file.write_text(OWN)
    assert scores(f"{file}:shout", ["A", "b"]) == [1, 0]
    assert scores(f"{file}:fits", ["A", "bc"], answer=["x", None]) == [1, None]
    assert scores(f"{file}:whole", ["A"], answer=["x"], tokens=[3]) == [3]
    assert scores(f"{file}:endless", ["A", "b"]) == [None, None]
    monkeypatch.syspath_prepend(str(tmp_path))
    assert scores("my_rewards:shout", ["A"]) == [1]
    assert scores("function:my_rewards:shout", ["A"]) == [1]


@pytest.mark.parametrize(
    ("name", "said"),
    [("few", "gave 1 scores for 2 answers"), ("words", "'good', which is no number"), ("broken", "KeyError: 'colour'"),
     ("fits", "asks for answer"), ("none", "has no function none"), ("number", "has no function number")],
)  # fmt: skip
def test_what_is_wrong_with_a_function_is_said_with_its_name(tmp_path: Path, name: str, said: str) -> None:
    file = tmp_path / "my_rewards.py"
    file.write_text(OWN)
    with pytest.raises((BadInput, RunFailed), match=r"my_rewards\.py") as caught:
        scores(f"{file}:{name}", ["A", "b"])
    assert said in str(caught.value)


@pytest.mark.parametrize("where", ["no_such_module_at_all:score", "/nowhere/at/all.py:score"])
def test_a_module_that_is_not_there_is_said_at_once(where: str) -> None:
    with pytest.raises(BadInput, match=r"can't be imported|there is no file"):
        build([parse(where)], Place())


def test_a_module_that_fails_while_it_is_imported_is_said_with_why(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("import no_such_module_at_all")
    with pytest.raises(BadInput, match="ModuleNotFoundError"):
        build([parse(f"{file}:score")], Place())


def test_a_scorer_is_called_by_its_name() -> None:
    called = {"0.5*length:9": "length:9", "/home/me/own.py:polite": "own.py:polite", "a.b:c": "a.b:c",
              "model:/runs/my-reward/output": "model:my-reward", "model:org/judge": "model:judge"}  # fmt: skip
    for text, name in called.items():
        assert Scorer(parse(text), lambda texts, _: [1.0] * len(texts)).__name__ == name
