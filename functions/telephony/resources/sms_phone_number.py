"""Custom::SmsPhoneNumber: a phone number of AWS End User Messaging SMS.

Ref gives the PhoneNumberId; Fn::GetAtt gives Arn, PhoneNumberId, PhoneNumber, Status, MonthlyLeasingPrice, NumberType,
IsoCountryCode, PoolId and RegistrationId. The number and its price are known at once. It is ACTIVE within seconds, or,
where a registration is needed, after days or weeks: it is paid for from the request on all the same.

Source: AWS End User Messaging SMS and Voice v2 API reference; "RequestPhoneNumber" and the user guide's "Request a
phone number" for the combinations that are refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import attrs

from telephony.aws import services
from telephony.errors import HandlerError, HandlerErrorCode
from telephony.model.origination_identity import OriginationIdentity, api_tags
from telephony.model.properties import Nested, Properties, Rule, prop
from telephony.model.resource import (
    Observed,
    OnDelete,
    Purchase,
    Stability,
    differences,
    normalize_values,
    resource_id,
    text,
)

_ID = r"[A-Za-z0-9_:/-]+"
_MESSAGE = r"(?!\s*$)[\s\S]+"
_CLOCK_SKEW = 300
"""Seconds by which the service's CreatedTimestamp may lie before our own clock."""


@attrs.frozen(kw_only=True, repr=False, eq=False)
class TwoWay(Nested):
    """Where messages go that people send to the number."""

    rules = (
        Rule(
            "ChannelArn",
            "is required where Enabled is true.",
            lambda declared: declared.get("enabled") is True and declared.get("channel_arn", "") is None,
        ),
    )

    enabled: bool = prop("Whether the number receives messages.", required=True)
    channel_arn: str | None = prop(
        "The destination: the ARN of an Amazon SNS topic, or `connect.<region>.amazonaws.com` for Amazon Connect.",
        pattern=r"arn:\S+|connect\.[a-z0-9-]+\.amazonaws\.com",
        minimum=20,
        maximum=2048,
    )
    channel_role: str | None = prop(
        "The ARN of the role that the service assumes to write to the destination.",
        pattern=r"arn:\S+",
        minimum=20,
        maximum=2048,
    )


@attrs.frozen(kw_only=True, repr=False, eq=False)
class MandatoryKeyword(Nested):
    """What is answered to a keyword that every number has."""

    message: str = prop("The answer.", required=True, pattern=_MESSAGE, minimum=1, maximum=1600, free_text=True)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class MandatoryKeywords(Nested):
    """The keywords that every number has. What is not declared keeps the service's own answer."""

    HELP: MandatoryKeyword | None = prop("The answer to HELP.")
    STOP: MandatoryKeyword | None = prop("The answer to STOP, which opts the sender out.")


@attrs.frozen(kw_only=True, repr=False, eq=False)
class OptionalKeyword(Nested):
    """A keyword of the number's own."""

    keyword: str = prop(
        "The keyword, in any case.", required=True, pattern=r"(?!(?i:stop|help)$)[ \S]+", minimum=1, maximum=30
    )
    message: str = prop("The answer.", required=True, pattern=_MESSAGE, minimum=1, maximum=1600, free_text=True)
    action: Literal["AUTOMATIC_RESPONSE", "OPT_OUT", "OPT_IN"] = prop("What the keyword does.", required=True)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Preference(Nested):
    """A wish for the digits of a number."""

    preference_type: tuple[Literal["StartsWith", "EndsWith", "Contains", "ExactMatch"], ...] = prop(
        "How Filter is meant.", required=True, minimum=1, maximum=1
    )
    filter: tuple[str, ...] = prop("The digits.", required=True, pattern=r"\+?[0-9]{1,15}", minimum=1, maximum=10)


def _us_long_code_for_sms(declared: Mapping[str, Any]) -> bool:
    return (
        declared.get("iso_country_code") == "US"
        and declared.get("number_type") == "LONG_CODE"
        and "SMS" in (declared.get("number_capabilities") or ())
    )


