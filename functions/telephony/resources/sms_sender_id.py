"""Custom::SmsSenderId: a sender ID of AWS End User Messaging SMS in one country.

Ref returns the country and the sender ID, `GB|MYBRAND`. Fn::GetAtt returns Arn, SenderId, IsoCountryCode, Registered,
RegistrationId and MonthlyLeasingPrice. A sender ID is available immediately. It is identified by name and country, so two
stacks can't have the same one.

Source: AWS End User Messaging SMS and Voice v2 API Reference, "RequestSenderId"; User Guide, "Sender IDs".
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Literal

from telephony import reasons
from telephony.aws import services
from telephony.data import data
from telephony.errors import HandlerError, HandlerErrorCode, NotFoundError, ThrottledError, UnknownOutcomeError
from telephony.model.adoption import adopt_property
from telephony.model.deletion_protection import deletion_protection_property, lift_deletion_protection_property
from telephony.model.pools import leave_pools, leave_pools_property
from telephony.model.properties import Nested, Pattern, Properties, country_code_property, prop
from telephony.model.resource import Listed, Observed, Purchase, Stability, differences, normalize_values, text
from telephony.model.rules import OneOf, Rule
from telephony.model.sms_resource import SmsResource, api_tags


@data
class OnDelete(Nested):
    """Actions that are allowed on delete if deletion protection or a pool prevents the release."""

    lift_deletion_protection: bool = lift_deletion_protection_property()
    leave_pools: bool = leave_pools_property()


@data
class SmsSenderIdProperties(Properties):
    """The properties of Custom::SmsSenderId."""

    id_pattern = r"[A-Z]{2}\|[A-Z0-9_-]{1,11}"
    id_example = "GB|MYBRAND"
    rules = (
        Rule(
            "IsoCountryCode",
            "can't be US, CA or CN, which don't support sender IDs. Use a phone number.",
            (OneOf("IsoCountryCode", ("US", "CA", "CN")),),
        ),
    )

    sender_id: str = prop(
        "The sender ID that recipients see. It can contain letters, digits, hyphens and underscores, and must contain a "
        "letter. The service converts it to uppercase.",
        required=True,
        create_only=True,
        pattern=Pattern(
            r"(?=.*[A-Za-z])(?!-)[A-Za-z0-9_-]+(?<!-)",
            "must contain a letter, and only letters, digits, underscores and hyphens. It can't begin or end with a hyphen.",
        ),
        minimum=1,
        maximum=11,
        normalize=str.upper,
    )
    iso_country_code: str = country_code_property(required=True)
    message_types: tuple[Literal["TRANSACTIONAL", "PROMOTIONAL"], ...] | None = prop(
        "The types of messages that the sender ID sends. By default, the service uses `TRANSACTIONAL`. The types can't "
        "change while the sender ID and the country stay the same.",
        create_only=True,
        minimum=1,
        maximum=2,
        normalize=normalize_values,
    )
    deletion_protection_enabled: bool | None = deletion_protection_property("sender ID")
    adopt: bool = adopt_property("sender ID")
    on_delete: OnDelete = prop(
        "The actions that are allowed on delete if deletion protection or a pool prevents the release.",
        default=OnDelete(),
        of_request=True,
    )


class SmsSenderId(SmsResource[SmsSenderIdProperties]):
    """Custom::SmsSenderId."""

    type_name = "Custom::SmsSenderId"
    display_name = "sender ID"
    properties = SmsSenderIdProperties
    attributes: ClassVar[Mapping[str, str]] = {
        "Arn": "The Amazon Resource Name (ARN) of the sender ID.",
        "SenderId": "The sender ID, in uppercase.",
        "IsoCountryCode": "The two-letter country code, in ISO 3166-1 alpha-2 format.",
        "Registered": "`true` if the sender ID is registered, else `false`.",
        "RegistrationId": "The ID of the registration, or an empty string.",
        "MonthlyLeasingPrice": "The monthly price, in US dollars.",
    }
    permissions = (
        "sms-voice:RequestSenderId",
        "sms-voice:UpdateSenderId",
        "sms-voice:ReleaseSenderId",
        "sms-voice:DescribeSenderIds",
        "sms-voice:DescribePools",
        "sms-voice:ListPoolOriginationIdentities",
        "sms-voice:DisassociateOriginationIdentity",
        "sms-voice:ListTagsForResource",
        "sms-voice:TagResource",
        "sms-voice:UntagResource",
    )
    reusable_ids = True
    release_call = (services.SMS_VOICE, "ReleaseSenderId")
    tagging_type = "sms-voice:sender-id"
    identity_fields = ("IsoCountryCode", "SenderId")

    def purchase_calls(self, desired: SmsSenderIdProperties) -> list[tuple[str, str]]:
        """RequestSenderId, and UpdateSenderId for protection."""
        operations = ["RequestSenderId", *["UpdateSenderId"] * bool(desired.deletion_protection_enabled)]
        return [(services.SMS_VOICE, operation) for operation in operations]

    def acquire(self, desired: SmsSenderIdProperties, purchase: Purchase) -> Observed:
        """RequestSenderId. A sender ID without the tags of this purchase belongs to another owner."""
        exists = reasons.SENDER_ID_EXISTS.failure(sender_id=desired.sender_id.upper(), country=desired.iso_country_code)
        try:
            response = services.sms_voice().request_sender_id(
                SenderId=desired.sender_id.upper(),
                IsoCountryCode=desired.iso_country_code,
                DeletionProtectionEnabled=False,
                Tags=api_tags(purchase.tags(desired.tags)),
                ClientToken=purchase.token("RequestSenderId"),
                **({"MessageTypes": list(desired.message_types)} if desired.message_types is not None else {}),
            )
        except HandlerError as refused:
            raise exists if refused.error_code is HandlerErrorCode.ALREADY_EXISTS else refused from None
        observed = _observed(response)
        try:
            tags = {tag["Key"]: tag["Value"] for tag in response.get("Tags", [])} or self.read_tags(observed)
        except (HandlerError, ThrottledError) as unread:
            # Only the read had no effect.
            raise UnknownOutcomeError(unread.cause, error_code=unread.error_code, remedy=unread.remedy) from None
        if not purchase.matches(tags):
            raise exists
        return copy.replace(observed, newly_purchased=True, tags=tags)

    def find(self, desired: SmsSenderIdProperties | None, purchase: Purchase) -> Observed | None:
        """Read the declared sender ID, or without a declaration the tags of all sender IDs."""
        if desired is not None:
            one = self.locate(desired)
            candidates: Iterable[Observed] = [one] if one is not None else []
        else:
            candidates = map(_observed, self._describe_all())
        for candidate in candidates:
            tags = self.read_tags(candidate)
            if purchase.matches(tags):
                return copy.replace(candidate, tags=tags)
        return None

    def list_all(self) -> Iterator[Listed]:
        """DescribeSenderIds."""
        for item in self._describe_all():
            yield Listed(f"{item['IsoCountryCode']}|{item['SenderId'].upper()}", item["SenderIdArn"])

    def read_all(self) -> Iterator[Observed]:
        """DescribeSenderIds."""
        return map(_observed, self._describe_all())

    def locate(self, desired: SmsSenderIdProperties) -> Observed | None:
        """DescribeSenderIds."""
        return self.read(f"{desired.iso_country_code}|{desired.sender_id.upper()}")

    def read(self, physical_id: str) -> Observed | None:
        """DescribeSenderIds. The call fails if the sender ID does not exist."""
        country, sender_id = physical_id.split("|", 1)
        try:
            response = services.sms_voice().describe_sender_ids(
                SenderIds=[{"SenderId": sender_id, "IsoCountryCode": country}]
            )
        except NotFoundError:
            return None
        return next((_observed(item) for item in response["SenderIds"]), None)

    def converge(self, observed: Observed, desired: SmsSenderIdProperties) -> Observed:
        """Change tags, then deletion protection."""
        self.converge_tags(observed, desired.tags)
        if not differences(observed, desired, create_only=False):
            return observed
        country, sender_id = observed.physical_id.split("|", 1)
        response = services.sms_voice().update_sender_id(
            SenderId=sender_id,
            IsoCountryCode=country,
            DeletionProtectionEnabled=bool(desired.deletion_protection_enabled),
        )
        return copy.replace(_observed(response), tags=observed.tags)

    def call_release(self, physical_id: str) -> None:
        """ReleaseSenderId."""
        country, sender_id = physical_id.split("|", 1)
        services.sms_voice().release_sender_id(SenderId=sender_id, IsoCountryCode=country)

    def leave_pools(self, observed: Observed, pool_ids: Iterable[str]) -> None:
        """DisassociateOriginationIdentity."""
        leave_pools(observed.attributes["SenderId"], observed.attributes["IsoCountryCode"], pool_ids)

    def disable_protection(self, observed: Observed) -> None:
        """UpdateSenderId, for deletion protection only."""
        country, sender_id = observed.physical_id.split("|", 1)
        services.sms_voice().update_sender_id(
            SenderId=sender_id, IsoCountryCode=country, DeletionProtectionEnabled=False
        )

    def read_pool_ids(self, observed: Observed) -> tuple[str, ...]:
        """Search every pool of the account. DescribeSenderIds does not return pools; a sender ID can be in several."""
        found = []
        for pool in services.paginate(services.sms_voice().describe_pools, "Pools", Owner="SELF", MaxResults=100):
            members = services.paginate(
                services.sms_voice().list_pool_origination_identities,
                "OriginationIdentities",
                PoolId=pool["PoolId"],
                MaxResults=100,
            )
            with suppress(NotFoundError):  # The pool was deleted meanwhile.
                if any(member["OriginationIdentityArn"] == observed.arn for member in members):
                    found.append(pool["PoolId"])
        return tuple(found)

    def _describe_all(self) -> Iterator[Mapping[str, Any]]:
        return services.paginate(services.sms_voice().describe_sender_ids, "SenderIds", Owner="SELF", MaxResults=100)


def _observed(response: Mapping[str, Any]) -> Observed:
    sender_id, country = response["SenderId"].upper(), response["IsoCountryCode"]
    return Observed(
        physical_id=f"{country}|{sender_id}",
        stability=Stability.ACTIVE,
        arn=response["SenderIdArn"],
        protected=response["DeletionProtectionEnabled"],
        attributes={
            "Arn": response["SenderIdArn"],
            "SenderId": sender_id,
            "IsoCountryCode": country,
            "Registered": text(response["Registered"]),
            "RegistrationId": text(response.get("RegistrationId")),
            "MonthlyLeasingPrice": response["MonthlyLeasingPrice"],
        },
        live={
            "sender_id": sender_id,
            "iso_country_code": country,
            "message_types": tuple(response["MessageTypes"]),
            "deletion_protection_enabled": response["DeletionProtectionEnabled"],
        },
    )
