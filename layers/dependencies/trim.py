"""Cut botocore's data to what the provider's clients read: `trim.py DIRECTORY`, once, when the layer is built.

Other services and their endpoints go, operations that are not called, shapes that neither the others nor an error
reaches, and documentation. What stays is botocore's own, to the letter. tests/unit/test_trim.py derives the operations
from the code; tests/template/test_build.py makes each call with what is built, and with the whole of botocore.
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
    "cloudformation": ("DescribeStackResource", "DescribeStacks"),
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
    "dynamodb": ("DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactWriteItems", "UpdateItem"),
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
    # What botocore's credential providers call when a profile assumes a role.
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity"),
}


def main(data: Path) -> None:
    """Cut it in place. Raise KeyError if a model has not all of its operations."""
    for directory in data.iterdir():
        if directory.is_dir() and directory.name not in OPERATIONS:
            shutil.rmtree(directory)
    prefixes = set()
    for service, operations in OPERATIONS.items():
        for path in (data / service).rglob("service-2.json.gz"):
            model = _cut(json.loads(gzip.decompress(path.read_bytes())), operations)
            prefixes.add(model["metadata"]["endpointPrefix"])
            path.write_bytes(gzip.compress(_json(model), mtime=0))
    path = data / "endpoints.json"
    endpoints = json.loads(path.read_bytes())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in prefixes}
    path.write_bytes(_json(endpoints))


def _cut(model: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A service's model with these operations alone."""
    operations = {name: model["operations"][name] for name in names}
    used = [one[side]["shape"] for one in operations.values() for side in ("input", "output") if side in one]
    # Every error of the service: it may answer with one that the operation's model does not list.
    used += [name for name, shape in model["shapes"].items() if shape.get("exception")]
    reached = _reached(model["shapes"], used)
    shapes = {name: shape for name, shape in model["shapes"].items() if name in reached}
    cut: dict[str, Any] = _undocumented({**model, "operations": operations, "shapes": shapes})
    return cut


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
    """Without documentation; a member or a shape of that name, which is no text, stays."""
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
