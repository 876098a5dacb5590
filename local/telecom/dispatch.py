"""Routes a request to its service and returns the response. No request is forwarded to a network."""

import copy
import json
import re
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from moto.core.exceptions import HTTPException
from moto.core.model import OperationModel
from moto.core.request import Request
from moto.core.responses import ActionResult, BaseResponse, get_service_model
from moto.core.routing import NotFound, get_service_router
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.responses import DynamoHandler

from local.telecom import world
from local.telecom.behaviours import behaves
from local.telecom.connect.responses import TelecomConnectResponse
from local.telecom.errors import ModelledError
from local.telecom.faults import Fault
from local.telecom.modelled import error_response
from local.telecom.quotas import QuotasResponse
from local.telecom.rules import present
from local.telecom.sms_voice.responses import SmsVoiceResponse
from local.telecom.tagging import TaggingResponse

type Answer = tuple[int, Mapping[str, Any], bytes]

_TRANSACTION_TOKEN_LIFETIME = 600
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")


class _WorldDynamoHandler(DynamoHandler):  # type: ignore[misc]
    """moto's DynamoDB with the tables of the current world."""

    @property
    def dynamodb_backend(self) -> Any:
        """The backend of the caller's account and Region."""
        return world.current().store(dynamodb_backends)[self.current_account][self.region]

    @behaves("dynamodb.token")
    def transact_write_items(self) -> Any:
        """Execute a transaction once per ClientRequestToken. moto ignores the token, which SDK retries rely on."""
        current, token = world.current(), self.body.get("ClientRequestToken")
        executed_at = current.transactions.get(token, 0)
        if token is not None and current.clock.now() - executed_at < _TRANSACTION_TOKEN_LIFETIME:
            return ActionResult({})
        with _transacted_items_only(self.dynamodb_backend, self.body["TransactItems"]):
            result = super().transact_write_items()
        current.transactions[token] = current.clock.now()
        return result


@contextmanager
def _transacted_items_only(backend: Any, writes: list[dict[str, dict[str, Any]]]) -> Iterator[None]:
    """Show moto only the items of a transaction, because it copies each table of the transaction for a roll-back."""
    tables, keys = backend.tables, defaultdict[str, list[Any]](list)
    for operation in (operation for write in writes for operation in write.values()):
        table, names = tables.get(operation.get("TableName")), operation.get("Key") or operation.get("Item") or {}
        if table is not None and table.range_key_attr in names and table.hash_key_attr in names:
            key = DynamoType(names[table.hash_key_attr]), DynamoType(names[table.range_key_attr])
            keys[table.name].append(key)
    backend.tables = tables.copy()
    for name, written in keys.items():
        backend.tables[name] = part = copy.copy(tables[name])
        part.items = defaultdict(dict)
        for partition, sort in written:
            if sort in tables[name].items.get(partition, {}):
                part.items[partition][sort] = tables[name].items[partition][sort]
    try:
        yield
    finally:
        for name, written in keys.items():
            for partition, sort in written:
                tables[name].items[partition].pop(sort, None)
            for partition, items in backend.tables[name].items.items():
                tables[name].items[partition].update(items)
        backend.tables = tables


@dataclass(frozen=True)
class Service:
    """A service: boto3's client name, moto's response class, and the error code of a throttled call."""

    name: str
    response: type[Any]
    throttle: str

    def operation_of(self, request: Request) -> str | None:
        """Return the operation that the request calls; None if the service does not have it."""
        try:
            return str(get_service_router(self.name).match(request)[0].name)
        except (NotFound, NotImplementedError):
            target = request.headers.get("X-Amz-Target")
            return target.split(".")[-1] if target else None


# By the service name in the SigV4 credential scope.
_SERVICES = {
    "sms-voice": Service("pinpoint-sms-voice-v2", SmsVoiceResponse, "ThrottlingException"),
    "connect": Service("connect", TelecomConnectResponse, "ThrottlingException"),
    "tagging": Service("resourcegroupstaggingapi", TaggingResponse, "ThrottledException"),
    "servicequotas": Service("service-quotas", QuotasResponse, "TooManyRequestsException"),
    "dynamodb": Service("dynamodb", _WorldDynamoHandler, "ProvisionedThroughputExceededException"),
}


