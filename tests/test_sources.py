"""What may stand in no source: loaders that run what they read, shells, and switches that let strangers' code in.

Each exception is written out here, with its reason.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for room in ("ftui", "screens", "tools", "docs") for path in (ROOT / room).rglob("*.py")
                 if not path.is_symlink() and "presets" not in path.parts)

SHELLS = {"ftui/runs/on_end.py"}
"""`compute.on_end` is a shell command by its nature: its owner's own."""
UNPICKLED = {"ftui/worker/trainer.py"}
"""Names the error that torch's weights-only loading raises, and unpickles nothing."""
READS_SAFELY = {"ftui/recipe/text.py", "ftui/cli/data_repairs.py"}
"""YAML() without a type is ruamel's round trip, which keeps comments and makes no objects either."""
FORBIDDEN_MODULES = {"dill", "joblib", "marshal", "shelve", "cloudpickle", "jsonpickle", "yaml", "telnetlib", "xmlrpc"}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler",
                   "subprocess.getoutput", "subprocess.getstatusoutput", "tarfile.open", "shutil.unpack_archive",
                   "get_class_from_dynamic_module"}
TRANSLATES = {"ftui/recipe/foreign_words.py"}
"""Says what becomes of another tool's key of that name."""
ADMITS = {"ftui/worker/own_code.py"}
"""The one place where a model's own code is imported, after consent."""


def named(node: ast.expr) -> str:
    """A call's function as it is written: "torch.load", "eval"."""
    return ast.unparse(node)


@functools.cache
def nodes() -> list[tuple[str, ast.AST]]:
    """(file, node) of every node of every source."""
    return [
        (path.relative_to(ROOT).as_posix(), node)
        for path in SOURCES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]


def every_call() -> Iterator[tuple[str, str, ast.Call]]:
    """(file, the function as it is written, the call)."""
    return ((where, named(node.func), node) for where, node in nodes() if isinstance(node, ast.Call))


def keyword(call: ast.Call, name: str) -> object:
    """The constant that `name=` has in the call; ... where it isn't there, or is no constant."""
    found = next((each.value for each in call.keywords if each.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else ...


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 300


def test_nothing_runs_what_it_reads() -> None:
    for where, name, call in every_call():
        last = name.rpartition(".")[2]
        if not (where in ADMITS and last == "get_class_from_dynamic_module"):
            assert name not in FORBIDDEN_CALLS, f"{where}:{call.lineno}: {name}"
            assert last not in ("get_class_from_dynamic_module", "read_pickle"), f"{where}:{call.lineno}: {name}"
        if name == "torch.load":
            assert keyword(call, "weights_only") is True, f"{where}:{call.lineno}: torch.load without weights_only=True"
        assert keyword(call, "allow_pickle") in (..., False), f"{where}:{call.lineno}: allow_pickle"
        if last == "YAML":
            assert keyword(call, "typ") == "safe" or where in READS_SAFELY, f"{where}:{call.lineno}: YAML()"
        if where not in SHELLS:
            assert keyword(call, "shell") in (..., False), f"{where}:{call.lineno}: a shell"


def test_nothing_imports_what_runs_what_it_reads() -> None:
    for where, node in nodes():
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
            [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else [])
        for module in modules:
            first = module.partition(".")[0]
            assert first not in FORBIDDEN_MODULES, f"{where}: {module}"
            assert first != "pickle" or where in UNPICKLED, f"{where}: {module}"


def test_no_library_is_let_run_a_model_s_code() -> None:
    """What loads by name says no; own code is registered after consent, so that nothing ever has to say yes."""
    for where, name, call in every_call():
        assert keyword(call, "trust_remote_code") in (..., False), f"{where}:{call.lineno}"
        kind, _, what = name.rpartition(".")
        if what not in ("from_pretrained", "from_config") or not kind.rpartition(".")[2].startswith("Auto"):
            continue
        said = keyword(call, "trust_remote_code") is False or any(each.arg is None for each in call.keywords)
        assert said or kind == "AutoHfQuantizer", f"{where}:{call.lineno}: {name} leaves trust_remote_code open"
    for where, node in nodes():
        for key, value in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
            if isinstance(key, ast.Constant) and key.value == "trust_remote_code" and where not in TRANSLATES:
                assert isinstance(value, ast.Constant), where
                assert value.value is False, where


def test_a_model_card_made_to_be_slow_says_nothing() -> None:
    from ftui.models.card import front_matter

    bomb = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9))
    merged = "a: &a {k: v}\nb: {<<: [*a, *a]}\n"
    deep = "a: " + "[" * 10_000
    tag = "a: !!python/object/apply:os.system ['true']\n"
    for text in (bomb, merged, deep, tag, "a: " + "x" * (1 << 19)):
        assert front_matter(f"---\n{text}\n---\n") == {}
    assert front_matter("---\nlicense: mit\n---\n") == {"license": "mit"}


def test_a_recipe_made_to_be_slow_or_to_make_objects_is_refused() -> None:
    from ftui.errors import BadInput
    from ftui.recipe import parse

    bomb = "a: &a [x]\n" + "".join(f"{'abcdefghij'[n + 1]}: &{'abcdefghij'[n + 1]} "
                                   f"[{', '.join(['*' + 'abcdefghij'[n]] * 9)}]\n" for n in range(9))
    for text in (bomb, "name: " + "[" * 5_000, "name: !!python/object/apply:os.system ['true']", "<<: {name: x}"):
        with pytest.raises(BadInput):
            parse(text)
