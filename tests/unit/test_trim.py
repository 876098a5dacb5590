"""The layer's service models keep exactly the operations that the code calls."""

import ast
from collections.abc import Iterator
from pathlib import Path

import botocore.credentials
import botocore.session
import pytest
from aws_lambda_powertools.utilities.idempotency.persistence import dynamodb
from botocore import xform_name

from layers.dependencies.trim import OPERATIONS

ROOT = Path(__file__).parents[2]
CLIENTS = {
    "cloudformation": "cloudformation",
    "connect": "connect",
    "sms_voice": "pinpoint-sms-voice-v2",
    "dynamodb": "dynamodb",
    "tagging": "resourcegroupstaggingapi",
    "service_quotas": "service-quotas",
    "_client": "sqs",
}
"""Functions that return a client, with the service."""
BY_METHOD_NAME = {"_call", "_paginate"}
"""Functions of state_table.py that take the name of a client method."""


def methods(service: str) -> dict[str, str]:
    """The operations of a service, by client method name."""
    model = botocore.session.Session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def nodes(source: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(source.read_text()))


def last_name(node: ast.AST) -> str:
    """Return `b` for `b` and for `a.b`."""
    return getattr(node, "attr", "") or getattr(node, "id", "")


def called(node: ast.AST) -> tuple[str, str] | None:
    """Return the service and the method that the node calls, if any."""
    match node:
        case ast.Attribute(value=ast.Call(func=function), attr=name) if last_name(function) in CLIENTS:
            return CLIENTS[last_name(function)], name
        case ast.Attribute(
            value=ast.Attribute(attr="client"), attr=name
        ):  # Powertools' persistence layer and its subclasses
            return "dynamodb", name
        case ast.Call(func=ast.Name(id=function), args=[ast.Constant(value=str(name)), *_]) if (
            function in BY_METHOD_NAME
        ):
            return "dynamodb", name
    return None


def product_sources() -> list[Path]:
    return sorted((ROOT / "functions").rglob("*.py"))


@pytest.fixture(scope="module")
def derived() -> dict[str, set[str]]:
    known = {service: methods(service) for service in OPERATIONS}
    found: dict[str, set[str]] = {service: set() for service in OPERATIONS}
    for source in [*product_sources(), Path(dynamodb.__file__)]:
        for service, name in filter(None, map(called, nodes(source))):
            if name in known[service]:
                found[service].add(known[service][name])
    for node in nodes(Path(botocore.credentials.__file__)):
        if isinstance(node, ast.Attribute) and node.attr in known["sts"] and last_name(node.value) == "client":
            found["sts"].add(known["sts"][node.attr])
    return found


@pytest.mark.parametrize("service", OPERATIONS)
def test_models_keep_exactly_the_called_operations(derived: dict[str, set[str]], service: str) -> None:
    assert set(OPERATIONS[service]) == derived[service]
    assert len(OPERATIONS[service]) == len(derived[service])


def test_every_operation_named_in_the_product_is_kept(derived: dict[str, set[str]]) -> None:
    every = {name: api for service in CLIENTS.values() for name, api in methods(service).items()}
    kept = set().union(*derived.values())
    for source in product_sources():
        for node in nodes(source):
            name = str(node.value) if isinstance(node, ast.Constant) else last_name(node)
            if name in every or name in every.values():
                assert every.get(name, name) in kept, f"{source.name} names {name}"


def test_only_state_table_looks_up_client_methods_by_name() -> None:
    places = [
        source.name
        for source in product_sources()
        for node in nodes(source)
        if isinstance(node, ast.Call)
        and last_name(node.func) == "getattr"
        and isinstance(node.args[0], ast.Call)
        and last_name(node.args[0].func) in CLIENTS
    ]
    assert set(places) == {"state_table.py"}
