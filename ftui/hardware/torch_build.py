"""The installed torch, read from its files without importing it, held against the driver and the cards.

Sources: CUDA's minor-version compatibility,
https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html; the architectures of torch's
builds, https://github.com/pytorch/pytorch/blob/main/RELEASE.md#pytorch-cuda-support-matrix (2.8 to 2.14).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from ftui.hardware.document import Gpu, TorchBuild

MINIMUM_DRIVER = {11: 450, 12: 525, 13: 580}
"""Major version of CUDA -> the oldest driver branch that serves builds for it."""

INDEX = "https://download.pytorch.org/whl"


def read_build(folder: Path | None = None) -> TorchBuild:
    """What `torch/version.py` in `folder` (else where Python would import it from) says; empty if there is no torch."""
    folder = folder or _installed()
    if folder is None:
        return TorchBuild()
    try:
        text = (folder / "version.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return TorchBuild()
    version = _value(text, "__version__")
    return TorchBuild(version=version, cuda=_value(text, "cuda"), hip=_value(text, "hip"))


def _installed() -> Path | None:
    """The folder that `import torch` would load; finding a top-level package imports nothing."""
    try:
        spec = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def _value(text: str, name: str) -> str | None:
    match = re.search(rf"^{name}\s*(?::[^=\n]*)?=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return match[1] if match else None


def against(build: TorchBuild, gpus: Sequence[Gpu], driver: str | None, cuda_driver: str | None) -> TorchBuild:
    """`build` with what keeps it from using these GPUs and what to install, if anything."""
    nvidia = [gpu for gpu in gpus if gpu.vendor == "nvidia"]
    amd = [gpu for gpu in gpus if gpu.vendor == "amd"]
    if build.version is None:
        problem = "torch is not installed: nothing can be trained."
        return _with(build, problem, f"pip install 'torch>=2.8'{_index(nvidia, amd, cuda_driver)}")
    if amd and not nvidia:
        if build.hip is None:
            problem = f"torch {build.version} was not built for ROCm, so it can't use the {amd[0].name}."
            return _with(build, problem, f"pip install --force-reinstall torch --index-url {INDEX}/rocm6.4")
        return build
    if not nvidia:
        return build
    fitting = f"pip install --force-reinstall 'torch>=2.8'{_index(nvidia, amd, cuda_driver)}"
    if build.cuda is None:
        problem = f"torch {build.version} was built without CUDA, so it can't use the {nvidia[0].name}."
        return _with(build, problem, fitting)
    major = int(build.cuda.split(".")[0])
    if too_old := _too_old(build, major, driver, cuda_driver):
        return _with(build, too_old, fitting)
    if wrong := _wrong_cards(build, nvidia):
        return _with(build, wrong, fitting)
    return build


def _with(build: TorchBuild, problem: str, advice: str) -> TorchBuild:
    return build.model_copy(update={"problem": problem, "advice": advice})


def _too_old(build: TorchBuild, major: int, driver: str | None, cuda_driver: str | None) -> str | None:
    """A driver serves every build of its own major version of CUDA and of older ones."""
    served = int(cuda_driver.split(".")[0]) if cuda_driver else None
    branch = int(driver.split(".")[0]) if driver and driver.split(".")[0].isdecimal() else None
    newer = f" (a driver of {MINIMUM_DRIVER[major]} or newer would do, too)" if major in MINIMUM_DRIVER else ""
    if (served is not None and served < major) or (branch is not None and branch < MINIMUM_DRIVER.get(major, 0)):
        return (
            f"torch {build.version} was built for CUDA {build.cuda}, and driver {driver or '?'} serves CUDA "
            f"{cuda_driver or '?'} at most{newer}."
        )
    return None


def supported(version: str, cuda: str) -> tuple[tuple[int, int], tuple[int, ...]] | None:
    """The least compute capability and the major ones that torch's own wheel holds code for; None if unknown.

    Code for 8.0 runs on every 8.x from there on, but not on 9.x: so the least and the majors tell all.
    """
    release = tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:2])
    major, minor = (int(part) for part in [*cuda.split("."), "0"][:2])
    if major == 12 and minor < 8:
        return (5, 0), (5, 6, 7, 8, 9)
    if major == 12:
        return ((7, 5) if release >= (2, 11) else (7, 0)), (7, 8, 9, 10, 12)
    if major == 13:
        return (7, 5), (7, 8, 9, 10, 11, 12)
    return None


def _wrong_cards(build: TorchBuild, gpus: Sequence[Gpu]) -> str | None:
    known = supported(build.version or "", build.cuda or "")
    if known is None:
        return None
    least, majors = known
    for gpu in gpus:
        if gpu.compute_capability is None:
            continue
        capability = ".".join(map(str, gpu.compute_capability))
        if gpu.compute_capability < least:
            return (
                f"The {gpu.name} (compute capability {capability}) is too old for torch {build.version}, whose "
                f"build for CUDA {build.cuda} starts at {least[0]}.{least[1]}."
            )
        if gpu.compute_capability[0] not in majors:
            return (
                f"The {gpu.name} (compute capability {capability}) is too new for torch {build.version}, whose "
                f"build for CUDA {build.cuda} holds no code for it."
            )
    return None


def _index(nvidia: Sequence[Gpu], amd: Sequence[Gpu], cuda_driver: str | None) -> str:
    """The `--index-url` of the build that fits: the newest CUDA that driver and cards both take."""
    if not nvidia:
        return f" --index-url {INDEX}/rocm6.4" if amd else f" --index-url {INDEX}/cpu"
    capabilities = [gpu.compute_capability for gpu in nvidia if gpu.compute_capability]
    served = tuple(int(part) for part in cuda_driver.split(".")) if cuda_driver else (13, 0)
    if min(capabilities, default=(8, 0)) < (7, 5):
        tag = "cu126"
    elif served >= (13, 0):
        tag = "cu130"
    elif max(capabilities, default=(8, 0)) >= (10, 0):
        tag = "cu128"
    else:
        tag = "cu126"
    return f" --index-url {INDEX}/{tag}"
