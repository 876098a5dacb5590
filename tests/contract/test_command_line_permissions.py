"""docs/cli.md names exactly the permissions that each command needs, and the pipeline's role allows those of `plan`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from telephony import resources
from telephony.aws import clients
from tests.conftest import Harness, connect_instance, create_clients, reset_container
from tests.contract.cloudformation import Stack
from tests.contract.cloudformation.intrinsics import Deployment
from tests.contract.command_line import PROVIDER_ID, Telephony, telephony
from tests.contract.declarations import KINDS, SMS_PHONE_NUMBER, Kind, template
from tests.contract.iam.calls import PREFIXES, authorizations
from tests.contract.iam.evaluation import Request, Statement, decide
from tests.contract.steps import create_pool
from tests.contract.test_recovery import pending
from tests.contract.test_verify import PRICED, SELECTED, rows, waits
from tools.types import ROOT

__all__ = ["telephony", "waits"]

PAGE = (ROOT / "docs/cli.md").read_text()
ROLE = ROOT / "examples/pipelines/github-actions-role.yaml"
COMMANDS = ("plan", "list", "drift", "restore", "adopt")
KEYWORDS = {"MandatoryKeywords": {"HELP": {"Message": "Call us."}}}
PIPELINE = {
    *(f"cloudformation:{action}ChangeSet" for action in ("Create", "Describe", "Execute")),
    "cloudformation:DescribeStacks",
    "lambda:InvokeFunction",
}
"""What the pipeline needs beside `telephony plan`: to make, await and execute a change set with its types."""


# -- the recorded calls ------------------------------------------------------------------------------------------------


@contextmanager
def recorded() -> Iterator[list[Request]]:
    """Record what the calls of a command need."""
    found: list[Request] = []

    def note(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        service, stack = model.service_model.signing_name, params.get("StackName", "any")
        if service == "cloudformation" and not stack.startswith("arn:"):
            params = {**params, "StackName": f"{stack}/5b918d10"}
        found.extend(authorizations(PREFIXES.get(service, service), model.name, params, {}))

    reset_container()  # so that every client is created from this session
    clients.session().events.register("before-parameter-build", note)
    try:
        yield found
    finally:
        reset_container()
        create_clients()


def deployed(harness: Harness, kind: Kind, name: str) -> Stack:
    """Return a stack with one resource, and a change set that replaces it and adds another."""
    stack = harness.cloudformation.stack(name)
    declared = template(kind.properties, kind)
    assert stack.deploy(declared) == "CREATE_COMPLETE", stack.reasons("Number")
    stack.known.template = json.dumps(declared)
    changed = template(kind.properties | kind.replacing | {"AllowReplacement": True}, kind)
    changed["Resources"]["Second"] = {"Type": kind.type, "Properties": kind.properties}
    stack.change_set("replaces", changed)
    stack.change_set("changes", template(kind.properties | kind.in_place, kind))
    return stack


def adoptions(harness: Harness) -> Iterator[Stack]:
    """Yield stacks with a change set that adopts a number: of another stack, and one that the stack has retained."""
    harness.stacks.stacks[PROVIDER_ID].parameters["AllowAdoption"] = "true"
    properties = SMS_PHONE_NUMBER.properties
    retained = template(properties, DeletionPolicy="Retain", UpdateReplacePolicy="Retain")
    stack = harness.cloudformation.stack("retains")
    assert stack.deploy(retained) == "CREATE_COMPLETE"
    adopting = template(properties | {"Adopt": stack.physical_ids["Number"]})
    other = harness.cloudformation.stack("adopts")
    other.change_set("adopts", adopting)
    yield other
    assert stack.deploy({"Resources": {"Other": template(properties)["Resources"]["Number"]}}) == "UPDATE_COMPLETE"
    adopting["Resources"]["Other"] = template(properties)["Resources"]["Number"]
    stack.change_set("adopts", adopting)
    yield stack


@pytest.fixture
def needed(harness: Harness, telephony: Telephony, tmp_path: Path) -> dict[str, list[Request]]:
    """What each command needs, with numbers of every type, in a pool, pending release and with keywords."""
    harness.telecom.configure(claim_release_limit=float("inf"), connect_numbers=50, quota_level="default")
    kinds = [KINDS[name](harness) for name in KINDS]
    assert [kinds[0].held, kinds[-1].held] == ["phone_numbers", "connect_numbers"]
    kinds[0] = attrs.evolve(kinds[0], properties=kinds[0].properties | KEYWORDS)
    for index in range(10):  # The quota of Amazon Connect is read when ten claims are counted.
        deployed(harness, kinds[-1], f"claim-{index}")
    due = [pending(harness, kind, f"due-{kind.held}") for kind in kinds if resources.by_type(kind.type).recoverable]
    stacks = [deployed(harness, kind, kind.held.replace("_", "-")) for kind in kinds]
    create_pool(harness, stacks[0].physical_ids["Number"])
    found: dict[str, list[Request]] = {name: [] for name in COMMANDS}

    def run(*arguments: str) -> str:
        with recorded() as requests:
            result = telephony(*arguments)
        assert result.code == 0, result.err
        found[arguments[0]] += requests
        return result.out

    numbers = {each["physical_id"]: each["number"] for each in json.loads(run("list", "--output", "json"))["numbers"]}
    for stack in stacks:
        run("plan", "--stack-name", stack.name, "--change-set-name", "replaces")
        run("plan", "--stack-name", stack.name, "--change-set-name", "changes")
        run("drift", "--stack-name", stack.name)
        run("adopt", stack.physical_ids["Number"], "--generate-template", str(tmp_path / stack.name))
    for physical_id in due:
        run("restore", numbers[physical_id])
    for stack in adoptions(harness):
        run("plan", "--stack-name", stack.name, "--change-set-name", "adopts")
    return found


# -- the documentation -------------------------------------------------------------------------------------------------


def documented() -> list[tuple[tuple[str, ...], set[str]]]:
    """Return the rows of the table: commands, and their actions. The first row is for all of COMMANDS."""
    rows = re.findall(r"^\| (.+) \| (.+) \|$", PAGE.partition("\n## Permissions\n")[2], re.MULTILINE)[1:]
    commands = [COMMANDS, *(tuple(re.findall(r"`(\w+)", first)) for first, _ in rows[1:])]
    return [(names, set(re.findall(r"`([-\w]+:\w+)`", row[1]))) for names, row in zip(commands, rows, strict=True)]


def test_permissions_of_each_command_are_documented(needed: dict[str, list[Request]]) -> None:
    used = {name: {request.action for request in requests} for name, requests in needed.items()}
    rows = documented()

    for name in COMMANDS:
        listed = set[str]().union(*(actions for names, actions in rows if name in names))
        assert used[name] <= listed, f"not documented for {name}: {used[name] - listed}"
    assert rows[0][1] <= set[str]().union(*used.values())
    for names, actions in rows[1:]:
        for name in set(names) - {"verify"}:
            assert actions <= used[name], f"documented for {name}, but not used: {actions - used[name]}"


@pytest.mark.usefixtures("waits")
def test_permissions_of_verify_are_documented(harness: Harness, telephony: Telephony) -> None:
    """Of the experiments that need no function. The others need a stack."""
    options = ("--max-cost", "2.12", *PRICED, "--claim-connect-number", connect_instance(harness))
    with recorded() as requests:
        assert telephony("verify", *options, *rows(*SELECTED)).code == 0

    listed = set[str]().union(*(actions for names, actions in documented() if names == ("verify",)))
    used = {request.action for request in requests}
    assert used <= listed, used - listed


# -- the role of the pipeline ------------------------------------------------------------------------------------------


def role() -> tuple[Statement, ...]:
    """Return the statements of the pipeline's role, with the defaults of its parameters."""
    loaded: dict[str, Any] = cfn_yaml.load(str(ROLE))
    [policy] = loaded["Resources"]["Role"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    [provider] = [one for one in statements if "Fn::ImportValue" in one["Resource"]]
    provider["Resource"] = "arn:aws:lambda:us-east-1:123456789012:function:cfn-telephony-provider"
    return tuple(Statement.parse("Role", one) for one in Deployment(loaded).resolve(statements))


def named(request: Request) -> Request:
    """Return the request with the names that the role's parameters have by default."""
    stack = re.sub(r":stack/(?!cfn-telephony/)[^/]+", ":stack/contact-center-dev", request.resource)
    table = re.sub(r":table/[^/]+", ":table/cfn-telephony-StateTable-1A2B3C4D5E6F", stack)
    return attrs.evolve(request, resource=table)


def test_role_of_the_pipeline_allows_exactly_what_plan_needs(needed: dict[str, list[Request]]) -> None:
    decisions = [(request, decide(request, role())) for request in map(named, needed["plan"])]
    surplus = {action for statement in role() for action in statement.actions} - PIPELINE
    assert [request for request, decision in decisions if not decision.allowed] == []
    assert surplus <= {request.action for request, _ in decisions}
    used = {(statement.sid, pattern) for _, decision in decisions for statement, pattern in decision.by}
    allowed = {
        (one.sid, pattern) for one in role() for pattern in one.resources if not PIPELINE.issuperset(one.actions)
    }
    assert allowed <= used
