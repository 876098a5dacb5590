"""The schemas of the types, which `make generate` writes from the code of the provider."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_DIRECTORIES = (Path(__file__).parent / "schemas", Path(__file__).parent.parent / "schemas")
"""In the wheel, and in a checkout."""


@cache
def schemas() -> Mapping[str, dict[str, Any]]:
    """Return the schemas by type name. Raises ImportError, which cfn-lint reports, if there are none."""
    files = [file for directory in _DIRECTORIES for file in sorted(directory.glob("custom-*.json"))]
    if not files:
        raise ImportError(
            f"telephony_lint found no schemas in {' or '.join(map(str, _DIRECTORIES))}. "
            "Install the wheel cfn-telephony, or use lint/ inside a complete checkout."
        )
    loaded = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return {schema["typeName"]: schema for schema in loaded}


def declarable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of what a template can declare: without read-only properties."""
    read_only = {pointer.removeprefix("/properties/") for pointer in schema.get("readOnlyProperties", [])}
    return {
        **schema,
        "type": "object",
        "properties": {name: value for name, value in schema["properties"].items() if name not in read_only},
        # cfn-lint requires the ServiceToken of every custom resource itself (E3003).
        "required": [name for name in schema["required"] if name != "ServiceToken"],
    }
