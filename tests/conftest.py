"""Every test gets an ftui home of its own, no hub, and a fixed terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

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
def shared_data() -> Path:
    """The folder of real datasets beside the checkout; the test skips where there is none."""
    if not SHARED.is_dir():
        pytest.skip("the real datasets (../shared/data) are not beside this checkout")
    return SHARED
