"""crhelper with Logger, Idempotency and Parser of Powertools, combined as their documentation shows.

Source: Powertools for AWS Lambda (Python) documentation: "Logger", "Capturing Lambda context info"; "Idempotency",
"Idempotent decorator" and "DynamoDBPersistenceLayer"; "Parser", "Extending built-in models" and "parse function".
"""

# Written in the style of the published samples.
# ruff: noqa: ANN001, ANN201, ARG001, D101, D103, INP001

import os
from typing import Literal

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
from aws_lambda_powertools.utilities.parser import BaseModel, Field, parse
from aws_lambda_powertools.utilities.parser.models import (
    CloudFormationCustomResourceCreateModel,
    CloudFormationCustomResourceDeleteModel,
)
from crhelper import CfnResource

logger = Logger()
helper = CfnResource()
persistence_layer = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"])
config = IdempotencyConfig(event_key_jmespath="RequestId")
client = boto3.client("pinpoint-sms-voice-v2")


class Tag(BaseModel):
    key: str = Field(alias="Key", min_length=1, max_length=128)
    value: str = Field(alias="Value", max_length=256)


class TwoWay(BaseModel):
    enabled: bool = Field(alias="Enabled")
    channel_arn: str | None = Field(None, alias="ChannelArn", pattern=r"^\S+$")
    channel_role: str | None = Field(None, alias="ChannelRole", pattern=r"^arn:\S+$")


class Keyword(BaseModel):
    keyword: str = Field(alias="Keyword", pattern=r"^[ \S]+$", max_length=30)
    message: str = Field(alias="Message", min_length=1, max_length=1600)
    action: Literal["AUTOMATIC_RESPONSE", "OPT_OUT", "OPT_IN"] = Field(alias="Action")


class Number(BaseModel):
    iso_country_code: str = Field(alias="IsoCountryCode", pattern=r"^[A-Z]{2}$")
    number_type: Literal["LONG_CODE", "TOLL_FREE", "TEN_DLC", "SIMULATOR"] = Field(alias="NumberType")
    number_capabilities: list[Literal["SMS", "VOICE", "MMS", "RCS"]] = Field(alias="NumberCapabilities")
    message_type: Literal["TRANSACTIONAL", "PROMOTIONAL"] = Field("TRANSACTIONAL", alias="MessageType")
    registration_id: str | None = Field(None, alias="RegistrationId")
    opt_out_list_name: str | None = Field(None, alias="OptOutListName")
    pool_id: str | None = Field(None, alias="PoolId")
    international_sending_enabled: bool | None = Field(None, alias="InternationalSendingEnabled")
    deletion_protection_enabled: bool | None = Field(None, alias="DeletionProtectionEnabled")
    self_managed_opt_outs_enabled: bool | None = Field(None, alias="SelfManagedOptOutsEnabled")
    two_way: TwoWay | None = Field(None, alias="TwoWay")
    optional_keywords: list[Keyword] | None = Field(None, alias="OptionalKeywords")
    tags: list[Tag] | None = Field(None, alias="Tags")


class CreateNumber(CloudFormationCustomResourceCreateModel):
    resource_properties: Number = Field(..., alias="ResourceProperties")


@helper.create
def create(event, context):
    logger.info("Got Create")
    request = parse(event=event, model=CreateNumber)
    number = request.resource_properties
    answer = client.request_phone_number(
        IsoCountryCode=number.iso_country_code,
        MessageType=number.message_type,
        NumberCapabilities=number.number_capabilities,
        NumberType=number.number_type,
        ClientToken=request.request_id,
    )
    helper.Data.update({"PhoneNumber": answer["PhoneNumber"]})
    return answer["PhoneNumberId"]


@helper.update
def update(event, context):
    logger.info("Got Update")


@helper.delete
def delete(event, context):
    logger.info("Got Delete")
    request = parse(event=event, model=CloudFormationCustomResourceDeleteModel)
    client.release_phone_number(PhoneNumberId=request.physical_resource_id)


@logger.inject_lambda_context
@idempotent(config=config, persistence_store=persistence_layer)
def handler(event, context):
    helper(event, context)
