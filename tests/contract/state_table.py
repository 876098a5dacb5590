"""Creates the state table of template.yaml."""

from typing import Any


def create_state_table(dynamodb: Any, name: str) -> None:
    """Create the table with its index of unfinished purchases."""
    types = {"pk": "S", "sk": "S", "unfinished": "S", "deadline": "N"}
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in types.items()],
        KeySchema=_keys("pk", "sk"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": "unfinished",
                "KeySchema": _keys("unfinished", "deadline"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
