"""Every operation answers as the protocol of its service requires. `client` checks each response; see wire.py."""

from typing import Any

import pytest
from botocore import xform_name
from moto.connect.responses import ConnectResponse
from moto.core.responses import get_service_model

from local.telecom import TelecomServer
from local.telecom.connect.models import OWN_OPERATIONS
from local.telecom.sms_voice.models import SmsVoiceBackend
from tests.unit.telecom import wire
from tests.unit.telecom.calls import SIMULATOR, client, create_instance, request

TAGS = [{"Key": "team", "Value": "sms"}]


def operations(service: str, *implementations: Any) -> set[str]:
    """Return the operations of a service that the local one implements."""
    names = {str(name) for name in get_service_model(service).operation_names}
    return {name for name in names if any(hasattr(each, xform_name(name)) for each in implementations)}


def called(server: TelecomServer, service: str) -> set[str]:
    assert {call["error"] for call in server.log()} == {None}
    return {call["operation"] for call in server.log() if call["service"] == service}


def test_every_operation_of_the_sms_service_answers_on_the_wire(server: TelecomServer, sms: Any) -> None:
    registration = sms.create_registration(RegistrationType="US_TOLL_FREE_REGISTRATION", Tags=TAGS)
    sms.describe_registrations(RegistrationIds=[registration["RegistrationId"]])
    sms.create_opt_out_list(OptOutListName="brand", Tags=TAGS)
    number, other = (request(sms, Tags=TAGS, OptOutListName="brand") for _ in range(2))
    keyword = {"OriginationIdentity": number["PhoneNumberId"], "Keyword": "INFO"}
    local = {"NumberType": "TEN_DLC", "RegistrationId": registration["RegistrationId"]}
    sms.list_available_phone_numbers(**SIMULATOR | local)
    sms.put_keyword(**keyword, KeywordMessage="Hi.")
    sms.describe_keywords(OriginationIdentity=number["PhoneNumberId"])
    sms.delete_keyword(**keyword)
    sms.update_phone_number(PhoneNumberId=number["PhoneNumberId"], SelfManagedOptOutsEnabled=True)
    sms.update_phone_number(PhoneNumberId=other["PhoneNumberId"], SelfManagedOptOutsEnabled=True)
    sms.describe_phone_numbers()
    sender = {"SenderId": "BRAND", "IsoCountryCode": "GB"}
    sms.request_sender_id(**sender, Tags=TAGS)
    sms.update_sender_id(**sender, DeletionProtectionEnabled=False)
    sms.describe_sender_ids()
    pool = sms.create_pool(
        OriginationIdentity=number["PhoneNumberId"], IsoCountryCode="US", MessageType="TRANSACTIONAL", Tags=TAGS
    )["PoolId"]
    member = {"PoolId": pool, "OriginationIdentity": other["PhoneNumberId"], "IsoCountryCode": "US"}
    sms.associate_origination_identity(**member)
    sms.list_pool_origination_identities(PoolId=pool)
    sms.disassociate_origination_identity(**member)
    sms.update_pool(PoolId=pool, SharedRoutesEnabled=False)
    sms.describe_pools()
    sms.delete_pool(PoolId=pool)
    sms.tag_resource(ResourceArn=number["PhoneNumberArn"], Tags=TAGS)
    sms.list_tags_for_resource(ResourceArn=number["PhoneNumberArn"])
    sms.untag_resource(ResourceArn=number["PhoneNumberArn"], TagKeys=["team"])
    sms.describe_account_limits()
    for each in (number, other):
        sms.release_phone_number(PhoneNumberId=each["PhoneNumberId"])
    sms.release_sender_id(**sender)
    sms.describe_opt_out_lists()
    sms.delete_opt_out_list(OptOutListName="brand")

    assert called(server, "pinpoint-sms-voice-v2") == operations("pinpoint-sms-voice-v2", SmsVoiceBackend)


