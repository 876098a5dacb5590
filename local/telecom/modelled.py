"""moto response class that is driven by botocore's model and validates inputs and outputs."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from botocore import xform_name
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.responses import ActionResult, BaseResponse, get_service_model

from local.telecom import world
from local.telecom.errors import ModelBroken, ModelledError, NoEndpoint, SerializationError
from local.telecom.validation import Violation, violations


class ModelledResponse(BaseResponse):  # type: ignore[misc]
    """One call. A subclass sets the service, its rates, and its errors."""

    service: str
    calls_per_second: Mapping[str, float]  # by operation; "" is the default
    burst: float
    throttling: type[ModelledError]

    def __init__(self) -> None:
        super().__init__(service_name=self.service)

    def invalid_input(self, operation: OperationModel, found: list[Violation], message: str) -> ModelledError:
        """Return the service's error for invalid input."""
        raise NotImplementedError

    def unsupported(self, operation: str) -> ModelledError:
        """Return a modelled error for an operation that the local service does not support."""
        raise NotImplementedError

    def unsupported_message(self, operation: str) -> str:
        """Return the message of the error for an operation that is not supported."""
        return f"The operation {operation} is not supported by the local {self.service} service."

    def perform(self, operation: OperationModel, parameters: dict[str, Any]) -> Any:
        """Execute the operation. Returns its output in botocore's form, or a finished moto response."""
        raise NotImplementedError

    def call_action(self) -> tuple[int, dict[str, Any], str]:
        """Return the response: status, headers, body."""
        name = self._get_action()
        model = get_service_model(self.service)
        if name not in model.operation_names:
            return self._failed(OperationModel({}, model), self.unsupported(str(name)))
        operation = model.operation_model(name)
        try:
            output = self._execute(operation)
        except ModelledError as error:
            return self._failed(operation, error)
        except ModelBroken as broken:
            body = json.dumps({"__type": "ModelBroken", "Message": str(broken)})
            return self._finished((500, {"Content-Type": "application/json"}, body))
        if isinstance(output, tuple):  # an error of moto's own operation, serialized by moto
            return output
        return self._finished(self.serialized(ActionResult(output)))

    def _execute(self, operation: OperationModel) -> Any:
        current, name = world.current(), str(operation.name)
        if current.options.rate:
            rate = self.calls_per_second.get(name, self.calls_per_second[""])
            bucket = (self.service, self.current_account, self.region, name)
            if not current.rates.take_turn(bucket, current.clock.now(), rate, self.burst):
                raise self.throttling("any.rate", "Rate exceeded")
        try:
            parameters = self._parameters(operation)
        except (ValueError, UnicodeDecodeError) as error:
            raise SerializationError("any.malformed", f"The request can't be parsed: {error}") from error
        found = violations(self.service, name, operation.input_shape, parameters)
        if found:
            rules = "; ".join(f"'{item.path}': {item.rule}" if item.path else item.rule for item in found)
            message = f"{len(found)} validation error(s) detected in {name}: {rules}"
            raise self.invalid_input(operation, found, message)
        output = self.perform(operation, parameters)
        if isinstance(output, tuple):  # moto's own operation
            status, _, body = output
            if status >= HTTPStatus.BAD_REQUEST:
                return output
            output = as_modelled(operation.output_shape, json.loads(body or "{}"))
        check_output(self.service, operation, output)
        return output

    def backend_in(self, shared: Any) -> Any:
        """Return the backend of the caller's account and Region. `shared` is the service's BackendDict."""
        backends = world.current().store(shared)[self.current_account]
        if self.region not in backends:
            raise NoEndpoint("any.region", f"{self.service} has no endpoint in {self.region}.")
        return backends[self.region]

    def _parameters(self, operation: OperationModel) -> Any:
        if operation.service_model.protocol == "json":
            return json.loads(self.body or "{}")  # the parser would convert types that don't match
        request = self.normalized_request
        parser = PROTOCOL_PARSERS["rest-json"](operation, map_type=dict)
        sent = {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": self.uri_match,
        }
        return parser.parse(sent)

    def _failed(self, operation: OperationModel, error: ModelledError) -> tuple[int, dict[str, Any], str]:
        return self._finished(error_response(self.service, operation, error))

    def _finished(self, response: tuple[int, dict[str, Any], str]) -> tuple[int, dict[str, Any], str]:
        status, headers, body = response
        headers, body = self._enrich_response(headers | self.response_headers, body)
        return status, headers, body


def as_modelled(shape: Any, value: Any) -> Any:
    """Return a response of moto's own operation in botocore's form.

    moto sends some timestamps as text, which SDKs other than botocore refuse, and members that the model does not have.
    """
    if shape is None:
        return {}
    if shape.type_name == "structure":
        return {name: as_modelled(member, value[name]) for name, member in shape.members.items() if name in value}
    if shape.type_name == "list":
        return [as_modelled(shape.member, member) for member in value]
    return datetime.fromisoformat(value) if shape.type_name == "timestamp" and isinstance(value, str) else value


def check_output(service: str, operation: OperationModel, output: Any) -> None:
    """Raise ModelBroken if the output does not conform to the model."""
    shape = operation.output_shape
    found = violations(service, str(operation.name), shape, output, output=True) if shape else []
    if not shape and output:
        found = [Violation("", f"the model has no output, but {sorted(output)} is returned")]
    if found:
        lines = "; ".join(f"{item.path}: {item.rule}" for item in found)
        raise ModelBroken(f"{service}.{operation.name} returns what the model does not allow: {lines}")


def error_response(
    service: str, operation: OperationModel, error: ModelledError, status: int | None = None
) -> tuple[int, dict[str, Any], str]:
    """Return an error in the service's wire format: status, headers, body."""
    model = get_service_model(service)
    if error.code not in error_codes(service):  # moto would log a warning and send it without a type
        version = "" if model.protocol == "rest-json" else f"x-amz-json-{model.metadata['jsonVersion']}"
        body = json.dumps({"__type": error.code, "Message": error.message, "message": error.message})
        return (
            status or error.status,
            {"Content-Type": f"application/{version or 'json'}", "X-Amzn-Errortype": error.code},
            body,
        )
    from moto.core.serialize import XFormedAttributePicker, get_serializer_class  # noqa: PLC0415

    serializer = get_serializer_class(service, model.protocol)(
        operation_model=operation, value_picker=XFormedAttributePicker()
    )
    serialized = serializer.serialize(error)
    return status or error.status, dict(serialized["headers"]), serialized["body"]


@cache
def error_codes(service: str) -> frozenset[str]:
    """Return the codes of all errors that the service models."""
    return frozenset(shape.name for shape in get_service_model(service).error_shapes)


def method_name(operation: OperationModel) -> str:
    """Return the name of the backend's method, for example request_phone_number."""
    return str(xform_name(operation.name))
