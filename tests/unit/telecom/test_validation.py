from typing import Any

import pytest
from moto.core.responses import get_service_model

from local.telecom import TelecomServer
from local.telecom.connect.models import OWN_OPERATIONS
from local.telecom.errors import ModelBroken
from local.telecom.modelled import check_output, method_name
from local.telecom.sms_voice.models import SmsVoiceBackend
from local.telecom.validation import CORRECTIONS, pattern_of, violations
from tests.unit.telecom.calls import client, error_of, request


def test_invalid_input_is_rejected_with_one_field_per_violation(sms: Any) -> None:
    wrong = {"IsoCountryCode": "us", "NumberType": "SHORT_CODE", "NumberCapabilities": ["SMS"] * 5}
    error = error_of(request, sms=sms, **wrong, ClientToken="t" * 65, Tags=[{"Key": "k" * 129, "Value": "v"}])
    assert (error["Code"], error["Reason"]) == ("ValidationException", "FIELD_VALIDATION_FAILED")
    assert {field["Name"] for field in error["Fields"]} == {*wrong, "ClientToken", "Tags[0].Key"}


def test_input_that_boto3_rejects_is_rejected(server: TelecomServer) -> None:
    sms = client(server.url, "pinpoint-sms-voice-v2", parameter_validation=False)
    assert "MessageType" in error_of(sms.request_phone_number, IsoCountryCode="US")["Message"]
    error = error_of(request, sms=sms, DeletionProtectionEnabled="true")
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
def test_connect_patterns_are_corrected(operation: str, parameters: dict[str, Any], wrong: list[str]) -> None:
    shape = get_service_model("connect").operation_model(operation).input_shape
    assert [violation.path for violation in violations("connect", operation, shape, parameters)] == wrong


def test_corrections_are_needed_and_explained() -> None:
    for (service, name), correction in CORRECTIONS.items():
        pattern = get_service_model(service).shape_for(name).metadata["pattern"]
        assert "\\\\" in pattern or "\\p{" in pattern
        assert correction.note
        assert correction.source.startswith("[API]")


@pytest.mark.parametrize("service", ["pinpoint-sms-voice-v2", "connect"])
def test_patterns_of_implemented_operations_are_usable(service: str) -> None:
    model, shapes = get_service_model(service), dict[str, Any]()
    implemented = OWN_OPERATIONS if service == "connect" else set(dir(SmsVoiceBackend))
    for operation in map(model.operation_model, model.operation_names):
        if method_name(operation) in implemented:
            collect_shapes(operation.input_shape, shapes)
            collect_shapes(operation.output_shape, shapes)
    patterns = {name: shape.metadata["pattern"] for name, shape in shapes.items() if "pattern" in shape.metadata}
    assert len(patterns) > 10
    assert [name for name, pattern in patterns.items() if "\\\\" in pattern_of(service, name, pattern).pattern] == []


def collect_shapes(shape: Any, known: dict[str, Any]) -> None:
    if shape is not None and shape.name not in known:
        known[shape.name] = shape
        parts = (getattr(shape, name, None) for name in ("member", "key", "value"))
        for part in (*getattr(shape, "members", {}).values(), *parts):
            collect_shapes(part, known)


@pytest.mark.parametrize(
    "output",
    [{"SenderIds": [], "Extra": 1}, {"SenderIds": [{"SenderId": "SHOP"}]}, {"NextToken": ""}, {"NextToken": 3}],
)
def test_output_outside_the_model_is_rejected(output: dict[str, Any]) -> None:
    operation = get_service_model("pinpoint-sms-voice-v2").operation_model("DescribeSenderIds")
    with pytest.raises(ModelBroken, match="DescribeSenderIds"):
        check_output("pinpoint-sms-voice-v2", operation, output)


def test_invalid_output_is_a_server_error(sms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmsVoiceBackend, "describe_pools", lambda _self, _parameters: {"Pool": []})
    error = error_of(sms.describe_pools)
    assert (error["Status"], error["Code"]) == (500, "ModelBroken")
    assert "Pool" in error["Error"]["Message"]
