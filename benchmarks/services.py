"""The services that every handler calls, over TLS on the loopback interface, in the benchmark's own process."""

from __future__ import annotations

import ssl
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import boto3
import certifi
import trustme
import yaml

from benchmarks.artifacts import ROOT, Artifact
from layers.dependencies import certificates
from local.telecom import Options, TelecomServer
from tests.contract.answers import AnswerSink
from tests.contract.cloudformation import event

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import KeySchemaElementTypeDef

REGION = "us-east-1"
SIMULATOR = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}
_STATE = {True: "state", False: "state-with-bundle"}
"""A state table for either of ours: one does not wait for the other's turn in the account's rate."""
PLENTY = 1_000_000
"""A quota that no run exhausts."""


class _Telecom(TelecomServer):
    def hang_up(self) -> None:
        """End every connection, as the services do with those that are idle."""
        self._http.close_connections()


class _Sink(AnswerSink):
    def hang_up(self) -> None:
        """End every connection."""
        self._server.close_connections()


class _Template(yaml.SafeLoader):
    """Reads `!Ref x` and the like as None: what only a deployment knows."""


_Template.add_multi_constructor("!", lambda *_: None)


class Services:
    """The telecom services, DynamoDB and S3, with one certificate authority among a hundred others."""

    def __enter__(self) -> Self:
        """Start them."""
        with ExitStack() as stack:
            authority = trustme.CA()
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self.bundle = directory / "bundle.pem"
            self.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + authority.cert_pem.bytes())
            # The same, as the layer's build indexes them.
            self.certificates = directory / "certificates"
            certificates.main(self.bundle, self.certificates)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
            options = Options(phone_numbers=PLENTY, sender_ids=PLENTY, connect_numbers=PLENTY)
            self.telecom = stack.enter_context(_Telecom(options, context))
            self.sink = stack.enter_context(_Sink(authority))
            session = boto3.Session("bench", "bench", region_name=REGION)
            url, bundle = self.telecom.url, str(self.bundle)
            self._dynamodb = session.client("dynamodb", endpoint_url=url, verify=bundle)
            self._connect = session.client("connect", endpoint_url=url, verify=bundle)
            for name in set(_STATE.values()):
                self._make_table(name, "pk", "sk")
            self._make_table("idempotency", "id")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them."""
        self._stack.close()

    def _make_table(self, name: str, partition: str, sort: str | None = None) -> None:
        keys: list[KeySchemaElementTypeDef] = [{"AttributeName": partition, "KeyType": "HASH"}]
        if sort is not None:
            keys.append({"AttributeName": sort, "KeyType": "RANGE"})
        self._dynamodb.create_table(
            TableName=name,
            KeySchema=keys,
            AttributeDefinitions=[{"AttributeName": key["AttributeName"], "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )

    def instance(self) -> str:
        """The ARN of a new instance of Amazon Connect."""
        made = self._connect.create_instance(
            IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
        )
        return str(made["Arn"])

    def environment(self, artifact: Artifact) -> dict[str, str]:
        """All that a handler gets to see: what Lambda sets, what template.yaml sets, and where the services are."""
        template = yaml.load((ROOT / "template.yaml").read_text(), Loader=_Template)  # noqa: S506 - a SafeLoader
        variables: dict[str, str | None] = template["Globals"]["Function"]["Environment"]["Variables"]
        roots = {"CA_DIRECTORY": self.certificates} if artifact.indexed else {"AWS_CA_BUNDLE": self.bundle}
        given = {name: value for name, value in variables.items() if value is not None}
        return (
            given
            | {name: str(path) for name, path in roots.items()}
            | {
                "PATH": "/usr/bin:/bin",
                "LANG": "C.UTF-8",
                "TZ": ":UTC",
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "bench",
                "AWS_SECRET_ACCESS_KEY": "bench",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_LAMBDA_FUNCTION_NAME": "bench",
                "SSL_CERT_FILE": str(self.bundle),
                "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": self.telecom.url,
                "AWS_ENDPOINT_URL_CONNECT": self.telecom.url,
                "AWS_ENDPOINT_URL_DYNAMODB": self.telecom.url,
                "ALLOWED_RESPONSE_HOSTS": self.sink.host,
                "STATE_TABLE": _STATE[artifact.indexed],
                "IDEMPOTENCY_TABLE": "idempotency",
                "POWERTOOLS_LOG_LEVEL": "INFO",
                "PYTHONHASHSEED": "0",
                "PYTHONDONTWRITEBYTECODE": "1",
            }
        )

    def event(self, request_type: Any, **fields: Any) -> dict[str, Any]:
        """One event, with a signed URL of its own; of Custom::SmsPhoneNumber unless said otherwise."""
        request_id = str(uuid4())
        stack_id = f"arn:aws:cloudformation:{REGION}:123456789012:stack/bench/{fields.pop('stack', uuid4())}"
        given = {"resource_type": "Custom::SmsPhoneNumber", "properties": SIMULATOR, "logical_id": "Number"} | fields
        url = self.sink.url_for(stack_id, given["logical_id"], request_id)
        return event(request_type, response_url=url, stack_id=stack_id, request_id=request_id, **given)

    def answer(self, sent: dict[str, Any]) -> dict[str, Any]:
        """What S3 got for the event. Raise RuntimeError unless it is one SUCCESS."""
        answers = self.sink.answers(sent["RequestId"])
        if [answer["Status"] for answer in answers] != ["SUCCESS"]:
            raise RuntimeError(f"not one SUCCESS: {answers}")
        answer: dict[str, Any] = answers[0]
        return answer

    def calls(self) -> Counter[str]:
        """How often each `service.Operation` was called so far, and `PUT`."""
        return Counter(self.telecom.calls()) + Counter({"PUT": len(self.sink.puts)})

    def hang_up(self) -> None:
        """End every connection, as it is when events are minutes apart."""
        self.telecom.hang_up()
        self.sink.hang_up()
