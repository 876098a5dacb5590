"""The `cfnresponse` module with boto3, as the CloudFormation user guide shows it ("cfn-response module").

A sample has no try: an exception leaves CloudFormation without an answer.
"""

# In the manner of the samples that people start from.
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
