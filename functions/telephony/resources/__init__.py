"""The resource types, one module each. Custom::SmsPhoneNumber is the class SmsPhoneNumber in sms_phone_number.py.

A module is found by its name and imported when its type is requested. Modules do not import each other; what types share
is in the model package.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from telephony import reasons
from telephony.errors import HandlerError
from telephony.model import validation
from telephony.model.properties import Nested
from telephony.model.resource import Resource

_PREFIX = "Custom::"


def type_names() -> list[str]:
    """Return the names of all resource types."""
    return sorted(_modules())


def by_type(resource_type: str) -> Resource[Any]:
    """Return a new instance of the type. Raises HandlerError(InvalidRequest) if there is no such type."""
    modules = _modules()
    if resource_type not in modules:
        raise reasons.UNKNOWN_TYPE.failure(type=resource_type, known=", ".join(sorted(modules)))
    module = importlib.import_module(f"{__name__}.{modules[resource_type]}")
    return cast("Resource[Any]", getattr(module, resource_type.removeprefix(_PREFIX))())


def possible_secrets(resource_type: str, *declarations: Mapping[str, Any]) -> Iterator[str]:
    """Yield every string of the declarations that can come from a NoEcho parameter."""
    try:
        properties: type[Any] = by_type(resource_type).properties
    except HandlerError:
        properties = Nested
    for declared in declarations:
        own = {name: value for name, value in declared.items() if name not in validation.PROTOCOL_PROPERTIES}
        yield from validation.possible_secrets(properties, own)


def _modules() -> dict[str, str]:
    """Return the module names by resource type."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return {_PREFIX + re.sub(r"(?:^|_)(.)", lambda match: match[1].upper(), name): name for name in names}
