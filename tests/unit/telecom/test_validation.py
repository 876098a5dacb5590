from typing import Any

import pytest
from moto.core.responses import get_service_model

from local.telecom import TelecomServer
from local.telecom.connect.models import OWN_OPERATIONS
from local.telecom.errors import ModelBroken
from local.telecom.modelled import check_answer, method_name
from local.telecom.sms_voice.models import SmsVoiceBackend
from local.telecom.validation import CORRECTIONS, pattern_of, violations
from tests.unit.telecom.calls import SIMULATOR, client, refused, request


def found(service: str, operation: str, parameters: dict[str, Any]) -> list[str]:
    shape = get_service_model(service).operation_model(operation).input_shape
    return [violation.path or violation.rule for violation in violations(service, operation, shape, parameters)]


def test_what_boto3_lets_pass_is_refused_with_a_field_each(sms: Any) -> None:
    error = refused(
        sms.request_phone_number,
        **SIMULATOR
        | {
            "IsoCountryCode": "us",
            "NumberType": "SHORT_CODE",
            "ClientToken": "t" * 65,
            "Tags": [{"Key": "k" * 129, "Value": "v"}],
            "NumberCapabilities": ["SMS"] * 5,
        },
    )
    assert (error["Code"], error["Reason"]) == ("ValidationException", "FIELD_VALIDATION_FAILED")
    assert {field["Name"] for field in error["Fields"]} == {
        "IsoCountryCode",
        "NumberType",
        "ClientToken",
        "Tags[0].Key",
        "NumberCapabilities",
    }


def test_what_boto3_would_not_send_is_refused_too(server: TelecomServer) -> None:
    sms = client(server.url, "pinpoint-sms-voice-v2", parameter_validation=False)
    assert "MessageType" in refused(sms.request_phone_number, IsoCountryCode="US")["Message"]
    error = refused(request, sms=sms, DeletionProtectionEnabled="true")
    assert "Invalid type for parameter DeletionProtectionEnabled" in error["Message"]


@pytest.mark.parametrize(
    ("operation", "parameters", "wrong"),
    [
        ("ClaimPhoneNumber", {"PhoneNumber": "+12065560000"}, []),
        ("ClaimPhoneNumber", {"PhoneNumber": "12065560000"}, ["PhoneNumber"]),
        ("ClaimPhoneNumber", {"PhoneNumber": "+12065560000\n"}, ["PhoneNumber"]),
        ("ListPhoneNumbersV2", {"PhoneNumberPrefix": "+1206"}, []),
        ("ListPhoneNumbersV2", {"PhoneNumberPrefix": "+120655600001"}, ["PhoneNumberPrefix"]),
        ("ListPhoneNumbersV2", {"PhoneNumberTypes": ["DID"] * 7}, ["PhoneNumberTypes"]),
        ("ListPhoneNumbersV2", {"MaxResults": 1001}, ["MaxResults"]),
        ("TagResource", {"resourceArn": "a", "tags": {"Größe 1_@": "v"}}, []),
        ("TagResource", {"resourceArn": "a", "tags": {"aws:owner": "v"}}, ["tags.aws:owner"]),
        ("TagResource", {"resourceArn": "a", "tags": {"a*b": "v"}}, ["tags.a*b"]),
        ("TagResource", {"resourceArn": "a", "tags": {f"k{index}": "" for index in range(51)}}, ["tags"]),
    ],
)
def test_connects_patterns_are_used_corrected(operation: str, parameters: dict[str, Any], wrong: list[str]) -> None:
    assert found("connect", operation, parameters) == wrong


def test_a_correction_is_still_needed_and_says_why() -> None:
    for (service, name), correction in CORRECTIONS.items():
        pattern = get_service_model(service).shape_for(name).metadata["pattern"]
        assert "\\\\" in pattern or "\\p{" in pattern
        assert correction.note
        assert correction.source.startswith("[API]")


@pytest.mark.parametrize("service", ["pinpoint-sms-voice-v2", "connect"])
def test_every_pattern_of_what_is_built_can_be_used(service: str) -> None:
    model, seen = get_service_model(service), 0
    for name in model.operation_names:
        operation = model.operation_model(name)
        if is_built(service, operation):
            for shape in (operation.input_shape, operation.output_shape):
                for inner in shapes_in(shape, set()):
                    if "pattern" in inner.metadata:
                        seen += 1
                        assert "\\\\" not in pattern_of(service, inner.name, inner.metadata["pattern"]).pattern
    assert seen > 10


def is_built(service: str, operation: Any) -> bool:
    if service == "connect":
        return method_name(operation) in OWN_OPERATIONS
    return hasattr(SmsVoiceBackend, method_name(operation))


def shapes_in(shape: Any, seen: set[str]) -> list[Any]:
    if shape is None or shape.name in seen:
        return []
    seen.add(shape.name)
    match shape.type_name:
        case "structure":
            return [inner for member in shape.members.values() for inner in shapes_in(member, seen)]
        case "list":
            return shapes_in(shape.member, seen)
        case "map":
            return shapes_in(shape.key, seen) + shapes_in(shape.value, seen)
    return [shape]


@pytest.mark.parametrize(
    "answer",
    [
        {"SenderIds": [], "Extra": 1},
        {"SenderIds": [{"SenderId": "SHOP"}]},
        {"SenderIds": [], "NextToken": ""},
        {"NextToken": 3},
    ],
)
def test_an_answer_outside_the_model_is_never_sent(answer: dict[str, Any]) -> None:
    operation = get_service_model("pinpoint-sms-voice-v2").operation_model("DescribeSenderIds")
    with pytest.raises(ModelBroken, match="DescribeSenderIds"):
        check_answer("pinpoint-sms-voice-v2", operation, answer)


def test_a_broken_answer_shows_as_a_server_error(sms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmsVoiceBackend, "describe_pools", lambda _self, _parameters: {"Pool": []})
    error = refused(sms.describe_pools)
    assert (error["Status"], error["Code"]) == (500, "ModelBroken")
    assert "Pool" in error["Error"]["Message"]
