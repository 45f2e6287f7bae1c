"""Images from their files to the tensors that a vision tower takes, and what else training on images needs."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ftui.errors import BadInput
from ftui.methods import LoraOptions
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.runs.asking import PROCESSORS
from ftui.worker.adapters.targets import linear_names, target_modules


class Pictures:
    """Opens images and has the base model's own image processor scale and cut them.

    It is transformers' PIL backend wherever it runs, so that a resumed run, another machine and the evaluation see the
    same pixels with and without torchvision.
    """

    def __init__(self, folder: Path, side: int) -> None:
        """`side` is the width and height that the vision tower takes, in pixels.  Raises BadInput."""
        if importlib.util.find_spec("PIL") is None:
            raise BadInput("The data has images, and Pillow, which opens them, is not installed.",
                           "Install it: pip install 'ftui[vision]'")
        from transformers import CLIPImageProcessorPil

        try:
            self._processor = CLIPImageProcessorPil.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise BadInput(f"The image processor of the base model in {folder} can't be loaded: {error}.",
                           f"Download the model's {' or '.join(PROCESSORS)}.") from error
        self._side = side

    def __call__(self, files: Sequence[str]) -> torch.Tensor:
        """(images, 3, side, side) in float32."""
        from PIL import Image

        opened = []
        for file in files:
            try:
                with Image.open(file) as image:
                    opened.append(image.convert("RGB"))
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                raise BadInput(f"The image {file} can't be opened: {error}.",
                               "Replace it, or take its row out.") from error
        pixels: torch.Tensor = self._processor(images=opened, return_tensors="pt")["pixel_values"]
        if pixels.shape[-2:] != (self._side, self._side):
            raise BadInput(
                f"The image processor makes images of {pixels.shape[-1]} x {pixels.shape[-2]} pixels, and the vision "
                f"tower takes {self._side} x {self._side}.", "Put the model's own processor files into its folder.",
            )
        return pixels


def pictures_of(model: Any) -> Pictures:
    """The images' way into `model`, in an adapter or not, by the processor in the folder that it was loaded from."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return Pictures(Path(base.name_or_path), int(base.config.vision_config.image_size))


def beside_tower(model: Any, recipe: Recipe) -> Recipe:
    """`recipe` with LoRA's targets within the language model, where a vision tower stands beside it.

    Names such as q_proj are those of modules in the tower, too; a pattern is taken as it stands.
    """
    language = getattr(model.base_model, "language_model", None)
    options = recipe.adapter
    if language is None or not isinstance(options, LoraOptions):
        return recipe
    if isinstance(options.targets, str) and options.targets.startswith("re:"):
        return recipe
    names = target_modules(options.targets)
    wanted = linear_names(model, language) if isinstance(names, str) else names
    place = next(name for name, module in model.named_modules() if module is language)
    pattern = rf"re:{place}\..*\.({'|'.join(wanted)})"
    return assign(recipe, {"adapter.targets": pattern})


def keep_processor(base: Path, folder: Path) -> None:
    """Put the base's image processor beside a result, so that plain transformers loads a whole processor from there."""
    for name in PROCESSORS:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
