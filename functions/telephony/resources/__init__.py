"""The resource types. Custom::SmsPhoneNumber is sms_phone_number.py: found by its name, imported when it is needed."""

import importlib
import pkgutil
import re
from typing import Any, cast

from telephony import reasons
from telephony.model.resource import Resource


def type_names() -> list[str]:
    """The types of this provider."""
    return [f"Custom::{_class_name(module)}" for module in modules()]


def by_type(resource_type: str) -> Resource[Any]:
    """A new instance of the type; raise HandlerError(InvalidRequest) that lists the known ones."""
    known = {f"Custom::{_class_name(module)}": module for module in modules()}
    if resource_type not in known:
        raise reasons.UNKNOWN_TYPE.failure(type=resource_type, known=", ".join(sorted(known)))
    module = importlib.import_module(f"{__name__}.{known[resource_type]}")
    return cast("Resource[Any]", getattr(module, _class_name(known[resource_type]))())


def modules() -> list[str]:
    """The names of the modules beside this one: one a type."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def _class_name(module: str) -> str:
    return re.sub(r"(?:^|_)(.)", lambda match: match[1].upper(), module)
