"""HTTP responses of pinpoint-sms-voice-v2 (awsJson1_0)."""

from typing import Any

from moto.core.model import OperationModel

from local.telecom.errors import ModelledError
from local.telecom.modelled import ModelledResponse, method_name
from local.telecom.sms_voice.exceptions import Throttling, Validation
from local.telecom.sms_voice.models import SmsVoiceBackend, pinpointsmsvoicev2_backends
from local.telecom.validation import Violation


class SmsVoiceResponse(ModelledResponse):
    """One call."""

    service = "pinpoint-sms-voice-v2"
    # User guide, quotas: 1 request per second for every operation that is implemented here, except this one.
    calls_per_second = {"": 1.0, "ListTagsForResource": 10.0}  # noqa: RUF012
    throttling = Throttling
    burst = 1.0

    @property
    def backend(self) -> SmsVoiceBackend:
        """The backend of the caller's account and Region."""
        backend: SmsVoiceBackend = self.backend_in(pinpointsmsvoicev2_backends)
        return backend

    def perform(self, operation: OperationModel, parameters: dict[str, Any]) -> Any:
        """Call the backend's method of that name."""
        method = getattr(self.backend, method_name(operation), None)
        if method is None:
            raise self.unsupported(operation.name)
        return method(parameters)

    def invalid_input(self, operation: OperationModel, found: list[Violation], message: str) -> ModelledError:
        """Return ValidationException with one field per violation."""
        del operation
        fields = [(item.path or "input", item.rule) for item in found]
        return Validation("any.input", "FIELD_VALIDATION_FAILED", *fields, message=message)

    def unsupported(self, operation: str) -> ModelledError:
        """Return ValidationException, which every operation models."""
        return Validation("any.unsupported", "UNKNOWN_OPERATION", message=self.unsupported_message(operation))
