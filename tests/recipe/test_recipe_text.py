"""Reading and writing recipes as YAML."""

from __future__ import annotations

import contextlib
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.errors import BadInput
from ftui.recipe import BadRecipe, Recipe, asked, assign, build, parse, read, walk, write
from ftui.recipe.declaration import UNIONS, Setting

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def values_for(entry: Setting) -> st.SearchStrategy[object]:
    """Values that this setting allows (pairs that clash are left out by the tests)."""
    base: st.SearchStrategy[object]
    if entry.path == "data.validation":
        base = st.one_of(st.floats(0, 0.99), st.integers(0, 10_000), TEXTS.filter(bool))
    elif entry.path == "data.sources":
        columns = st.dictionaries(TEXTS, TEXTS, max_size=2)
        source = st.fixed_dictionaries({"path": TEXTS}, optional={"limit": st.integers(1, 99), "columns": columns})
        return st.lists(source, max_size=3)
    elif entry.path == "data.prepare":
        return st.lists(st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.booleans(), st.none())), max_size=2)
    elif entry.path == "adapter.targets":
        return st.one_of(st.just("all-linear"), st.lists(st.sampled_from(["q_proj", "v_proj", "fc-1"]), min_size=1))
    elif entry.kind == "bool":
        base = st.booleans()
    elif entry.kind == "choice":
        base = st.sampled_from(entry.choices)
    elif entry.kind == "list":
        base = st.lists(st.sampled_from(entry.choices) if entry.choices else TEXTS, max_size=3)
    elif entry.kind == "int":
        base = st.integers(int(entry.minimum or 0), int(entry.maximum or 10**9))
    elif entry.kind == "float":
        base = st.floats(
            entry.minimum if entry.minimum is not None else 0, entry.maximum or 1e9,
            exclude_min=entry.minimum_excluded, exclude_max=entry.maximum_excluded,
        )
    else:
        base = TEXTS
    if entry.auto:
        base = st.one_of(st.just("auto"), base)
    return st.one_of(st.none(), base) if entry.nullable else base


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Recipes with any settings set to any value that is allowed."""
    kinds = {f"{section}.kind": draw(st.sampled_from(sorted(members))) for section, members in UNIONS.items()}
    recipe = assign(Recipe(), kinds)
    free = [entry for entry in walk(recipe) if not entry.path.endswith(".kind")]
    chosen = draw(st.lists(st.sampled_from(free), unique_by=lambda entry: entry.path, max_size=12))
    for entry in chosen:
        value = draw(values_for(entry))
        try:
            # As a mapping rather than as text: what a file may hold is wider than what a form takes.
            section, _, name = entry.path.rpartition(".")
            raw = recipe.model_dump(exclude_unset=True)
            (raw.setdefault(section, {}) if section else raw)[name] = value
            recipe = build(raw)
        except BadRecipe:
            continue
    return recipe


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipes())
def test_a_recipe_survives_being_written_and_read(recipe: Recipe) -> None:
    assert parse(write(recipe)) == recipe
    short = parse(write(recipe, only=asked(recipe)))
    assert short == recipe
    assert asked(short) - {f"{section}.kind" for section in UNIONS} == asked(recipe) - {
        f"{section}.kind" for section in UNIONS
    }


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=200), st.text(string.ascii_letters + ":{}[]&*!|>-#'\"\t\n ,.0", max_size=80)))
def test_any_text_is_a_recipe_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(BadInput):
        parse(text, "some.yaml")


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(
    st.sampled_from(["name", "model", "data", "train", "adapter", "evaluate", "version", "objective", "x"]),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["kind", "epochs", "sources", "path", "rank", "targets", "max_length", "y"]), inner),
        max_leaves=8,
    ),
))
def test_any_values_are_a_recipe_or_one_clear_error(values: dict[str, object]) -> None:
    with contextlib.suppress(BadRecipe):
        build(values)


def test_a_file_gives_lines_and_paths_of_every_problem(tmp_path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("name: x\ntrain:\n  epochs: 0\n  lerning_rate: 1e-4\nadapter: {rank: 3.5}\n")
    with pytest.raises(BadRecipe) as caught:
        read(path)
    assert {(p.path, p.line) for p in caught.value.problems} == {
        ("train.epochs", 3), ("train.lerning_rate", 4), ("adapter.rank", 5),
    }
    assert "train.learning_rate" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- a\n- b\n", "no sections"),
        (b"just words", "no sections"),
        (b"\x00\x01\x02", "binary"),
        ("name: é".encode("latin-1"), "line 1: the text is not UTF-8"),
        ("name: x".encode("utf-16"), "UTF-16"),
        (b"train:\n\tepochs: 3\n", "line 2: this is not YAML"),
        (b"name: a\nname: b\n", "line 2: name is set twice"),
        (b"train: {epochs: 1, epochs: 2}", "epochs is set twice"),
        (b"name: !!python/object/apply:os.system [x]", "not allowed"),
        (b"a: &a [*a]", "nested too deeply"),
        (b"[" * 3000, "nested too deeply"),
        (b"x" * (1 << 20) + b"yy", "larger than any recipe"),
        (b"name: [", "this is not YAML"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_sentence(tmp_path, content: bytes, said: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"broken\.yaml") as caught:
        read(path)
    assert said in caught.value.what


def test_aliases_that_unfold_into_a_bomb_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    with pytest.raises(BadInput, match="unfolds"):
        parse("\n".join(lines))


def test_a_missing_file_and_a_folder_are_named(tmp_path) -> None:
    with pytest.raises(BadInput, match="no recipe at"):
        read(tmp_path / "nothing.yaml")
    with pytest.raises(BadInput, match="is a folder"):
        read(tmp_path)


def test_words_that_look_like_numbers_or_dates_stay_words() -> None:
    recipe = parse("name: 2026-11-22\nmodel: {revision: 12e4567, base: 7}\nevaluate: {prompts: [42, yes]}")
    assert recipe.name == "2026-11-22"
    assert recipe.model.revision == "12e4567"
    assert recipe.model.base == "7"
    assert recipe.evaluate.prompts == ("42", "yes")


def test_a_path_alone_is_a_source() -> None:
    assert parse("data: {sources: train.jsonl}").data.sources[0].path == "train.jsonl"
    assert [s.path for s in parse("data: {sources: [a.jsonl, {path: b.csv}]}").data.sources] == ["a.jsonl", "b.csv"]


def test_only_what_was_asked_is_written_when_told_so() -> None:
    recipe = parse("name: x\ntrain: {epochs: 2, learning_rate: 2e-4}")
    assert write(recipe, only=asked(recipe)) == "version: 1\nname: x\ntrain:\n  epochs: 2.0\n  learning_rate: 0.0002\n"


def test_comments_stand_behind_their_settings_and_headers_on_top() -> None:
    text = write(Recipe(), comments={"adapter.rank": "9,400 examples\nof a chat task"}, header="What it is for.")
    assert text.startswith("# What it is for.\n")
    assert "rank: auto  # 9,400 examples of a chat task" in text
    assert parse(text) == Recipe()


def test_control_characters_in_a_mistake_never_reach_the_terminal() -> None:
    with pytest.raises(BadRecipe) as caught:
        parse('train: {"\\e[31mred": 1}')
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_a_character_that_some_readers_take_for_a_new_line_survives(character: str) -> None:
    recipe = Recipe(name=f"a{character}b")
    assert parse(write(recipe)) == recipe
