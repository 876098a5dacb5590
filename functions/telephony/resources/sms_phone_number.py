"""Custom::SmsPhoneNumber: a phone number of AWS End User Messaging SMS.

Ref returns the PhoneNumberId. Fn::GetAtt returns Arn, PhoneNumberId, PhoneNumber, Status, MonthlyLeasingPrice, NumberType,
IsoCountryCode, PoolId and RegistrationId. The number and its price are known immediately. The number becomes ACTIVE within
seconds, or after days or weeks if it requires a registration. It is billed from the request on.

Source: AWS End User Messaging SMS and Voice v2 API Reference; for refused combinations, "RequestPhoneNumber" and the
User Guide, "Request a phone number".
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from telephony import reasons
from telephony.aws import services
from telephony.data import data
from telephony.errors import HandlerError, NotFoundError, RetryableError
from telephony.model.adoption import adopt_number_property
from telephony.model.deletion_protection import deletion_protection_property, lift_deletion_protection_property
from telephony.model.pools import leave_pools, leave_pools_property
from telephony.model.properties import Nested, Pattern, Properties, country_code_property, prop
from telephony.model.recovery import allow_reuse_property, recovery_window_property, reuse_property
from telephony.model.resource import (
    Listed,
    Observed,
    Purchase,
    ReleasePolicy,
    Stability,
    differences,
    normalize_values,
    resource_id,
    text,
)
from telephony.model.rules import Contains, Declared, NoneOf, OneOf, Rule
from telephony.model.sms_resource import IN_POOL, NOT_ACTIVE, SmsResource, api_tags
from telephony.model.two_way import TwoWay, two_way_changes, two_way_settings

_ID = Pattern(
    r"[A-Za-z0-9_:/-]+", "must be a name, an ID or an ARN: letters, digits, underscores, hyphens, colons and slashes."
)
_MESSAGE = Pattern(r"(?!\s*$)[\s\S]+", "must contain a character that is not blank.")
_MANDATORY = ("HELP", "STOP")
"""The keywords that every phone number has. Their action is managed by AWS (terraform-provider-aws#48967)."""
type _Keyword = dict[str, str]
"""Parameters of PutKeyword."""
_DEFAULT_OPT_OUT_LIST = "Default"
"""The list that every account has (User Guide, "Opt-out lists")."""
_RELEASED = frozenset({"DISASSOCIATING", "DELETED"})
"""The statuses of a number after ReleasePhoneNumber (terraform-provider-aws, pinpointsmsvoicev2/phone_number.go)."""
_CLOCK_SKEW = 300
"""Seconds by which the service's CreatedTimestamp may be earlier than the provider's clock."""


@data
class MandatoryKeyword(Nested):
    """The response to a keyword that every phone number has."""

    message: str = prop("The response message.", required=True, pattern=_MESSAGE, minimum=1, maximum=1600)


@data
class MandatoryKeywords(Nested):
    """The keywords that every phone number has. A keyword that isn't declared keeps its current response."""

    HELP: MandatoryKeyword | None = prop("The response to HELP.")
    STOP: MandatoryKeyword | None = prop("The response to STOP, which opts the sender out.")


@data
class OptionalKeyword(Nested):
    """An additional keyword."""

    keyword: str = prop(
        "The keyword. Case is ignored. It can't begin or end with a space.",
        required=True,
        pattern=Pattern(
            r"(?!(?i:stop|help)$)\S([ \S]*\S)?",
            "must be one line that doesn't begin or end with a blank. For STOP and HELP, use MandatoryKeywords.",
        ),
        minimum=1,
        maximum=30,
    )
    message: str = prop("The response message.", required=True, pattern=_MESSAGE, minimum=1, maximum=1600)
    action: Literal["AUTOMATIC_RESPONSE", "OPT_OUT", "OPT_IN"] = prop(
        "The action to perform when the keyword is received.", required=True
    )


@data
class Preference(Nested):
    """Preferred digits of a phone number."""

    preference_type: tuple[Literal["StartsWith", "EndsWith", "Contains", "ExactMatch"], ...] = prop(
        "How `Filter` is matched.", required=True, minimum=1, maximum=1
    )
    filter: tuple[str, ...] = prop(
        "The preferred digits.",
        required=True,
        pattern=Pattern(r"\+?[0-9]{1,15}", "must be 1 to 15 digits, with or without a plus sign in front."),
        minimum=1,
        maximum=10,
    )


@data
class OnDelete(Nested):
    """Actions that are allowed on delete if deletion protection or a pool prevents the release."""

    lift_deletion_protection: bool = lift_deletion_protection_property()
    leave_pools: bool = leave_pools_property()
    allow_reuse: bool = allow_reuse_property()


@data
class SmsPhoneNumberProperties(Properties):
    """The properties of Custom::SmsPhoneNumber."""

    id_pattern = r"phone-[0-9a-f]{32}"
    id_example = "phone-0123456789abcdef0123456789abcdef"
    rules = (
        Rule(
            "MessageType",
            "can't be PROMOTIONAL if NumberType is SIMULATOR.",
            (OneOf("NumberType", ("SIMULATOR",)), OneOf("MessageType", ("PROMOTIONAL",))),
        ),
        Rule(
            "IsoCountryCode",
            "must be US if NumberType is SIMULATOR or TEN_DLC.",
            (OneOf("NumberType", ("SIMULATOR", "TEN_DLC")), NoneOf("IsoCountryCode", ("US",))),
        ),
        Rule(
            "NumberType",
            "can't be LONG_CODE in the US if NumberCapabilities contains SMS. Use TEN_DLC or TOLL_FREE.",
            (
                OneOf("IsoCountryCode", ("US",)),
                OneOf("NumberType", ("LONG_CODE",)),
                Contains("NumberCapabilities", "SMS"),
            ),
        ),
        Rule(
            "NumberCapabilities",
            "can contain MMS only in the US and Canada.",
            (Contains("NumberCapabilities", "MMS"), NoneOf("IsoCountryCode", ("US", "CA"))),
        ),
        Rule(
            "NumberPreference",
            "is supported only if NumberType is TEN_DLC.",
            (Declared("NumberPreference"), NoneOf("NumberType", ("TEN_DLC",))),
        ),
    )

    iso_country_code: str = country_code_property(required=True)
    number_type: Literal["LONG_CODE", "TOLL_FREE", "TEN_DLC", "SIMULATOR"] = prop(
        "The type of phone number. Short codes can't be requested through the API.",
        required=True,
        create_only=True,
        hints={"SHORT_CODE": "Short codes can't be requested through the API. Open a case with AWS Support."},
    )
    number_capabilities: tuple[Literal["SMS", "VOICE", "MMS", "RCS"], ...] = prop(
        "The capabilities of the phone number.",
        required=True,
        create_only=True,
        minimum=1,
        maximum=4,
        normalize=normalize_values,
    )
    message_type: Literal["TRANSACTIONAL", "PROMOTIONAL"] = prop(
        "The type of messages that the phone number sends.", default="TRANSACTIONAL", create_only=True
    )
    registration_id: str | None = prop(
        "The ID or ARN of the registration to request the phone number with. A registration that the service assigns "
        "doesn't cause a replacement.",
        create_only=True,
        pattern=_ID,
        maximum=256,
        normalize=resource_id,
    )
    number_preference: tuple[Preference, ...] | None = prop(
        "The preferred digits of the phone number. Supported only for `TEN_DLC`. Applies at purchase; later changes have "
        "no effect.",
        create_only_not_readable=True,
        minimum=1,
        maximum=1,
    )
    opt_out_list_name: str | None = prop(
        "The name or ARN of the opt-out list. A list that another account shares with yours requires the ARN.",
        pattern=_ID,
        minimum=1,
        maximum=256,
        normalize=resource_id,
    )
    pool_id: str | None = prop(
        "The ID or ARN of the pool that contains the phone number. A pool that another account shares with yours requires "
        "the ARN, which the parameter `PoolArns` of the provider must list.",
        pattern=_ID,
        maximum=256,
        normalize=resource_id,
    )
    international_sending_enabled: bool | None = prop(
        "Specifies whether the phone number can send messages to other countries."
    )
    deletion_protection_enabled: bool | None = deletion_protection_property(
        "phone number", ", unless the phone number is in a pool: the service rejects that change"
    )
    self_managed_opt_outs_enabled: bool | None = prop(
        "Specifies whether you respond to HELP and STOP messages yourself."
    )
    two_way: TwoWay | None = prop("The two-way messaging settings.")
    mandatory_keywords: MandatoryKeywords | None = prop("The responses to the keywords that every phone number has.")
    optional_keywords: tuple[OptionalKeyword, ...] | None = prop(
        "Additional keywords. Keywords that aren't declared are deleted. If you omit this property, keywords don't change.",
        maximum=28,
    )
    adopt: str | None = adopt_number_property(r"(arn:\S+/)?phone-[-a-zA-Z0-9]+")
    reuse_pending_release: bool = reuse_property()
    recovery_window_in_days: int | None = recovery_window_property()
    on_delete: OnDelete = prop(
        "The actions that are allowed on delete if deletion protection or a pool prevents the release, and whether other "
        "resources can take the phone number afterwards.",
        default=OnDelete(),
        of_request=True,
    )


class SmsPhoneNumber(SmsResource[SmsPhoneNumberProperties]):
    """Custom::SmsPhoneNumber."""

    type_name = "Custom::SmsPhoneNumber"
    display_name = "phone number"
    properties = SmsPhoneNumberProperties
    attributes: ClassVar[Mapping[str, str]] = {
        "Arn": "The Amazon Resource Name (ARN) of the phone number.",
        "PhoneNumberId": "The ID of the phone number.",
        "PhoneNumber": "The phone number, in E.164 format.",
        "Status": "The status when the stack operation completed: `PENDING` or `ACTIVE`.",
        "MonthlyLeasingPrice": "The monthly price, in US dollars.",
        "NumberType": "The type of phone number.",
        "IsoCountryCode": "The two-letter country code, in ISO 3166-1 alpha-2 format.",
        "PoolId": "The ID of the pool that contains the phone number, or an empty string.",
        "RegistrationId": "The ID of the registration, or an empty string.",
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

    recoverable = True
    release_call = (services.SMS_VOICE, "ReleasePhoneNumber")
    tagging_type = "sms-voice:phone-number"

    def purchase_calls(self, desired: SmsPhoneNumberProperties) -> list[tuple[str, str]]:
        """RequestPhoneNumber, and the calls that `converge` makes for a new number."""
        operations = ["RequestPhoneNumber", *["PutKeyword"] * len(_declared_keywords(desired))]
        if _needs_update(desired):
            operations.append("UpdatePhoneNumber")
        if desired.pool_id is not None and _needs_second_step(desired):
            operations.append("AssociateOriginationIdentity")
        return [(services.SMS_VOICE, operation) for operation in operations]

    def acquire(self, desired: SmsPhoneNumberProperties, purchase: Purchase) -> Observed:
        """RequestPhoneNumber, without deletion protection: the number must be releasable until the stack owns it."""
        optional: dict[str, Any] = {
            "OptOutListName": desired.opt_out_list_name,
            "RegistrationId": desired.registration_id,
            "InternationalSendingEnabled": desired.international_sending_enabled,
            # The service refuses to change the settings of a number in a pool, so it joins after they are set.
            "PoolId": None if _needs_second_step(desired) else desired.pool_id,
        }
        if desired.number_preference is not None:
            optional["NumberPreference"] = [
                {"PreferenceType": list(preference.preference_type), "Filter": list(preference.filter)}
                for preference in desired.number_preference
            ]
        response = services.sms_voice().request_phone_number(
            IsoCountryCode=desired.iso_country_code,
            MessageType=desired.message_type,
            NumberCapabilities=list(desired.number_capabilities),
            NumberType=desired.number_type,
            DeletionProtectionEnabled=False,
            Tags=api_tags(purchase.tags(desired.tags)),
            ClientToken=purchase.token("RequestPhoneNumber"),
            **{name: value for name, value in optional.items() if value is not None},
        )
        return copy.replace(_observed(response), newly_purchased=True, tags=purchase.tags(desired.tags))

    def find(self, desired: SmsPhoneNumberProperties | None, purchase: Purchase) -> Observed | None:
        """Read the tags of every number that is new enough, because DescribePhoneNumbers cannot filter by tag."""
        filters = []
        if desired is not None:
            filters.append({"Name": "iso-country-code", "Values": [desired.iso_country_code]})
            filters.append({"Name": "number-type", "Values": [desired.number_type]})
        for number in self._describe(filters):
            if number["CreatedTimestamp"].timestamp() < purchase.opened_at - _CLOCK_SKEW:
                continue
            if purchase.is_held_by_another(number["PhoneNumberId"]):
                continue
            observed = _observed(number)
            tags = self.read_tags(observed)
            if purchase.matches(tags):
                return copy.replace(observed, tags=tags)
        return None

    def locate(self, desired: SmsPhoneNumberProperties) -> Observed | None:
        """DescribePhoneNumbers. It can't filter by the number."""
        reference = desired.adopt or ""
        if not reference.startswith("+"):
            return self.read(resource_id(reference) or "")
        return next((_observed(number) for number in self._describe() if number["PhoneNumber"] == reference), None)

    def conflicts(self, observed: Observed, desired: SmsPhoneNumberProperties) -> list[str]:
        """Return also keywords, two-way messaging and the pool."""
        found = super().conflicts(observed, desired)
        if _moves(observed, desired):
            found.append("PoolId")
        if two_way_changes(observed.live["two_way_settings"], desired.two_way):
            found.append("TwoWay")
        live, declared = self._read_keywords(observed, desired), _declared_keywords(desired)
        changed = {keyword for keyword, settings in declared.items() if live.get(keyword) != settings}
        if desired.optional_keywords is not None:
            changed |= live.keys() - declared.keys() - set(_MANDATORY)
        if changed & set(_MANDATORY):
            found.append("MandatoryKeywords")
        if changed - set(_MANDATORY):
            found.append("OptionalKeywords")
        return found

    def read(self, physical_id: str) -> Observed | None:
        """DescribePhoneNumbers. The call fails if the ID does not exist."""
        try:
            numbers = services.sms_voice().describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
        except NotFoundError:
            return None
        return next((_observed(number) for number in numbers if number["Status"] not in _RELEASED), None)

    def list_all(self) -> Iterator[Listed]:
        """DescribePhoneNumbers."""
        for number in self._describe():
            yield Listed(number["PhoneNumberId"], number["PhoneNumberArn"])

    def read_all(self) -> Iterator[Observed]:
        """DescribePhoneNumbers."""
        return map(_observed, self._describe())

    def declaration(self, observed: Observed) -> dict[str, Any]:
        """Return also the pool, two-way messaging and keywords."""
        declared = super().declaration(observed)
        if observed.pool_ids:
            declared["PoolId"] = observed.pool_ids[0]
        two_way = observed.live["two_way_settings"]
        if two_way["TwoWayEnabled"]:
            settings = {name: two_way[f"TwoWay{name}"] for name in ("Enabled", "ChannelArn", "ChannelRole")}
            declared["TwoWay"] = {name: value for name, value in settings.items() if value is not None}
        live = self._read_all_keywords(observed)
        mandatory = {name: {"Message": live[name]["KeywordMessage"]} for name in _MANDATORY if name in live}
        optional = [
            {"Keyword": name, "Message": live[name]["KeywordMessage"], "Action": live[name]["KeywordAction"]}
            for name in sorted(live.keys() - set(_MANDATORY))
        ]
        declared |= {"MandatoryKeywords": mandatory} if mandatory else {}
        return declared | ({"OptionalKeywords": optional} if optional else {})

    def prepare(self, observed: Observed, desired: SmsPhoneNumberProperties) -> None:
        """PutKeyword, unless the service refuses it for a number that is not ACTIVE."""
        try:
            self._converge_keywords(observed, desired)
        except RetryableError as refused:
            if refused.aws_reason != NOT_ACTIVE:
                raise

    def is_converged(self, observed: Observed, desired: SmsPhoneNumberProperties) -> bool:
        """Return False also if keywords, which are not read yet, or another pool are declared."""
        keywords = desired.mandatory_keywords is not None or desired.optional_keywords is not None
        return (
            super().is_converged(observed, desired)
            and not keywords
            and not _moves(observed, desired)
            and not _changes(observed, desired)
        )

    def converge(self, observed: Observed, desired: SmsPhoneNumberProperties) -> Observed:
        """Change keywords and tags, then all settings and protection in one UpdatePhoneNumber, then the pool."""
        self._converge_keywords(observed, desired)
        self.converge_tags(observed, desired.tags)
        moves = _moves(observed, desired)
        changes = _changes(observed, desired)
        if moves and observed.pool_ids:
            self.leave_pools(observed, observed.pool_ids)
        if changes:
            try:
                response = services.sms_voice().update_phone_number(PhoneNumberId=observed.physical_id, **changes)
            except HandlerError as refused:
                if refused.aws_reason == IN_POOL and (moves or not observed.pool_ids):
                    raise refused.as_kind(RetryableError) from None  # The service sees the removal with a delay.
                raise
            pools = () if moves else observed.pool_ids
            observed = copy.replace(_observed(response, pools), tags=observed.tags)
        if moves and desired.pool_id is not None:
            services.sms_voice().associate_origination_identity(
                PoolId=desired.pool_id,
                OriginationIdentity=observed.physical_id,
                IsoCountryCode=desired.iso_country_code,
            )
            attributes = {**observed.attributes, "PoolId": text(resource_id(desired.pool_id))}
            observed = copy.replace(observed, pool_ids=(desired.pool_id,), attributes=attributes)
        return observed

    def disconnect(self, physical_id: str, policy: ReleasePolicy) -> bool:
        """Leave the pools, then one UpdatePhoneNumber: no two-way messaging, and the default opt-out list."""
        observed = self.read(physical_id)
        if observed is None:
            return False
        if blockers := policy.blockers(observed.protected, observed.pool_ids):
            values = {"noun": self.display_name, "id": physical_id, "blockers": " and ".join(blockers)}
            raise reasons.RELEASE_BLOCKED.failure(**values)
        self.leave_pools(observed, observed.pool_ids)
        disconnected = {
            "DeletionProtectionEnabled": (observed.protected, False),
            "TwoWayEnabled": (observed.live["two_way_settings"]["TwoWayEnabled"], False),
            "OptOutListName": (resource_id(observed.live["opt_out_list_name"]), _DEFAULT_OPT_OUT_LIST),
        }
        changes: Any = {name: value for name, (live, value) in disconnected.items() if live != value}
        try:
            if changes:
                services.sms_voice().update_phone_number(PhoneNumberId=physical_id, **changes)
        except HandlerError as refused:
            if refused.aws_reason == IN_POOL:
                raise refused.as_kind(RetryableError) from None  # The service sees the removal with a delay.
            if refused.aws_reason != NOT_ACTIVE or observed.stability is Stability.ACTIVE:
                raise  # What is not ACTIVE yet is not connected.
        return True

    def fits(self, observed: Observed, desired: SmsPhoneNumberProperties) -> bool:
        """Return whether it has no registration, and no digits are preferred."""
        return not observed.attributes["RegistrationId"] and desired.number_preference is None

    def call_release(self, physical_id: str) -> None:
        """ReleasePhoneNumber."""
        services.sms_voice().release_phone_number(PhoneNumberId=physical_id)

    def leave_pools(self, observed: Observed, pool_ids: Iterable[str]) -> None:
        """DisassociateOriginationIdentity."""
        leave_pools(observed.physical_id, observed.attributes["IsoCountryCode"], pool_ids)

    def disable_protection(self, observed: Observed) -> None:
        """UpdatePhoneNumber, for deletion protection only."""
        services.sms_voice().update_phone_number(PhoneNumberId=observed.physical_id, DeletionProtectionEnabled=False)

    def _describe(self, filters: Sequence[Any] = ()) -> Iterator[Mapping[str, Any]]:
        """Yield the numbers of the account that are not released."""
        numbers = services.paginate(
            services.sms_voice().describe_phone_numbers, "PhoneNumbers", Owner="SELF", Filters=filters, MaxResults=100
        )
        return (number for number in numbers if number["Status"] not in _RELEASED)

    def _converge_keywords(self, observed: Observed, desired: SmsPhoneNumberProperties) -> None:
        live = self._read_keywords(observed, desired)
        declared = _declared_keywords(desired)
        # Deleted first, so that the limit is not exceeded.
        if desired.optional_keywords is not None:
            for keyword in sorted(live.keys() - declared.keys() - set(_MANDATORY)):
                services.sms_voice().delete_keyword(OriginationIdentity=observed.physical_id, Keyword=keyword)
        for keyword, settings in declared.items():
            if live.get(keyword) != settings:
                put: Any = services.sms_voice().put_keyword
                put(OriginationIdentity=observed.physical_id, Keyword=keyword, **settings)

    def _read_keywords(self, observed: Observed, desired: SmsPhoneNumberProperties) -> dict[str, _Keyword]:
        """DescribeKeywords, if any are declared. A new number has none."""
        if observed.newly_purchased or (desired.mandatory_keywords is None and desired.optional_keywords is None):
            return {}
        return self._read_all_keywords(observed)

    def _read_all_keywords(self, observed: Observed) -> dict[str, _Keyword]:
        """DescribeKeywords."""
        keywords = services.paginate(
            services.sms_voice().describe_keywords,
            "Keywords",
            OriginationIdentity=observed.physical_id,
            MaxResults=100,
        )
        return {item["Keyword"].upper(): _settings(item) for item in keywords}


def _settings(keyword: Mapping[str, Any]) -> _Keyword:
    """Return what can be declared of a keyword of DescribeKeywords."""
    message = {"KeywordMessage": keyword["KeywordMessage"]}
    if keyword["Keyword"].upper() in _MANDATORY:
        return message
    return message | {"KeywordAction": keyword["KeywordAction"]}


def _declared_keywords(desired: SmsPhoneNumberProperties) -> dict[str, _Keyword]:
    """Return the declared keywords."""
    mandatory = desired.mandatory_keywords or MandatoryKeywords()
    declared = {
        name: {"KeywordMessage": keyword.message}
        for name in _MANDATORY
        if (keyword := getattr(mandatory, name)) is not None
    }
    for item in desired.optional_keywords or ():
        declared[item.keyword.upper()] = {"KeywordMessage": item.message, "KeywordAction": item.action}
    return declared


def _needs_update(desired: SmsPhoneNumberProperties) -> bool:
    """Return whether a declared setting can be set only by UpdatePhoneNumber."""
    settings = (desired.two_way, desired.self_managed_opt_outs_enabled, desired.deletion_protection_enabled)
    return any(setting not in {None, False} for setting in settings)


def _needs_second_step(desired: SmsPhoneNumberProperties) -> bool:
    """Return whether a declared setting can be set only after the purchase."""
    return _needs_update(desired) or bool(desired.mandatory_keywords or desired.optional_keywords)


_UPDATE_PARAMETERS = {
    "opt_out_list_name": "OptOutListName",
    "international_sending_enabled": "InternationalSendingEnabled",
    "deletion_protection_enabled": "DeletionProtectionEnabled",
    "self_managed_opt_outs_enabled": "SelfManagedOptOutsEnabled",
}


def _changes(observed: Observed, desired: SmsPhoneNumberProperties) -> dict[str, Any]:
    """Return the parameters of UpdatePhoneNumber for everything that differs."""
    differing = {difference.property_name for difference in differences(observed, desired, create_only=False)}
    changes = {api: getattr(desired, name) for name, api in _UPDATE_PARAMETERS.items() if api in differing}
    return changes | two_way_changes(observed.live["two_way_settings"], desired.two_way)


def _moves(observed: Observed, desired: SmsPhoneNumberProperties) -> bool:
    """Return whether another pool is declared than the current one."""
    return desired.pool_id is not None and [resource_id(desired.pool_id)] != [*map(resource_id, observed.pool_ids)]


def _observed(response: Mapping[str, Any], pool_ids: tuple[str, ...] | None = None) -> Observed:
    """Convert any response that describes a phone number. That of UpdatePhoneNumber does not contain the pool."""
    pools = pool_ids if pool_ids is not None else tuple(filter(None, [response.get("PoolId")]))
    return Observed(
        physical_id=response["PhoneNumberId"],
        stability=Stability.ACTIVE if response["Status"] == "ACTIVE" else Stability.PENDING,
        arn=response["PhoneNumberArn"],
        protected=response["DeletionProtectionEnabled"],
        pool_ids=pools,
        attributes={"Arn": response["PhoneNumberArn"], "PoolId": text(resource_id(next(iter(pools), "")))}
        | {
            name: text(response.get(name))
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
            "iso_country_code": response["IsoCountryCode"],
            "number_type": response["NumberType"],
            "number_capabilities": tuple(response["NumberCapabilities"]),
            "message_type": response["MessageType"],
            "registration_id": response.get("RegistrationId"),
            "opt_out_list_name": response.get("OptOutListName"),
            "international_sending_enabled": bool(response.get("InternationalSendingEnabled")),
            "deletion_protection_enabled": response["DeletionProtectionEnabled"],
            "self_managed_opt_outs_enabled": response["SelfManagedOptOutsEnabled"],
            "two_way_settings": two_way_settings(response),
        },
    )
