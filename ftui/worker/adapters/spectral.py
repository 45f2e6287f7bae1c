"""Builders of adapters in a transform's coefficients (`ftui.methods.spectral`)."""

from __future__ import annotations

from typing import Any

from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import targeted, wrapped


def fourierft(model: Any, recipe: Recipe) -> Any:
    """FourierFT: a few Fourier coefficients of each update."""
    from peft import FourierFTConfig

    options: Any = recipe.adapter
    return wrapped(model, FourierFTConfig(**targeted(recipe), n_frequency=options.frequencies))


def waveft(model: Any, recipe: Recipe) -> Any:
    """WaveFT: a few wavelet coefficients of each update."""
    from peft import WaveFTConfig

    options: Any = recipe.adapter
    return wrapped(model, WaveFTConfig(**targeted(recipe), n_frequency=options.frequencies))


def c3a(model: Any, recipe: Recipe) -> Any:
    """C3A: a circular convolution in blocks beside each module."""
    from peft import C3AConfig

    options: Any = recipe.adapter
    return wrapped(model, C3AConfig(**targeted(recipe), block_size=options.block_size))