@attrs.frozen(kw_only=True, repr=False, eq=False)
class SmsPhoneNumberProperties(Properties):
    """What can be declared of a phone number."""

    rules = (
        Rule(
            "MessageType",
            "cannot be PROMOTIONAL where NumberType is SIMULATOR.",
            lambda declared: (
                declared.get("number_type") == "SIMULATOR" and declared.get("message_type") == "PROMOTIONAL"
            ),
        ),
        Rule(
            "IsoCountryCode",
            "must be US where NumberType is SIMULATOR or TEN_DLC.",
            lambda declared: (
                declared.get("number_type") in {"SIMULATOR", "TEN_DLC"}
                and declared.get("iso_country_code", "US") != "US"
            ),
        ),
        Rule(
            "NumberType",
            "cannot be LONG_CODE in the US where NumberCapabilities has SMS: use TEN_DLC or TOLL_FREE.",
            _us_long_code_for_sms,
        ),
        Rule(
            "NumberCapabilities",
            "can have MMS in the US and Canada only.",
            lambda declared: (
                "MMS" in (declared.get("number_capabilities") or ())
                and declared.get("iso_country_code", "US") not in {"US", "CA"}
            ),
        ),
        Rule(
            "NumberPreference",
            "is possible only where NumberType is TEN_DLC.",
            lambda declared: (
                declared.get("number_preference") is not None and declared.get("number_type", "TEN_DLC") != "TEN_DLC"
            ),
        ),
    )

    iso_country_code: str = prop(
        "The country, in ISO 3166-1 alpha-2 format.",
        required=True,
        create_only=True,
        pattern=r"[A-Z]{2}",
        hints={"false": 'YAML reads an unquoted NO as false: quote NO in YAML, "NO".'},
    )
    number_type: Literal["LONG_CODE", "TOLL_FREE", "TEN_DLC", "SIMULATOR"] = prop(
        "The kind of number. A short code cannot be requested by API.",
        required=True,
        create_only=True,
        hints={"SHORT_CODE": "A short code cannot be requested by API: open a case with AWS Support."},
    )
    number_capabilities: tuple[Literal["SMS", "VOICE", "MMS", "RCS"], ...] = prop(
        "What the number is used for.",
        required=True,
        create_only=True,
        minimum=1,
        maximum=4,
        normalize=normalize_values,
    )
    message_type: Literal["TRANSACTIONAL", "PROMOTIONAL"] = prop(
        "The kind of messages that are sent.", default="TRANSACTIONAL", create_only=True
    )
    registration_id: str | None = prop(
        "The id or ARN of the registration that the number is requested under. One that the service filled in is never "
        "a reason for a replacement.",
        create_only=True,
        pattern=_ID,
        maximum=256,
        normalize=resource_id,
    )
    number_preference: tuple[Preference, ...] | None = prop(
        "A wish for the digits of a TEN_DLC number.", create_only_not_readable=True, minimum=1, maximum=1
    )
    opt_out_list_name: str | None = prop(
        "The name or ARN of the opt-out list.", pattern=_ID, minimum=1, maximum=256, normalize=resource_id
    )
    pool_id: str | None = prop(
        "The id or ARN of the pool that the number is in.", pattern=_ID, maximum=256, normalize=resource_id
    )
    international_sending_enabled: bool | None = prop("Whether messages may go to other countries.")
    deletion_protection_enabled: bool | None = prop(
        "Whether the number cannot be released. Taking `true` away in an update switches the protection off; that of a "
        "number in a pool stays, because the service refuses to change it.",
        disabled_when_removed=True,
    )
    self_managed_opt_outs_enabled: bool | None = prop("Whether you answer HELP and STOP yourself.")
    two_way: TwoWay | None = prop("Where messages go that people send to the number.")
    mandatory_keywords: MandatoryKeywords | None = prop("The answers to the keywords that every number has.")
    optional_keywords: tuple[OptionalKeyword, ...] | None = prop(
        "Keywords of the number's own. What is not declared here is deleted; without this property none is touched.",
        maximum=28,
    )
    on_delete: OnDelete = prop("What a Delete may do to get the number released.", default=OnDelete())


