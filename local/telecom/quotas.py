"""Service Quotas (awsJson1_1): the quota of phone numbers of Amazon Connect, from the options of the services."""

from typing import Any

from moto.core.model import OperationModel

from local.telecom import world
from local.telecom.behaviours import behaves
from local.telecom.errors import ModelledError
from local.telecom.modelled import ModelledResponse
from local.telecom.rules import Json, present
from local.telecom.validation import Violation

_QUOTA = {"ServiceCode": "connect", "QuotaCode": "L-8F812903"}
_DEFAULT = 10.0


class IllegalArgument(ModelledError):
    """A parameter is invalid."""

    code = "IllegalArgumentException"


class NoSuchResource(ModelledError):
    """The quota does not exist, or has no value of this kind."""

    code = "NoSuchResourceException"


class TooManyRequests(ModelledError):
    """The rate limit of an operation is exceeded."""

    code = "TooManyRequestsException"


class QuotasResponse(ModelledResponse):
    """One call."""

    service = "service-quotas"
    # [SQ] service quotas for Service Quotas: 5 per second, and 5 more in a burst.
    calls_per_second = {"": 5.0}  # noqa: RUF012
    throttling = TooManyRequests
    burst = 5.0

    @behaves("quotas.code")
    def perform(self, operation: OperationModel, parameters: dict[str, Any]) -> Json:
        """Return the default, the value of the account, or that of the resource with the ContextId."""
        if operation.name not in {"GetServiceQuota", "GetAWSDefaultServiceQuota"}:
            raise self.unsupported(str(operation.name))
        if any(parameters[name] != value for name, value in _QUOTA.items()):
            raise NoSuchResource("quotas.unknown", "The request failed because the specified quota does not exist.")
        options, resource = world.current().options, parameters.get("ContextId")
        level = "default" if operation.name == "GetAWSDefaultServiceQuota" else "resource" if resource else "account"
        message = f"The request failed because the quota has no applied value for the {level}."
        if level == "resource" and options.quota_level != level:
            raise NoSuchResource("quotas.context", message)
        if level == "account" and options.quota_level == "default":
            raise NoSuchResource("quotas.applied", message)
        quota = present(
            **_QUOTA,
            QuotaName="Phone numbers per instance",
            Value=float(options.connect_numbers) if level == options.quota_level else _DEFAULT,
            Unit="None",
            Adjustable=True,
            GlobalQuota=False,
            QuotaAppliedAtLevel="RESOURCE" if level == "resource" else "ACCOUNT",
            QuotaContext={"ContextScope": "RESOURCE", "ContextId": resource} if resource else None,
        )
        return {"Quota": quota}

    def invalid_input(self, operation: OperationModel, found: list[Violation], message: str) -> ModelledError:
        """Return IllegalArgumentException."""
        del operation, found
        return IllegalArgument("any.input", message)

    def unsupported(self, operation: str) -> ModelledError:
        """Return IllegalArgumentException, which every operation models."""
        return IllegalArgument("any.unsupported", self.unsupported_message(operation))
