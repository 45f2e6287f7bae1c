"""The expressions of the repair `filter`: comparisons of a row's parts, never Python.

    words(answer) >= 3 and not question contains "http"
    script in ["Latin", "Greek"] or turns > 2

Grammar, in the order of binding:

    either     = both {"or" both}
    both       = negation {"and" negation}
    negation   = "not" negation | "(" either ")" | comparison
    comparison = value ("<" | "<=" | ">" | ">=" | "==" | "!=" | "contains") value | value "in" "[" value {"," value} "]"
    value      = number | "text" | 'text' | name | ("words" | "characters") "(" name ")"

Texts are compared without regard to case by `contains` only.  A comparison of a number with a text is refused as soon
as the expression is read, so that no row can fail.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable
from typing import Any

from ftui.data.canonical import Row, messages_of, text_of
from ftui.data.scripts import script_of
from ftui.errors import BadInput

Test = Callable[[Row], bool]
_Value = tuple[type, Callable[[Row], Any]]
"""Whether a value is a str or a float, and how it is read from a row."""

_TOKEN = re.compile(r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?)|(?P<text>"[^"]*"|'[^']*')|(?P<name>[A-Za-z_]\w*)
                        |(?P<sign><=|>=|==|!=|[<>()\[\],]))""", re.VERBOSE)  # fmt: skip
_MOST_CHARACTERS, _DEEPEST = 2000, 50


def _of_role(role: str) -> Callable[[Row], str]:
    return lambda row: "\n".join(str(turn.get("content") or "") for turn in messages_of(row) if turn["role"] == role)


FIELDS: dict[str, tuple[type, Callable[[Row], Any], str]] = {
    "text": (str, text_of, "all of the row's words"),
    "question": (str, _of_role("user"), "what the user says"),
    "answer": (str, _of_role("assistant"), "what the assistant says; of a preference, the chosen answer"),
    "system": (str, _of_role("system"), "the system turn"),
    "turns": (float, lambda row: float(len(messages_of(row))), "how many turns there are"),
    "label": (str, lambda row: str(row.value.get("label", "\n".join(row.value.get("labels", ())))), "its label"),
    "script": (str, lambda row: script_of(text_of(row)), "Latin, Cyrillic, Chinese, ..."),
    "kind": (str, lambda row: row.kind, "conversation, text, preference, labelled, prompt or class"),
    "line": (float, lambda row: float(row.line), "its line in the file"),
    "source": (str, lambda row: row.source, "its file"),
}
"""Name -> its type, how it is read from a row, and what it is."""

_FUNCTIONS: dict[str, Callable[[str], float]] = {
    "words": lambda text: float(len(text.split())), "characters": lambda text: float(len(text)),
}
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "contains": lambda whole, part: part.lower() in whole.lower(),
}


def parse(expression: str) -> Test:
    """A test of rows; raises BadInput with the place where the expression can't be read."""
    return _Parser(expression).whole()


class _Parser:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        if len(expression) > _MOST_CHARACTERS:
            raise BadInput(f"The filter has {len(expression)} characters.", f"At most {_MOST_CHARACTERS} are read.")
        self._tokens = _tokens(expression)
        self._at = self._depth = 0

    def whole(self) -> Test:
        test = self._either()
        if self._at < len(self._tokens):
            raise self._wrong("and, or, or its end")
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._take("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _both(self) -> Test:
        tests = [self._negation()]
        while self._take("and"):
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _negation(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadInput(f"The filter is nested deeper than {_DEEPEST} levels.", "Write it with fewer parentheses.")
        if self._take("not"):
            negated = self._negation()
            test: Test = lambda row: not negated(row)  # noqa: E731 - a name for what is returned below
        elif self._take("("):
            test = self._either()
            self._expect(")")
        else:
            test = self._comparison()
        self._depth -= 1
        return test

    def _comparison(self) -> Test:
        kind, read = self._value()
        if self._take("in"):
            choices = [self._choice(kind)]
            while self._take(","):
                choices.append(self._choice(kind))
            self._expect("]")
            return lambda row: read(row) in choices
        sign = self._next()
        if sign not in _COMPARED:
            self._at -= sign is not None
            raise self._wrong(f"one of {' '.join(_COMPARED)} in")
        other_kind, other = self._value()
        if kind is not other_kind or (sign == "contains" and kind is not str):
            raise BadInput(
                f"The filter compares a {_NAMED[kind]} with a {_NAMED[other_kind]} by {sign}: {self._expression}",
                'Compare lengths with words(answer) or characters(answer), and write texts in quotes: "text".',
            )
        compare = _COMPARED[sign]
        return lambda row: compare(read(row), other(row))

    def _choice(self, kind: type) -> Any:
        if self._tokens[self._at - 1] == "in":
            self._expect("[")
        token = self._next()
        if token is None or _literal(token) is None or not isinstance(_literal(token), kind):
            self._at -= token is not None
            raise self._wrong(f"a {_NAMED[kind]}")
        return _literal(token)

    def _value(self) -> _Value:
        token = self._next()
        if token is None:
            raise self._wrong("a name, a number or a text")
        if (value := _literal(token)) is not None:
            return type(value), lambda row: value
        if token in _FUNCTIONS:
            self._expect("(")
            kind, read = self._value()
            self._expect(")")
            if kind is not str:
                raise BadInput(f"{token}() counts in a text: {self._expression}", "As in words(answer).")
            measure = _FUNCTIONS[token]
            return float, lambda row: measure(read(row))
        if token in FIELDS:
            return FIELDS[token][:2]
        self._at -= 1
        near = difflib.get_close_matches(token, [*FIELDS, *_FUNCTIONS], 1)
        raise self._wrong(f"one of {', '.join(FIELDS)}" + (f" (perhaps {near[0]})" if near else ""))

    def _next(self) -> str | None:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        self._at += token is not None
        return token

    def _take(self, token: str) -> bool:
        taken = self._at < len(self._tokens) and self._tokens[self._at] == token
        self._at += taken
        return taken

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._wrong(token)

    def _wrong(self, expected: str) -> BadInput:
        found = self._tokens[self._at] if self._at < len(self._tokens) else "its end"
        return BadInput(
            f"The filter can't be read at {found}: {self._expression}",
            f"Expected {expected}; for example: words(answer) >= 3 and not question contains \"http\".",
        )


_NAMED = {str: "text", float: "number"}


def _literal(token: str) -> float | str | None:
    if token[0] in "\"'":
        return token[1:-1]
    return float(token) if token[0].isdigit() or (token[0] == "-" and token[1:]) else None


def _tokens(expression: str) -> list[str]:
    tokens, at = [], 0
    while expression[at:].strip():
        found = _TOKEN.match(expression, at)
        if not found:
            raise BadInput(
                f"The filter can't be read at {expression[at:].strip()[:20]}: {expression}",
                'Expected names, numbers, texts in quotes, and signs such as >=.',
            )
        tokens.append(found[0].strip())
        at = found.end()
    return tokens
