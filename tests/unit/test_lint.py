"""The cfn-lint rules agree with the provider's validation, and report the line."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony import resources
from telephony.errors import HandlerError
from telephony.model.properties import Pattern, fields
from telephony.model.validation import parse
from telephony.settings import MIN_SERVICE_TIMEOUT
from telephony_lint import MINIMUM
from telephony_lint.checks import Checker
from telephony_lint.schemas import declarable, schemas
from telephony_lint.template import node
from tests.contract.cloudformation.events import stringified
from tools.types import ROOT, every_type, nested_in

HEAD = """\
Parameters:
  Country: {Type: String, Default: ""}
  Kind: {Type: String, AllowedValues: [SIMULATOR, TOLL_FREE], Default: SIMULATOR}
  Instance: {Type: String}
Conditions:
  HasCountry: !Not [!Equals [!Ref Country, ""]]
Resources:
"""

INVALID = (
    HEAD
    + """\
  Number:
    Type: Custom::SmsPhoneNumber
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      IsoCountryCode: NO  # E9100 IsoCountryCode: "false" must be a country code of two uppercase letters, for example GB. YAML reads an unquoted NO as false. Quote it: "NO".
      NumberType: SHORT_CODE  # E9100 NumberType: "SHORT_CODE" must be one of LONG_CODE | TOLL_FREE | TEN_DLC | SIMULATOR. Short codes
      NumberCapabilities: []  # E9100 NumberCapabilities must have at least 1 items.
      Colour: red  # E9100 Colour is not a supported property.
      Arn: arn:aws:sms-voice:us-east-1:123456789012:phone-number/phone-1  # E9100 Arn is not a supported property.
      DeletionProtectionEnabled: "yes"  # E9100 DeletionProtectionEnabled: "yes" must be true or false.
      WaitTimeoutSeconds: 3601  # E9100 WaitTimeoutSeconds: "3601" must be from 1 to 3600.
      OptionalKeywords:
        - {Keyword: STOP, Message: no, Action: OPT_IN}  # E9100 OptionalKeywords[0].Keyword: "STOP" must be one line
      TwoWay:  # E9100 TwoWay.Enabled is required.
        Enable: true  # E9100 TwoWay.Enable is not a supported property. Did you mean Enabled?
        ChannelRole: some-role-that-is-not-an-arn  # E9100 TwoWay.ChannelRole: "some-role-that-is-not-an-arn" must be an ARN.
      OnDelete:
        Fn::If:
          - HasCountry
          - {LeavePools: true}
          - {LeavePools: maybe}  # E9100 OnDelete.LeavePools: "maybe" must be true or false.
  Sender:
    Type: Custom::SmsSenderId
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      SenderId: "12345678901"  # E9100 SenderId: "12345678901" must contain a letter
      IsoCountryCode: GBR  # E9100 IsoCountryCode: "GBR" must be a country code
  Incomplete:
    Type: Custom::SmsSenderId
    Properties:  # E9100 SenderId is required.
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      IsoCountryCode: GB
  Call:  # E9100 TargetArn is required. # E9100 CountryCode and Type are required unless
    Type: Custom::ConnectPhoneNumber
  Adopted:
    Type: Custom::SmsPhoneNumber
    UpdateReplacePolicy: Delete
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      Adopt: !Ref Country  # E9102 Declare DeletionPolicy beside Adopt # W9104 Adopt must be the ID or the ARN of a phone number, or the number in E.164 format, for example +12065550100. This results from the Default of Country.
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
  Listed: {Value: !GetAtt [Number, Price]}  # E9101 Number has no attribute Price.
  Dotted: {Value: !GetAtt Number.Number}  # E9101 Number has no attribute Number. Did you mean
  Long: {Value: {"Fn::GetAtt": [Call, Arn]}}  # E9101 Call has no attribute Arn.
  Substituted: {Value: !Sub "of ${Sender.Status}, not ${!Sender.Literal}"}  # E9101 Sender has no attribute Status.
  Map: {Value: !Sub ["${a} ${Call.PhoneNumber}", {a: b}]}  # E9101 Call has no attribute PhoneNumber. Did you mean PhoneNumber
