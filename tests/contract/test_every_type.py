"""What every resource type owes: a fourth one fails here for exactly what it still lacks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from telephony.cloudformation import request
from telephony.model.properties import Properties, fields
from telephony.model.validation import parse
from tests.conftest import Laptop
from tools import events, generate
from tools.types import ROOT, Described, every_type, nested_in

TYPES = every_type()
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.fixture(params=TYPES, ids=lambda described: described.name)
def described(request: pytest.FixtureRequest) -> Described:
    found: Described = request.param
    return found


@pytest.fixture(scope="session")
def complaints() -> dict[str, list[str]]:
    """What cfn-lint, with our rules, says of the examples and of template.yaml, by file name."""
    ran = subprocess.run(  # noqa: S603
        [Path(sys.executable).with_name("cfn-lint"), "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in {0, 2, 4, 6, 8}, ran.stderr
    said: dict[str, list[str]] = {}
    for match in json.loads(ran.stdout):
        line = match["Location"]["Start"]["LineNumber"]
        said.setdefault(Path(match["Filename"]).name, []).append(f"{line}: {match['Rule']['Id']} {match['Message']}")
    return said


def event(described: Described, request_type: str) -> dict[str, Any]:
    path = described.event_path(request_type)
    assert path.is_file(), f"{path.relative_to(ROOT)} is missing: run `make generate`"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_one_name_goes_through_all_of_it(described: Described) -> None:
    resource = described.resource
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", described.module)
    assert type(resource).__name__ == described.name
    assert type(resource).__module__ == f"telephony.resources.{described.module}"
    assert resource.type_name == f"Custom::{described.name}"
    assert resource.properties.__name__ == f"{described.name}Properties"
    assert issubclass(resource.properties, Properties)
    assert described.description.endswith("."), "the module's docstring begins with `Custom::Name: what it is.`"
    assert re.fullmatch(resource.properties.id_pattern, resource.properties.id_example)


def test_what_is_generated_of_it_is_current_and_what_is_written_by_hand_is_there(described: Described) -> None:
    lacking = []
    for path, text in generate.outputs(described).items():
        name = path.relative_to(ROOT)
        try:
            current = text()
        except ValueError as missing:
            lacking.append(str(missing))
            continue
        if not path.is_file() or path.read_text() != current:
            lacking.append(f"{name} is stale: run `make generate`")
    assert not lacking, "\n".join(dict.fromkeys(lacking))


def test_everything_about_it_is_described_in_sentences(described: Described) -> None:
    resource = described.resource
    texts = {f"GetAtt {name}": text for name, text in resource.attributes.items()}
    for cls in (resource.properties, *nested_in(resource.properties).values()):
        texts |= {f"{cls.__name__}.{name}": known.description for name, (_, known) in fields(cls).items()}
        texts[cls.__name__] = (cls.__doc__ or "").strip()
    unwritten = [name for name, text in texts.items() if not re.fullmatch(r"(?s)\S.*\.", text)]
    assert not unwritten, f"without a description that ends with a full stop: {unwritten}"


def test_its_identifier_is_made_of_attributes(described: Described) -> None:
    assert set(described.identifier) <= set(described.resource.attributes)


@pytest.mark.parametrize("request_type", events.REQUEST_TYPES)
def test_its_events_are_ones_that_the_provider_understands(described: Described, request_type: str) -> None:
    sent = event(described, request_type)
    parsed = request.parse(sent, allowed_hosts=frozenset())
    assert (parsed.request_type, parsed.resource_type) == (request_type, described.resource.type_name)
    parse(described.resource.properties, parsed.properties)
    assert set(sent) - {"PhysicalResourceId", "OldResourceProperties"} == {
        *("RequestType", "ServiceToken", "ResponseURL", "StackId", "RequestId"),
        *("LogicalResourceId", "ResourceType", "ResourceProperties"),
    }
    assert ("PhysicalResourceId" in sent) == (request_type != "Create")
    assert ("OldResourceProperties" in sent) == (request_type == "Update")
    if request_type == "Update":
        assert sent["OldResourceProperties"] != sent["ResourceProperties"]
        parse(described.resource.properties, sent["OldResourceProperties"])


def test_its_events_hold_nothing_real(described: Described) -> None:
    for request_type in events.REQUEST_TYPES:
        text = json.dumps(event(described, request_type))
        assert set(re.findall(r"(?::|%3A)(\d{12})(?::|%3A)", text)) == {"123456789012"}
        assert "X-Amz-Signature=" + "0" * 64 in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_lints_and_says_what_becomes_of_its_numbers(path: Path, complaints: dict[str, list[str]]) -> None:
    assert complaints.get(path.name, []) == []
    resources = cfn_yaml.load(str(path))["Resources"]
    for name in events.declarations(path):
        assert {"DeletionPolicy", "UpdateReplacePolicy"} <= set(resources[name]), name


@pytest.mark.shows("attributes of any shape and size")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_lives_gives_every_attribute_and_leaves_nothing(path: Path, laptop: Laptop) -> None:
    declared = events.declarations(path)
    types = {one.resource.type_name: one for one in TYPES}
    if any("TargetArn" in properties for _, properties in declared.values()):
        instance = laptop.connect.create_instance(
            IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
        )
        for _, properties in declared.values():
            if "TargetArn" in properties:
                properties["TargetArn"] = instance["Arn"]

    def template(**more: Any) -> dict[str, Any]:
        return {"Resources": {name: {"Type": kind, "Properties": own | more} for name, (kind, own) in declared.items()}}

    stack = laptop.cloudformation.stack(path.stem)
    assert stack.deploy(template()) == "CREATE_COMPLETE", stack.events
    physical_ids = dict(stack.physical_ids)
    for name, (type_name, _) in declared.items():
        described, attributes = types[type_name], stack.attributes[name]
        assert re.fullmatch(described.resource.properties.id_pattern, physical_ids[name])
        assert set(attributes) == set(described.resource.attributes)
        assert "|".join(attributes[part] for part in described.identifier) == physical_ids[name]

    assert stack.deploy(template(Trigger="again")) == "UPDATE_COMPLETE", stack.events
    assert stack.physical_ids == physical_ids
    assert stack.delete() == "DELETE_COMPLETE", stack.events
    assert laptop.held() == {}


def test_no_two_examples_want_the_same_sender_id() -> None:
    wanted = []
    for path in EXAMPLES:
        parameters = cfn_yaml.load(str(path)).get("Parameters", {})
        wanted += [parameters["SenderId"]["Default"]] if "SenderId" in parameters else []
    assert len(wanted) == len(set(wanted))