def test_every_operation_of_connect_answers_on_the_wire(server: TelecomServer, sms: Any, connect: Any) -> None:
    source = request(sms, NumberType="TOLL_FREE", NumberCapabilities=["VOICE"])["PhoneNumberArn"]
    arn = create_instance(connect)
    instance = arn.rpartition("/")[2]
    connect.describe_instance(InstanceId=instance)
    connect.list_instances()
    contacts = {"InstanceId": instance, "DataSetId": "contacts"}
    connect.associate_analytics_data_set(**contacts)
    connect.list_analytics_data_associations(InstanceId=instance)
    connect.disassociate_analytics_data_set(**contacts)
    group = connect.create_traffic_distribution_group(Name="both", InstanceId=instance, Tags={"team": "desk"})
    connect.describe_traffic_distribution_group(TrafficDistributionGroupId=group["Id"])
    search = {"TargetArn": arn, "PhoneNumberCountryCode": "US", "PhoneNumberType": "DID"}
    [found, *_] = connect.search_available_phone_numbers(**search)["AvailableNumbersList"]
    claimed = connect.claim_phone_number(TargetArn=arn, PhoneNumber=found["PhoneNumber"], Tags={"team": "desk"})
    number = {"PhoneNumberId": claimed["PhoneNumberId"]}
    connect.describe_phone_number(**number)
    connect.update_phone_number_metadata(**number, PhoneNumberDescription="Front desk")
    flow = {**number, "InstanceId": instance}
    connect.associate_phone_number_contact_flow(**flow, ContactFlowId=f"{arn}/contact-flow/1")
    connect.list_flow_associations(InstanceId=instance)
    connect.disassociate_phone_number_contact_flow(**flow)
    connect.update_phone_number(**number, TargetArn=group["Arn"])
    imported = connect.import_phone_number(InstanceId=instance, SourcePhoneNumberArn=source)
    connect.list_phone_numbers_v2()
    connect.tag_resource(resourceArn=claimed["PhoneNumberArn"], tags={"team": "front desk"})
    connect.list_tags_for_resource(resourceArn=claimed["PhoneNumberArn"])
    connect.untag_resource(resourceArn=claimed["PhoneNumberArn"], tagKeys=["team"])
    for each in (claimed, imported):
        connect.release_phone_number(PhoneNumberId=each["PhoneNumberId"])
    connect.delete_instance(InstanceId=instance)

    own = type("Own", (), dict.fromkeys(OWN_OPERATIONS))
    assert called(server, "connect") == operations("connect", ConnectResponse, own)


def test_other_services_answer_on_the_wire(server: TelecomServer, sms: Any) -> None:
    request(sms, Tags=TAGS)
    client(server.url, "resourcegroupstaggingapi").get_resources()
    quotas, quota = client(server.url, "service-quotas"), {"ServiceCode": "connect", "QuotaCode": "L-8F812903"}
    quotas.get_service_quota(**quota)
    quotas.get_aws_default_service_quota(**quota)

    assert called(server, "resourcegroupstaggingapi") == {"GetResources"}
    assert called(server, "service-quotas") == {"GetServiceQuota", "GetAWSDefaultServiceQuota"}


@pytest.mark.parametrize(
    ("body", "deviation"),
    [
        (b'{"InstanceSummaryList": [{"CreatedTime": "2026-10-01T00:00:00Z"}]}', "[0].CreatedTime is "),
        (b'{"InstanceSummaryList": [{"OutboundCallsEnabled": "true"}]}', "[0].OutboundCallsEnabled is "),
        (b'{"InstanceSummaryList": [{"Name": "demo"}]}', "[0].Name is not modelled"),
    ],
)
def test_deviation_from_the_model_is_found(body: bytes, deviation: str) -> None:
    model = get_service_model("connect").operation_model("ListInstances")
    response = {"status_code": 200, "headers": {"x-amzn-RequestId": "1"}, "body": body}
    with pytest.raises(AssertionError, match=deviation.replace("[", r"\[").replace("]", r"\]")):
        wire.check(model, response)
    with pytest.raises(AssertionError, match="without a request ID"):
        wire.check(model, response | {"headers": {}})
