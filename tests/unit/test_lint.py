"""The cfn-lint rules agree with the provider's validation and report the line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telephony.errors import HandlerError
from telephony.model.validation import parse
from telephony.resources.sms_phone_number import SmsPhoneNumberProperties
from telephony.settings import MIN_SERVICE_TIMEOUT
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


def lint(tmp_path: Path, template: str) -> list[tuple[int, str]]:
    """Return line and `rule message` of each match of the project's rules, from cfn-lint with .cfnlintrc."""
    path = tmp_path / "template.yaml"
    path.write_text(template)
    result = subprocess.run(  # noqa: S603
        [Path(sys.executable).with_name("cfn-lint"), "--format", "json", "--template", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout, result.stderr
    return [
        (match["Location"]["Start"]["LineNumber"], f"{match['Rule']['Id']} {match['Message']}")
        for match in json.loads(result.stdout)
        if match["Rule"]["Id"].startswith("E91")
    ]


INVALID = (
    HEAD
    + """\
  Number:
    Type: Custom::SmsPhoneNumber
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      IsoCountryCode: NO  # E9100 'false' does not match
      NumberType: SHORT_CODE  # E9100 'SHORT_CODE' is not one of
      NumberCapabilities: []  # E9100 minimum item count: 1
      Colour: red  # E9100 'Colour' was unexpected
      Arn: arn:aws:sms-voice:us-east-1:123456789012:phone-number/phone-1  # E9100 'Arn' was unexpected
      DeletionProtectionEnabled: "yes"  # E9100 'yes' is not of type 'boolean'
      WaitTimeoutSeconds: 3601  # E9100 3601 is greater than the maximum of 3600
      OptionalKeywords:
        - {Keyword: STOP, Message: no, Action: OPT_IN}  # E9100 'STOP' does not match
      TwoWay:  # E9100 'Enabled' is a required property
        Enable: true  # E9100 'Enable' was unexpected
        ChannelRole: some-role-that-is-not-an-arn  # E9100 does not match
      OnDelete:
        Fn::If:
          - HasCountry
          - {LeavePools: true}
          - {LeavePools: maybe}  # E9100 'maybe' is not of type 'boolean'
  Sender:
    Type: Custom::SmsSenderId
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      SenderId: "12345678901"  # E9100 does not match
      IsoCountryCode: GBR  # E9100 'GBR' does not match
  Incomplete:
    Type: Custom::SmsSenderId
    Properties:  # E9100 'SenderId' is a required property
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      IsoCountryCode: GB
  Call:  # E9100 'TargetArn' is a required property
    Type: Custom::ConnectPhoneNumber
  Adopted:
    Type: Custom::SmsPhoneNumber
    UpdateReplacePolicy: Delete
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      Adopt: !Ref Country  # E9102 Declare DeletionPolicy beside Adopt
      IsoCountryCode: US
      NumberType: SIMULATOR
      NumberCapabilities: [SMS]
  AdoptedCall:
    Type: Custom::ConnectPhoneNumber
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      TargetArn: !Ref Instance
      Adopt: "+12065550100"  # E9102 Declare DeletionPolicy beside Adopt
  AdoptedSender:
    Type: Custom::SmsSenderId
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      SenderId: BRAND
      IsoCountryCode: GB
      Adopt: true  # E9102 Declare DeletionPolicy beside Adopt
Outputs:
  Listed: {Value: !GetAtt [Number, Price]}  # E9101 Custom::SmsPhoneNumber has no attribute 'Price'
  Dotted: {Value: !GetAtt Number.Number}  # E9101 Custom::SmsPhoneNumber has no attribute 'Number'
  Long: {Value: {"Fn::GetAtt": [Call, Arn]}}  # E9101 Custom::ConnectPhoneNumber has no attribute 'Arn'
  Substituted: {Value: !Sub "of ${Sender.Status}, not ${!Sender.Literal}"}  # E9101 SenderId has no attribute 'Status'
  Map: {Value: !Sub ["${a} ${Call.PhoneNumber}", {a: b}]}  # E9101 ConnectPhoneNumber has no attribute 'PhoneNumber'
"""
)
"""The comments state the rule and a part of its message."""

VALID = (
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
      ServiceToken: "{{resolve:ssm:/cfn-telephony/cfn-telephony/service-token}}"
      TargetArn: !Ref Instance
      CountryCode: !Select [0, [US, CA]]
      Type: DID
  Adopted:
    Type: Custom::ConnectPhoneNumber
    DeletionPolicy: Delete
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      TargetArn: !Ref Instance
      Adopt: !If [HasCountry, "+12065550100", !Ref AWS::NoValue]
  AdoptedSender:
    Type: Custom::SmsSenderId
    DeletionPolicy: Retain
    Properties:
      {ServiceToken: !ImportValue cfn-telephony-ServiceToken, SenderId: BRAND, IsoCountryCode: GB, Adopt: "true"}
  Requested:
    Type: Custom::SmsSenderId
    Properties:
      {ServiceToken: !ImportValue cfn-telephony-ServiceToken, SenderId: BRAND, IsoCountryCode: GB, Adopt: false}
  Topic: {Type: AWS::SNS::Topic}
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: []}}
  Other:
    Type: Custom::OtherProvider
    Properties: {ServiceToken: !ImportValue cfn-telephony-ServiceToken, Anything: goes}
Mappings: {M: {a: {b: c}}}
Outputs:
  Number: {Value: !GetAtt Number.PhoneNumber}
  Both: {Value: !Sub "${Number.Arn} ${Call.Address} ${!Call.Literal} ${AWS::Region} ${Country}"}
  Other: {Value: !GetAtt Other.Anything}
"""
)


@pytest.mark.parametrize("transform", ["", "Transform: AWS::Serverless-2016-10-31\n"])
def test_every_violation_is_reported_once_at_its_line(tmp_path: Path, transform: str) -> None:
    template = transform + INVALID
    lines = [
        (number, line.partition("# ")[2]) for number, line in enumerate(template.splitlines(), 1) if "# E91" in line
    ]
    found = lint(tmp_path, template)
    for number, text in lines:
        rule, message = text.split(" ", 1)
        assert [one for one in found if one[0] == number and one[1].startswith(rule) and message in one[1]], text
    assert len(found) == len(lines), found


def test_valid_template_with_intrinsic_functions_is_accepted(tmp_path: Path) -> None:
    assert lint(tmp_path, VALID) == []


REQUIRED: dict[str, Any] = {
    "ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:cfn-telephony-provider",
    "IsoCountryCode": "US",
    "NumberType": "SIMULATOR",
    "NumberCapabilities": ["SMS"],
}

CASES: list[tuple[dict[str, Any], bool]] = [
    ({"DeletionProtectionEnabled": "true"}, True),
    ({"DeletionProtectionEnabled": "True"}, False),
    ({"WaitTimeoutSeconds": "5"}, True),
    ({"WaitTimeoutSeconds": "0"}, False),
    ({"ServiceTimeout": "60"}, True),
    ({"ServiceTimeout": "59"}, False),
    ({"ServiceTimeout": "3600"}, True),
    ({"ServiceTimeout": "3601"}, False),
    ({"ServiceTimeout": "soon"}, False),
    ({"OptionalKeywords": [{"Keyword": "JOIN ", "Message": "x", "Action": "OPT_IN"}]}, False),
    ({"OptionalKeywords": [{"Keyword": "J", "Message": "x", "Action": "OPT_IN"}]}, True),
    ({"PoolId": "pool one"}, False),
    ({"TwoWay": {"Enabled": "true", "ChannelArn": "connect.us-east-1.amazonaws.com"}}, True),
    ({"TwoWay": {"Enabled": "true", "ChannelArn": "connect.us-east-1.example.com"}}, False),
    ({"TwoWay": {"Enabled": "true", "ChannelArn": "xconnect.us-east-1.amazonaws.com"}}, False),
    ({"Tags": [{"Key": "aws:reserved", "Value": "x"}]}, False),
    ({"Tags": [{"Key": "k", "Value": ""}]}, True),
    ({"Tags": {"k": "v"}}, False),
    ({"MandatoryKeywords": {"HELP": {"Message": " "}}}, False),
    ({"MandatoryKeywords": {"INFO": {"Message": "x"}}}, False),
    ({"OptionalKeywords": [{"Keyword": "Stop", "Message": "x", "Action": "OPT_OUT"}]}, False),
    ({"OptionalKeywords": [{"Keyword": "Stopped", "Message": "x", "Action": "OPT_OUT"}]}, True),
    ({"AllowReplacement": "phone-0123456789abcdef0123456789abcdef"}, True),
]


def accepted(properties: dict[str, Any]) -> bool:
    try:
        parse(SmsPhoneNumberProperties, properties, min_service_timeout=MIN_SERVICE_TIMEOUT)
    except HandlerError:
        return False
    return True


def test_rules_agree_with_the_validation_of_the_provider(tmp_path: Path) -> None:
    resources = [
        f'"Case{number}": {json.dumps({"Type": "Custom::SmsPhoneNumber", "Properties": REQUIRED | properties})}'
        for number, (properties, _) in enumerate(CASES, 2)
    ]
    template = '{"Resources": {\n' + ",\n".join(resources) + "\n}}"
    refused_lines = {line for line, text in lint(tmp_path, template) if text.startswith("E9100")}
    for line, (properties, valid) in enumerate(CASES, 2):
        assert accepted(REQUIRED | properties) is valid, properties
        assert (line not in refused_lines) is valid, properties
