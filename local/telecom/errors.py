"""Errors as the services send them: each names the behaviour that it follows."""

from http import HTTPStatus
from typing import Any

from moto.core.exceptions import ServiceException

from local.telecom.behaviours import BEHAVIOURS


class ModelledError(ServiceException):  # type: ignore[misc]
    """An error of the service model; `code` is its shape's name and `fields` the shape's members, in snake case."""

    code = ""
    status = HTTPStatus.BAD_REQUEST
    pinned = True  # a ClientToken that met this error meets it again

    def __init__(self, behaviour: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.behaviour = BEHAVIOURS[behaviour]
        for name, value in fields.items():
            setattr(self, name, value)


class SerializationError(ModelledError):
    """The request cannot be read at all; no service models it, every service sends it."""

    code = "SerializationException"
    pinned = False


class NoEndpoint(ModelledError):
    """The service is not in this Region: on AWS there is no such host."""

    code = "UnknownEndpoint"
    status = HTTPStatus.NOT_FOUND
    pinned = False


class ModelBroken(Exception):
    """The local service was about to answer what AWS's model does not allow."""
