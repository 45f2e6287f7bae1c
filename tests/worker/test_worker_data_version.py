"""A run says on which data it was trained: in its folder, its events, its result and on the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.models import demo
from ftui.runs.folder import Run

pytestmark = pytest.mark.torch


def test_the_version_of_the_data_goes_with_the_run_and_its_result(
    make: Callable[..., Run], work: Callable[..., Any], random_demo: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from ftui.cli.main import main

    run = make(train__max_steps=1, train__eval_steps=1, train__save_steps=1)
    ran = work(run)
    digest = hashlib.sha256(demo.data_path().read_bytes()).hexdigest()
    [version] = run.data_versions()
    assert (version.ref, version.sha256) == ("demo", digest)
    assert version.rows == len(demo.data_path().read_text().splitlines())
    told = [event.data for event in ran.of("status") if "data" in event.data]
    assert [data["data"] for data in told] == [[version.as_dict()]]
    assert told[0]["text"].startswith("Prepared the rows: demo (")
    made = json.loads((run.output / "ftui.json").read_text())
    assert made["data"] == [version.as_dict()]
    assert f"| `demo` | {version.rows:,} |  | {digest} |" in (run.output / "README.md").read_text()
    assert f"- Source: {version}" in run.report.read_text()
    capfd.readouterr()

    def shown(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["runs", "show", run.id, *words])
        assert not left.value.code
        return capfd.readouterr().out

    assert f"data    {version}" in shown()
    assert json.loads(shown("--json"))["data"] == [version.as_dict()]
    again = work(make(train__max_steps=1, train__eval_steps=1, train__save_steps=1, train__learning_rate=1e-3))
    text = next(event.data["text"] for event in again.of("status") if "data" in event.data)
    assert text.startswith("Found the rows as an earlier run prepared them: demo (")
    assert again.run.data_versions() == [version]


def test_a_run_that_has_prepared_nothing_yet_names_no_data(make: Callable[..., Run]) -> None:
    run = make()
    assert run.data_versions() == []
    run.data_file.write_text("[{")
    assert run.data_versions() == []
