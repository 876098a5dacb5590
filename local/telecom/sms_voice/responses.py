"""Answers the calls of pinpoint-sms-voice-v2 (awsJson1_0)."""

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
    # User guide, quotas: every operation that is built here has 1 request per second, but for this one.
    calls_per_second = {"": 1.0, "ListTagsForResource": 10.0}  # noqa: RUF012
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
            raise self.not_built(operation.name)
        return method(parameters)

    def invalid_input(self, operation: OperationModel, found: list[Violation]) -> ModelledError:
        """Return ValidationException with one field per violation."""
        lines = "; ".join(f"'{item.path}': {item.rule}" if item.path else item.rule for item in found)
        message = f"{len(found)} validation error(s) detected in {operation.name}: {lines}"
        fields = [(item.path or "input", item.rule) for item in found]
        return Validation("any.input", message, "FIELD_VALIDATION_FAILED", *fields, pinned=False)

    def not_built(self, operation: str) -> ModelledError:
        """Return ValidationException, which every operation models."""
        message = f"The operation {operation} is not built in the local pinpoint-sms-voice-v2 service."
        return Validation("any.not_built", message, "UNKNOWN_OPERATION", pinned=False)

    def throttled(self) -> ModelledError:
        """Return ThrottlingException."""
        return Throttling("any.rate", "Rate exceeded")
