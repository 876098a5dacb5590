"""The account and Region of a command: credentials, the provider's stack, and calls to CloudFormation."""

import os
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError

from telephony import clock, resources, transport
from telephony.aws import clients, services
from telephony.errors import NotFoundError
from telephony.lifecycle.invocation import Retrier
from telephony.model.resource import Resource
from telephony.settings import settings

DEFAULT_PROVIDER = "cfn-telephony"
NO_STACK = "The stack {} does not exist in {}. Check --stack-name and --region."
_ATTEMPTS = 8
"""Of each call. A command shares the rate limits of the account with the provider's requests."""
_RETRIES_END_AFTER = 60
_STATIC_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Failure(Exception):  # noqa: N818 - not an error of the program
    """What failed, and what to do."""


class Patience(Retrier):
    """Repeats calls for a minute, or another period in seconds."""

    def __init__(self, period: float = _RETRIES_END_AFTER) -> None:
        self.noticed = {}
        self._deadline = clock.now() + period

    @property
    def deadline(self) -> float:
        """When the last call is made."""
        return self._deadline


def use(region: str | None, profile: str | None) -> None:
    """Use a Region and a profile, or those of boto3's configuration. Raises Failure if one is missing."""
    if profile is not None:
        os.environ["AWS_PROFILE"] = profile
        for name in _STATIC_CREDENTIALS:
            os.environ.pop(name, None)  # boto3 prefers them to a profile.
    if region is not None:
        os.environ["AWS_DEFAULT_REGION"] = region
    # The calls are not reserved: only the provider writes to the state table.
    _configure(CALL_RATES="*=0", CALL_ATTEMPTS=str(_ATTEMPTS), STATE_TABLE="", ACCOUNT_ID="")
    try:
        session = clients.session()
        if session.get_credentials() is None:
            raise Failure(
                "No AWS credentials were found. Configure them, for example with `aws configure` or --profile."
            )
    except BotoCoreError as error:
        raise Failure(f"The AWS configuration can't be used: {error}. Correct it, or name another --profile.") from None
    try:
        transport.context()
    except OSError as error:
        raise Failure(f"The root certificates can't be loaded: {error}. Check AWS_CA_BUNDLE.") from None
    if session.region_name is None:
        raise Failure("No Region is configured. Name one with --region, or set AWS_DEFAULT_REGION.")


def region() -> str:
    """Return the Region of the command."""
    return clients.session().region_name or ""


def use_provider(stack_name: str) -> None:
    """Use the state table and the settings of the provider's stack. Raises Failure if there is none."""
    name_it = "Name the provider's stack with --provider-stack."
    try:
        stack = services.cloudformation().describe_stacks(StackName=stack_name)["Stacks"][0]
    except NotFoundError:
        raise Failure(f"The provider's stack {stack_name} does not exist in {region()}. {name_it}") from None
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    if "StateTableName" not in outputs:
        raise Failure(f"{stack_name} is not the stack of a provider: it has no output StateTableName. {name_it}")
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])}
    _configure(
        STATE_TABLE=outputs["StateTableName"],
        ACCOUNT_ID=stack["StackId"].split(":")[4],
        RECOVERY_WINDOW_IN_DAYS=parameters.get("RecoveryWindowInDays", ""),
        CONNECT_PHONE_NUMBER_QUOTA=parameters.get("ConnectPhoneNumberQuota", ""),
        ALLOW_ADOPTION=parameters.get("AllowAdoption", ""),
    )


def stack(name: str) -> Mapping[str, Any]:
    """Return the description of a stack. Raises Failure if it does not exist."""
    try:
        return services.cloudformation().describe_stacks(StackName=name)["Stacks"][0]
    except NotFoundError:
        raise Failure(NO_STACK.format(name, region())) from None


def types() -> list[Resource[Any]]:
    """Return every resource type."""
    return [resources.by_type(name) for name in resources.type_names()]


def number_of(attributes: Mapping[str, str]) -> str:
    """Return what people call a resource: the number in E.164 format, or the sender ID."""
    names = ("PhoneNumber", "Address", "SenderId")
    return next((attributes[name] for name in names if attributes.get(name)), "")


def _configure(**variables: str) -> None:
    os.environ |= variables
    settings.cache_clear()
