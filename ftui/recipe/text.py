"""The recipe as YAML: read with the line of every mistake, written so that reading gives the same recipe again."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.recipe.check import build
from ftui.recipe.declaration import source_settings, walk_all
from ftui.recipe.document import Recipe
from ftui.shallow_yaml import composer

MOST_BYTES = 1 << 20
MOST_VALUES = 20_000
MOST_LEVELS = 32
"""A recipe is small; what is larger is another file, or aliases that unfold into a bomb."""

_NUMBER_OR_TEXT = "data.validation"

UNBROKEN = frozenset("\x85\u2028\u2029")
"""Characters that end a line for some readers of YAML and not for others."""


def read(path: Path | str) -> Recipe:
    """The recipe in the file `path`; BadInput (BadRecipe, with each problem's line) where it can't be used."""
    text = read_text(path, "recipe", "`ftui presets` lists those that ship with ftui.")
    return parse(text, str(Path(path).expanduser()))


def read_text(path: Path | str, what: str, absent: str) -> str:
    """The YAML text in the file `path`, which should be a `what`; `absent` is the hint where there is no such file.

    Raises BadInput where it can't be read.
    """
    try:
        path = Path(path).expanduser()
        if path.is_dir():
            raise BadInput(f"{path} is a folder, not a {what}.", "Name the YAML file in it.")
        if path.exists() and not path.is_file():
            raise BadInput(f"{path} is no regular file (a pipe or device).", f"Save the {what} to a file first.")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise BadInput(f"There is no {what} at {path}.", absent) from None
    except (OSError, RuntimeError, ValueError) as error:
        # ValueError: a name with a NUL in it; RuntimeError: the home of a user that there isn't.
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{path} can't be read: {reason}.", "Check the name and its permissions.") from None
    return decode(content, str(path), what)


def decode(content: bytes, where: str, what: str = "recipe") -> str:
    """`content` as text; BadInput where it is binary, too large, or not UTF-8 (with the line of the first bad byte)."""
    if len(content) > MOST_BYTES:
        raise BadInput(f"{where} is larger than any {what} (1 MiB).", f"Is it a data file? Name the {what}.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{where} is encoded as UTF-16.", "Save it as UTF-8.")
    if b"\0" in content:
        raise BadInput(f"{where} is a binary file, not a {what}.", f"A {what} is a YAML text.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{where}, line {line}: the text is not UTF-8.", "Save the file as UTF-8.") from None


def parse(text: str, where: str = "The recipe") -> Recipe:
    """The recipe in the YAML (or JSON) `text`; `where` names it in messages."""
    values, lines = load(text, where)
    if not isinstance(values, dict):
        found = "is empty" if values is None else "holds no sections"
        raise BadInput(f"{where} {found}.", "A recipe has sections such as `train: {epochs: 3}`; see `ftui presets`.")
    return build(values, where, lines)


def load(text: str, where: str, what: str = "recipe") -> tuple[Any, dict[str, int]]:
    """Plain values of a `what`, and the line (from 1) of each dotted path.

    BadInput for what is not YAML, tags, keys set twice, and aliases that unfold into a bomb.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.Composer = composer(MOST_LEVELS)
        node = yaml.compose(text)
        if node is None:
            return None, {}
        reader = _Reader(yaml.constructor, where)
        return reader.value(node, ""), reader.lines
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{where}, line {mark.line + 1}" if mark else where
        raise BadInput(f"{at}: this is not YAML: {error.problem or error.context}.", _remedy(error, what)) from None
    except YAMLError:
        raise BadInput(f"{where} holds characters that YAML does not allow.", "Is it a text file?") from None
    except RecursionError:
        raise BadInput(f"{where} is nested too deeply to be a {what}.", "Take out the innermost levels.") from None


def _remedy(error: Any, what: str) -> str:
    problem = f"{error.problem} {error.context}"
    if "\\t" in problem or "'\t'" in problem:
        return "YAML indents with spaces only: replace the tab."
    if "expected a single document" in problem:
        return f"A {what} is one document: remove the second `---`."
    return "Check the indentation, and that every key is followed by a colon and a space."


_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")


class _Reader:
    """Turns composed YAML nodes into plain values, noting lines."""

    def __init__(self, constructor: Any, where: str) -> None:
        self.constructor = constructor
        self.where = where
        self.lines: dict[str, int] = {}
        self.seen = 0

    def value(self, node: Any, path: str) -> Any:
        """The node's plain value; a scalar where only text can stand keeps its spelling (a commit such as 12e4567)."""
        self.seen += 1
        if self.seen > MOST_VALUES:
            raise BadInput(f"{self.where} unfolds into more values than any recipe has.", "Write aliases (*x) out.")
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        prefix, _, tag = str(node.tag).rpartition(":")
        if prefix != "tag:yaml.org,2002" or tag not in _TAGS:
            raise BadInput(f"{self.where}, line {line}: the tag {node.tag} is not allowed.", "Write plain values only.")
        if node.id == "mapping":
            return self._mapping(node, path)
        if node.id == "sequence":
            return [self.value(entry, f"{path}.{index}") for index, entry in enumerate(node.value)]
        if tag in ("str", "timestamp") or (tag != "null" and _keeps_spelling(path)):
            return node.value
        try:
            return self.constructor.construct_object(node, deep=True)
        except ValueError:
            what = f"{self.where}, line {line}: {node.value[:40]!r} is not a number."
            raise BadInput(what, "Check the value.") from None

    def _mapping(self, node: Any, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise BadInput(f"{self.where}, line {line}: a key must be a word.", "Write it as `key: value`.")
            if key in values:
                raise BadInput(f"{self.where}, line {line}: {key} is set twice.", "Remove one of the two.")
            below = f"{path}.{key}" if path else key
            self.lines.setdefault(below, line)
            values[key] = self.value(value_node, below)
        return values


def _keeps_spelling(path: str) -> bool:
    pattern = ".".join("[]" if part.isdigit() else part for part in path.split(".")).replace(".[]", "[]")
    return pattern.removeprefix("stages[].") in _texts()


@cache
def _texts() -> frozenset[str]:
    entries = (*walk_all(), *source_settings())
    texts = {entry.path for entry in entries if entry.kind == "text" and entry.path != _NUMBER_OR_TEXT}
    return frozenset(texts | {f"{entry.path}[]" for entry in entries if entry.kind == "list" and not entry.choices})


def write(
    recipe: Recipe,
    only: Collection[str] | None = None,
    comments: Mapping[str, str] | None = None,
    header: str = "",
) -> str:
    """`recipe` as YAML that `parse` reads back as the same recipe.

    `only` keeps the settings with these dotted paths (as `asked` gives them), `comments` puts a remark behind the
    settings it names, `header` stands as comment lines on top.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import RoundTripRepresenter

    yaml = YAML()
    # What is added goes into the class, and other writers of this process share ruamel's own.
    yaml.Representer = type("RecipeRepresenter", (RoundTripRepresenter,), {})
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes = True
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(
        "tag:yaml.org,2002:null", "null"))
    stream = io.StringIO()
    for line in header.splitlines():
        stream.write(f"# {line}".rstrip() + "\n")
    yaml.dump(_tree(recipe, only, comments or {}), stream)
    return stream.getvalue()


def _tree(recipe: Recipe, only: Collection[str] | None, comments: Mapping[str, str]) -> Any:
    from ruamel.yaml.comments import CommentedMap

    tree = CommentedMap()
    for section, content in recipe.model_dump(mode="json").items():
        if not isinstance(content, dict):
            if section == "stages" and not content and only is None:
                continue
            if section == "version" or only is None or section in only:
                tree[section] = _styled(content)
                _remark(tree, section, comments.get(section))
            continue
        kept = CommentedMap()
        for name, value in content.items():
            if only is None or f"{section}.{name}" in only:
                kept[name] = _source_list(value) if f"{section}.{name}" == "data.sources" else _styled(value)
                _remark(kept, name, comments.get(f"{section}.{name}"))
        if kept:
            tree[section] = kept
    return tree


def _remark(mapping: Any, key: str, comment: str | None) -> None:
    if comment:
        mapping.yaml_add_eol_comment(" ".join(comment.split()), key)


def _source_list(sources: list[dict[str, Any]]) -> Any:
    """Sources without what they leave at its default: `- path: train.jsonl` says it all."""
    defaults = {entry.name: entry.default for entry in source_settings()}
    return _styled([{k: v for k, v in source.items() if v != defaults[k]} for source in sources])


def _styled(value: Any) -> Any:
    """Lists of plain words and empty ones in a line, `[q_proj, v_proj]`; everything else in blocks."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        mapping = CommentedMap({_styled(key): _styled(entry) for key, entry in value.items()})
        if not mapping:
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq([_styled(entry) for entry in value])
        if all(isinstance(entry, str) and entry.isidentifier() for entry in value):
            sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and not UNBROKEN.isdisjoint(value):
        # In double quotes they are escaped; in single quotes YAML 1.1 reads them as the ends of lines.
        return DoubleQuotedScalarString(value)
    return value
