"""Errors of Connect's phone number operations, with the HTTP statuses of botocore's model."""

from http import HTTPStatus

from local.telecom.errors import ModelledError


class Idempotency(ModelledError):
    """A ClientToken is reused with other parameters."""

    code = "IdempotencyException"
    status = HTTPStatus.CONFLICT


class InvalidParameter(ModelledError):
    """A parameter is invalid, or the number is not available."""

    code = "InvalidParameterException"


class InvalidRequest(ModelledError):
    """The request is invalid; some operations model only this error."""

    code = "InvalidRequestException"


class ResourceInUse(ModelledError):
    """Another operation on the number is in progress."""

    code = "ResourceInUseException"
    status = HTTPStatus.CONFLICT
    pinned = False


class ResourceNotFound(ModelledError):
    """The number, instance or traffic distribution group does not exist."""

    code = "ResourceNotFoundException"
    status = HTTPStatus.NOT_FOUND


class Throttling(ModelledError):
    """The rate limit of an operation is exceeded."""

    code = "ThrottlingException"
    status = HTTPStatus.TOO_MANY_REQUESTS
