"""The errors of pinpoint-sms-voice-v2. Their HTTP status is the API Reference's; botocore's model does not carry it."""

from http import HTTPStatus
from typing import Any

from local.telecom.errors import ModelledError


class AccessDenied(ModelledError):
    """`reason` is absent when IAM alone refused."""

    code = "AccessDeniedException"
    pinned = False


class Conflict(ModelledError):
    """`reason`, `resource_type` and `resource_id` say what stands in the way."""

    code = "ConflictException"


class ResourceNotFound(ModelledError):
    """Carries no reason, only `resource_type` and `resource_id`."""

    code = "ResourceNotFoundException"

    def __init__(self, behaviour: str, resource_type: str, resource_id: str) -> None:
        message = f"Resource not found, ResourceType: {resource_type}, ResourceId: {resource_id}"
        super().__init__(behaviour, message, resource_type=resource_type, resource_id=resource_id)


class QuotaExceeded(ModelledError):
    """`reason` names the quota."""

    code = "ServiceQuotaExceededException"


class Throttling(ModelledError):
    """Too many calls of one operation."""

    code = "ThrottlingException"
    pinned = False


class Validation(ModelledError):
    """`reason` says what kind of mistake it is, `fields` where: [{Name, Message}]."""

    code = "ValidationException"

    def __init__(self, behaviour: str, message: str, reason: str, *fields: tuple[str, str], **more: Any) -> None:
        listed = [{"Name": name, "Message": text} for name, text in fields]
        super().__init__(behaviour, message, reason=reason, fields=listed or None, **more)


class InternalServer(ModelledError):
    """The service's own fault; worth another try."""

    code = "InternalServerException"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    pinned = False
