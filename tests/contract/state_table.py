"""The state table, as template.yaml declares it."""

import json
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

_TEMPLATE = Path(__file__).parents[2] / "template.yaml"
_PARAMETERS = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")


def create_state_table(dynamodb: Any, name: str) -> None:
    """Create the table with its indexes."""
    declared = json.loads(json.dumps(cfn_yaml.load(str(_TEMPLATE))["Resources"]["StateTable"]["Properties"]))
    dynamodb.create_table(TableName=name, **{parameter: declared[parameter] for parameter in _PARAMETERS})