class SmsPhoneNumber(OriginationIdentity[SmsPhoneNumberProperties]):
    """Custom::SmsPhoneNumber."""

    type_name = "Custom::SmsPhoneNumber"
    display_name = "phone number"
    properties = SmsPhoneNumberProperties
    attributes: ClassVar[Mapping[str, str]] = {
        "Arn": "The Amazon Resource Name (ARN) of the phone number.",
        "PhoneNumberId": "The id of the phone number.",
        "PhoneNumber": "The phone number in E.164 format.",
        "Status": "PENDING or ACTIVE, as it was when CloudFormation was answered.",
        "MonthlyLeasingPrice": "The monthly price, in US dollars.",
        "NumberType": "The kind of number.",
        "IsoCountryCode": "The country, in ISO 3166-1 alpha-2 format.",
        "PoolId": "The id of the pool that the number is in, or empty.",
        "RegistrationId": "The id of its registration, or empty.",
    }
    permissions = (
        "sms-voice:RequestPhoneNumber",
        "sms-voice:UpdatePhoneNumber",
        "sms-voice:ReleasePhoneNumber",
        "sms-voice:DescribePhoneNumbers",
        "sms-voice:AssociateOriginationIdentity",
        "sms-voice:DisassociateOriginationIdentity",
        "sms-voice:DescribeKeywords",
        "sms-voice:PutKeyword",
        "sms-voice:DeleteKeyword",
        "sms-voice:ListTagsForResource",
        "sms-voice:TagResource",
        "sms-voice:UntagResource",
        "iam:PassRole",
    )
    id_pattern = r"phone-[0-9a-f]{32}"
    id_example = "phone-0123456789abcdef0123456789abcdef"

    def purchase_call(self, desired: SmsPhoneNumberProperties) -> tuple[str, str]:  # noqa: ARG002 - always the same
        """RequestPhoneNumber."""
        return services.SMS_VOICE, "RequestPhoneNumber"

    def acquire(self, desired: SmsPhoneNumberProperties, purchase: Purchase) -> Observed:
        """RequestPhoneNumber, without deletion protection: until the stack has it, it must be releasable."""
        wishes: dict[str, Any] = {
            "OptOutListName": desired.opt_out_list_name,
            "RegistrationId": desired.registration_id,
            "InternationalSendingEnabled": desired.international_sending_enabled,
            # A pooled number's settings are the pool's and refuse a change: with settings to make, it joins afterwards.
            "PoolId": None if _second_step(desired) else desired.pool_id,
        }
        if desired.number_preference is not None:
            wishes["NumberPreference"] = [
                {"PreferenceType": list(preference.preference_type), "Filter": list(preference.filter)}
                for preference in desired.number_preference
            ]
        answer = services.sms_voice().request_phone_number(
            IsoCountryCode=desired.iso_country_code,
            MessageType=desired.message_type,
            NumberCapabilities=list(desired.number_capabilities),
            NumberType=desired.number_type,
            DeletionProtectionEnabled=False,
            Tags=api_tags(purchase.tags(desired.tags)),
            ClientToken=purchase.token("RequestPhoneNumber"),
            **{name: value for name, value in wishes.items() if value is not None},
        )
        return attrs.evolve(_observed(answer), newly_purchased=True, tags=purchase.tags(desired.tags))

    def find(self, desired: SmsPhoneNumberProperties | None, purchase: Purchase) -> Observed | None:
        """DescribePhoneNumbers has no filter for tags: read the tags of those that are new enough."""
        filters = []
        if desired is not None:
            filters.append({"Name": "iso-country-code", "Values": [desired.iso_country_code]})
            filters.append({"Name": "number-type", "Values": [desired.number_type]})
        for number in services.paginate(
            services.sms_voice().describe_phone_numbers, "PhoneNumbers", Filters=filters, MaxResults=100
        ):
            if number["Status"] in {"DELETED", "DISASSOCIATING"}:
                continue
            if number["CreatedTimestamp"].timestamp() < purchase.opened_at - _CLOCK_SKEW:
                continue
            observed = _observed(number)
            tags = self.read_tags(observed)
            if purchase.matches(tags):
                return attrs.evolve(observed, tags=tags)
        return None

    def read(self, physical_id: str) -> Observed | None:
        """DescribePhoneNumbers; an unknown id fails the whole call."""
        try:
            numbers = services.sms_voice().describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
        except HandlerError as failure:
            if failure.error_code is HandlerErrorCode.NOT_FOUND:
                return None
            raise
        return next((_observed(number) for number in numbers if number["Status"] != "DELETED"), None)

    def list_all(self) -> Iterator[Observed]:
        """DescribePhoneNumbers."""
        for number in services.paginate(services.sms_voice().describe_phone_numbers, "PhoneNumbers", MaxResults=100):
            if number["Status"] != "DELETED":
                yield _observed(number)

    def is_converged(self, observed: Observed, desired: SmsPhoneNumberProperties) -> bool:
        """Nor are keywords declared, which were not read either, nor another pool."""
        keywords = desired.mandatory_keywords is not None or desired.optional_keywords is not None
        moves = desired.pool_id is not None and (resource_id(desired.pool_id),) != observed.pool_ids
        return (
            super().is_converged(observed, desired) and not keywords and not moves and not _changes(observed, desired)
        )

    def converge(self, observed: Observed, desired: SmsPhoneNumberProperties) -> Observed:
        """Keywords and tags; then UpdatePhoneNumber with all that differs, protection among it; then the pool."""
        self._converge_keywords(observed, desired)
        self.converge_tags(observed, desired.tags)
        pool_id = resource_id(desired.pool_id) if desired.pool_id is not None else None
        moves = pool_id is not None and (pool_id,) != observed.pool_ids
        changes = _changes(observed, desired)
        if moves and observed.pool_ids:
            self.leave_pools(observed, observed.pool_ids)
        if changes:
            answer = services.sms_voice().update_phone_number(PhoneNumberId=observed.physical_id, **changes)
            pools = () if moves else observed.pool_ids
            observed = attrs.evolve(_observed(answer, pools), tags=observed.tags)
        if moves and pool_id is not None:
            services.sms_voice().associate_origination_identity(
                PoolId=pool_id,
                OriginationIdentity=observed.physical_id,
                IsoCountryCode=desired.iso_country_code,
            )
            observed = _in_pool(observed, pool_id)
        return observed

    def release_unused(self, physical_id: str) -> None:
        """ReleasePhoneNumber."""
        services.sms_voice().release_phone_number(PhoneNumberId=physical_id)

    def pool_identity(self, observed: Observed) -> str:
        """Its id."""
        return observed.physical_id

    def disable_protection(self, observed: Observed) -> None:
        """UpdatePhoneNumber with nothing but the protection."""
        services.sms_voice().update_phone_number(PhoneNumberId=observed.physical_id, DeletionProtectionEnabled=False)

    def _converge_keywords(self, observed: Observed, desired: SmsPhoneNumberProperties) -> None:
        if desired.mandatory_keywords is None and desired.optional_keywords is None:
            return
        live: dict[str, tuple[str, str]] = {}
        if not observed.newly_purchased:
            keywords = services.paginate(
                services.sms_voice().describe_keywords,
                "Keywords",
                OriginationIdentity=observed.physical_id,
                MaxResults=100,
            )
            live = {item["Keyword"].upper(): (item["KeywordMessage"], item["KeywordAction"]) for item in keywords}
        wanted: dict[str, tuple[str, Literal["AUTOMATIC_RESPONSE", "OPT_OUT", "OPT_IN"]]] = {}
        if desired.mandatory_keywords is not None:
            if desired.mandatory_keywords.HELP is not None:
                wanted["HELP"] = (desired.mandatory_keywords.HELP.message, "AUTOMATIC_RESPONSE")
            if desired.mandatory_keywords.STOP is not None:
                wanted["STOP"] = (desired.mandatory_keywords.STOP.message, "OPT_OUT")
        wanted |= {item.keyword.upper(): (item.message, item.action) for item in desired.optional_keywords or ()}
        for keyword, (message, action) in wanted.items():
            if live.get(keyword) != (message, action):
                services.sms_voice().put_keyword(
                    OriginationIdentity=observed.physical_id,
                    Keyword=keyword,
                    KeywordMessage=message,
                    KeywordAction=action,
                )
        if desired.optional_keywords is not None:
            for keyword in sorted(live.keys() - wanted.keys() - {"HELP", "STOP"}):
                services.sms_voice().delete_keyword(OriginationIdentity=observed.physical_id, Keyword=keyword)


