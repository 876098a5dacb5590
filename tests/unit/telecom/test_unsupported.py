from typing import Any

import pytest
from moto.core.responses import get_service_model

from local.telecom.connect.responses import TelecomConnectResponse
from local.telecom.modelled import ModelledResponse
from local.telecom.sms_voice.responses import SmsVoiceResponse
from tests.unit.telecom.calls import error_of


@pytest.mark.parametrize("response", [SmsVoiceResponse, TelecomConnectResponse])
def test_error_for_missing_operation_is_modelled(response: type[ModelledResponse]) -> None:
    model = get_service_model(response.service)
    for name in model.operation_names:
        modelled = [shape.name for shape in model.operation_model(name).error_shapes]
        if modelled:
            assert response().unsupported(name).code in modelled, name


@pytest.mark.parametrize(
    ("service", "call", "parameters", "code"),
    [
        ("connect", "list_queues", {"InstanceId": "x"}, "InvalidRequestException"),
        ("connect", "list_evaluation_forms", {"InstanceId": "x"}, "InvalidParameterException"),
        ("sms", "send_text_message", {"DestinationPhoneNumber": "+12065550100"}, "ValidationException"),
        ("dynamodb", "list_imports", {}, "UnknownOperationException"),
    ],
)
def test_missing_operation_is_rejected(
    request: pytest.FixtureRequest, service: str, call: str, parameters: dict[str, Any], code: str
) -> None:
    error = error_of(getattr(request.getfixturevalue(service), call), **parameters)
    assert (error["Code"], error["Status"]) == (code, 400)
    assert service == "dynamodb" or "is not supported" in error["Message"]
