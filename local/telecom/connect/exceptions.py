"""The errors of Connect's phone number operations, with the HTTP status of botocore's model."""

from http import HTTPStatus

from local.telecom.errors import ModelledError


class AccessDenied(ModelledError):
    """The caller may not do this."""

    code = "AccessDeniedException"
    status = HTTPStatus.FORBIDDEN
    pinned = False


class Idempotency(ModelledError):
    """A ClientToken came again with other parameters."""

    code = "IdempotencyException"
    status = HTTPStatus.CONFLICT
    pinned = False


class InternalService(ModelledError):
    """The service's own fault; worth another try."""

    code = "InternalServiceException"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    pinned = False


class InvalidParameter(ModelledError):
    """One of the parameters is not valid, or the number is not to be had."""

    code = "InvalidParameterException"


class InvalidRequest(ModelledError):
    """The request is not valid; some operations model this one only."""

    code = "InvalidRequestException"


class ResourceInUse(ModelledError):
    """Something else is being done with the number."""

    code = "ResourceInUseException"
    status = HTTPStatus.CONFLICT
    pinned = False


class ResourceNotFound(ModelledError):
    """There is no such number, instance or traffic distribution group."""

    code = "ResourceNotFoundException"
    status = HTTPStatus.NOT_FOUND


class Throttling(ModelledError):
    """Too many calls of one operation."""

    code = "ThrottlingException"
    status = HTTPStatus.TOO_MANY_REQUESTS
    pinned = False
