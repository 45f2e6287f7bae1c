"""The command line in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ftui.cli.main import main

Ftui = Callable[..., tuple[int, str, str]]


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
