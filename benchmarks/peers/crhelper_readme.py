"""crhelper, following its README, with the documented defaults and a boto3 client as "Init code".

`poll_create` is not used: the number is active immediately, and polling would add six calls and two minutes.
"""

# Written in the style of the published samples.
# ruff: noqa: ANN001, ANN201, ARG001, BLE001, D103, INP001

import logging

import boto3
from crhelper import CfnResource

logger = logging.getLogger(__name__)
# Every argument has its default value.
helper = CfnResource(json_logging=False, log_level="DEBUG", boto_level="CRITICAL", sleep_on_delete=120, ssl_verify=None)

try:
    client = boto3.client("pinpoint-sms-voice-v2")
except Exception as e:
    helper.init_failure(e)


@helper.create
def create(event, context):
    logger.info("Got Create")
    properties = event["ResourceProperties"]
    answer = client.request_phone_number(
        IsoCountryCode=properties["IsoCountryCode"],
        MessageType="TRANSACTIONAL",
        NumberCapabilities=properties["NumberCapabilities"],
        NumberType=properties["NumberType"],
        ClientToken=event["RequestId"],
    )
    helper.Data.update({"PhoneNumber": answer["PhoneNumber"]})
    return answer["PhoneNumberId"]


@helper.update
def update(event, context):
    logger.info("Got Update")


@helper.delete
def delete(event, context):
    logger.info("Got Delete")
    client.release_phone_number(PhoneNumberId=event["PhysicalResourceId"])


def handler(event, context):
    helper(event, context)
