"""Resource Groups Tagging API (awsJson1_1): GetResources for the resources of the other services."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.model import OperationModel
from moto.core.resource_tagging import TaggedResource, make_tag_matcher, match_resource_type

from local.telecom import world
from local.telecom.behaviours import BEHAVIOURS, behaves
from local.telecom.connect.models import telecomconnect_backends
from local.telecom.errors import ModelledError
from local.telecom.modelled import ModelledResponse
from local.telecom.rules import Json
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends
from local.telecom.sms_voice.records import tag_list
from local.telecom.validation import Violation

_BACKENDS = (pinpointsmsvoicev2_backends, telecomconnect_backends)
_TOKEN_LIFETIME = 900.0
_MAXIMUM_PAGE, _DEFAULT_PAGE = 100, 50
_SUPPORTED = {"TagFilters", "ResourceTypeFilters", "ResourcesPerPage", "PaginationToken"}


class InvalidParameter(ModelledError):
    """A parameter is invalid."""

    code = "InvalidParameterException"


class TokenExpired(ModelledError):
    """A pagination token is older than 15 minutes."""

    code = "PaginationTokenExpiredException"


class Throttled(ModelledError):
    """The rate limit of an operation is exceeded."""

    code = "ThrottledException"


class TaggingResponse(ModelledResponse):
    """One call."""

    service = "resourcegroupstaggingapi"
    # Tagging AWS Resources user guide, quotas: 15 GetResources calls per second.
    calls_per_second = {"": 15.0}  # noqa: RUF012
    throttling = Throttled
    burst = 15.0

    def perform(self, operation: OperationModel, parameters: dict[str, Any]) -> Json:
        """Return a page of GetResources. All pages show the first call's result; the last has an empty token."""
        missing = [name for name in parameters if name not in _SUPPORTED]
        if operation.name != "GetResources" or missing:
            raise self.unsupported(" ".join([str(operation.name), *missing]))
        size, token = parameters.get("ResourcesPerPage", _DEFAULT_PAGE), parameters.get("PaginationToken")
        if not 1 <= size <= _MAXIMUM_PAGE:
            raise InvalidParameter("tagging.page", "ResourcesPerPage must be between 1 and 100")
        now, pages = world.current().clock.now(), world.current().tagging_pages
        found = _read(pages, token, now) if token else self._found(parameters)
        page, more = found[:size], ""
        if len(found) > size:
            more = str(uuid.uuid4())
            pages[more] = now, found[size:]
        return {"ResourceTagMappingList": page, "PaginationToken": more}

    def _found(self, parameters: dict[str, Any]) -> list[Json]:
        """Return the resources that match the filters, by ARN."""
        unknown, types = world.current().options.unindexed_types, parameters.get("ResourceTypeFilters")
        self._check_types(unknown.intersection(types or ()))
        matches = make_tag_matcher(parameters.get("TagFilters"))
        found = {
            one.arn: one.tags
            for one in self._resources()
            if (one.tags or one.extra.get("include_untagged"))
            and match_resource_type(one.resource_type, types)
            and one.resource_type not in unknown
            and matches(one.tags)
        }
        return [{"ResourceARN": arn, "Tags": tag_list(tags)} for arn, tags in sorted(found.items())]

    @behaves("tagging.types")
    def _resources(self) -> Iterator[TaggedResource]:
        """Yield the resources of every service in the caller's account and Region."""
        for shared in _BACKENDS:
            backends = world.current().store(shared)[self.current_account]
            if self.region in backends:
                yield from backends[self.region].iter_tagged_resources()

    def _check_types(self, unknown: frozenset[str]) -> None:
        """Raise an error for an unknown type. If the behaviour is disabled, nothing of the type is returned."""
        behaviour, off = BEHAVIOURS["tagging.unknown_type"], world.current().options.off
        for name in sorted(unknown if behaviour.id not in off else ()):
            message = f"Unsupported service={name.split(':')[0]} in ResourceTypeFilter - {name}"
            raise InvalidParameter(behaviour.id, message)

    def invalid_input(self, operation: OperationModel, found: list[Violation], message: str) -> ModelledError:
        """Return InvalidParameterException."""
        del operation, found
        return InvalidParameter("any.input", message)

    def unsupported(self, operation: str) -> ModelledError:
        """Return InvalidParameterException, which every operation models."""
        return InvalidParameter("any.unsupported", self.unsupported_message(operation))


def _read(pages: Mapping[str, tuple[float, list[Json]]], token: str, now: float) -> list[Json]:
    """Return the resources that follow the page with this token."""
    if token not in pages:
        raise InvalidParameter("any.next_token", "The pagination token is not valid.")
    issued_at, rest = pages[token]
    if now - issued_at > _TOKEN_LIFETIME:
        raise TokenExpired("tagging.token", "The pagination token has expired.")
    return rest
