"""How a method becomes one of peft's: its name among `PeftType`, its classes in peft's tables."""

from __future__ import annotations

from typing import Any

from peft.utils import register_peft_method
from peft.utils.peft_types import PeftType


def type_named(name: str) -> PeftType:
    """The peft type of that name in capitals, added where there is none yet.

    `register_peft_method` wants a member of the enumeration, and an enumeration with members can't be extended by a
    subclass; so the member is made as `enum` makes its own.
    """
    if name in PeftType.__members__:
        return PeftType[name]
    member = str.__new__(PeftType, name)
    member._name_, member._value_ = name, name
    setattr(PeftType, name, member)
    PeftType._member_names_.append(name)
    PeftType._member_map_[name] = member
    PeftType._value2member_map_[name] = member
    return member


def register(name: str, config: type[Any], model: type[Any]) -> None:
    """Make `name` (lower case) a peft method with these classes; a second time changes nothing."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    if PEFT_TYPE_TO_CONFIG_MAPPING.get(type_named(name.upper())) is not config:
        register_peft_method(name=name, config_cls=config, model_cls=model, prefix=model.prefix)
