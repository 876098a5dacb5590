import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import generate, schema
from tools.types import ROOT, every_type

PARTS = ("tools", "functions", "schemas", "events", "docs", "examples", "tests")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(root: Path, *arguments: str) -> tuple[int, str]:
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "tools.generate", *arguments],
        cwd=root,
        env={"PYTHONPATH": "functions", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stderr


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_is_committed_is_current() -> None:
    assert generate.run(check=True) == []


def test_a_change_of_a_type_is_told_by_check_and_carried_everywhere_by_generate(copy: Path) -> None:
    resource = copy / "functions/telephony/resources/sms_phone_number.py"
    change(resource, "The name or ARN of the opt-out list.", "The list of those who opted out.")

    code, told = run(copy, "--check")
    assert code == 1
    stale = ["schemas/custom-smsphonenumber.json", "docs/SmsPhoneNumber.md"]
    assert sorted(told.splitlines()) == sorted(f"{name} is stale: run `make generate`" for name in stale)
    assert "The list of those" not in (copy / stale[0]).read_text()

    assert run(copy) == (0, "")
    for name in stale:
        assert "The list of those who opted out." in (copy / name).read_text()
    assert run(copy, "--check") == (0, "")


def test_a_change_of_an_example_reaches_its_page_and_its_events(copy: Path) -> None:
    change(copy / "examples/sms-sender-id.yaml", "IsoCountryCode: GB", "IsoCountryCode: DE")

    code, told = run(copy, "--check")
    assert code == 1
    assert {line.split(" ")[0] for line in told.splitlines()} == {
        "docs/SmsSenderId.md",
        *(f"events/sms-sender-id-{request}.json" for request in ("create", "update", "delete")),
    }
    assert run(copy) == (0, "")
    page = (copy / "docs/SmsSenderId.md").read_text()
    assert f"```yaml\n{(copy / 'examples/sms-sender-id.yaml').read_text()}```\n" in page


def test_prose_is_left_as_it_is(copy: Path) -> None:
    page = copy / "docs/SmsSenderId.md"
    change(page, "## Timing\n", "## Timing\n\nWritten by hand.\n")
    change(page, "*Required*: Yes", "*Required*: Perhaps")
    assert run(copy) == (0, "")
    assert "## Timing\n\nWritten by hand.\n" in page.read_text()
    assert "Perhaps" not in page.read_text()


def test_a_fourth_type_is_asked_for_its_example_and_its_prose_and_gets_the_rest(copy: Path) -> None:
    resources = copy / "functions/telephony/resources"
    text = (resources / "sms_sender_id.py").read_text().replace("SmsSenderId", "SmsNickname")
    (resources / "sms_nickname.py").write_text(text)

    code, told = run(copy)
    assert code == 1
    assert told.splitlines() == [
        "examples/sms-nickname.yaml is missing: a template that shows SmsNickname alone",
        "docs/SmsNickname.md is missing: its prose has to be written",
    ]

    example = (copy / "examples/sms-sender-id.yaml").read_text().replace("SmsSenderId", "SmsNickname")
    (copy / "examples/sms-nickname.yaml").write_text(example)
    (copy / "docs/SmsNickname.md").write_text("# Custom::SmsNickname\n")
    code, told = run(copy)
    assert code == 1
    assert told.startswith("docs/SmsNickname.md lacks <!-- begin generated: syntax -->")

    blocks = re.findall(r"<!-- begin generated: [^>]+-->", told)
    page = "# Custom::SmsNickname\n" + "".join(f"\n{begin}\n<!-- end generated -->\n" for begin in blocks)
    (copy / "docs/SmsNickname.md").write_text(page)
    assert run(copy) == (0, "")
    assert "#### SenderId" in (copy / "docs/SmsNickname.md").read_text()
    assert "docs/SmsNickname.md" not in (copy / "docs/README.md").read_text()
    assert "(SmsNickname.md)" in (copy / "docs/README.md").read_text()
    assert (copy / "schemas/custom-smsnickname.json").is_file()
    assert (copy / "events/sms-nickname-update.json").is_file()


def test_what_belongs_to_no_type_any_more_is_told_and_removed(copy: Path) -> None:
    left = [copy / "events/sms-pool-create.json", copy / "schemas/custom-smspool.json"]
    for path in left:
        path.write_text("{}")
    code, told = run(copy, "--check")
    assert code == 1
    assert [line.split(" ")[0] for line in told.splitlines()] == [str(path.relative_to(copy)) for path in left]
    assert run(copy) == (0, "")
    assert not any(path.exists() for path in left)


def test_an_example_that_no_event_can_be_made_from_says_why(copy: Path) -> None:
    example = copy / "examples/sms-sender-id.yaml"
    change(example, "    Default: MYBRAND\n", "")
    assert "SenderId needs a default" in run(copy, "--check")[1]
    change(example, "SenderId: !Ref SenderId", "SenderId: !Select [0, [A, B]]")
    assert "an event cannot be made from Fn::Select" in run(copy, "--check")[1]
    change(example, "SenderId: !Select [0, [A, B]]", "SenderId: !Ref Sender")
    assert "an event can refer to parameters only, not to Sender" in run(copy, "--check")[1]


def test_a_schema_says_what_is_decided_about_each_property() -> None:
    [phone] = [described for described in every_type() if described.name == "SmsPhoneNumber"]
    written = schema.schema(phone)
    assert written["createOnlyProperties"] == [
        f"/properties/{name}"
        for name in ("IsoCountryCode", "MessageType", "NumberCapabilities", "NumberType", "RegistrationId")
    ]
    assert written["writeOnlyProperties"] == ["/properties/NumberPreference"]
    assert written["primaryIdentifier"] == ["/properties/PhoneNumberId"]
    assert "/properties/PhoneNumber" in written["readOnlyProperties"]
    assert "/properties/NumberType" not in written["readOnlyProperties"], "declared as well as given"
    assert set(written["attributes"]) == set(phone.resource.attributes)
    assert written["properties"]["IsoCountryCode"]["pattern"] == "^[A-Z]{2}$"
    assert written["properties"]["MessageType"]["default"] == "TRANSACTIONAL"
    capabilities = written["properties"]["NumberCapabilities"]
    assert (capabilities["minItems"], capabilities["maxItems"]) == (1, 4)
    assert "MMS" in capabilities["items"]["enum"]
    assert written["definitions"]["TwoWay"]["required"] == ["Enabled"]
    alternatives = written["definitions"]["TwoWay"]["properties"]["ChannelArn"]["pattern"]
    assert re.search(alternatives, "connect.us-east-1.amazonaws.com")
    assert not re.search(alternatives, "xconnect.us-east-1.amazonaws.com"), "both alternatives are anchored"


def test_the_id_of_a_type_with_a_key_is_that_key_and_else_its_own_id_or_arn() -> None:
    identifiers = {described.name: described.identifier for described in every_type()}
    assert identifiers["SmsSenderId"] == ("IsoCountryCode", "SenderId")
    assert identifiers["SmsPhoneNumber"] == ("PhoneNumberId",)
    assert identifiers["ConnectPhoneNumber"] == ("PhoneNumberArn",)


def test_every_link_of_the_documentation_leads_somewhere() -> None:
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
    """What GitHub makes of the headings: lower case, blanks to hyphens, nothing else but letters, digits, hyphens."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?s)```.*?```", "", page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
