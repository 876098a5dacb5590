"""A moto response class driven by botocore's model: inputs and outputs are checked, unknown operations answered."""

import json
from collections.abc import Mapping
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
    """One call. A subclass names the service, and its errors for bad input, throttling and unbuilt operations."""

    service: str
    calls_per_second: Mapping[str, float]  # by operation; "" is the default
    burst: float

    def __init__(self) -> None:
        super().__init__(service_name=self.service)

    def invalid_input(self, operation: OperationModel, found: list[Violation]) -> ModelledError:
        """Return the service's error for an input that the model does not allow."""
        raise NotImplementedError

    def not_built(self, operation: str) -> ModelledError:
        """Return a modelled error for an operation that is not offered here."""
        raise NotImplementedError

    def throttled(self) -> ModelledError:
        """Return the service's error for too many calls."""
        raise NotImplementedError

    def perform(self, operation: OperationModel, parameters: dict[str, Any]) -> Any:
        """Do the operation and return its answer as botocore's model has it; None if it is not built."""
        raise NotImplementedError

    def call_action(self) -> tuple[int, dict[str, Any], str]:
        """Answer the call: status, headers, body."""
        name = self._get_action()
        model = get_service_model(self.service)
        if name not in model.operation_names:
            return self._failed(OperationModel({}, model), self.not_built(str(name)))
        operation = model.operation_model(name)
        try:
            answer = self._answer(operation)
        except ModelledError as error:
            return self._failed(operation, error)
        except ModelBroken as broken:
            return (
                500,
                {"Content-Type": "application/json"},
                json.dumps({"__type": "ModelBroken", "Message": str(broken)}),
            )
        if isinstance(answer, tuple):  # moto's own operation, serialized by moto
            return answer
        return self._finished(self.serialized(ActionResult(answer)))

    def _answer(self, operation: OperationModel) -> Any:
        this_world, name = world.current(), str(operation.name)
        if this_world.options.rate:
            rate = self.calls_per_second.get(name, self.calls_per_second[""])
            bucket = (self.service, self.current_account, self.region, name)
            if not this_world.rates.take_turn(bucket, this_world.clock.now(), rate, self.burst):
                raise self.throttled()
        try:
            parameters = self._parameters(operation)
        except (ValueError, UnicodeDecodeError) as error:
            raise SerializationError("any.malformed", f"cannot be read: {error}") from error
        found = violations(self.service, name, operation.input_shape, parameters)
        if found:
            raise self.invalid_input(operation, found)
        answer = self.perform(operation, parameters)
        if not isinstance(answer, tuple):
            check_answer(self.service, operation, answer)
        elif answer[0] < HTTPStatus.BAD_REQUEST:
            check_answer(self.service, operation, json.loads(answer[2] or "{}"))
        return answer

    def backend_in(self, shared: Any) -> Any:
        """Return this world's backend for the caller's account and Region, out of the service's BackendDict."""
        backends = world.current().store(shared)[self.current_account]
        if self.region not in backends:
            raise NoEndpoint("any.region", f"{self.service} has no endpoint in {self.region}.")
        return backends[self.region]

    def _parameters(self, operation: OperationModel) -> Any:
        if operation.service_model.protocol == "json":
            return json.loads(self.body or "{}")  # as sent: the parser would make the types fit
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
        return self._finished(error_answer(self.service, operation, error))

    def _finished(self, answer: tuple[int, dict[str, Any], str]) -> tuple[int, dict[str, Any], str]:
        status, headers, body = answer
        headers, body = self._enrich_response(headers | self.response_headers, body)
        return status, headers, body


def check_answer(service: str, operation: OperationModel, answer: Any) -> None:
    """Raise ModelBroken if the answer has a member that the model lacks, or lacks or breaks one that it has."""
    shape = operation.output_shape
    found = violations(service, str(operation.name), shape, answer, output=True) if shape else []
    if not shape and answer:
        found = [Violation("", f"the model has no output, not even {sorted(answer)}")]
    if found:
        lines = "; ".join(f"{item.path}: {item.rule}" for item in found)
        raise ModelBroken(f"{service}.{operation.name} answers what the model does not allow: {lines}")


def error_answer(
    service: str, operation: OperationModel, error: ModelledError, status: int | None = None
) -> tuple[int, dict[str, Any], str]:
    """Return an error in the service's wire format: status, headers, body."""
    model = get_service_model(service)
    if error.code not in error_codes(service):  # moto would warn of it and send it all the same
        kind = (
            "application/json"
            if model.protocol == "rest-json"
            else f"application/x-amz-json-{model.metadata['jsonVersion']}"
        )
        body = json.dumps({"__type": error.code, "Message": error.message, "message": error.message})
        return status or error.status, {"Content-Type": kind, "X-Amzn-Errortype": error.code}, body
    from moto.core.serialize import XFormedAttributePicker, get_serializer_class  # noqa: PLC0415

    serializer = get_serializer_class(service, model.protocol)(
        operation_model=operation, value_picker=XFormedAttributePicker()
    )
    answer = serializer.serialize(error)
    return status or error.status, dict(answer["headers"]), answer["body"]


@cache
def error_codes(service: str) -> frozenset[str]:
    """Return the names of all errors that the service models."""
    return frozenset(shape.name for shape in get_service_model(service).error_shapes)


def method_name(operation: OperationModel) -> str:
    """Return the name of the backend's method: RequestPhoneNumber is request_phone_number."""
    return str(xform_name(operation.name))
