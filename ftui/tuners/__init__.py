"""Adapters that peft lacks, as methods of peft's: importing this package registers them.

    import ftui.tuners                      # BOTTLENECK, COMPACTER, SOFT_PROMPT and HYBRID are now peft types
    from peft import PeftModel

    model = PeftModel.from_pretrained(base, "folder/with/adapter_config.json")

After that `get_peft_model`, `save_pretrained`, `from_pretrained`, `add_adapter`, `set_adapter`, `disable_adapter` and
`delete_adapter` work as with any other type.  The package needs torch, peft and transformers, and nothing else of ftui.
"""

from __future__ import annotations

from ftui.tuners.bottleneck import BottleneckConfig, BottleneckModel, CompacterConfig, CompacterModel
from ftui.tuners.hybrid import HybridConfig, HybridModel
from ftui.tuners.prompt import SoftPromptConfig, SoftPromptModel
from ftui.tuners.registering import register

register("bottleneck", BottleneckConfig, BottleneckModel)
register("compacter", CompacterConfig, CompacterModel)
register("soft_prompt", SoftPromptConfig, SoftPromptModel)
register("hybrid", HybridConfig, HybridModel)

__all__ = [
    "BottleneckConfig", "BottleneckModel", "CompacterConfig", "CompacterModel", "HybridConfig", "HybridModel",
    "SoftPromptConfig", "SoftPromptModel",
]