def _second_step(desired: SmsPhoneNumberProperties) -> bool:
    """Whether something is declared that only UpdatePhoneNumber and PutKeyword can set."""
    settings = (desired.two_way, desired.self_managed_opt_outs_enabled, desired.deletion_protection_enabled)
    return any(setting not in {None, False} for setting in settings) or bool(
        desired.mandatory_keywords or desired.optional_keywords
    )


_UPDATES = {
    "opt_out_list_name": "OptOutListName",
    "international_sending_enabled": "InternationalSendingEnabled",
    "deletion_protection_enabled": "DeletionProtectionEnabled",
    "self_managed_opt_outs_enabled": "SelfManagedOptOutsEnabled",
}


def _changes(observed: Observed, desired: SmsPhoneNumberProperties) -> dict[str, Any]:
    """The parameters of UpdatePhoneNumber for all that differs."""
    differing = {difference.property_name for difference in differences(observed, desired, replacement=False)}
    changes = {api: getattr(desired, name) for name, api in _UPDATES.items() if api in differing}
    wanted, live = desired.two_way, observed.live["two_way_settings"]
    if wanted is not None:
        settings = {
            "TwoWayEnabled": wanted.enabled,
            "TwoWayChannelArn": wanted.channel_arn,
            "TwoWayChannelRole": wanted.channel_role,
        }
        stated = {name: value for name, value in settings.items() if value is not None}
        if any(live.get(name) != value for name, value in stated.items()):
            changes |= stated
    return changes


