"""Errors of the services. Each names the behaviour that it implements."""

from http import HTTPStatus
from typing import Any

from moto.core.exceptions import ServiceException

from local.telecom.behaviours import BEHAVIOURS


class ModelledError(ServiceException):  # type: ignore[misc]
    """An error of the service model; `code` is its shape's name and `fields` the shape's members, in snake case."""

    code = ""
    status = HTTPStatus.BAD_REQUEST
    pinned = True
    """Whether a request with the same ClientToken gets this error again."""

    def __init__(self, behaviour: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.behaviour = BEHAVIOURS[behaviour]
        for name, value in fields.items():
            setattr(self, name, value)


class SerializationError(ModelledError):
    """The request can't be parsed. No service models this error; every service sends it."""

    code = "SerializationException"


class NoEndpoint(ModelledError):
    """The service is not available in this Region; on AWS the host does not exist."""

    code = "UnknownEndpoint"
    status = HTTPStatus.NOT_FOUND


class ModelBroken(Exception):
    """The local service is about to send a response that AWS's model does not allow."""
