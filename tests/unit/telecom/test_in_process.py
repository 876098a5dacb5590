from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from moto.backend_index import backend_url_patterns
from moto.backends import get_backend

from local.telecom import Options, register
from local.telecom.sms_voice.models import SmsVoiceBackend
from local.telecom.world import World
from tests.unit.telecom.calls import create_instance, error_of, request


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for service in ("PINPOINT_SMS_VOICE_V2", "CONNECT", "DYNAMODB"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{service}", raising=False)  # moto mocks only AWS's own hosts
    default = register(Options(connect_numbers=1))
    yield default
    default.options = Options()


@pytest.mark.usefixtures("world")
def test_mock_aws_serves_and_resets_both_services() -> None:
    for _ in range(2):
        with mock_aws():
            sms = boto3.client("pinpoint-sms-voice-v2", "eu-west-2")
            connect = boto3.client("connect", "eu-west-2")
            assert request(sms)["PhoneNumberArn"].startswith("arn:aws:sms-voice:eu-west-2:")
            assert len(sms.describe_phone_numbers()["PhoneNumbers"]) == 1
            claimed = connect.claim_phone_number(TargetArn=create_instance(connect), PhoneNumber="+4420550000")
            seen = connect.describe_phone_number(PhoneNumberId=claimed["PhoneNumberArn"])
            assert seen["ClaimedPhoneNumberSummary"]["PhoneNumberStatus"]["Status"] == "CLAIMED"
            error = error_of(sms.release_phone_number, PhoneNumberId="phone-0")
            assert error["Code"] == "ResourceNotFoundException"
            assert boto3.client("dynamodb", "eu-west-2").list_tables()["TableNames"] == []


@pytest.mark.usefixtures("world")
def test_register_is_idempotent_and_moto_finds_the_backend() -> None:
    register()
    names = [name for name, _ in backend_url_patterns]
    assert names.count("pinpointsmsvoicev2") == names.count("telecomconnect") == 1
    assert get_backend("pinpoint-sms-voice-v2").backend is SmsVoiceBackend
