"""Reduces botocore's data to what the provider uses when the layer is built: `trim.py DIRECTORY`.

Removes other services and their endpoints, unused operations and their shapes, and documentation. The remaining data is
unchanged. tests/unit/test_trim.py derives the operations from the code; tests/template/test_build.py makes each call
with the built layer and with the complete botocore, and compares the results.
"""

# ruff: noqa: INP001
import gzip
import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

OPERATIONS = {
    "cloudformation": (
        "DescribeChangeSet",
        "DescribeStackEvents",
        "DescribeStackResource",
        "DescribeStacks",
        "GetTemplate",
        "ListStackResources",
    ),
    "connect": (
        "ClaimPhoneNumber",
        "DescribePhoneNumber",
        "ImportPhoneNumber",
        "ListPhoneNumbersV2",
        "ReleasePhoneNumber",
        "SearchAvailablePhoneNumbers",
        "TagResource",
        "UntagResource",
        "UpdatePhoneNumber",
        "UpdatePhoneNumberMetadata",
    ),
    "dynamodb": (
        "BatchGetItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "TransactWriteItems",
        "UpdateItem",
    ),
    "pinpoint-sms-voice-v2": (
        "AssociateOriginationIdentity",
        "DeleteKeyword",
        "DescribeKeywords",
        "DescribePhoneNumbers",
        "DescribePools",
        "DescribeSenderIds",
        "DisassociateOriginationIdentity",
        "ListPoolOriginationIdentities",
        "ListTagsForResource",
        "PutKeyword",
        "ReleasePhoneNumber",
        "ReleaseSenderId",
        "RequestPhoneNumber",
        "RequestSenderId",
        "TagResource",
        "UntagResource",
        "UpdatePhoneNumber",
        "UpdateSenderId",
    ),
    "resourcegroupstaggingapi": ("GetResources",),
    "service-quotas": ("GetAWSDefaultServiceQuota", "GetServiceQuota"),
    "sqs": ("ChangeMessageVisibility", "SendMessage"),
    # Called by botocore's credential providers if a profile assumes a role.
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity"),
}


def main(data: Path) -> None:
    """Change the directory in place. Raises KeyError if a model lacks an operation."""
    for directory in data.iterdir():
        if directory.is_dir() and directory.name not in OPERATIONS:
            shutil.rmtree(directory)
    prefixes = set()
    for service, operations in OPERATIONS.items():
        for path in (data / service).rglob("service-2.json.gz"):
            model = _reduced(json.loads(gzip.decompress(path.read_bytes())), operations)
            prefixes.add(model["metadata"]["endpointPrefix"])
            path.write_bytes(gzip.compress(_json(model), mtime=0))
    path = data / "endpoints.json"
    endpoints = json.loads(path.read_bytes())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in prefixes}
    path.write_bytes(_json(endpoints))


def _reduced(model: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return a service model with only these operations."""
    operations = {name: model["operations"][name] for name in names}
    used = [one[side]["shape"] for one in operations.values() for side in ("input", "output") if side in one]
    # All errors of the service: an operation can return one that its model does not list.
    used += [name for name, shape in model["shapes"].items() if shape.get("exception")]
    reached = _reached(model["shapes"], used)
    shapes = {name: shape for name, shape in model["shapes"].items() if name in reached}
    reduced: dict[str, Any] = _undocumented({**model, "operations": operations, "shapes": shapes})
    return reduced


def _reached(shapes: Mapping[str, Any], names: list[str]) -> set[str]:
    found: set[str] = set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            shape = shapes[name]
            names += [member["shape"] for member in shape.get("members", {}).values()]
            names += [shape[part]["shape"] for part in ("member", "key", "value") if part in shape]
    return found


def _undocumented(value: Any) -> Any:
    """Remove documentation strings. A member or a shape can also be named `documentation`; those are kept."""
    if isinstance(value, dict):
        return {
            name: _undocumented(part)
            for name, part in value.items()
            if name != "documentation" or not isinstance(part, str)
        }
    return [_undocumented(part) for part in value] if isinstance(value, list) else value


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