def _observed(answer: Mapping[str, Any], pool_ids: tuple[str, ...] | None = None) -> Observed:
    """Any of the answers that describe a number; UpdatePhoneNumber's does not tell the pool."""
    pools = pool_ids if pool_ids is not None else tuple(filter(None, [resource_id(answer.get("PoolId"))]))
    return Observed(
        physical_id=answer["PhoneNumberId"],
        stability=Stability.ACTIVE if answer["Status"] == "ACTIVE" else Stability.PENDING,
        arn=answer["PhoneNumberArn"],
        protected=answer["DeletionProtectionEnabled"],
        pool_ids=pools,
        attributes={
            "Arn": answer["PhoneNumberArn"],
            "PoolId": pools[0] if pools else "",
        }
        | {
            name: text(answer.get(name))
            for name in (
                "PhoneNumberId",
                "PhoneNumber",
                "Status",
                "MonthlyLeasingPrice",
                "NumberType",
                "IsoCountryCode",
                "RegistrationId",
            )
        },
        live={
            "iso_country_code": answer["IsoCountryCode"],
            "number_type": answer["NumberType"],
            "number_capabilities": tuple(answer["NumberCapabilities"]),
            "message_type": answer["MessageType"],
            "registration_id": answer.get("RegistrationId"),
            "opt_out_list_name": answer.get("OptOutListName"),
            "international_sending_enabled": bool(answer.get("InternationalSendingEnabled")),
            "deletion_protection_enabled": answer["DeletionProtectionEnabled"],
            "self_managed_opt_outs_enabled": answer["SelfManagedOptOutsEnabled"],
            "two_way_settings": {
                name: answer.get(name) for name in ("TwoWayEnabled", "TwoWayChannelArn", "TwoWayChannelRole")
            },
        },
    )


def _in_pool(observed: Observed, pool_id: str) -> Observed:
    return attrs.evolve(observed, pool_ids=(pool_id,), attributes={**observed.attributes, "PoolId": pool_id})
