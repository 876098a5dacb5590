"""The operations that the layer's models are cut to are those that can be called: derived from the code, both ways."""

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
}
"""The functions that give a client, and whose."""
OF_THE_STORE = {"_call", "_paginate"}
"""Functions of state_table.py that are given the name of a method."""


def methods(service: str) -> dict[str, str]:
    """The service's operations, by the names of a client's methods."""
    model = botocore.session.Session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def nodes(source: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(source.read_text()))


def last_name(node: ast.AST) -> str:
    """`b` of `b` and of `a.b`."""
    return getattr(node, "attr", "") or getattr(node, "id", "")


def called(node: ast.AST) -> tuple[str, str] | None:
    """The service and the method that the node names, if it names one."""
    match node:
        case ast.Attribute(value=ast.Call(func=function), attr=name) if last_name(function) in CLIENTS:
            return CLIENTS[last_name(function)], name
        case ast.Attribute(value=ast.Attribute(attr="client"), attr=name):  # Powertools' layer, and what is made of it
            return "dynamodb", name
        case ast.Call(func=ast.Name(id=function), args=[ast.Constant(value=str(name)), *_]) if function in OF_THE_STORE:
            return "dynamodb", name
    return None


def ours() -> list[Path]:
    return sorted((ROOT / "functions").rglob("*.py"))


@pytest.fixture(scope="module")
def derived() -> dict[str, set[str]]:
    known = {service: methods(service) for service in OPERATIONS}
    found: dict[str, set[str]] = {service: set() for service in OPERATIONS}
    for source in [*ours(), Path(dynamodb.__file__)]:
        for service, name in filter(None, map(called, nodes(source))):
            if name in known[service]:
                found[service].add(known[service][name])
    for node in nodes(Path(botocore.credentials.__file__)):
        if isinstance(node, ast.Attribute) and node.attr in known["sts"] and last_name(node.value) == "client":
            found["sts"].add(known["sts"][node.attr])
    return found


@pytest.mark.parametrize("service", OPERATIONS)
def test_the_models_keep_what_can_be_called_and_nothing_else(derived: dict[str, set[str]], service: str) -> None:
    assert set(OPERATIONS[service]) == derived[service]
    assert len(OPERATIONS[service]) == len(derived[service])


def test_no_operation_is_named_that_no_call_was_derived_from(derived: dict[str, set[str]]) -> None:
    every = {name: api for service in CLIENTS.values() for name, api in methods(service).items()}
    kept = set().union(*derived.values())
    for source in ours():
        for node in nodes(source):
            name = str(node.value) if isinstance(node, ast.Constant) else last_name(node)
            if name in every or name in every.values():
                assert every.get(name, name) in kept, f"{source.name} names {name}"


def test_a_method_is_looked_up_by_a_name_in_one_place_alone() -> None:
    places = [
        source.name
        for source in ours()
        for node in nodes(source)
        if isinstance(node, ast.Call)
        and last_name(node.func) == "getattr"
        and isinstance(node.args[0], ast.Call)
        and last_name(node.args[0].func) in CLIENTS
    ]
    assert places == ["state_table.py"]
