from typing import Any

import pytest
from moto.core.responses import get_service_model

from local.telecom.connect.responses import TelecomConnectResponse
from local.telecom.modelled import ModelledResponse
from local.telecom.sms_voice.responses import SmsVoiceResponse
from tests.unit.telecom.calls import refused


@pytest.mark.parametrize("response", [SmsVoiceResponse, TelecomConnectResponse])
def test_the_error_is_one_that_the_operation_models(response: type[ModelledResponse]) -> None:
    model = get_service_model(response.service)
    for name in model.operation_names:
        modelled = [shape.name for shape in model.operation_model(name).error_shapes]
        if modelled:
            assert response().not_built(name).code in modelled, name


@pytest.mark.parametrize(
    ("call", "code"),
    [("list_queues", "InvalidRequestException"), ("list_evaluation_forms", "InvalidParameterException")],
)
def test_connect_says_so(connect: Any, call: str, code: str) -> None:
    error = refused(getattr(connect, call), InstanceId="x")
    assert (error["Code"], error["Status"]) == (code, 400)
    assert "is not built" in error["Message"]


def test_the_sms_service_says_so(sms: Any) -> None:
    error = refused(sms.send_text_message, DestinationPhoneNumber="+12065550100")
    assert (error["Code"], error["Reason"]) == ("ValidationException", "UNKNOWN_OPERATION")
    assert "SendTextMessage is not built" in error["Message"]


def test_dynamodb_says_so(dynamodb: Any) -> None:
    assert refused(dynamodb.list_imports)["Code"] == "UnknownOperationException"
