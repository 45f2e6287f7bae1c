"""The audit of the packages: a known vulnerability fails the check, no network doesn't, no answer is no all-clear."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "audit.py"


@pytest.fixture
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": list(packages), "fixes": []})


GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.2", "vulns": [{
    "id": "PYSEC-2026-1", "aliases": ["CVE-2026-0001"], "fix_versions": ["1.3"],
    "description": "It opens doors.\nMore.",
}]}
SKIPPED = {"name": "own", "skip_reason": "Dependency not found"}


def test_a_known_vulnerability_fails_with_what_to_do(audit: Any) -> None:
    code, lines = audit.judge(answer(GOOD, BAD))
    assert code == 1
    assert lines == [
        "audit: bad 1.2: PYSEC-2026-1, CVE-2026-0001; fixed in 1.3: raise it in constraints.txt.", "  It opens doors.",
    ]


def test_without_findings_it_is_silent_and_says_what_it_could_not_check(audit: Any) -> None:
    assert audit.judge(answer(GOOD)) == (0, [])
    code, lines = audit.judge(answer(GOOD, SKIPPED))
    assert (code, lines) == (0, ["audit: 1 of 2 packages are not in the list and were not checked."])


@pytest.mark.parametrize("said", [None, "", "Traceback ...", "[]", answer(SKIPPED, SKIPPED), answer()])
def test_no_answer_is_said_as_such_and_is_no_failure(audit: Any, said: str | None) -> None:
    assert audit.judge(said) == (0, [audit.UNREACHED])


@pytest.mark.parametrize(("body", "code", "words"), [
    (f"print({answer(GOOD, BAD)!r}); raise SystemExit(1)", 1, "PYSEC-2026-1"),
    (f"print({answer(GOOD)!r})", 0, ""),
    ("raise ConnectionError('no network')", 0, "were not checked"),
    ("import time; time.sleep(60)", 0, "were not checked"),
])
def test_the_tool_asks_pip_audit_about_the_constraints(tmp_path: Path, body: str, code: int, words: str) -> None:
    package = tmp_path / "pip_audit"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(f"import sys\nassert {str(ROOT / 'constraints.txt')!r} in sys.argv\n{body}\n")
    environment = {name: value for name, value in os.environ.items() if name != "PIP_NO_INDEX"}
    start = f"import runpy, sys; sys.exit(runpy.run_path({str(TOOL)!r})['main'](limit=3.0))"
    done = subprocess.run(
        [sys.executable, "-c", start], env={**environment, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        timeout=50,
    )
    assert done.returncode == code, done.stderr
    assert words in done.stdout
    assert done.stderr == ""


def test_who_may_not_ask_an_index_is_not_made_to(audit: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(audit, "ask", lambda limit: pytest.fail("it asked"))
    assert audit.main() == 0
    assert capsys.readouterr().out == f"{audit.UNREACHED}\n"
