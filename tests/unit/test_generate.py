import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telephony.resources import sms_phone_number
from tools import events, generate, schema
from tools.types import ROOT, Described, GenerationError, every_type

PHONE = sms_phone_number.SmsPhoneNumberProperties.id_example
INPUTS = ("tools", "functions", "schemas", "events", "docs", "examples", "tests")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project that a test can change."""
    for part in INPUTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def run(root: Path, *arguments: str) -> list[str]:
    """Return the problems that the generator prints."""
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "tools.generate", *arguments],
        cwd=root,
        env={"PYTHONPATH": "functions", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == bool(result.stderr)
    return result.stderr.splitlines()


def stale(root: Path) -> set[str]:
    """Return the files that `--check` reports as stale."""
    return {problem.removesuffix(" is stale: run `make generate`") for problem in run(root, "--check")}


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def described(name: str) -> Described:
    [found] = [one for one in every_type() if one.name == name]
    return found


def test_generated_files_are_current() -> None:
    assert generate.run(check=True) == []


@pytest.mark.parametrize(
    ("path", "before", "after", "files"),
    [
        (
            "functions/telephony/resources/sms_phone_number.py",
            "The name or ARN of the opt-out list.",
            "The list of the opted-out numbers.",
            {"schemas/custom-smsphonenumber.json", "docs/SmsPhoneNumber.md"},
        ),
        (
            "examples/sms-sender-id.yaml",
            "MYBRAND",
            "NEWBRAND",
            {"docs/SmsSenderId.md", *(f"events/sms-sender-id-{kind}.json" for kind in ("create", "update", "delete"))},
        ),
    ],
)
def test_files_are_stale_after_a_change_until_generated(
    project: Path, path: str, before: str, after: str, files: set[str]
) -> None:
    change(project / path, before, after)

    assert stale(project) == files
    assert run(project) == []
    assert all(after in (project / name).read_text() for name in files)
    assert stale(project) == set()


def test_generate_replaces_blocks_and_keeps_prose(project: Path) -> None:
    page, readme = project / "docs/SmsSenderId.md", project / "README.md"
    change(page, "## Timing\n", "## Timing\n\nWritten by hand.\n")
    change(page, "*Required*: Yes", "*Required*: Perhaps")
    change(readme, "A phone number of Amazon Connect", "A cell phone")

    assert run(project) == []
    assert "## Timing\n\nWritten by hand.\n" in page.read_text()
    assert "Perhaps" not in page.read_text()
    assert readme.read_text() == (ROOT / "README.md").read_text()


def test_new_type_needs_only_an_example_and_prose(project: Path) -> None:
    """The type depends on another resource of the provider."""
    resources, page = project / "functions/telephony/resources", project / "docs/SmsNickname.md"
    text = (resources / "sms_sender_id.py").read_text().replace("SmsSenderId", "SmsNickname")
    identities = '    origination_identities: tuple[str, ...] = prop("The numbers.", required=True)\n    sender_id: str'
    (resources / "sms_nickname.py").write_text(text.replace("    sender_id: str", identities))
    assert sorted(run(project)) == [
        "docs/SmsNickname.md is missing: write its prose",
        "examples/sms-nickname.yaml is missing: write a template with a Custom::SmsNickname",
    ]

    example = (project / "examples/sms-sender-id.yaml").read_text().replace("SmsSenderId", "SmsNickname")
    alerts = "Resources:\n  Alerts: {Type: Custom::SmsPhoneNumber, Properties: {NumberType: SIMULATOR}}\n"
    example = example.replace("Resources:\n", alerts)
    example = example.replace("    Properties:\n", "    Properties:\n      OriginationIdentities: [!Ref Alerts]\n")
    (project / "examples/sms-nickname.yaml").write_text(example)
    page.write_text("# Custom::SmsNickname\n")
    [problem] = run(project)
    assert problem.startswith("docs/SmsNickname.md lacks <!-- begin generated: syntax -->")

    blocks = re.findall(r"<!-- begin generated: [^>]+-->", problem)
    page.write_text("".join(f"\n{begin}\n<!-- end generated -->\n" for begin in blocks))
    assert run(project) == []
    assert "#### OriginationIdentities" in page.read_text()
    assert "(docs/SmsNickname.md)" in (project / "README.md").read_text()
    assert "(SmsNickname.md)" in (project / "docs/README.md").read_text()
    assert (project / "schemas/custom-smsnickname.json").is_file()
    assert PHONE in (project / "events/sms-nickname-update.json").read_text()


def test_generate_removes_files_of_unknown_types(project: Path) -> None:
    files = ["events/no-such-type-create.json", "schemas/custom-nosuchtype.json"]
    for name in files:
        (project / name).write_text("{}")

    assert run(project, "--check") == [f"{name} belongs to no type: run `make generate`" for name in files]
    assert run(project) == []
    assert not any((project / name).exists() for name in files)


EXAMPLE = """
Parameters: {Name: {Type: String, Default: BRAND}, NoDefault: {Type: String}}
Resources:
  Alerts: {Type: Custom::SmsPhoneNumber, Properties: {NumberType: SIMULATOR, Trigger: true}}
  Topic: {Type: AWS::SNS::Topic}
  Sender: {Type: Custom::SmsSenderId, Properties: {Trigger: VALUE}}
