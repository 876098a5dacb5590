"""Custom::ConnectPhoneNumber: a phone number of Amazon Connect.

Ref returns the PhoneNumberArn. Fn::GetAtt returns PhoneNumberArn, PhoneNumberId, Address and Status. A claim is answered
immediately and ends CLAIMED or FAILED within seconds, so the provider always waits for it. A claim that FAILED keeps its
ID, is not billed, and is removed by the service after a day.

Claims and releases count against a quota for 180 days. An account that exceeds it can't claim numbers.

Source: Amazon Connect API Reference, "ClaimPhoneNumber", "ReleasePhoneNumber" and "DescribePhoneNumber".
"""

import copy
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, ClassVar, Literal

from telephony import reasons, redaction
from telephony.aws import quotas, services
from telephony.data import data
from telephony.errors import NotFoundError, NumberUnavailableError, TagsNotVisibleError
from telephony.model.adoption import adopt_number_property
from telephony.model.properties import (
    ARN,
    E164,
    UNQUOTED_NUMBER,
    Nested,
    Pattern,
    Properties,
    country_code_property,
    prop,
)
from telephony.model.recovery import allow_reuse_property, recovery_window_property, reuse_property
from telephony.model.resource import (
    ClaimLimit,
    Listed,
    Observed,
    Purchase,
    ReleasePolicy,
    Resource,
    Stability,
    differences,
    text,
)
from telephony.model.rules import Declared, Mismatch, NotDeclared, Rule, exclude
from telephony.model.tags import TAG_PREFIX, tag_changes
from telephony.settings import settings

_MAX_CANDIDATES = 10
"""The maximum that one search returns."""
_MAX_PREFIX = 12
"""Characters of the longest prefix that the API accepts: a plus sign and eleven digits."""
_SERVICE_CODE, _QUOTA_CODE, _LOWEST_QUOTA = "connect", "L-8F812903", 5
"""The quota of phone numbers per instance. The lowest default that AWS has documented is enough for ten events."""
_STABILITY = {"CLAIMED": Stability.ACTIVE, "FAILED": Stability.FAILED}
"""Any other status, such as IN_PROGRESS, is PENDING."""


@data
class OnDelete(Nested):
    """What is allowed after a delete."""

    allow_reuse: bool = allow_reuse_property()


@data
class ConnectPhoneNumberProperties(Properties):
    """The properties of Custom::ConnectPhoneNumber."""

    id_pattern = r"arn:aws[-a-z0-9]*:connect:[-a-z0-9]+:[0-9]{12}:phone-number/[-a-zA-Z0-9]+"
    id_example = "arn:aws:connect:us-east-1:123456789012:phone-number/11111111-2222-3333-4444-555555555555"
    rules = (
        Rule(
            "CountryCode",
            "and Type are required unless PhoneNumber, SourcePhoneNumberArn or Adopt is declared.",
            (
                NotDeclared("CountryCode", ("Type",)),
                *(NotDeclared(name) for name in ("PhoneNumber", "SourcePhoneNumberArn", "Adopt")),
            ),
        ),
        exclude("Prefix", "PhoneNumber"),
        exclude("Prefix", "SourcePhoneNumberArn"),
        exclude("PhoneNumber", "SourcePhoneNumberArn"),
        Rule(
            "TargetArn",
            "must be an instance if SourcePhoneNumberArn is declared.",
            (Declared("SourcePhoneNumberArn"), Mismatch("TargetArn", r"arn:\S+:instance/\S+")),
        ),
    )

    target_arn: str = prop(
        "The ARN of the Amazon Connect instance or traffic distribution group to claim the phone number for.",
        required=True,
        pattern=Pattern(
            r"arn:aws[-a-z0-9]*:connect:[-a-z0-9]+:[0-9]{12}:(instance|traffic-distribution-group)/[-a-zA-Z0-9]+",
            "must be the ARN of an Amazon Connect instance or traffic distribution group.",
        ),
        maximum=256,
    )
    country_code: str | None = country_code_property()
    type: Literal["TOLL_FREE", "DID", "UIFN", "SHARED", "THIRD_PARTY_TF", "THIRD_PARTY_DID", "SHORT_CODE"] | None = (
        prop("The type of phone number.", create_only=True)
    )
    prefix: str | None = prop(
        "The prefix of the phone number, in E.164 format. Applies at purchase; later changes have no effect.",
        create_only_not_readable=True,
        pattern=Pattern(r"\+[0-9]{1,15}", "must be a plus sign and 1 to 15 digits, for example +1206."),
        hints=UNQUOTED_NUMBER,
    )
    phone_number: str | None = prop(
        "The phone number to claim, in E.164 format. It must be available.",
        create_only=True,
        pattern=E164,
        hints=UNQUOTED_NUMBER,
    )
    source_phone_number_arn: str | None = prop(
        "The ARN of a phone number of AWS End User Messaging SMS, or of a WhatsApp phone number of AWS End User Messaging "
        "Social, to import instead of claiming one.",
        create_only=True,
        pattern=ARN,
        maximum=256,
    )
    description: str | None = prop("The description of the phone number.", maximum=500)
    adopt: str | None = adopt_number_property(id_pattern + "|[-0-9a-f]{36}")
    reuse_pending_release: bool = reuse_property()
    recovery_window_in_days: int | None = recovery_window_property()
    on_delete: OnDelete = prop(
        "Whether other resources can take the phone number after a delete.",
        default=OnDelete(),
        of_request=True,
    )


