"""cfn-lint rules for the types of this provider: `cfn-lint --append-rules telephony_lint`.

cfn-lint loads the rule classes that are visible in this module.
"""

import re

from cfnlint.version import __version__ as _version  # type: ignore[import-untyped]

from telephony_lint.rules import (
    AdoptionPolicy,
    DeclaredProperties,
    DeletionPolicy,
    KnownAttributes,
    ParameterValues,
    TypeName,
)
from telephony_lint.schemas import schemas

__all__ = [
    "AdoptionPolicy",
    "DeclaredProperties",
    "DeletionPolicy",
    "KnownAttributes",
    "ParameterValues",
    "TypeName",
]

MINIMUM = (1, 3, 0)
"""The oldest cfn-lint that runs these rules."""

if tuple(map(int, re.findall(r"[0-9]+", _version)[:3])) < MINIMUM:
    _needed = ".".join(map(str, MINIMUM))
    raise ImportError(f"telephony_lint requires cfn-lint {_needed} or later, and this is {_version}. Upgrade cfn-lint.")
schemas()
