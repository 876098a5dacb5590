"""The `cfnresponse` module with boto3, following the CloudFormation user guide ("cfn-response module").

As in the guide, exceptions are not handled: CloudFormation gets no response after an exception.
"""

# Written in the style of the published samples.
# ruff: noqa: ANN001, ANN201, D103, INP001

import boto3
import cfnresponse

client = boto3.client("pinpoint-sms-voice-v2")


def handler(event, context):
    data = {}
    if event["RequestType"] == "Create":
        properties = event["ResourceProperties"]
        answer = client.request_phone_number(
            IsoCountryCode=properties["IsoCountryCode"],
            MessageType="TRANSACTIONAL",
            NumberCapabilities=properties["NumberCapabilities"],
            NumberType=properties["NumberType"],
            ClientToken=event["RequestId"],
        )
        physical_id, data = answer["PhoneNumberId"], {"PhoneNumber": answer["PhoneNumber"]}
    else:
        physical_id = event["PhysicalResourceId"]
        if event["RequestType"] == "Delete":
            client.release_phone_number(PhoneNumberId=physical_id)
    cfnresponse.send(event, context, cfnresponse.SUCCESS, data, physical_id)