"""


@pytest.fixture
def sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Described:
    """The type Custom::SmsSenderId with the example template EXAMPLE."""
    monkeypatch.setattr(Described, "example_path", tmp_path / "example.yaml")
    return described("SmsSenderId")


def trigger(sender: Described, value: str) -> Any:
    """Return the property Trigger in the event of an example that declares `value`."""
    sender.example_path.write_text(EXAMPLE.replace("VALUE", value))
    return events.event(sender, "Create")["ResourceProperties"].get("Trigger")


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ("!Ref Name", "BRAND"),
        ("!Ref AWS::NoValue", None),
        ("!Ref Alerts", PHONE),
        ("[!Ref Alerts, 1, true]", [PHONE, "1", "true"]),
        ("!GetAtt Alerts.PhoneNumberId", PHONE),
        ('{"Fn::GetAtt": Alerts.NumberType}', "SIMULATOR"),
        ("!GetAtt [Alerts, Arn]", f"arn:aws:sms-voice:us-east-1:123456789012:phone-number/{PHONE}"),
        ("!GetAtt Alerts.Status", "example-status"),
        ('!Sub "${AWS::Region} ${Name} ${Alerts} ${Alerts.NumberType}"', f"us-east-1 BRAND {PHONE} SIMULATOR"),
    ],
)
def test_references_in_examples_are_resolved(sender: Described, value: str, resolved: object) -> None:
    assert trigger(sender, value) == resolved


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("!Ref NoDefault", "NoDefault needs a default"),
        ("!Ref Topic", "Topic is neither a parameter nor a resource of this provider"),
        ("!GetAtt Alerts.Colour", "Custom::SmsPhoneNumber has no attribute Colour"),
        ("!Select [0, [A, B]]", "can't be generated from Fn::Select"),
    ],
)
def test_reference_without_example_value_is_reported(sender: Described, value: str, problem: str) -> None:
    with pytest.raises(GenerationError, match=problem):
        trigger(sender, value)


def test_declarations_keep_references_between_resources_of_the_provider(sender: Described) -> None:
    sender.example_path.write_text(EXAMPLE.replace("VALUE", "[!Ref Alerts, !GetAtt Alerts.Arn, !Ref Name]"))

    declared = events.declarations(sender.example_path)

    assert declared["Alerts"] == ("Custom::SmsPhoneNumber", {"NumberType": "SIMULATOR", "Trigger": "true"})
    assert declared["Sender"][1]["Trigger"] == [{"Ref": "Alerts"}, {"Fn::GetAtt": ["Alerts", "Arn"]}, "BRAND"]


def test_schema_states_the_constraints_of_properties() -> None:
    phone = described("SmsPhoneNumber")
    written = schema.schema(phone)
    assert written["createOnlyProperties"] == [
        f"/properties/{name}"
        for name in ("IsoCountryCode", "MessageType", "NumberCapabilities", "NumberType", "RegistrationId")
    ]
    assert written["writeOnlyProperties"] == [
        f"/properties/{name}" for name in ("Adopt", "NumberPreference", "ReusePendingRelease")
    ]
    assert written["primaryIdentifier"] == ["/properties/PhoneNumberId"]
    assert "/properties/NumberType" not in written["readOnlyProperties"], "a property as well as an attribute"
    assert set(written["attributes"]) == set(phone.resource.attributes)
    properties = written["properties"]
    assert properties["MessageType"]["default"] == "TRANSACTIONAL"
    assert (properties["NumberCapabilities"]["minItems"], properties["NumberCapabilities"]["maxItems"]) == (1, 4)


def test_identifier_comes_from_identity_fields_or_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    assert described("SmsSenderId").identifier == ("IsoCountryCode", "SenderId")
    assert described("SmsPhoneNumber").identifier == ("PhoneNumberId",)
    assert described("ConnectPhoneNumber").identifier == ("PhoneNumberArn",)
    monkeypatch.setattr(sms_phone_number, "__doc__", "Ref returns the Colour.")
    with pytest.raises(GenerationError, match="sms_phone_number"):
        assert described("SmsPhoneNumber").identifier


def test_links_in_documentation_resolve() -> None:
    pages = {path: path.read_text() for path in [*ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")]}
    dead = []
    for path, text in pages.items():
        for target in re.findall(r'\]\(([^)\s]+)\)|href="([^"]+)"', text):
            link = target[0] or target[1]
            if link.startswith("https://"):
                continue
            name, _, anchor = link.partition("#")
            found = (path.parent / name).resolve() if name else path
            if not found.exists() or (anchor and anchor not in anchors(found.read_text())):
                dead.append(f"{path.name}: {link}")
    assert not dead


def anchors(page: str) -> set[str]:
    """Return GitHub's anchors of the headings: lower case, hyphens for blanks, no other punctuation."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?s)```.*?```", "", page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
