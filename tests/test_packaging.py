"""What is installed is what stands here: sub-packages, styles, presets and data reach the wheel and work from it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_sub_package_is_listed_for_the_wheel() -> None:
    folders = {
        str(path.parent.relative_to(ROOT)).replace(os.sep, ".")
        for top in ("ftui", "ftui/screens", "ftui/presets")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert folders == set(PROJECT["tool"]["setuptools"]["packages"])


def test_the_metadata_has_floors_only_and_the_constraints_pin_each_dependency() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    for requirement in PROJECT["project"]["dependencies"]:
        assert "==" not in requirement
        assert "<" not in requirement
        assert requirement.split(">=")[0] in pinned, requirement


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True).stdout
    if not tracked:
        pytest.skip("the wheel is built from what git tracks, and this is no checkout")
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], capture_output=True, check=True).stdout
    copy.mkdir()
    subprocess.run(["tar", "-x", "-C", str(copy)], input=archive, check=True)
    subprocess.run(
        [*PIP, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(copy)],
        check=True, capture_output=True, timeout=300,
    )
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_the_screens_their_styles_the_presets_and_the_demo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for top in ("ftui", "screens", "presets"):
        for path in (ROOT / top).rglob("*"):
            wanted = path.suffix in (".py", ".tcss", ".yaml", ".json", ".jsonl", ".txt") and path.is_file()
            if wanted and not path.is_symlink():
                inside = path.relative_to(ROOT)
                inside = inside if top == "ftui" else Path("ftui") / inside
                assert str(inside) in names, f"{inside} does not reach the wheel"
    assert not any(name.startswith(("screens/", "presets/", "tests/")) for name in names)


@pytest.mark.slow
def test_an_installed_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path, own_home: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [*PIP, "install", "-q", "--no-deps", "--target", str(target), str(wheel)],
        check=True, capture_output=True, timeout=300,
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    code = (
        "import ftui, ftui.screens.app as app, ftui.recipe as recipe\n"
        f"assert ftui.__file__.startswith({str(target)!r}), ftui.__file__\n"
        "print(len(recipe.presets()))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 6
    assert (target / "bin" / "ftui").exists()