"""
)

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
      CountryCode: US
      Type: !If [HasCountry, !Ref AWS::NoValue, DID]
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


TOKEN = "ServiceToken: !ImportValue cfn-telephony-ServiceToken"


def phone(properties: str, *, resource: str = "", head: str = "", name: str = "Number") -> str:
    """Return a template with an SMS phone number. A line of `properties` begins with six blanks."""
    return f"{head}Resources:\n  {name}:\n    Type: Custom::SmsPhoneNumber\n{resource}    Properties:\n      {TOKEN}\n{properties}"


def sender(country: str, head: str = "", resource: str = "") -> str:
    return (
        f"{head}Resources:\n  Sender:\n    Type: Custom::SmsSenderId\n{resource}    Properties:\n      {TOKEN}\n"
        f"      SenderId: BRAND\n      IsoCountryCode: {country}\n"
    )


def call(properties: str, head: str = "") -> str:
    return (
        f"{head}Resources:\n  Call:\n    Type: Custom::ConnectPhoneNumber\n    Properties:\n      {TOKEN}\n"
        f"      TargetArn: {INSTANCE}\n{properties}"
    )


INSTANCE = "arn:aws:connect:us-east-1:123456789012:instance/11111111-2222-3333-4444-555555555555"
GROUP = "arn:aws:connect:us-east-1:123456789012:traffic-distribution-group/1"
SIMULATOR = "      IsoCountryCode: US\n      NumberType: SIMULATOR\n      NumberCapabilities: [SMS]\n"


def parameter(name: str, declaration: str, conditions: str = "", rules: str = "") -> str:
    """Return the head of a template with a parameter."""
    others = f"Conditions: {{{conditions}}}\n" if conditions else ""
    return f"Parameters:\n  {name}: {{{declaration}}}\n{others}{rules}"


EXCLUDED = "can't be declared together with"
TEMPLATES: dict[str, str] = {
    "everything": INVALID,
    "everything, with SAM": f"Transform: AWS::Serverless-2016-10-31\n{INVALID}",
    "valid": VALID,
    "valid, with SAM": f"Transform: AWS::Serverless-2016-10-31\n{VALID}",
    # Combinations.
    "simulator outside the US": phone(
        "      IsoCountryCode: GB  # E9100 IsoCountryCode must be US if NumberType is SIMULATOR or TEN_DLC.\n"
        "      NumberType: SIMULATOR\n      NumberCapabilities: [SMS]\n"
    ),
    "promotional simulator": phone(
        f"{SIMULATOR}      MessageType: PROMOTIONAL  # E9100 MessageType can't be PROMOTIONAL if NumberType is SIMULATOR.\n"
    ),
    "long code for SMS in the US": phone(
        "      IsoCountryCode: US\n      NumberType: LONG_CODE  # E9100 Use TEN_DLC or TOLL_FREE.\n"
        "      NumberCapabilities: [VOICE, SMS]\n"
    ),
    "MMS in Norway": phone(
        '      IsoCountryCode: "NO"\n      NumberType: LONG_CODE\n'
        "      NumberCapabilities: [SMS, MMS]  # E9100 NumberCapabilities can contain MMS only in the US and Canada.\n"
    ),
    "digits of a simulator": phone(
        f"{SIMULATOR}      NumberPreference:  # E9100 NumberPreference is supported only if NumberType is TEN_DLC.\n"
        "        - {PreferenceType: [Contains], Filter: ['1']}\n"
    ),
    "two-way without destination": phone(
        f"{SIMULATOR}      TwoWay: {{Enabled: true}}  # E9100 TwoWay.ChannelArn is required if Enabled is true.\n"
    ),
    "names of the API": phone(
        f"{SIMULATOR}      TwoWayEnabled: false  # E9100 Did you mean TwoWay.Enabled?\n"
        "      TwoWayChannelRole: x  # E9100 Did you mean TwoWay.ChannelRole?\n"
    ),
    "number and source": call(
        "      SourcePhoneNumberArn: arn:aws:sms-voice:x\n"
        f'      PhoneNumber: "+12065550100"  # E9100 PhoneNumber {EXCLUDED} SourcePhoneNumberArn.\n'
        f'      Prefix: "+1"  # E9100 Prefix {EXCLUDED} SourcePhoneNumberArn. # E9100 Prefix {EXCLUDED} PhoneNumber.\n'
    ),
    "number and source that are unknown": call(
        "      SourcePhoneNumberArn: !ImportValue source\n"
        f"      PhoneNumber: !ImportValue number  # E9100 PhoneNumber {EXCLUDED} SourcePhoneNumberArn.\n"
    ),
    "type without country": call("      Type: DID\n").replace(
        "    Properties:\n", "    Properties:  # E9100 CountryCode and Type are required unless\n"
    ),
    "group and source": call("      SourcePhoneNumberArn: arn:aws:sms-voice:x\n").replace(
        INSTANCE, f"{GROUP}  # E9100 TargetArn must be an instance if SourcePhoneNumberArn is declared."
    ),
    "US sender ID": sender(
        "US  # E9100 IsoCountryCode can't be US, CA or CN, which don't support sender IDs. Use a phone number."
    ),
    "refused values are in no combination": phone(
        '      IsoCountryCode: usa  # E9100 IsoCountryCode: "usa" must be\n'
        "      NumberType: SIMULATOR\n      NumberCapabilities: [SMS, MMS]\n"
    ),
    # Literals.
    "unquoted phone number": call(
        '      PhoneNumber: +12065550100  # E9100 PhoneNumber: "12065550100" must be a phone number in E.164 format, for '
        'example +12065550100. YAML reads an unquoted +12065550100 as a number. Quote it: "+12065550100".\n'
    ),
    "unquoted prefix": call("      CountryCode: US\n      Type: DID\n      Prefix: +1206  # E9100 Quote it\n"),
    "service timeout": phone(f"{SIMULATOR}      ServiceTimeout: 3601  # E9100 must be from 60 to 3600.\n"),
    "service timeout too short": phone(f"{SIMULATOR}      ServiceTimeout: '59'  # E9100 must be from 60 to 3600.\n"),
    "list instead of map": phone(f"{SIMULATOR}      TwoWay: [x]  # E9100 TwoWay must be a map of properties.\n"),
    "map instead of list": phone(f"{SIMULATOR}      Tags: {{a: b}}  # E9100 Tags must be a list.\n"),
    "too many tags": phone(
        f"{SIMULATOR}      Tags:  # E9100 Tags must have at most 44 items.\n"
        + "".join(f"        - {{Key: k{number}, Value: v}}\n" for number in range(46))
    ),
    "long value": phone(f'{SIMULATOR}      PoolId: {"x " * 60}  # E9100 PoolId: "{"x " * 30}…" must be a name\n'),
    # Conditions.
    "branches exclude each other": call(
        '      CountryCode: !If [One, !Ref AWS::NoValue, US]\n      Type: !If [Two, DID, !Ref "AWS::NoValue"]\n'
        '      PhoneNumber: !If [One, "+12065550100", !Ref AWS::NoValue]\n'
        "      SourcePhoneNumberArn: !If [One, !Ref AWS::NoValue, !Ref AWS::NoValue]\n",
        head=parameter("Mode", "Type: String", "One: !Equals [!Ref Mode, one], Two: !Not [{Condition: One}]"),
    ),
    "branches meet": call(
        '      PhoneNumber: !If [One, "+12065550100", !Ref AWS::NoValue]  # E9100 PhoneNumber '
        f"{EXCLUDED} SourcePhoneNumberArn.\n      SourcePhoneNumberArn: !If [Two, arn:aws:x, !Ref AWS::NoValue]\n"
        "      CountryCode: US\n      Type: DID\n",
        head=parameter("Mode", "Type: String", "One: !Equals [!Ref Mode, one], Two: !Not [!Equals [!Ref Mode, two]]"),
    ),
    "branches of allowed values": phone(
        "      IsoCountryCode: !If [Us, US, GB]\n      NumberType: !If [Gb, LONG_CODE, SIMULATOR]\n"
        "      NumberCapabilities: [SMS]\n",
        head=parameter(
            "Country",
            "Type: String, AllowedValues: [US, GB]",
            "Us: !Equals [!Ref Country, US], Gb: !Equals [!Ref Country, GB]",
        ),
    ),
    "branch of the Region": phone(
        "      IsoCountryCode:\n        Fn::If:\n          - East\n          - US\n"
        '          - gb  # E9100 IsoCountryCode: "gb" must be\n'
        "      NumberType: TOLL_FREE\n      NumberCapabilities: [SMS]\n",
        head='Conditions: {East: !Equals [!Ref "AWS::Region", us-east-1]}\n',
    ),
    "nested branches": phone(
        "      IsoCountryCode: !If [East, !If [Large, US, !If [East, CA, XXX]], GB]\n"
        "      NumberType: TOLL_FREE\n      NumberCapabilities: [SMS]\n",
        head=parameter(
            "Size",
            "Type: Number, Default: 1",
            'East: !Equals [!Ref "AWS::Region", us-east-1], Large: !And [{Condition: East}, !Equals [!Ref Size, 2]]',
        ),
    ),
    "resource that does not exist in the wrong branch": sender(
        "!If [Gb, GB, US]",
        head=parameter("Country", "Type: String", "Gb: !Equals [!Ref Country, GB]"),
        resource="    Condition: Gb\n",
    ),
    "condition that is not defined": sender("!If [Missing, US, GBR]"),
    "conditions in a circle": sender(
        "!If [A, GB, FR]", head="Conditions: {A: !Not [{Condition: B}], B: !Not [{Condition: A}]}\n"
    ),
    "list with conditional items": phone(
        f"{SIMULATOR}      Tags:\n        - !If [Large, {{Key: a, Value: b}}, !Ref AWS::NoValue]\n"
        "        - Fn::If:\n            - Large\n            - {Key: 'aws:x', Value: b}  # E9100 Tags[1].Key:\n"
        "            - !Ref AWS::NoValue\n",
        head=parameter("Size", "Type: String", "Large: !Equals [!Ref Size, large]"),
    ),
    "list without an item": phone(
        "      IsoCountryCode: US\n      NumberType: SIMULATOR\n"
        "      NumberCapabilities: [!If [Sms, SMS, !Ref AWS::NoValue]]  # E9100 must have at least 1 items.\n",
        head=parameter("Mode", "Type: String", "Sms: !Equals [!Ref Mode, sms]"),
    ),
    "many conditions": phone(
        f"{SIMULATOR}      Tags:\n"
        + "".join(f"        - !If [C{number}, {{Key: k, Value: v}}, !Ref AWS::NoValue]\n" for number in range(14))
        + "      WaitTimeoutSeconds: 0  # E9100 must be from 1 to 3600.\n",
        head="Parameters: {P: {Type: String}}\nConditions:\n"
        + "".join(f'  C{number}: !Equals [!Select [{number}, !Split [",", !Ref P]], x]\n' for number in range(14)),
    ),
    # Parameters.
    "wrong default": sender(
        "!Ref Country  # W9104 IsoCountryCode must be a country code of two uppercase letters, for example GB. This results "
        "from the Default of Country.",
        head=parameter("Country", "Type: String, Default: gb"),
    ),
    "one wrong default of two": sender(
        "!Ref Country  # W9104 This results from the Default of Country.\n      ServiceTimeout: !Ref Timeout\n",
        head="Parameters: {Country: {Type: String, Default: GBR}, Timeout: {Type: Number, Default: 900}}\n",
    ),
    "wrong default in a combination": phone(
        "      IsoCountryCode: !Ref Country  # W9104 IsoCountryCode must be US if NumberType is SIMULATOR or TEN_DLC. This results from the Default of Country and Kind.\n"
        "      NumberType: !Ref Kind\n      NumberCapabilities: [SMS]\n",
        head="Parameters:\n  Country: {Type: String, Default: GB}\n  Kind: {Type: String, Default: SIMULATOR}\n",
    ),
    "wrong allowed values": sender(
        '!Ref Country  # W9104 "US", an allowed value of Country. # W9104 "", an allowed value of Country.',
        head=parameter("Country", 'Type: String, Default: GB, AllowedValues: [GB, US, ""]'),
    ),
    "wrong allowed value that is hidden": sender(
        "!Ref Country  # W9104 This results from an allowed value of Country.",
        head=parameter("Country", "Type: String, NoEcho: true, AllowedValues: [GB, SECRET]"),
    ),
    "wrong allowed value in a list": phone(
        "      IsoCountryCode: US\n      NumberType: SIMULATOR\n"
        "      NumberCapabilities: [SMS, !Ref One]  # W9104 NumberCapabilities[1] must be one of SMS | VOICE | MMS | RCS.\n",
        head=parameter("One", "Type: String, Default: VOICE, AllowedValues: [VOICE, FAX]"),
    ),
    "wrong default of a list": phone(
        "      IsoCountryCode: GB\n      NumberType: LONG_CODE\n"
        "      NumberCapabilities: !Ref All  # W9104 NumberCapabilities[1] must be one of\n",
        head=parameter("All", "Type: CommaDelimitedList, Default: 'SMS, FAX'"),
    ),
    "wrong default in a branch": call(
        "      CountryCode: US\n      Type: DID\n"
        "      Prefix: !If [Has, !Ref Prefix, !Ref AWS::NoValue]  # W9104 Prefix must be a plus sign\n",
        head=parameter("Prefix", "Type: String, Default: none", 'Has: !Not [!Equals [!Ref Prefix, ""]]'),
    ),
    "allowed values of two parameters": phone(
        "      IsoCountryCode: !Ref Country\n      NumberType: !Ref Kind\n      NumberCapabilities: [SMS]\n",
        head="Parameters:\n  Country: {Type: String, Default: US, AllowedValues: [US, GB]}\n"
        "  Kind: {Type: String, Default: SIMULATOR, AllowedValues: [SIMULATOR, LONG_CODE]}\n",
    ),
    "default that a condition excludes": phone(
        f"{SIMULATOR}      PoolId: !If [Pooled, !Ref Pool, !Ref AWS::NoValue]\n",
        head="Parameters:\n  Pool: {Type: String, Default: ''}\n  Mode: {Type: String, Default: alone}\n"
        "Conditions: {Pooled: !Equals [!Ref Mode, pooled]}\n",
    ),
    "default that a rule excludes": sender(
        "!Ref Country",
        head=parameter(
            "Country",
            "Type: String, Default: ''",
            rules="Rules:\n  Given:\n    Assertions:\n      - Assert: !Not [!Equals [!Ref Country, '']]\n",
        ),
    ),
    "allowed value that a rule excludes": sender(
        "!Ref Country",
        head=parameter(
            "Country",
            "Type: String, AllowedValues: [US, GB]",
            rules='Rules: {Given: {Assertions: [{Assert: {"Fn::Contains": [[GB, FR], !Ref Country]}}]}}\n',
        ),
    ),
    "value that only a condition compares": sender(
        "!Ref Country", head=parameter("Country", "Type: String", "Us: !Equals [!Ref Country, US]")
    ),
    "operands that are compared with each other": sender(
        "!If [IsPrimary, US, GB]  # E9100 IsoCountryCode can't be US",
        head=parameter(
            "Primary",
            "Type: String, AllowedValues: [us-east-1, eu-west-1]",
            'IsPrimary: !Equals [!Ref "AWS::Region", !Ref Primary]',
        ),
    ),
    "value that only a rule allows": sender(
        "!If [IsDev, GB, US]  # E9100 IsoCountryCode can't be US",
        head=parameter(
            "Stage",
            "Type: String",
            "IsDev: !Equals [!Ref Stage, dev]",
            rules='Rules: {Given: {Assertions: [{Assert: {"Fn::Contains": [[dev, prod], !Ref Stage]}}]}}\n',
        ),
    ),
    "pattern that lists values": sender(
        "!If [IsGb, GB, !If [IsFr, FR, US]]",
        head=parameter(
            "Country",
            "Type: String, AllowedPattern: ^(GB|FR)$",
            "IsGb: !Equals [!Ref Country, GB], IsFr: !Equals [!Ref Country, FR]",
        ),
    ),
    "dynamic reference as default": sender(
        "!Ref Country", head=parameter("Country", "Type: String, Default: '{{resolve:ssm:/country}}'")
    ),
    "SSM parameter": sender(
        "!Ref Country", head=parameter("Country", "Type: 'AWS::SSM::Parameter::Value<String>', Default: /country")
    ),
    "number parameter": phone(
        f"{SIMULATOR}      WaitTimeoutSeconds: !Ref Wait  # W9104 WaitTimeoutSeconds must be from 1 to 3600.\n",
        head=parameter("Wait", "Type: Number, Default: 0"),
    ),
    # Other functions.
    "value of a mapping": sender(
        "!FindInMap [Countries, main, code]  # E9100 IsoCountryCode can't be US",
        head="Mappings: {Countries: {main: {code: US}}}\n",
    ),
    "dynamic reference in a mapping": sender(
        "!FindInMap [Countries, main, code]",
        head="Mappings: {Countries: {main: {code: '{{resolve:ssm:/country}}'}}}\n",
    ),
    "mapping that depends on the Region": sender(
        '!FindInMap [Countries, !Ref "AWS::Region", code]', head="Mappings: {Countries: {us-east-1: {code: US}}}\n"
    ),
    "functions of unknown value": phone(
        "      IsoCountryCode: !Select [0, !Split [',', !ImportValue countries]]\n"
        "      NumberType: !Sub '${AWS::StackName}'\n      NumberCapabilities: !Split [',', !ImportValue x]\n"
        "      Tags: !GetAtt Other.Tags\n      TwoWay: {Enabled: !ImportValue x, ChannelRole: !Join ['', [a, b]]}\n"
        "      DeletionProtectionEnabled: '{{resolve:ssm:/protected}}'\n      Trigger: {Ref: AWS::StackId}\n"
        "  Other: {Type: 'Custom::Other', Properties: {ServiceToken: x}}\n"
    ),
    "macro in the properties": phone("      Fn::Transform: {Name: Macro}\n", head="Transform: Macro\n"),
    "macro in a property": phone(
        f"{SIMULATOR}      Tags:\n        Fn::Transform: {{Name: Macro}}\n      TwoWay: {{Fn::Transform: {{Name: Macro}}}}\n"
    ),
    "loop": (
        "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Numbers:\n    - Name\n    - [One, Two]\n"
        f"    - Number${{Name}}:\n        Type: Custom::SmsPhoneNumber\n        Properties:\n          {TOKEN}\n"
        "          IsoCountryCode: US\n          NumberType: SIMULATOR\n          NumberCapabilities: [SMS]\n"
        "Outputs:\n  One: {Value: !GetAtt NumberOne.PhoneNumber}\n  Two: {Value: !GetAtt [NumberTwo, Arn]}\n"
    ),
    "globals": (
        "Transform: AWS::Serverless-2016-10-31\nGlobals: {Function: {Runtime: python3.13, Timeout: 60}}\n"
        + sender("GB").replace(
            "Resources:\n",
            "Resources:\n  Code: {Type: 'AWS::Serverless::Function', Properties: {Handler: a.b, CodeUri: s3://b/k, "
            "Environment: {Variables: {SENDER: !GetAtt Sender.SenderId}}}}\n",
        )
    ),
    # Types and attributes.
    "misspelt types": (
        "Resources:\n"
        + "".join(
            f"  R{number}:\n    Type: {kind}{note}\n    Properties: {{{TOKEN}}}\n"
            for number, (kind, note) in enumerate(
                {
                    "Custom::SMSPhoneNumber": "  # E9103 Did you mean Custom::SmsPhoneNumber?",
                    "Custom::SmsPhonNumber": "  # E9103 Did you mean Custom::SmsPhoneNumber?",
                    "Custom::SMSSenderID": "  # E9103 Did you mean Custom::SmsSenderId?",
                    "Custom::Connect_PhoneNumber": "  # E9103 Did you mean Custom::ConnectPhoneNumber?",
                    "Custom::PhoneNumber": "",
                    "Custom::SmsPool": "",
                    "Custom::Sender": "",
                    "AWS::CloudFormation::CustomResource": "",
                }.items()
            )
        )
    ),
    "references": (
        phone(SIMULATOR) + "Parameters: {Attribute: {Type: String, Default: Arn}}\nOutputs:\n"
        "  A: {Value: !GetAtt [Number, !Ref Attribute]}\n"
        '  B: {Value: !Sub ["${Number.Own} ${!Number.Price}", {"Number.Own": x}]}\n'
        '  C: {Value: !Sub ["${Number.Phone}", {Other: x}]}  # E9101 Number has no attribute Phone. Did you mean PhoneNumber?\n'
        "  D: {Value: !GetAtt Number.Phone.Number}  # E9101 Number has no attribute Phone.Number.\n"
        "  E: {Value: !Sub '${Number} ${Number.Arn}${Attribute}'}\n"
    ),
    "adopted in a branch": sender("GB\n      Adopt: !If [Has, true, false]  # E9102 Declare DeletionPolicy").replace(
        "Resources:", "Parameters: {P: {Type: String}}\nConditions: {Has: !Equals [!Ref P, x]}\nResources:"
    ),
    "adopted in no branch": sender(
        "GB\n      Adopt: !If [Us, false, 'false']", head=parameter("P", "Type: String", "Us: !Equals [!Ref P, US]")
    ),
    "adopts nothing": call("      CountryCode: US\n      Type: DID\n      Adopt: !Ref AWS::NoValue\n"),
    "required property without value": sender("!Ref AWS::NoValue").replace(
        "    Properties:\n", "    Properties:  # E9100 IsoCountryCode is required.\n"
    ),
    "one of three ways": call(
        "".join(
            f"      {name}: !If [{condition}, {value}, !Ref AWS::NoValue]\n"
            for name, condition, value in [
                ("PhoneNumber", "Claim", '"+12065550100"'),
                ("SourcePhoneNumberArn", "Import", "!ImportValue source"),
                ("Prefix", "Search", '"+1206"'),
                ("CountryCode", "Search", "US"),
                ("Type", "Search", "DID"),
            ]
        ),
        head=parameter(
            "Mode",
            "Type: String, AllowedValues: [claim, import, search]",
            "Claim: !Equals [!Ref Mode, claim], Import: !Equals [!Ref Mode, import], Search: !Equals [search, !Ref Mode]",
        ),
    ),
    "unquoted phone number as default": call(
        '      PhoneNumber: !Ref Number  # W9104 Quote it: "+12065550100". This results from the Default of Number.\n',
        head=parameter("Number", "Type: String, Default: +12065550100"),
    ),
    "Boolean parameter": phone(
        f"{SIMULATOR}      WaitForActive: !Ref Wait\n",
        head=parameter("Wait", "Type: String, AllowedValues: [true, false], Default: false"),
    ),
    "default and allowed value with the same violation": sender(
        "!Ref Country  # W9104 This results from the Default of Country.",
        head=parameter("Country", "Type: String, Default: US, AllowedValues: [GB, US]"),
    ),
    "default that a conditional rule excludes": sender(
        "!Ref Country",
        head="Parameters: {Env: {Type: String, Default: dev}, Country: {Type: String, Default: ''}}\n"
        "Rules: {Given: {RuleCondition: !Equals [!Ref Env, dev], "
        "Assertions: [{Assert: !Not [!Equals [!Ref Country, '']]}]}}\n",
    ),
    "loop with a wrong value": (
        "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Senders:\n    - Code\n    - [GB, US]\n"
        f"    - Sender${{Code}}:\n        Type: Custom::SmsSenderId\n        Properties:\n          {TOKEN}\n"
        "          SenderId: BRAND\n          IsoCountryCode: !Ref Code  # E9100 IsoCountryCode can't be US\n"
    ),
    "constant functions": sender('!Sub "US"  # E9100 IsoCountryCode can\'t be US'),
    "dynamic references": phone(
        "".join(
            f'      {name}: "{{{{resolve:ssm:/value}}}}"\n'
            for name in ("IsoCountryCode", "NumberType", "NumberCapabilities", "WaitTimeoutSeconds", "ServiceTimeout")
        )
    ),
    "condition on two parameters": sender(
        "!If [Same, GB, US]",
        head="Parameters: {A: {Type: String}, B: {Type: String}}\nConditions: {Same: !Equals [!Ref A, !Ref B]}\n",
    ),
    "suppressed": sender("US", resource="    Metadata: {cfn-lint: {config: {ignore_checks: [E9100]}}}\n"),
    "scalars": phone(
        f"{SIMULATOR}      Tags: [{{Key: a, Value: 1}}, {{Key: b, Value: true}}, {{Key: c, Value: 1.5}}, "
        "{Key: 2, Value: 2026-01-01}, {Key: '', Value: x}]  # E9100 Tags[4].Key: \"\" must have at least 1 characters.\n"
    ),
    "names that are no strings": phone(f"{SIMULATOR}      1: x\n").replace(
        "    Properties:\n", "    Properties:  # E9100 1 is not a supported property.\n"
    ),
    "not quite a template": "Resources:\n  Number: {Type: Custom::SmsPhoneNumber, Properties: []}  # E9100 must be a map\n",
}
"""A comment states a rule and a part of its message, for each match in its line. No other match is expected."""
TEMPLATES |= {
    f"{path.name}, {number}": block
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(re.findall(r"(?ms)^```yaml\n(.*?)^```", path.read_text()))
    if "Resources:" in block
}
ID = re.compile(r" # (?=[EWI]9\d{3} )")


CFN_LINT = Path(sys.executable).with_name("cfn-lint")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603


def lint(directory: Path, *options: str) -> dict[str, list[tuple[int, str]]]:
    """Return line and `ID message` of each match of our rules in the templates of a directory, by file name."""
    templates = directory.glob("*.yaml")
    result = run(CFN_LINT, "--format", "json", "--append-rules", "lint", *options, "--template", *templates, cwd=ROOT)
    assert result.stdout, result.stderr
    found: dict[str, list[tuple[int, str]]] = {}
    for match in json.loads(result.stdout):
        identifier = match["Rule"]["Id"]
        assert identifier != "E0002", match["Message"]  # An exception in a rule.
        if re.match(r"[EWI]9\d{3}", identifier):
            line = (match["Location"]["Start"]["LineNumber"], f"{identifier} {match['Message']}")
            found.setdefault(Path(match["Filename"]).stem, []).append(line)
    return found


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str]]]:
    directory = tmp_path_factory.mktemp("templates")
    for number, template in enumerate(TEMPLATES.values()):
        (directory / f"{number}.yaml").write_text(template)
    found = lint(directory)
    return {name: found.get(str(number), []) for number, name in enumerate(TEMPLATES)}


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_violation_is_reported_once_at_its_line(findings: dict[str, list[tuple[int, str]]], name: str) -> None:
    expected = [
        (number, *comment.split(" ", 1))
        for number, line in enumerate(TEMPLATES[name].splitlines(), 1)
        for comment in ID.split(f"{line} ")[1:]
    ]
    unexpected = list(findings[name])
    for number, rule, text in expected:
        matching = [
            one for one in unexpected if one[0] == number and one[1].startswith(rule) and text.strip() in one[1]
        ]
        assert matching, (number, rule, text, findings[name])
        unexpected.remove(matching[0])
    assert unexpected == []


PATTERNS: set[Pattern] = {
    info.pattern
    for described in every_type()
    for cls in (described.resource.properties, *nested_in(described.resource.properties).values())
    for _, info in fields(cls).values()
    if info.pattern is not None
}


def test_every_pattern_is_a_sentence_in_messages(findings: dict[str, list[tuple[int, str]]]) -> None:
    assert len(PATTERNS) > 10
    for pattern in PATTERNS:
        assert re.fullmatch(r"(must|can't) [^\\^$*{}\[\]]+\.", pattern.text), pattern.text
    for _, message in (one for found in findings.values() for one in found):
        assert not [pattern for pattern in PATTERNS if pattern.expression in message], message
        assert not re.search(r"\[A-Z|\\[Ss]|\(\?|\^", message), message
        assert message.endswith((".", "?")), message


def test_deletion_policy_is_asked_for_if_informational_rules_are_included(tmp_path: Path) -> None:
    declared = sender("GB", resource="    DeletionPolicy: Retain\n")
    (tmp_path / "without.yaml").write_text(sender("GB"))
    (tmp_path / "declared.yaml").write_text(declared)

    assert lint(tmp_path) == {}
    [(line, message)] = lint(tmp_path, "--include-checks", "I9105")["without"]
    assert (line, message[:6]) == (2, "I9105 ")


REQUIRED: dict[str, Any] = {
    "ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:cfn-telephony-provider",
}
BASES: dict[str, list[dict[str, Any]]] = {
    "Custom::SmsPhoneNumber": [
        {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]},
        {"IsoCountryCode": "GB", "NumberType": "LONG_CODE", "NumberCapabilities": ["SMS", "VOICE"]},
        {"IsoCountryCode": "US", "NumberType": "TEN_DLC", "NumberCapabilities": ["MMS"]},
    ],
    "Custom::SmsSenderId": [{"SenderId": "BRAND", "IsoCountryCode": "GB"}],
    "Custom::ConnectPhoneNumber": [
        {"TargetArn": INSTANCE, "CountryCode": "US", "Type": "DID"},
        {"TargetArn": GROUP, "PhoneNumber": "+12065550100"},
        {"TargetArn": INSTANCE, "SourcePhoneNumberArn": "arn:aws:sms-voice:x"},
    ],
}
KEYS = [
    "Enabled",
    "ChannelArn",
    "ChannelRole",
    "Key",
    "Value",
    "HELP",
    "STOP",
    "Message",
    "Keyword",
    "Action",
    "Filter",
    "PreferenceType",
    "LeavePools",
    "AllowReuse",
    "LiftDeletionProtection",
    "Other",
]
STRINGS = [
    "true",
    "false",
    "True",
    "yes",
    "0",
    "1",
    "60",
    "59",
    "3600",
    "3601",
    "1e3",
    "1.5",
    "-1",
    " ",
    "",
    "US",
    "CA",
    "GB",
    "us",
    "US\n",
    "NO",
    "SMS",
    "MMS",
    "SIMULATOR",
    "TEN_DLC",
    "LONG_CODE",
    "TOLL_FREE",
    "DID",
    "PROMOTIONAL",
    "OPT_IN",
    "Contains",
    "STOP",
    "Stop ",
    "JOIN",
    "BRAND",
    "-BRAND",
    "123",
    "+12065550100",
    "12065550100",
    "+1206",
    "+",
    "x" * 29,
    "x" * 31,
    "x" * 501,
    "aws:x",
    "arn:aws:sms-voice:us-east-1:1:x",
    "connect.us-east-1.amazonaws.com",
    "arn:x y",
    GROUP,
    "phone-0123456789abcdef0123456789abcdef",
    "GB|BRAND",
    "11111111-2222-3333-4444-555555555555",
    INSTANCE,
]
SCALARS = st.one_of(st.sampled_from(STRINGS), st.booleans(), st.integers(-2, 4000), st.text(max_size=3))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, min_size=1, max_size=4)
    ),
    max_leaves=6,
)
TWO_WAY = st.fixed_dictionaries({"Enabled": st.booleans()}, optional={"ChannelArn": SCALARS, "ChannelRole": SCALARS})
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "TwoWay": TWO_WAY,
    "NumberCapabilities": st.lists(st.sampled_from(["SMS", "VOICE", "MMS", "RCS", "FAX"]), max_size=5),
    "MessageTypes": st.lists(st.sampled_from(["TRANSACTIONAL", "PROMOTIONAL", "OTP"]), max_size=3),
    "NumberPreference": st.just([{"PreferenceType": ["Contains"], "Filter": ["1"]}]),
    "MessageType": st.sampled_from(["TRANSACTIONAL", "PROMOTIONAL"]),
}


def provider_refuses(type_name: str, declared: dict[str, Any]) -> list[str]:
    try:
        parse(resources.by_type(type_name).properties, stringified(declared), min_service_timeout=MIN_SERVICE_TIMEOUT)
    except HandlerError as refused:
        return sorted(line.split(": ")[0] for line in str(refused).split("\n- ")[1:])
    return []


def lint_refuses(type_name: str, declared: dict[str, Any]) -> list[str]:
    found = Checker(declarable(schemas()[type_name])).violations(node(declared))
    return sorted(one.subject or one.text.split(" ")[0] for one in found)


@pytest.mark.parametrize("type_name", BASES)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_rules_agree_with_the_provider_on_every_violation(type_name: str, data: st.DataObject) -> None:
    names = [*fields(resources.by_type(type_name).properties), "ServiceTimeout", "Colour"]
    base = data.draw(st.sampled_from(BASES[type_name]))
    declared = {name: value for name, value in base.items() if data.draw(st.integers(0, 9))}
    for name in data.draw(st.lists(st.sampled_from(names), max_size=4, unique=True)):
        declared[name] = data.draw(LIKELY.get(name, VALUES) if data.draw(st.booleans()) else VALUES)

    declared |= REQUIRED
    assert lint_refuses(type_name, declared) == provider_refuses(type_name, declared)


def test_every_base_is_valid_and_every_rule_is_violated_by_some_declaration() -> None:
    assert {type_name: [provider_refuses(type_name, one) for one in bases] for type_name, bases in BASES.items()} == {
        type_name: [[]] * len(bases) for type_name, bases in BASES.items()
    }
    rules = [rule["message"] for schema in schemas().values() for rule in schema.get("allOf", [])]
    texts = [text for message in rules for text in message.values()]
    comments = "\n".join(TEMPLATES.values())
    assert [text for text in texts if text.split(" ")[0] not in comments] == []


def test_copy_without_schemas_fails(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(sender("GB"))
    shutil.copytree(ROOT / "lint", tmp_path / "lint")
    alone = run(CFN_LINT, "--append-rules", "lint", "--template", template, cwd=tmp_path)
    shutil.copytree(ROOT / "telephony_lint", tmp_path / "telephony_lint")
    without = run(CFN_LINT, "--append-rules", "lint", "--template", template, cwd=tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    complete = run(CFN_LINT, "--append-rules", "lint", "--template", template, cwd=tmp_path)

    assert alone.returncode == without.returncode == 1
    assert "telephony_lint" in alone.stderr
    assert "found no schemas" in without.stderr
    assert (complete.returncode, complete.stdout, complete.stderr) == (0, "", "")


def test_old_version_of_cfn_lint_is_refused_with_the_minimum() -> None:
    oldest = ".".join(map(str, MINIMUM))
    loads = "import cfnlint.version as v; v.__version__ = {!r}; import telephony_lint"
    refused = run(sys.executable, "-c", loads.format("1.2.9"), cwd=ROOT)
    accepted = run(sys.executable, "-c", loads.format(oldest), cwd=ROOT)

    assert refused.stderr.splitlines()[-1].startswith(
        f"ImportError: telephony_lint requires cfn-lint {oldest} or later"
    )
    assert (accepted.returncode, accepted.stderr) == (0, "")
