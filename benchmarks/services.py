"""The AWS services that the handlers call: local, over TLS, in the benchmark's own process."""

from __future__ import annotations

import ssl
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import boto3
import certifi
import trustme

from benchmarks.artifacts import Artifact
from layers.dependencies import certificates
from local.telecom import Options, TelecomServer
from tests.contract.cloudformation import StacksApi, event
from tests.contract.responses import ResponseSink

REGION = "us-east-1"
SIMULATOR: dict[str, Any] = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}


class Services:
    """The telecom services, DynamoDB, S3 and CloudFormation.

    Their certificate authority is one of more than a hundred trusted ones.
    """

    def __enter__(self) -> Self:
        """Start the servers."""
        with ExitStack() as stack:
            authority = trustme.CA()
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self._bundle = directory / "bundle.pem"
            self._bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + authority.cert_pem.bytes())
            self._certificates = directory / "certificates"
            certificates.main(self._bundle, self._certificates)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
            self._telecom = stack.enter_context(TelecomServer(Options(phone_numbers=1_000_000), context))
            self._sink = stack.enter_context(ResponseSink(authority))
            self._stacks = stack.enter_context(StacksApi(tls=context))
            session = boto3.Session("bench", "bench", region_name=REGION)
            self._dynamodb = session.client("dynamodb", endpoint_url=self._telecom.url, verify=str(self._bundle))
            create_table(self._dynamodb, "idempotency", "id")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the servers."""
        self._stack.close()

    def environment(self, artifact: Artifact) -> dict[str, str]:
        """Create a state table, so that containers do not share a rate limit, and return the handler's environment."""
        table = f"state-{uuid4()}"
        create_table(self._dynamodb, table, "pk", "sk")
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "CA_DIRECTORY" if artifact.ca_directory else "AWS_CA_BUNDLE": str(
                self._certificates if artifact.ca_directory else self._bundle
            ),
            "SSL_CERT_FILE": str(self._bundle),
            "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": self._telecom.url,
            "AWS_ENDPOINT_URL_DYNAMODB": self._telecom.url,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": self._stacks.url,
            "ALLOWED_RESPONSE_HOSTS": self._sink.host,
            "STATE_TABLE": table,
            "ACCOUNT_ID": "123456789012",
            # Reservations are made, but never waited for: sleeps are not real where events follow each other.
            "CALL_RATES": "pinpoint-sms-voice-v2=1000",
            "IDEMPOTENCY_TABLE": "idempotency",
            "POWERTOOLS_LOG_LEVEL": "INFO",
            "POWERTOOLS_LOGGER_LOG_EVENT": "false",
            "POWERTOOLS_METRICS_NAMESPACE": "bench",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def event(self, request_type: Any, **fields: Any) -> dict[str, Any]:
        """Return an event with a presigned URL of its own. The default type is Custom::SmsPhoneNumber.

        Its stack is shown with an operation in progress.
        """
        request_id = str(uuid4())
        stack_id = f"arn:aws:cloudformation:{REGION}:123456789012:stack/bench/{fields.pop('stack', uuid4())}"
        given = {"resource_type": "Custom::SmsPhoneNumber", "properties": SIMULATOR, "logical_id": "Number"} | fields
        url = self._sink.url_for(stack_id, given["logical_id"], request_id)
        return event(request_type, response_url=url, stack_id=stack_id, request_id=request_id, **given)

    def response(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the response to a request. Raises RuntimeError unless there is exactly one, a SUCCESS."""
        responses = self._sink.responses(request["RequestId"])
        if [response["Status"] for response in responses] != ["SUCCESS"]:
            raise RuntimeError(f"expected one SUCCESS response: {responses}")
        response: dict[str, Any] = responses[0]
        return response

    def calls(self) -> Counter[str]:
        """Count the calls so far, by `service.Operation`; responses to CloudFormation are counted as `PUT`."""
        asked = Counter(f"cloudformation.{action}" for action in self._stacks.calls)
        return Counter(self._telecom.calls()) + asked + Counter({"PUT": len(self._sink.puts)})

    def close_connections(self) -> None:
        """Close every connection, as the services do between events that are minutes apart."""
        self._telecom._http.close_connections()  # noqa: SLF001 - only the benchmark needs it
        self._sink._server.close_connections()  # noqa: SLF001


def create_table(dynamodb: Any, name: str, *keys: str) -> None:
    """Create a table with a partition key and, optionally, a sort key."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
