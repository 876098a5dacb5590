"""Custom::SmsPool: a pool of AWS End User Messaging SMS.

Ref returns the PoolId. The provider doesn't have this type: tests/contract/test_additional_type.py registers it.

Source: AWS End User Messaging SMS and Voice v2 API Reference, "CreatePool", "UpdatePool" and "DeletePool".
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from telephony.aws import services
from telephony.data import data
from telephony.errors import NotFoundError
from telephony.model.deletion_protection import deletion_protection_property, lift_deletion_protection_property
from telephony.model.properties import Nested, Pattern, Properties, prop
from telephony.model.resource import Listed, Observed, Purchase, Stability, differences
from telephony.model.sms_resource import SmsResource, api_tags
from telephony.model.two_way import TwoWay, two_way_changes, two_way_settings


@data
class OnDelete(Nested):
    lift_deletion_protection: bool = lift_deletion_protection_property()


@data
class SmsPoolProperties(Properties):
    id_pattern = r"pool-[0-9a-f]{32}"
    id_example = "pool-0123456789abcdef0123456789abcdef"

    origination_identity: str = prop(
        "The ID of the first phone number.",
        required=True,
        create_only_not_readable=True,
        pattern=Pattern(r"phone-[0-9a-f]+", "must be the ID of a phone number."),
    )
    message_type: Literal["TRANSACTIONAL", "PROMOTIONAL"] = prop("Its type.", required=True, create_only=True)
    two_way: TwoWay | None = prop("Two-way messaging.")
    deletion_protection_enabled: bool | None = deletion_protection_property("pool")
    on_delete: OnDelete = prop("The actions that are allowed on delete.", default=OnDelete())


class SmsPool(SmsResource[SmsPoolProperties]):
    type_name = "Custom::SmsPool"
    display_name = "pool"
    properties = SmsPoolProperties
    attributes = {"PoolId": "The ID of the pool.", "Status": "The status of the pool."}  # noqa: RUF012
    permissions = (
        *("sms-voice:CreatePool", "sms-voice:UpdatePool", "sms-voice:DeletePool", "sms-voice:DescribePools"),
        *("sms-voice:ListTagsForResource", "sms-voice:TagResource", "sms-voice:UntagResource", "iam:PassRole"),
    )
    polls_until_stable = True

    tagging_type = "sms-voice:pool"
    release_call = (services.SMS_VOICE, "DeletePool")

    def purchase_calls(self, desired: SmsPoolProperties) -> list[tuple[str, str]]:
        changes = bool(desired.deletion_protection_enabled or desired.two_way)
        operations = ["CreatePool", "DescribePools", *["UpdatePool"] * changes]
        return [(services.SMS_VOICE, operation) for operation in operations]

    def acquire(self, desired: SmsPoolProperties, purchase: Purchase) -> Observed:
        response = services.sms_voice().create_pool(
            OriginationIdentity=desired.origination_identity,
            MessageType=desired.message_type,
            DeletionProtectionEnabled=False,
            Tags=api_tags(purchase.tags(desired.tags)),
            ClientToken=purchase.token("CreatePool"),
        )
        return copy.replace(_observed(response), newly_purchased=True)

    def find(self, desired: SmsPoolProperties | None, purchase: Purchase) -> Observed | None:  # noqa: ARG002
        return next((pool for pool in map(_observed, self._pools()) if purchase.matches(self.read_tags(pool))), None)

    def read(self, physical_id: str) -> Observed | None:
        try:
            [pool] = services.sms_voice().describe_pools(PoolIds=[physical_id])["Pools"]
        except NotFoundError:
            return None
        return _observed(pool) if pool["Status"] != "DELETING" else None

    def list_all(self) -> Iterator[Listed]:
        return (Listed(pool["PoolId"], pool["PoolArn"]) for pool in self._pools())

    def _pools(self) -> Iterator[Mapping[str, Any]]:
        pools = services.paginate(services.sms_voice().describe_pools, "Pools", MaxResults=100)
        return (pool for pool in pools if pool["Status"] != "DELETING")

    def is_converged(self, observed: Observed, desired: SmsPoolProperties) -> bool:
        return super().is_converged(observed, desired) and not _changes(observed, desired)

    def converge(self, observed: Observed, desired: SmsPoolProperties) -> Observed:
        self.converge_tags(observed, desired.tags)
        if changes := _changes(observed, desired):
            return _observed(services.sms_voice().update_pool(PoolId=observed.physical_id, **changes))
        return observed

    def call_release(self, physical_id: str) -> None:
        services.sms_voice().delete_pool(PoolId=physical_id)

    def disable_protection(self, observed: Observed) -> None:
        services.sms_voice().update_pool(PoolId=observed.physical_id, DeletionProtectionEnabled=False)


def _changes(observed: Observed, desired: SmsPoolProperties) -> dict[str, Any]:
    changes = {each.property_name: each.desired for each in differences(observed, desired, create_only=False)}
    return changes | two_way_changes(observed.live["two_way_settings"], desired.two_way)


def _observed(response: Mapping[str, Any]) -> Observed:
    protected = response["DeletionProtectionEnabled"]
    return Observed(
        physical_id=response["PoolId"],
        stability=Stability.ACTIVE if response["Status"] == "ACTIVE" else Stability.PENDING,
        arn=response["PoolArn"],
        protected=protected,
        attributes={name: response[name] for name in SmsPool.attributes},
        live={"message_type": response["MessageType"], "deletion_protection_enabled": protected}
        | {"two_way_settings": two_way_settings(response)},
    )
