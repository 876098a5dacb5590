"""cfn-handler, following its README."""

# Written in the style of the published samples.
# ruff: noqa: ANN001, ANN201, ARG001, D103, INP001

import boto3
from cfn_handler import CustomResource

resource = CustomResource()
client = boto3.client("pinpoint-sms-voice-v2")


@resource.create
def on_create(event, context):
    properties = event["ResourceProperties"]
    answer = client.request_phone_number(
        IsoCountryCode=properties["IsoCountryCode"],
        MessageType="TRANSACTIONAL",
        NumberCapabilities=properties["NumberCapabilities"],
        NumberType=properties["NumberType"],
        ClientToken=event["RequestId"],
    )
    resource.physical_resource_id = answer["PhoneNumberId"]
    return {"PhoneNumber": answer["PhoneNumber"]}


@resource.update
def on_update(event, context):
    return {}


@resource.delete
def on_delete(event, context):
    client.release_phone_number(PhoneNumberId=event["PhysicalResourceId"])


def handler(event, context):
    return resource(event, context)
