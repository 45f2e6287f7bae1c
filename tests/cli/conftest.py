"""The command line in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.cli.main import main
from ftui.runs import heartbeat
from ftui.runs.folder import Run, create
from ftui.runs.heartbeat import Heartbeat
from ftui.runs.process import identify

Ftui = Callable[..., tuple[int, str, str]]
Refusal = Callable[..., str]


@pytest.fixture
def ftui(capsys: pytest.CaptureFixture[str]) -> Ftui:
    """Runs a command line; returns its exit code, stdout and stderr."""
    def run(*words: str) -> tuple[int, str, str]:
        code: object = 0
        try:
            main(list(words))
        except SystemExit as leave:
            code = leave.code
        out, err = capsys.readouterr()
        return int(code or 0), out, err  # type: ignore[call-overload]

    return run


@pytest.fixture(scope="session")
def demo_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's configuration and tokenizer, made once."""
    from ftui.models import demo

    home = tmp_path_factory.mktemp("demo-files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTUI_HOME", str(home))
        demo.ensure_folder()
    return home / "models"


@pytest.fixture
def quick(own_home: Path, demo_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that need not be probed, and the embedded model's files at hand."""
    from ftui import hardware

    box = hardware.load(Path(__file__).parents[1] / "hardware" / "boxes" / "none.json")
    monkeypatch.setattr(hardware, "probe", lambda: box)
    shutil.copytree(demo_files, own_home / "models")


@pytest.fixture
def refusal(ftui) -> Refusal:
    """Types a line that must be refused, as text and (where the command has it) as JSON; returns the whole message."""
    def refuse(*words: str, as_json: bool = True) -> str:
        code, out, err = ftui(*words)
        assert (code, out) == (2, ""), (words, code, out, err)
        assert "Traceback" not in err
        assert "defect in ftui" not in err
        assert "\x1b" not in err
        lines = err.splitlines()
        assert [line.startswith("ftui: ") for line in lines].count(True) == 1
        assert all(line.strip() for line in lines)
        assert len(err) < 1000
        if as_json:
            code, out, _ = ftui(*words, "--json")
            assert code == 2
            document = json.loads(out)
            assert list(document) == ["error"]
            assert set(document["error"]) == {"what", "hint"}
            what, hint = document["error"]["what"], document["error"]["hint"]
            # A setting's own message ends in what can be written instead.
            assert hint or any(part in what for part in ("; ", ": write ", " is not a ", " none of ")), what
        return err

    return refuse


@pytest.fixture
def live(own_home: Path) -> Run:
    """A run that this very process works on, if one believes its files."""
    run = create("train", "alpha", command="ftui launch")
    event = {"v": 1, "seq": 0, "attempt": 1, "time": 1.0, "kind": "status", "step": None,
             "data": {"state": "running", "text": "Training"}}
    run.events.write_text(json.dumps(event) + "\n")
    worker = identify()
    assert worker is not None
    heartbeat.write(run.heartbeat, Heartbeat(worker, 1, event["time"]))  # type: ignore[arg-type]
    return run


@pytest.fixture
def failed(own_home: Path) -> Run:
    """A run that has failed."""
    run = create("train", "beta", command="ftui launch")
    event = {"v": 1, "seq": 0, "attempt": 1, "time": 1.0, "kind": "end", "step": None,
             "data": {"status": "failed", "text": "It broke.", "hint": "Mend it.", "metrics": {}, "output": None}}
    run.events.write_text(json.dumps(event) + "\n")
    return run
