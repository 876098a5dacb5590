"""The state table, as template.yaml declares it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

_TEMPLATE = Path(__file__).parents[2] / "template.yaml"
_PARAMETERS = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")


def create_state_table(dynamodb: Any, name: str) -> None:
    """Create the table with its indexes."""
    dynamodb.create_table(TableName=name, **_declared())


@cache
def _declared() -> dict[str, Any]:
    properties = cfn_yaml.load(str(_TEMPLATE))["Resources"]["StateTable"]["Properties"]
    return {parameter: json.loads(json.dumps(properties[parameter])) for parameter in _PARAMETERS}
