"""Custom::SmsSenderId: a sender ID of AWS End User Messaging SMS, in one country.

Ref gives the country and the sender ID, `GB|MYBRAND`; Fn::GetAtt gives Arn, SenderId, IsoCountryCode, Registered,
RegistrationId and MonthlyLeasingPrice. It is there at once. It has no id of its own: the name and the country are its
key, so that two stacks cannot have the same one.

Source: AWS End User Messaging SMS and Voice v2 API reference, "RequestSenderId"; the user guide's "Sender IDs".
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import attrs

from telephony import reasons
from telephony.aws import services
from telephony.errors import HandlerError, HandlerErrorCode
from telephony.model.origination_identity import OriginationIdentity, api_tags
from telephony.model.properties import Properties, Rule, prop
from telephony.model.resource import Observed, OnDelete, Purchase, Stability, differences, normalize_values, text


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SmsSenderIdProperties(Properties):
    """What can be declared of a sender ID."""

    rules = (
        Rule(
            "IsoCountryCode",
            "is a country without sender IDs: use a phone number.",
            lambda declared: declared.get("iso_country_code") in {"US", "CA", "CN"},
        ),
    )

    sender_id: str = prop(
        "The name that recipients see: letters, digits, hyphens and underscores, at least one letter among them. Any "
        "case is accepted; the service keeps upper case.",
        required=True,
        create_only=True,
        pattern=r"(?=.*[A-Za-z])(?!-)[A-Za-z0-9_-]+(?<!-)",
        minimum=1,
        maximum=11,
        normalize=str.upper,
    )
    iso_country_code: str = prop(
        "The country, in ISO 3166-1 alpha-2 format.",
        required=True,
        create_only=True,
        pattern=r"[A-Z]{2}",
        hints={"false": 'YAML reads an unquoted NO as false: quote NO in YAML, "NO".'},
    )
    message_types: tuple[Literal["TRANSACTIONAL", "PROMOTIONAL"], ...] | None = prop(
        "The kinds of messages that are sent. Without it the service takes TRANSACTIONAL. They cannot change while the "
        "sender ID and the country stay the same.",
        create_only=True,
        minimum=1,
        maximum=2,
        normalize=normalize_values,
    )
    deletion_protection_enabled: bool | None = prop(
        "Whether the sender ID cannot be released. Taking `true` away in an update switches the protection off.",
        disabled_when_removed=True,
    )
    on_delete: OnDelete = prop("What a Delete may do to get the sender ID released.", default=OnDelete())


class SmsSenderId(OriginationIdentity[SmsSenderIdProperties]):
    """Custom::SmsSenderId."""

    type_name = "Custom::SmsSenderId"
    display_name = "sender ID"
    properties = SmsSenderIdProperties
    attributes: ClassVar[Mapping[str, str]] = {
        "Arn": "The Amazon Resource Name (ARN) of the sender ID.",
        "SenderId": "The sender ID, in upper case.",
        "IsoCountryCode": "The country, in ISO 3166-1 alpha-2 format.",
        "Registered": "true if the sender ID is registered, else false.",
        "RegistrationId": "The id of its registration, or empty.",
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
    id_pattern = r"[A-Z]{2}\|[A-Z0-9_-]{1,11}"
    id_example = "GB|MYBRAND"
    identity_fields = frozenset({"SenderId", "IsoCountryCode"})

    def purchase_call(self, desired: SmsSenderIdProperties) -> tuple[str, str]:  # noqa: ARG002 - always the same
        """RequestSenderId."""
        return services.SMS_VOICE, "RequestSenderId"

    def acquire(self, desired: SmsSenderIdProperties, purchase: Purchase) -> Observed:
        """RequestSenderId; one that was there before belongs to somebody else, whatever the service answers."""
        answer = services.sms_voice().request_sender_id(
            SenderId=desired.sender_id.upper(),
            IsoCountryCode=desired.iso_country_code,
            DeletionProtectionEnabled=False,
            Tags=api_tags(purchase.tags(desired.tags)),
            ClientToken=purchase.token("RequestSenderId"),
            **({"MessageTypes": list(desired.message_types)} if desired.message_types is not None else {}),
        )
        observed = _observed(answer)
        tags = {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])} or self.read_tags(observed)
        if not purchase.matches(tags):
            raise reasons.SENDER_ID_EXISTS.failure(
                sender_id=desired.sender_id.upper(), country=desired.iso_country_code
            )
        return attrs.evolve(observed, newly_purchased=True, tags=tags)

    def find(self, desired: SmsSenderIdProperties | None, purchase: Purchase) -> Observed | None:
        """By its key where the declaration is known, else by the tags of all."""
        candidates: Iterable[Observed] = self.list_all()
        if desired is not None:
            one = self.read(f"{desired.iso_country_code}|{desired.sender_id.upper()}")
            candidates = [one] if one is not None else []
        for candidate in candidates:
            tags = self.read_tags(candidate)
            if purchase.matches(tags):
                return attrs.evolve(candidate, tags=tags)
        return None

    def list_all(self) -> Iterator[Observed]:
        """DescribeSenderIds."""
        for item in services.paginate(services.sms_voice().describe_sender_ids, "SenderIds", MaxResults=100):
            yield _observed(item)

    def read(self, physical_id: str) -> Observed | None:
        """DescribeSenderIds; an unknown one fails the whole call."""
        country, sender_id = physical_id.split("|", 1)
        try:
            answer = services.sms_voice().describe_sender_ids(
                SenderIds=[{"SenderId": sender_id, "IsoCountryCode": country}]
            )
        except HandlerError as failure:
            if failure.error_code is HandlerErrorCode.NOT_FOUND:
                return None
            raise
        return next((_observed(item) for item in answer["SenderIds"]), None)

    def converge(self, observed: Observed, desired: SmsSenderIdProperties) -> Observed:
        """Tags, then protection."""
        self.converge_tags(observed, desired.tags)
        if not differences(observed, desired, replacement=False):
            return observed
        country, sender_id = observed.physical_id.split("|", 1)
        answer = services.sms_voice().update_sender_id(
            SenderId=sender_id,
            IsoCountryCode=country,
            DeletionProtectionEnabled=bool(desired.deletion_protection_enabled),
        )
        return attrs.evolve(_observed(answer), tags=observed.tags)

    def release_unused(self, physical_id: str) -> None:
        """ReleaseSenderId."""
        country, sender_id = physical_id.split("|", 1)
        services.sms_voice().release_sender_id(SenderId=sender_id, IsoCountryCode=country)

    def pool_identity(self, observed: Observed) -> str:
        """The sender ID itself; its country goes with it."""
        return observed.attributes["SenderId"]

    def disable_protection(self, observed: Observed) -> None:
        """UpdateSenderId."""
        country, sender_id = observed.physical_id.split("|", 1)
        services.sms_voice().update_sender_id(
            SenderId=sender_id, IsoCountryCode=country, DeletionProtectionEnabled=False
        )

    def read_pool_ids(self, observed: Observed) -> tuple[str, ...]:
        """Look into every pool: DescribeSenderIds does not tell, and a sender ID may be in many."""
        found = []
        for pool in services.paginate(services.sms_voice().describe_pools, "Pools", MaxResults=100):
            members = services.paginate(
                services.sms_voice().list_pool_origination_identities,
                "OriginationIdentities",
                PoolId=pool["PoolId"],
                MaxResults=100,
            )
            if any(member["OriginationIdentityArn"] == observed.arn for member in members):
                found.append(pool["PoolId"])
        return tuple(found)


def _observed(answer: Mapping[str, Any]) -> Observed:
    sender_id, country = answer["SenderId"].upper(), answer["IsoCountryCode"]
    return Observed(
        physical_id=f"{country}|{sender_id}",
        stability=Stability.ACTIVE,
        arn=answer["SenderIdArn"],
        protected=answer["DeletionProtectionEnabled"],
        attributes={
            "Arn": answer["SenderIdArn"],
            "SenderId": sender_id,
            "IsoCountryCode": country,
            "Registered": text(answer["Registered"]),
            "RegistrationId": text(answer.get("RegistrationId")),
            "MonthlyLeasingPrice": answer["MonthlyLeasingPrice"],
        },
        live={
            "sender_id": sender_id,
            "iso_country_code": country,
            "message_types": tuple(answer["MessageTypes"]),
            "deletion_protection_enabled": answer["DeletionProtectionEnabled"],
        },
    )
