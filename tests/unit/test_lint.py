"""The rules say of a template what the provider would say of the request, and where."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from telephony.errors import HandlerError
from telephony.model.validation import parse
from telephony.resources.sms_phone_number import SmsPhoneNumberProperties
from tools.types import ROOT

HEAD = """\
Parameters:
  Country: {Type: String, Default: ""}
  Kind: {Type: String, AllowedValues: [SIMULATOR, TOLL_FREE], Default: SIMULATOR}
  Instance: {Type: String}
Conditions:
  HasCountry: !Not [!Equals [!Ref Country, ""]]
Resources:
"""


def lint(tmp_path: Path, template: str) -> list[tuple[int, str, str]]:
    """Line, rule and message of each thing found, as plain cfn-lint finds it with the project's .cfnlintrc."""
    path = tmp_path / "template.yaml"
    path.write_text(template)
    ran = subprocess.run(  # noqa: S603
        [Path(sys.executable).with_name("cfn-lint"), "--format", "json", "--template", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return [
        (match["Location"]["Start"]["LineNumber"], match["Rule"]["Id"], match["Message"])
        for match in json.loads(ran.stdout)
    ]


def line_of(template: str, mark: str) -> int:
    [line] = [number for number, text in enumerate(template.splitlines(), 1) if mark in text]
    return line


MISTAKEN = (
    HEAD
    + """\
  Number:
    Type: Custom::SmsPhoneNumber
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      IsoCountryCode: NO
      NumberType: SHORT_CODE
      NumberCapabilities: []
      Colour: red
      Arn: arn:aws:sms-voice:us-east-1:123456789012:phone-number/phone-1
      DeletionProtectionEnabled: "yes"
      WaitTimeoutSeconds: 3601
      OptionalKeywords:
        - {Keyword: STOP, Message: no, Action: OPT_IN}
      TwoWay:
        Enable: true
        ChannelRole: some-role-that-is-not-an-arn
      OnDelete:
        Fn::If:
          - HasCountry
          - {LeavePools: true}
          - {LeavePools: maybe}
  Sender:
    Type: Custom::SmsSenderId
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      SenderId: "12345678901"
      IsoCountryCode: GBR
  Call:
    Type: Custom::ConnectPhoneNumber
Outputs:
  Listed: {Value: !GetAtt [Number, Price]}
  Dotted: {Value: !GetAtt Number.Number}
  Long: {Value: {"Fn::GetAtt": [Call, Arn]}}
  Substituted: {Value: !Sub "of ${Sender.Status}, not ${!Sender.Literal}"}
  Mapped: {Value: !Sub ["${what} of ${Call.PhoneNumber}", {what: it}]}
"""
)

EXPECTED = [
    ("IsoCountryCode: NO", "E9100", "'false' does not match"),
    ("NumberType: SHORT_CODE", "E9100", "'SHORT_CODE' is not one of"),
    ("NumberCapabilities: []", "E9100", "minimum item count: 1"),
    ("Colour: red", "E9100", "'Colour' was unexpected"),
    ("Arn: arn", "E9100", "'Arn' was unexpected"),
    ('DeletionProtectionEnabled: "yes"', "E9100", "'yes' is not of type 'boolean'"),
    ("WaitTimeoutSeconds: 3601", "E9100", "3601 is greater than the maximum of 3600"),
    ("Keyword: STOP", "E9100", "'STOP' does not match"),
    ("TwoWay:", "E9100", "'Enabled' is a required property"),
    ("Enable: true", "E9100", "'Enable' was unexpected"),
    ("ChannelRole: some", "E9100", "does not match"),
    ("LeavePools: maybe", "E9100", "'maybe' is not of type 'boolean'"),
    ('SenderId: "12345678901"', "E9100", "does not match"),
    ("IsoCountryCode: GBR", "E9100", "'GBR' does not match"),
    ("  Call:", "E9100", "'TargetArn' is a required property"),
    ("Listed:", "E9101", "Custom::SmsPhoneNumber has no attribute 'Price'"),
    ("Dotted:", "E9101", "Custom::SmsPhoneNumber has no attribute 'Number'"),
    ("Long:", "E9101", "Custom::ConnectPhoneNumber has no attribute 'Arn'"),
    ("Substituted:", "E9101", "Custom::SmsSenderId has no attribute 'Status'"),
    ("Mapped:", "E9101", "Custom::ConnectPhoneNumber has no attribute 'PhoneNumber'"),
]

FINE = (
    HEAD
    + """\
  Number:
    Type: Custom::SmsPhoneNumber
    Properties:
      ServiceToken: !ImportValue {"Fn::Sub": "${AWS::StackName}-ServiceToken"}
      ServiceTimeout: 900
      IsoCountryCode: !If [HasCountry, !Ref Country, US]
      NumberType: !Ref Kind
      NumberCapabilities: !Split [",", "SMS,VOICE"]
      PoolId: "{{resolve:ssm:/pool/id}}"
      OptOutListName: !If [HasCountry, !Sub "${Country}-list", !Ref AWS::NoValue]
      DeletionProtectionEnabled: "true"
      InternationalSendingEnabled: false
      WaitForActive: !If [HasCountry, true, "false"]
      WaitTimeoutSeconds: "300"
      AllowReplacement: phone-0123456789abcdef0123456789abcdef
      Trigger: {any: [thing, 1]}
      TwoWay: !If
        - HasCountry
        - {Enabled: true, ChannelArn: !Ref Topic, ChannelRole: !GetAtt Role.Arn}
        - !Ref AWS::NoValue
      Tags:
        - !If [HasCountry, {Key: a, Value: 1}, !Ref AWS::NoValue]
        - {Key: !Sub "${AWS::StackName}", Value: !FindInMap [M, a, b]}
  Call:
    Type: Custom::ConnectPhoneNumber
    Properties:
      ServiceToken: "{{resolve:ssm:/cfn-telephony/service-token}}"
      TargetArn: !Ref Instance
      CountryCode: !Select [0, [US, CA]]
      Type: DID
  Topic: {Type: AWS::SNS::Topic}
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: []}}
  Other:
    Type: Custom::SomebodyElses
    Properties: {ServiceToken: !ImportValue cfn-telephony-ServiceToken, Anything: goes}
Mappings: {M: {a: {b: c}}}
Outputs:
  Number: {Value: !GetAtt Number.PhoneNumber}
  Both: {Value: !Sub "${Number.Arn} ${Call.Address} ${!Call.Literal} ${AWS::Region} ${Country}"}
  Other: {Value: !GetAtt Other.Anything}
"""
)


def test_every_mistake_is_told_at_its_line_and_nothing_else(tmp_path: Path) -> None:
    found = [one for one in lint(tmp_path, MISTAKEN) if one[1] in {"E9100", "E9101"}]
    for mark, rule, message in EXPECTED:
        here = [one for one in found if one[0] == line_of(MISTAKEN, mark) and one[1] == rule and message in one[2]]
        assert len(here) == 1, f"{mark}: {here} of {found}"
    assert len(found) == len(EXPECTED)


def test_intrinsic_functions_and_strings_that_mean_a_scalar_are_no_mistakes(tmp_path: Path) -> None:
    assert [one for one in lint(tmp_path, FINE) if one[1] in {"E9100", "E9101"}] == []


def test_a_sam_template_is_checked_as_well(tmp_path: Path) -> None:
    template = "Transform: AWS::Serverless-2016-10-31\n" + MISTAKEN.replace('      SenderId: "12345678901"\n', "")
    found = lint(tmp_path, template)
    assert (line_of(template, "Colour: red"), "E9100") in {one[:2] for one in found}
    assert (line_of(template, "Substituted:"), "E9101") in {one[:2] for one in found}
    assert (line_of(template, "  Sender:") + 2, "E9100", "'SenderId' is a required property") in found


DECLARED: dict[str, Any] = {
    "ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:cfn-telephony-provider",
    "IsoCountryCode": "US",
    "NumberType": "SIMULATOR",
    "NumberCapabilities": ["SMS"],
}

CASES: list[tuple[dict[str, Any], bool]] = [
    ({"DeletionProtectionEnabled": "true"}, True),
    ({"DeletionProtectionEnabled": "True"}, False),
    ({"DeletionProtectionEnabled": "1"}, False),
    ({"WaitTimeoutSeconds": "5"}, True),
    ({"WaitTimeoutSeconds": "0"}, False),
    ({"WaitTimeoutSeconds": "5s"}, False),
    ({"PoolId": "pool one"}, False),
    ({"TwoWay": {"Enabled": "true", "ChannelArn": "connect.us-east-1.amazonaws.com"}}, True),
    ({"TwoWay": {"Enabled": "true", "ChannelArn": "connect.us-east-1.example.com"}}, False),
    ({"Tags": [{"Key": "aws:reserved", "Value": "x"}]}, False),
    ({"Tags": [{"Key": "k", "Value": ""}]}, True),
    ({"Tags": {"k": "v"}}, False),
    ({"MandatoryKeywords": {"HELP": {"Message": " "}}}, False),
    ({"MandatoryKeywords": {"INFO": {"Message": "x"}}}, False),
    ({"OptionalKeywords": [{"Keyword": "Stop", "Message": "x", "Action": "OPT_OUT"}]}, False),
    ({"OptionalKeywords": [{"Keyword": "Stopped", "Message": "x", "Action": "OPT_OUT"}]}, True),
    ({"AllowReplacement": "phone-0123456789abcdef0123456789abcdef"}, True),
    ({"Trigger": {"any": "thing"}}, True),
    ({"Price": "1"}, False),
]


def accepted(properties: dict[str, Any]) -> bool:
    try:
        parse(SmsPhoneNumberProperties, properties)
    except HandlerError:
        return False
    return True


def test_the_rules_and_the_provider_agree(tmp_path: Path) -> None:
    declared = {f"Case{number}": DECLARED | properties for number, (properties, _) in enumerate(CASES)}
    resources = {name: {"Type": "Custom::SmsPhoneNumber", "Properties": one} for name, one in declared.items()}
    template = json.dumps({"Resources": resources}, indent=0)
    found = [(line, message) for line, rule, message in lint(tmp_path, template) if rule == "E9100"]
    starts = {name: line_of(template, f'"{name}":') for name in resources}

    def complained(name: str) -> list[str]:
        end = min([start for start in starts.values() if start > starts[name]], default=len(template))
        return [message for line, message in found if starts[name] <= line < end]

    for name, (properties, right) in zip(declared, CASES, strict=True):
        assert accepted(declared[name]) is right, properties
        assert bool(complained(name)) is not right, (properties, complained(name))
