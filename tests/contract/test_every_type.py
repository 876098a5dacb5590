"""What every resource type must provide. A new type fails here for exactly what it lacks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from layers.dependencies.trim import OPERATIONS
from local.demo import steps
from telephony.cloudformation import request
from telephony.model.properties import Properties, fields
from telephony.model.validation import parse
from tests.conftest import SMS, Configure, Harness
from tests.contract import test_call_budget, test_permissions, test_policies, test_registry_contract
from tests.contract.declarations import KINDS, SIMULATOR
from tests.contract.iam import reference
from tests.contract.steps import request_number
from tests.contract.test_sweep import DAY, later, run
from tests.faults import declarations as faults
from tools import events, generate
from tools.types import ROOT, Described, GenerationError, every_type, nested_in

TYPES = every_type()
DOCUMENTED = events.DOCUMENTATION_VALUES.values()
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
PREFIXES = {SMS: "sms-voice"}
"""The IAM prefix of a service, if it differs from boto3's name."""


@pytest.fixture(params=TYPES, ids=lambda described: described.name)
def described(request: pytest.FixtureRequest) -> Described:
    return cast("Described", request.param)


@pytest.fixture(scope="session")
def findings() -> dict[str, list[str]]:
    """The findings of cfn-lint with the project's rules, by file name."""
    ran = subprocess.run(  # noqa: S603
        [Path(sys.executable).with_name("cfn-lint"), "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in {0, 2, 4, 6, 8}, ran.stderr
    found: dict[str, list[str]] = {}
    for match in json.loads(ran.stdout):
        line = match["Location"]["Start"]["LineNumber"]
        found.setdefault(Path(match["Filename"]).name, []).append(f"{line}: {match['Rule']['Id']} {match['Message']}")
    return found


def event(described: Described, request_type: str) -> dict[str, Any]:
    path = described.event_path(request_type)
    assert path.is_file(), f"{path.relative_to(ROOT)} is missing: run `make generate`"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def missing(described: Described) -> list[str]:
    """Return everything that the project lacks for a type, each with what to do."""
    name, permissions, found = described.resource.type_name, described.resource.permissions, set[str]()
    for path, text in generate.outputs(described).items():
        try:
            current = text()
        except GenerationError as problem:
            found.add(str(problem))
            continue
        if not path.is_file() or path.read_text() != current:
            found.add(f"{path.relative_to(ROOT)} is missing or stale: run `make generate`")
    granted = {action for _, action, _ in test_permissions.allowed(test_permissions.WIDEST.roles()["ProviderRole"])}
    found |= {f"template.yaml: grant {action}" for action in permissions if action not in granted}
    for service, operations in OPERATIONS.items():
        prefix = PREFIXES.get(service, service)
        needed = {action.split(":")[1] for action in permissions if action.startswith(f"{prefix}:")}
        found |= {f"layers/dependencies/trim.py: add {operation}" for operation in needed.difference(operations)}
    service, operation = described.resource.release_call
    release = f"{PREFIXES.get(service, service)}:{operation}"
    replaceable = {variant.type_name for variant in faults.VARIANTS.values() if variant.replace}
    purchases, tests = {*permissions} & test_policies.PURCHASES.keys(), Path(__file__).parent
    required = {
        f"tests/contract/declarations.py: add {name} to KINDS": name in KINDS,
        f"tests/contract/test_{described.module}.py is missing": (tests / f"test_{described.module}.py").is_file(),
        f"tests/contract/test_permissions.py: add {name} to TYPE_SPECIFIC": name in test_permissions.TYPE_SPECIFIC,
        f"tests/contract/test_policies.py: add an ARN of {name} to NUMBERS": any(
            reference.supports(release, number) for number in test_policies.NUMBERS
        ),
        f"tests/contract/test_policies.py: add the purchase of {name} to PURCHASES": bool(purchases),
        f"tests/contract/test_registry_contract.py: add {name} to READERS": name in test_registry_contract.READERS,
        f"tests/contract/test_call_budget.py: add {name} to requests()": name in test_call_budget.requests("arn"),
        f"docs/performance.md: add the calls of {name}": name in {row[0] for row in test_call_budget.SERVICE_CALLS},
        f"tests/faults/declarations.py: add a Variant of {described.kebab} with `replace`": name in replaceable,
        f"local/demo/steps.py: add {name} to PURCHASES": name in steps.PURCHASES,
        f"local/demo/steps.py: add {name} to RELEASES": name in steps.RELEASES,
    }
    return sorted(found | {todo for todo, provided in required.items() if not provided})


def test_type_has_everything_that_a_type_needs(described: Described) -> None:
    found = missing(described)
    assert not found, "\n".join(["", *found])


def test_module_class_and_type_have_the_same_name(described: Described) -> None:
    resource = described.resource
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", described.module)
    assert type(resource).__name__ == described.name
    assert type(resource).__module__ == f"telephony.resources.{described.module}"
    assert resource.type_name == f"Custom::{described.name}"
    assert resource.properties.__name__ == f"{described.name}Properties"
    assert issubclass(resource.properties, Properties)
    assert described.description.endswith("."), "the module's docstring starts with `Custom::Name: description.`"
    assert re.fullmatch(resource.properties.id_pattern, resource.properties.id_example)


def test_page_says_what_a_removed_property_changes(described: Described) -> None:
    page = described.page_path.read_text() if described.page_path.is_file() else ""
    differences = page.partition("\n## Differences from ")[2].partition("\n## ")[0]
    assert not differences or "remove" in differences


def test_properties_and_attributes_have_descriptions(described: Described) -> None:
    resource = described.resource
    texts = {f"GetAtt {name}": text for name, text in resource.attributes.items()}
    for cls in (resource.properties, *nested_in(resource.properties).values()):
        texts |= {f"{cls.__name__}.{name}": known.description for name, (_, known) in fields(cls).items()}
        texts[cls.__name__] = (cls.__doc__ or "").strip()
    missing = [name for name, text in texts.items() if not re.fullmatch(r"(?s)\S.*\.", text)]
    assert not missing, f"without a description that ends with a full stop: {missing}"


@pytest.mark.parametrize("request_type", events.REQUEST_TYPES)
def test_example_events_are_valid_requests(described: Described, request_type: str) -> None:
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


def test_example_events_contain_no_real_account_or_signature(described: Described) -> None:
    for request_type in events.REQUEST_TYPES:
        text = json.dumps(event(described, request_type))
        assert set(re.findall(r"(?::|%3A)(\d{12})(?::|%3A)", text)) == {"123456789012"}
        assert "X-Amz-Signature=" + "0" * 64 in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_no_findings_and_sets_both_policies(path: Path, findings: dict[str, list[str]]) -> None:
    assert findings.get(path.name, []) == []
    resources = cfn_yaml.load(str(path))["Resources"]
    for name in events.declarations(path):
        assert {"DeletionPolicy", "UpdateReplacePolicy"} <= set(resources[name]), name


@pytest.mark.shows("attributes of any type and size")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_can_be_deployed_updated_and_deleted(path: Path, harness: Harness, configure: Configure) -> None:
    configure(ALLOW_ADOPTION="true", ALLOW_SWEEP_RELEASE="true")
    declared = events.declarations(path)
    types = {one.resource.type_name: one for one in TYPES}
    for type_name, properties in declared.values():
        own = KINDS[type_name](harness).properties  # refers to resources that exist
        if "Adopt" in properties:
            number = {name: properties[name] for name in SIMULATOR}
            own = own | {"Adopt": request_number(harness, **number)}
        properties |= {name: own[name] for name, value in properties.items() if value in DOCUMENTED}
    others = harness.held()

    def template(**more: Any) -> dict[str, Any]:
        return {"Resources": {name: {"Type": kind, "Properties": own | more} for name, (kind, own) in declared.items()}}

    stack = harness.cloudformation.stack(path.stem)
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
    with later(181 * DAY):  # after the longest recovery window
        run()
    assert harness.held() == others


def test_examples_request_different_sender_ids() -> None:
    parameters = [cfn_yaml.load(str(path)).get("Parameters", {}) for path in EXAMPLES]
    requested = [one["SenderId"]["Default"] for one in parameters if "SenderId" in one]
    assert len(requested) == len(set(requested))