class ConnectPhoneNumber(Resource[ConnectPhoneNumberProperties]):
    """Custom::ConnectPhoneNumber."""

    type_name = "Custom::ConnectPhoneNumber"
    display_name = "phone number"
    properties = ConnectPhoneNumberProperties
    attributes: ClassVar[Mapping[str, str]] = {
        "PhoneNumberArn": "The Amazon Resource Name (ARN) of the phone number.",
        "PhoneNumberId": "The ID of the phone number.",
        "Address": "The phone number, in E.164 format.",
        "Status": "The status of the phone number: `CLAIMED`, or `FAILED` if its last change failed. A claim that fails is an error.",
    }
    permissions = (
        "connect:SearchAvailablePhoneNumbers",
        "connect:ClaimPhoneNumber",
        "connect:ImportPhoneNumber",
        "connect:DescribePhoneNumber",
        "connect:ListPhoneNumbersV2",
        "connect:UpdatePhoneNumber",
        "connect:UpdatePhoneNumberMetadata",
        "connect:ReleasePhoneNumber",
        "connect:TagResource",
        "connect:UntagResource",
        "servicequotas:GetServiceQuota",
        "servicequotas:GetAWSDefaultServiceQuota",
        "sms-voice:DescribePhoneNumbers",
        "social-messaging:GetLinkedWhatsAppBusinessAccountPhoneNumber",
        "social-messaging:TagResource",
    )
    # API reference, "ClaimPhoneNumber", "ImportPhoneNumber" and "ReleasePhoneNumber".
    claim_limit = ClaimLimit(period=180 * 86_400, percent=200, quota_name=f"Phone numbers per instance ({_QUOTA_CODE})")
    polls_until_stable = True
    recoverable = True
    release_call = (services.CONNECT, "ReleasePhoneNumber")
    tagging_type = "connect:phone-number"

    def __init__(self) -> None:
        self._candidates: list[str] | None = None

    def purchase_calls(self, desired: ConnectPhoneNumberProperties) -> list[tuple[str, str]]:
        """ImportPhoneNumber, or a search and ClaimPhoneNumber; then two reads, until the number is claimed."""
        if desired.source_phone_number_arn is not None:
            operations = ["ImportPhoneNumber"]
        else:
            operations = ["ClaimPhoneNumber", *["SearchAvailablePhoneNumbers"] * (desired.phone_number is None)]
        return [(services.CONNECT, operation) for operation in [*operations, *["DescribePhoneNumber"] * 2]]

    def select_candidate(self, desired: ConnectPhoneNumberProperties) -> str | None:
        """Choose a random search result, because stacks that search at the same time get the same list."""
        if desired.source_phone_number_arn is not None:
            return None
        if desired.phone_number is not None:
            return desired.phone_number
        if self._candidates is None:
            self._candidates = self._search(desired)
        if not self._candidates:
            prefix = " with the declared Prefix" if desired.prefix is not None else ""
            raise reasons.NONE_AVAILABLE.failure(
                type=desired.type, country=desired.country_code, prefix=prefix, target=desired.target_arn
            )
        return self._candidates.pop()

    def quota(self, desired: ConnectPhoneNumberProperties, *, at_least: float | None = None) -> float | None:
        """Return the configured quota, or that of Service Quotas. It is not read while few events are counted."""
        if settings().connect_phone_number_quota is not None:
            return settings().connect_phone_number_quota
        if at_least is not None and at_least <= _LOWEST_QUOTA:
            return None
        target = desired.target_arn or ""  # unknown in a plan
        instance = target if ":instance/" in target else None
        quota = quotas.read(_SERVICE_CODE, _QUOTA_CODE, instance, at_least=at_least)
        return quota or None  # A quota of zero is another limit.

    def is_full(self, desired: ConnectPhoneNumberProperties, quota: float | None) -> bool:
        """Return whether the target has as many numbers as its quota allows, or any if the quota is unknown."""
        listed = services.paginate(
            services.connect().list_phone_numbers_v2,
            "ListPhoneNumbersSummaryList",
            TargetArn=desired.target_arn,
            MaxResults=1000,
        )
        return sum(1 for _ in listed) >= (quota or 1)

    def acquire(self, desired: ConnectPhoneNumberProperties, purchase: Purchase) -> Observed:
        """ClaimPhoneNumber of the candidate, or ImportPhoneNumber."""
        common: dict[str, Any] = {"Tags": purchase.tags(desired.tags)}
        if desired.description is not None:
            common["PhoneNumberDescription"] = desired.description
        if desired.source_phone_number_arn is not None:
            response = services.connect().import_phone_number(
                InstanceId=desired.target_arn.rsplit("/", 1)[-1],
                SourcePhoneNumberArn=desired.source_phone_number_arn,
                ClientToken=purchase.token("ImportPhoneNumber"),
                **common,
            )
            return _claimed(response)
        number = purchase.candidate or ""
        try:
            claim = services.connect().claim_phone_number(
                TargetArn=desired.target_arn,
                PhoneNumber=number,
                ClientToken=purchase.token("ClaimPhoneNumber", number),
                **common,
            )
        except NumberUnavailableError as unavailable:
            if desired.phone_number is None:
                raise
            raise reasons.NUMBER_UNAVAILABLE.failure(cause=unavailable.cause) from None
        return _claimed(claim)

    def find(self, desired: ConnectPhoneNumberProperties | None, purchase: Purchase) -> Observed | None:
        """Search by the recorded candidate, or for an import by its source. The tags decide."""
        if purchase.candidate is None and desired is not None and desired.source_phone_number_arn is None:
            return None  # A claim records its candidate first, so nothing was claimed.
        prefix = {"PhoneNumberPrefix": purchase.candidate[:_MAX_PREFIX]} if purchase.candidate else {}
        for item in services.paginate(
            services.connect().list_phone_numbers_v2, "ListPhoneNumbersSummaryList", **prefix
        ):
            if purchase.candidate:
                if item["PhoneNumber"] != purchase.candidate:
                    continue
            elif not item.get("SourcePhoneNumberArn"):
                continue
            observed = self.read(item["PhoneNumberArn"])
            if observed is None:
                continue
            tags = self.read_tags(observed)
            if purchase.matches(tags):
                return observed
            if purchase.candidate and not any(key.startswith(TAG_PREFIX) for key in tags):
                raise TagsNotVisibleError("The account holds the candidate number, but its tags are not visible yet.")
        return None

    def list_all(self) -> Iterator[Listed]:
        """ListPhoneNumbersV2. It also lists numbers whose last change failed."""
        for item in services.paginate(
            services.connect().list_phone_numbers_v2, "ListPhoneNumbersSummaryList", MaxResults=1000
        ):
            yield Listed(item["PhoneNumberArn"], item["PhoneNumberArn"])

    def declaration(self, observed: Observed) -> dict[str, Any]:
        """Return an imported number without PhoneNumber, which can't be declared together with its source."""
        declared = super().declaration(observed)
        imported = "SourcePhoneNumberArn" in declared
        return {name: value for name, value in declared.items() if not (imported and name == "PhoneNumber")}

    def read(self, physical_id: str) -> Observed | None:
        """DescribePhoneNumber."""
        try:
            response = services.connect().describe_phone_number(PhoneNumberId=physical_id)
        except NotFoundError:
            return None
        return _observed(response["ClaimedPhoneNumberSummary"])

    def locate(self, desired: ConnectPhoneNumberProperties) -> Observed | None:
        """DescribePhoneNumber, for a number in E.164 format after ListPhoneNumbersV2."""
        reference = desired.adopt or ""
        if not reference.startswith("+"):
            return self.read(reference)
        listed = services.paginate(
            services.connect().list_phone_numbers_v2,
            "ListPhoneNumbersSummaryList",
            PhoneNumberPrefix=reference[:_MAX_PREFIX],
        )
        found = next((item for item in listed if item["PhoneNumber"] == reference), None)
        return None if found is None else self.read(found["PhoneNumberArn"])

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        services.connect().tag_resource(resourceArn=arn, tags=tags)

    def remove_tags(self, arn: str, keys: Iterable[str]) -> None:
        """UntagResource."""
        services.connect().untag_resource(resourceArn=arn, tagKeys=list(keys))

    def read_tags(self, observed: Observed) -> Mapping[str, str]:
        """Return the tags that DescribePhoneNumber returned."""
        return observed.tags or {}

    def is_converged(self, observed: Observed, desired: ConnectPhoneNumberProperties) -> bool:
        """Return whether nothing differs. False while a claim is in progress."""
        return (
            observed.stability is not Stability.PENDING
            and (desired.tags is None or not any(tag_changes(self.read_tags(observed), desired.tags)))
            and not differences(observed, desired, create_only=False)
        )

    def converge(self, observed: Observed, desired: ConnectPhoneNumberProperties) -> Observed:
        """Remove tags, set tags, then change the target, then the description. Target and description can't change at the same time."""
        if observed.stability is Stability.PENDING:
            return observed
        if desired.tags is not None:
            to_set, to_remove = tag_changes(self.read_tags(observed), desired.tags)
            if to_remove:
                self.remove_tags(observed.arn, to_remove)
            if to_set:
                self.add_tags(observed.arn, to_set)
        differing = {difference.property_name for difference in differences(observed, desired, create_only=False)}
        if "TargetArn" in differing:
            services.connect().update_phone_number(PhoneNumberId=observed.physical_id, TargetArn=desired.target_arn)
            return copy.replace(observed, stability=Stability.PENDING)
        if "Description" in differing:
            services.connect().update_phone_number_metadata(
                PhoneNumberId=observed.physical_id, PhoneNumberDescription=desired.description or ""
            )
            return copy.replace(observed, stability=Stability.PENDING)
        # A number whose last change failed also shows FAILED, and is still usable.
        return copy.replace(observed, stability=Stability.ACTIVE)

    def disconnect(self, physical_id: str, policy: ReleasePolicy) -> bool:  # noqa: ARG002 - nothing blocks a release
        """Change nothing: the contact flows of the number belong to the instance."""
        return self.read(physical_id) is not None

    def fits(self, observed: Observed, desired: ConnectPhoneNumberProperties) -> bool:
        """Return whether it has the preferred prefix."""
        return observed.attributes["Address"].startswith(desired.prefix or "")

    def release(self, physical_id: str, policy: ReleasePolicy) -> None:  # noqa: ARG002 - nothing blocks a release
        """ReleasePhoneNumber."""
        with suppress(NotFoundError):
            services.connect().release_phone_number(PhoneNumberId=physical_id)

    def _search(self, desired: ConnectPhoneNumberProperties) -> list[str]:
        prefix = desired.prefix or ""
        available = services.paginate(
            services.connect().search_available_phone_numbers,
            "AvailableNumbersList",
            TargetArn=desired.target_arn,
            PhoneNumberCountryCode=desired.country_code,
            PhoneNumberType=desired.type,
            MaxResults=_MAX_CANDIDATES,
            **({"PhoneNumberPrefix": prefix[:_MAX_PREFIX]} if prefix else {}),
        )
        # Like the native type, the property accepts a longer prefix than the API.
        matching = (item["PhoneNumber"] for item in available if item["PhoneNumber"].startswith(prefix))
        numbers = list(islice(matching, _MAX_CANDIDATES))
        random.shuffle(numbers)
        return numbers


