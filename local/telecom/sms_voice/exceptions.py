"""Errors of pinpoint-sms-voice-v2. The HTTP statuses are from the API Reference; botocore's model has none."""

from local.telecom.errors import ModelledError
from local.telecom.sms_voice.records import Keyword, Record


class Conflict(ModelledError):
    """The state of a resource does not allow the operation."""

    code = "ConflictException"

    def __init__(self, behaviour: str, reason: str, resource: Record | Keyword) -> None:
        message = f"Conflict, Reason: {reason}, ResourceType: {resource.kind}, ResourceId: {resource.id}"
        super().__init__(behaviour, message, reason=reason, resource_type=resource.kind, resource_id=resource.id)


class AccessDenied(ModelledError):
    """The caller may not perform the operation on the resource."""

    code = "AccessDeniedException"


class ResourceNotFound(ModelledError):
    """The resource does not exist. This exception has no Reason."""

    code = "ResourceNotFoundException"

    def __init__(self, behaviour: str, resource_type: str, resource_id: str) -> None:
        message = f"Resource not found, ResourceType: {resource_type}, ResourceId: {resource_id}"
        super().__init__(behaviour, message, resource_type=resource_type, resource_id=resource_id)


class QuotaExceeded(ModelledError):
    """A quota is exhausted; `reason` names the quota."""

    code = "ServiceQuotaExceededException"

    def __init__(self, behaviour: str, reason: str) -> None:
        super().__init__(behaviour, f"Service quota exceeded, Reason: {reason}", reason=reason)


class Throttling(ModelledError):
    """The rate limit of an operation is exceeded."""

    code = "ThrottlingException"


class Validation(ModelledError):
    """A parameter is invalid. Each field is the name of a parameter and the rule that it violates."""

    code = "ValidationException"

    def __init__(self, behaviour: str, reason: str, *fields: tuple[str, str], message: str = "") -> None:
        text = message or "; ".join(f"{name}: {rule}" for name, rule in fields) or f"Reason: {reason}"
        listed = [{"Name": name, "Message": rule} for name, rule in fields]
        super().__init__(behaviour, text, reason=reason, fields=listed or None)
