from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.backends import get_backend

from local.telecom import Options, register
from local.telecom.sms_voice.models import SmsVoiceBackend
from local.telecom.world import World
from tests.unit.telecom.calls import describe, request


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for service in ("PINPOINT_SMS_VOICE_V2", "CONNECT", "DYNAMODB"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{service}", raising=False)  # moto mocks AWS's own hosts alone
    default = register(Options(connect_numbers=1))
    yield default
    default.options = Options()


@pytest.mark.usefixtures("world")
def test_mock_aws_serves_both_services_and_forgets() -> None:
    for _ in range(2):
        with mock_aws():
            sms = boto3.client("pinpoint-sms-voice-v2", "eu-west-2")
            connect = boto3.client("connect", "eu-west-2")
            number = request(sms)
            assert describe(sms, number["PhoneNumberId"])["PhoneNumberArn"].startswith("arn:aws:sms-voice:eu-west-2:")
            assert len(sms.describe_phone_numbers()["PhoneNumbers"]) == 1
            instance = connect.create_instance(
                IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
            )["Arn"]
            claimed = connect.claim_phone_number(TargetArn=instance, PhoneNumber="+4420550000")
            told = connect.describe_phone_number(PhoneNumberId=claimed["PhoneNumberArn"])
            assert told["ClaimedPhoneNumberSummary"]["PhoneNumberStatus"]["Status"] == "CLAIMED"
            with pytest.raises(ClientError, match="ResourceNotFoundException"):
                sms.release_phone_number(PhoneNumberId="phone-0")
            # other services of moto are as they were
            assert boto3.client("dynamodb", "eu-west-2").list_tables()["TableNames"] == []


@pytest.mark.usefixtures("world")
def test_moto_finds_the_backend_by_name_and_registering_twice_is_once() -> None:
    import moto.backend_index  # noqa: PLC0415

    register()
    names = [name for name, _ in moto.backend_index.backend_url_patterns]
    assert names.count("pinpointsmsvoicev2") == names.count("telecomconnect") == 1
    assert get_backend("pinpoint-sms-voice-v2").backend is SmsVoiceBackend