def _claimed(response: Mapping[str, Any]) -> Observed:
    """Convert the response of a claim, which contains only the ID. The rest is read when the claim has ended."""
    return Observed(
        physical_id=response["PhoneNumberArn"],
        stability=Stability.PENDING,
        arn=response["PhoneNumberArn"],
        attributes={},
        live={},
        newly_purchased=True,
    )


def _observed(summary: Mapping[str, Any]) -> Observed:
    status = summary.get("PhoneNumberStatus", {})
    number = summary["PhoneNumber"]
    return Observed(
        physical_id=summary["PhoneNumberArn"],
        stability=_STABILITY.get(status["Status"], Stability.PENDING),
        arn=summary["PhoneNumberArn"],
        message=redaction.shown(text(status.get("Message"))).rstrip("."),
        tags=summary.get("Tags", {}),
        attributes={
            "PhoneNumberArn": summary["PhoneNumberArn"],
            "PhoneNumberId": summary["PhoneNumberId"],
            "Address": number,
            "Status": status["Status"],
        },
        live={
            "target_arn": summary.get("TargetArn"),
            "country_code": summary.get("PhoneNumberCountryCode"),
            "type": summary.get("PhoneNumberType"),
            "phone_number": number,
            "source_phone_number_arn": summary.get("SourcePhoneNumberArn"),
            "description": summary.get("PhoneNumberDescription", ""),
        },
    )
