"""HTTP responses of Connect (restJson1): own operations by the local backend, the others by moto."""

from typing import Any

from moto.connect.responses import ConnectResponse
from moto.core.model import OperationModel
from moto.core.responses import get_service_model

from local.telecom.connect.exceptions import InvalidParameter, InvalidRequest, Throttling
from local.telecom.connect.models import OWN_OPERATIONS, TelecomConnectBackend, telecomconnect_backends
from local.telecom.errors import ModelledError
from local.telecom.modelled import ModelledResponse, method_name
from local.telecom.validation import Violation


class TelecomConnectResponse(ModelledResponse, ConnectResponse):  # type: ignore[misc]
    """One call."""

    service = "connect"
    # Administrator guide, API throttling quotas: RateLimit 2 per second, BurstLimit 5.
    calls_per_second = {"": 2.0}  # noqa: RUF012
    throttling = Throttling
    burst = 5.0

    def __init__(self) -> None:
        ConnectResponse.__init__(self)

    @property
    def connect_backend(self) -> TelecomConnectBackend:
        """The backend of the caller's account and Region."""
        backend: TelecomConnectBackend = self.backend_in(telecomconnect_backends)
        return backend

    def perform(self, operation: OperationModel, parameters: dict[str, Any]) -> Any:
        """Call the local backend's method of that name, or that of moto's response class."""
        name = method_name(operation)
        if name in OWN_OPERATIONS:
            return getattr(self.connect_backend, name)(parameters)
        if hasattr(ConnectResponse, name):
            return super(ModelledResponse, self).call_action()
        raise self.unsupported(operation.name)

    def invalid_input(self, operation: OperationModel, found: list[Violation], message: str) -> ModelledError:
        """Return InvalidParameterException, or InvalidRequestException if only that is modelled."""
        del found
        modelled = "InvalidParameterException" in [shape.name for shape in operation.error_shapes]
        return (InvalidParameter if modelled else InvalidRequest)("any.input", message)

    def unsupported(self, operation: str) -> ModelledError:
        """Return InvalidRequestException, or InvalidParameterException if only that is modelled."""
        message, model = self.unsupported_message(operation), get_service_model(self.service)
        if operation in model.operation_names:
            names = [shape.name for shape in model.operation_model(operation).error_shapes]
            if "InvalidRequestException" not in names and "InvalidParameterException" in names:
                return InvalidParameter("any.unsupported", message)
        return InvalidRequest("any.unsupported", message)
