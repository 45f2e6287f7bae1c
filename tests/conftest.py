"""Every test gets an ftui home of its own, no hub, and a fixed terminal."""

from __future__ import annotations

import faulthandler
import fcntl
import importlib.util
import mmap
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ftui import redaction

# A busy machine is no reason to fail; what decides about a change must not depend on luck.
settings.register_profile("ftui", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("ftui"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "ftui")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FTUI_HOME for this test alone; nothing a test does can reach the user's own runs, models or caches."""
    home = tmp_path / "ftui-home"
    monkeypatch.setenv("FTUI_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "CUDA_VISIBLE_DEVICES", "NO_COLOR", "FTUI_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def planted(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Tokens in the environment and in the hub's own file, name -> value: after the test none of them may stand in any
    other file, nor in the arguments of a process."""
    hub = tmp_path / "hf-home"
    hub.mkdir(exist_ok=True)
    tokens = {
        "HF_TOKEN": "hf_PlantedInTheEnvironment0123456789", "WANDB_API_KEY": "0123456789abcdef" * 2 + "41ab90ce",
        "TEAM_WEBHOOK_URL": "https://chat.example/hooks/T0PLANTED/B0/aPlantedWebhook91x",
        "token": "hf_PlantedInTheFileOfTheHub9876543210",
    }
    for name in ("HF_TOKEN", "WANDB_API_KEY", "TEAM_WEBHOOK_URL"):
        monkeypatch.setenv(name, tokens[name])
    (hub / "token").write_text(tokens["token"])
    (hub / "stored_tokens").write_text(f"[here]\nhf_token = {tokens['token']}\n")
    redaction._known.cache_clear()
    yield tokens
    redaction._known.cache_clear()
    found = [f"{name} in {path}" for path in _files(tmp_path) if path.parent != hub for name in _held(path, tokens)]
    arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    found += [f"{name} in the arguments of a process" for name, token in tokens.items() if token in arguments]
    assert not found, found


def _files(folder: Path) -> Iterator[Path]:
    return (Path(where) / name for where, _, names in os.walk(folder) for name in names)


def _held(path: Path, tokens: dict[str, str]) -> list[str]:
    """Which of the tokens the file at `path` holds; pipes and sockets hold nothing, and some files are just gone."""
    try:
        if not path.is_file() or not path.stat().st_size:
            return []
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return [name for name, token in tokens.items() if content.find(token.encode()) >= 0]
    except OSError:
        return []


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """A worker in this process ends up deaf to every signal that would stop it; later tests must not inherit that."""
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    armed = faulthandler.is_enabled()
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    if not armed:
        faulthandler.disable()


@pytest.fixture
def shared_data() -> Path:
    """The folder of real datasets beside the checkout; the test skips where there is none."""
    if not SHARED.is_dir():
        pytest.skip("the real datasets (../shared/data) are not beside this checkout")
    return SHARED


@pytest.fixture
def make_llava() -> Callable[..., Path]:
    """Writes a tiny LLaVA with random weights into a folder (`tests/worker/tiny_llava.py`)."""
    return _maker("worker/tiny_llava.py")


@pytest.fixture
def make_own_code() -> Callable[..., Path]:
    """Writes a tiny model that needs its own Python code into a folder (`tests/own_code_model.py`)."""
    return _maker("own_code_model.py")


def _maker(file: str) -> Callable[..., Path]:
    path = Path(__file__).parent / file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callable[..., Path] = module.make
    return made


MAKE_DEMO = """
import sys
from ftui.runs.folder import create
from ftui.worker.__main__ import main
sys.exit(main(create("demo", "demo", command="ftui demo").path))
"""


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose embedded model is trained, as a user has it: made once for all processes of this test run."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    home = shared / "demo-home"
    with open(shared / "demo-home.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "made").exists():
            environment = {**os.environ, "FTUI_HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            done = subprocess.run([sys.executable, "-c", MAKE_DEMO], env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            (home / "made").touch()
    return home


@pytest.fixture
def trained_demo(demo_home: Path, own_home: Path) -> Path:
    """The embedded model as a user has it, in this test's own home; returns its folder."""
    from ftui.models import demo

    shutil.copytree(demo_home / "models", own_home / "models", dirs_exist_ok=True)
    return demo.folder()
