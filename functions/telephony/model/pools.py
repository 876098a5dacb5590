"""Membership in the pools of AWS End User Messaging SMS."""

from collections.abc import Iterable
from typing import Any

from telephony.aws import services
from telephony.errors import HandlerError, NotFoundError
from telephony.model.properties import prop

_NOT_IN_POOL = frozenset({"PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL"})


def leave_pools_property() -> Any:
    """Declare the LeavePools property of OnDelete."""
    return prop("Specifies whether a delete may remove the resource from its pools.", default=False)


def leave_pools(identity: str, country: str, pool_ids: Iterable[str]) -> None:
    """Remove an origination identity from pools. An identity that is not in a pool is a success.

    identity: the OriginationIdentity parameter of the API. country: without it, the service refuses a sender ID as
    INVALID_ARN (terraform-provider-aws#50038).
    """
    for pool_id in pool_ids:
        try:
            services.sms_voice().disassociate_origination_identity(
                PoolId=pool_id, OriginationIdentity=identity, IsoCountryCode=country
            )
        except NotFoundError:
            continue
        except HandlerError as failure:
            if failure.aws_reason not in _NOT_IN_POOL:
                raise