def service_of(headers: Mapping[str, str]) -> Service | None:
    """Return the local service that the request is signed for, if any."""
    scope = _SCOPE.search(headers.get("Authorization", ""))
    return _SERVICES.get(scope.group(1)) if scope else None


def answer(service: Service, request: Request) -> Answer:
    """Execute the request and return its response."""
    handler: type[BaseResponse] = service.response
    try:
        status, headers, body = handler.dispatch(request, request.raw_url, request.headers)
    except HTTPException as error:
        status, headers, body = error.code, dict(error.get_headers()), error.get_body()
    except ClientError as error:
        return refusal(error.response["Error"]["Code"], error.response["Error"]["Message"])
    except NotImplementedError as error:
        return refusal("UnknownOperationException", str(error))
    except Exception as error:  # noqa: BLE001 - a defect of the local service must fail the test
        traceback.print_exc()
        return refusal("LocalServiceDefect", repr(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    return int(status), headers, body.encode() if isinstance(body, str) else body


def fault_response(service: Service, operation: str, fault: Fault) -> Answer:
    """Return the error that the fault specifies, in the service's wire format."""
    message = fault.message or ("Rate exceeded" if fault.kind == "throttle" else f"{fault.code} on request")
    members = present(Reason=fault.reason) | (fault.members or {})
    error = ModelledError("any.fault", message, **{xform_name(name): value for name, value in members.items()})
    error.code = fault.code or service.throttle
    model = get_service_model(service.name)
    known = model.operation_model(operation) if operation in model.operation_names else OperationModel({}, model)
    status, headers, body = error_response(
        service.name, known, error, fault.status or _status(service.name, error.code)
    )
    return status, headers, body.encode()


@behaves("sms.token.in_progress", "connect.token.in_progress")
def in_progress_response(service: Service, operation: str) -> Answer:
    """Return the response to a purchase whose first call, with the same ClientToken, is still in progress."""
    if service.name == "connect":
        code, message = "InvalidParameterException", "Phone number not available"
    else:
        code, message = "ConflictException", "Your request has conflicting operations."
    return fault_response(service, operation, Fault(service.name, operation, "error", code=code, message=message))


def refusal(code: str, message: str, status: int = HTTPStatus.BAD_REQUEST) -> Answer:
    """Return an error that no service models."""
    body = json.dumps({"__type": code, "Message": message, "message": message}).encode()
    return status, {"Content-Type": "application/json", "x-amzn-ErrorType": code}, body


def error_code(status: int, headers: Mapping[str, Any], body: bytes) -> str | None:
    """Return the error code of a response, None for a success."""
    if status < HTTPStatus.BAD_REQUEST:
        return None
    lowered = {name.lower(): str(value) for name, value in headers.items()}
    code = lowered.get("x-amzn-errortype")
    if code is None:
        try:
            code = str(json.loads(body).get("__type", status))
        except ValueError:
            code = str(status)
    return code.split("#")[-1].split(":")[0]


def token_of(request: Request) -> str | None:
    """Return the ClientToken of the request, from its query or body."""
    found: str | None = request.args.get("clientToken") or request.args.get("ClientToken")
    if found is None and request.data.startswith(b"{"):
        try:
            body = json.loads(request.data)
        except ValueError:
            return None
        found = body.get("ClientToken") or body.get("ClientRequestToken")
    return found


def _status(service: str, code: str) -> int:
    """Return the HTTP status of an error: the model's, else 500 for an internal error, else 400."""
    for shape in get_service_model(service).error_shapes:
        if shape.name == code and "httpStatusCode" in shape.metadata.get("error", {}):
            return int(shape.metadata["error"]["httpStatusCode"])
    return HTTPStatus.INTERNAL_SERVER_ERROR if code.startswith("Internal") else HTTPStatus.BAD_REQUEST
