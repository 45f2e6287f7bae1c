"""A finished adapter on its base again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftui.worker.adapters.tasks import default_to_first


def with_adapter(model: Any, folder: Path) -> Any:
    """`model` with the adapter that lies in `folder`, to be asked; what it mixes lies beside it there."""
    from peft import PeftConfig, PeftModel

    import ftui.tuners  # noqa: F401  # gives peft the kinds of adapter that it lacks

    config: Any = PeftConfig.from_pretrained(str(folder))
    if config.peft_type == "XLORA":
        # peft doesn't take the paths that it asks for, and reads those of the file.
        model.config.use_cache = False
        config.adapters = {name: str(folder / name) for name in config.adapters}
    adapted = PeftModel.from_pretrained(model, str(folder), config=config)
    default_to_first(adapted)
    return adapted
