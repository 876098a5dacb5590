"""Custom::ConnectPhoneNumber: a phone number of Amazon Connect.

Ref gives the PhoneNumberArn; Fn::GetAtt gives PhoneNumberArn, PhoneNumberId, Address and Status. A claim is answered at
once and polls_until_stable within seconds: it ends CLAIMED or FAILED, and is always waited for. A claim that FAILED keeps its id,
costs nothing and lapses after a day.

A claim and a release count for 180 days, and an account that makes too many of both may claim none at all any more.

Source: Amazon Connect API reference, "ClaimPhoneNumber", "ReleasePhoneNumber" and "DescribePhoneNumber".
"""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import attrs

from telephony import reasons
from telephony.aws import services
from telephony.errors import HandlerError, HandlerErrorCode, NumberUnavailableError, UnknownOutcomeError
from telephony.model.properties import Properties, Rule, prop
from telephony.model.resource import (
    TAG_PREFIX,
    Observed,
    OnDelete,
    Purchase,
    Resource,
    Stability,
    differences,
    tag_changes,
    text,
)

_CANDIDATES = 10
"""The most that one search answers."""
_PREFIX = 12
"""Characters of a number that a listing can be narrowed by: a plus sign and eleven digits."""
_STABILITY = {"IN_PROGRESS": Stability.PENDING, "CLAIMED": Stability.ACTIVE, "FAILED": Stability.FAILED}


def _both(*names: str) -> Any:
    return lambda declared: all(declared.get(name) is not None for name in names)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConnectPhoneNumberProperties(Properties):
    """What can be declared of a phone number of Connect."""

    rules = (
        Rule(
            "CountryCode",
            "is required, and Type with it, where neither PhoneNumber nor SourcePhoneNumberArn is declared.",
            lambda declared: (
                all(name in declared and declared[name] is None for name in ("phone_number", "source_phone_number_arn"))
                and any(name in declared and declared[name] is None for name in ("country_code", "type"))
            ),
        ),
        Rule("Prefix", "cannot be declared together with PhoneNumber.", _both("prefix", "phone_number")),
        Rule(
            "Prefix",
            "cannot be declared together with SourcePhoneNumberArn.",
            _both("prefix", "source_phone_number_arn"),
        ),
        Rule(
            "PhoneNumber",
            "cannot be declared together with SourcePhoneNumberArn.",
            _both("phone_number", "source_phone_number_arn"),
        ),
        Rule(
            "TargetArn",
            "must be an instance where SourcePhoneNumberArn is declared.",
            lambda declared: (
                declared.get("source_phone_number_arn") is not None
                and ":instance/" not in declared.get("target_arn", ":instance/")
            ),
        ),
    )

    target_arn: str = prop(
        "The ARN of the Amazon Connect instance or traffic distribution group that the number is claimed to.",
        required=True,
        pattern=r"arn:aws[-a-z0-9]*:connect:[-a-z0-9]+:[0-9]{12}:(instance|traffic-distribution-group)/[-a-zA-Z0-9]+",
        maximum=256,
    )
    country_code: str | None = prop(
        "The country, in ISO 3166-1 alpha-2 format.",
        create_only=True,
        pattern=r"[A-Z]{2}",
        hints={"false": 'YAML reads an unquoted NO as false: quote NO in YAML, "NO".'},
    )
    type: Literal["TOLL_FREE", "DID", "UIFN", "SHARED", "THIRD_PARTY_TF", "THIRD_PARTY_DID", "SHORT_CODE"] | None = (
        prop("The kind of number.", create_only=True)
    )
    prefix: str | None = prop(
        "What the number begins with, in E.164 format.", create_only_not_readable=True, pattern=r"\+[0-9]{1,11}"
    )
    phone_number: str | None = prop(
        "Exactly this number, in E.164 format; it has to be available.", create_only=True, pattern=r"\+[1-9][0-9]{1,14}"
    )
    source_phone_number_arn: str | None = prop(
        "The ARN of a number of AWS End User Messaging SMS to import instead of claiming one.",
        create_only=True,
        pattern=r"arn:\S+",
        maximum=256,
    )
    description: str | None = prop("What the number is for.", maximum=500, free_text=True)


class ConnectPhoneNumber(Resource[ConnectPhoneNumberProperties]):
    """Custom::ConnectPhoneNumber."""

    type_name = "Custom::ConnectPhoneNumber"
    display_name = "phone number"
    properties = ConnectPhoneNumberProperties
    attributes: ClassVar[Mapping[str, str]] = {
        "PhoneNumberArn": "The Amazon Resource Name (ARN) of the phone number.",
        "PhoneNumberId": "The id of the phone number.",
        "Address": "The phone number in E.164 format.",
        "Status": "CLAIMED: a claim is waited for, and one that FAILED is a failure.",
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
        "sms-voice:DescribePhoneNumbers",
    )
    id_pattern = r"arn:aws[-a-z0-9]*:connect:[-a-z0-9]+:[0-9]{12}:phone-number/[-a-zA-Z0-9]+"
    id_example = "arn:aws:connect:us-east-1:123456789012:phone-number/11111111-2222-3333-4444-555555555555"
    polls_until_stable = True

    def __init__(self) -> None:
        self._candidates: list[str] | None = None

    def purchase_call(self, desired: ConnectPhoneNumberProperties) -> tuple[str, str]:
        """ClaimPhoneNumber, or ImportPhoneNumber."""
        imports = desired.source_phone_number_arn is not None
        return services.CONNECT, "ImportPhoneNumber" if imports else "ClaimPhoneNumber"

    def select_candidate(self, desired: ConnectPhoneNumberProperties) -> str | None:
        """One of several candidates, at random: two stacks that search at the same time see the same list."""
        if desired.source_phone_number_arn is not None:
            return None
        if desired.phone_number is not None:
            return desired.phone_number
        if self._candidates is None:
            self._candidates = self._search(desired)
        if not self._candidates:
            beginning = f" that begins with {desired.prefix}" if desired.prefix is not None else ""
            raise reasons.NONE_AVAILABLE.failure(
                type=desired.type, country=desired.country_code, beginning=beginning, target=desired.target_arn
            )
        return self._candidates.pop()

    def acquire(self, desired: ConnectPhoneNumberProperties, purchase: Purchase) -> Observed:
        """ClaimPhoneNumber of the candidate number, or ImportPhoneNumber."""
        common: dict[str, Any] = {"Tags": purchase.tags(desired.tags)}
        if desired.description is not None:
            common["PhoneNumberDescription"] = desired.description
        if desired.source_phone_number_arn is not None:
            answer = services.connect().import_phone_number(
                InstanceId=desired.target_arn.rsplit("/", 1)[-1],
                SourcePhoneNumberArn=desired.source_phone_number_arn,
                ClientToken=purchase.token("ImportPhoneNumber"),
                **common,
            )
            return _claimed(answer)
        number = purchase.candidate or ""
        try:
            claim = services.connect().claim_phone_number(
                TargetArn=desired.target_arn,
                PhoneNumber=number,
                ClientToken=purchase.token("ClaimPhoneNumber", number),
                **common,
            )
        except NumberUnavailableError as lost:
            if desired.phone_number is None:
                raise
            raise reasons.TAKEN.failure(cause=lost.cause) from None
        return _claimed(claim)

    def find(self, desired: ConnectPhoneNumberProperties | None, purchase: Purchase) -> Observed | None:
        """By the number that was remembered, or, of an import, by its source; the tags decide."""
        if purchase.candidate is None and desired is not None and desired.source_phone_number_arn is None:
            return None  # What is claimed was remembered before.
        narrowed = {"PhoneNumberPrefix": purchase.candidate[:_PREFIX]} if purchase.candidate else {}
        for item in services.paginate(
            services.connect().list_phone_numbers_v2, "ListPhoneNumbersSummaryList", **narrowed
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
                raise UnknownOutcomeError(
                    "The number that was candidate is in the account, and its tags cannot be seen yet."
                )
        return None

    def list_all(self) -> Iterator[Observed]:
        """ListPhoneNumbersV2; it tells neither the status nor the tags, which DescribePhoneNumber does."""
        for item in services.paginate(services.connect().list_phone_numbers_v2, "ListPhoneNumbersSummaryList"):
            observed = self.read(item["PhoneNumberArn"])
            if observed is not None and observed.stability is not Stability.FAILED:
                yield observed

    def read(self, physical_id: str) -> Observed | None:
        """DescribePhoneNumber."""
        try:
            return _observed(
                services.connect().describe_phone_number(PhoneNumberId=physical_id)["ClaimedPhoneNumberSummary"]
            )
        except HandlerError as failure:
            if failure.error_code is HandlerErrorCode.NOT_FOUND:
                return None
            raise

    def read_tags(self, observed: Observed) -> Mapping[str, str]:
        """DescribePhoneNumber has told."""
        return observed.tags or {}

    def is_converged(self, observed: Observed, desired: ConnectPhoneNumberProperties) -> bool:
        """Whether nothing differs; of a claim that has not settled nothing is certain."""
        return (
            observed.stability is not Stability.PENDING
            and (desired.tags is None or not any(tag_changes(self.read_tags(observed), desired.tags)))
            and not differences(observed, desired, replacement=False)
        )

    def converge(self, observed: Observed, desired: ConnectPhoneNumberProperties) -> Observed:
        """Tags; then the target, and then the description: each of these two takes its time, and refuses the other."""
        if observed.stability is Stability.PENDING:
            return observed
        if desired.tags is not None:
            to_set, to_remove = tag_changes(self.read_tags(observed), desired.tags)
            if to_set:
                services.connect().tag_resource(resourceArn=observed.arn, tags=to_set)
            if to_remove:
                services.connect().untag_resource(resourceArn=observed.arn, tagKeys=to_remove)
        differing = {difference.property_name for difference in differences(observed, desired, replacement=False)}
        if "TargetArn" in differing:
            services.connect().update_phone_number(PhoneNumberId=observed.physical_id, TargetArn=desired.target_arn)
            return attrs.evolve(observed, stability=Stability.PENDING)
        if "Description" in differing:
            services.connect().update_phone_number_metadata(
                PhoneNumberId=observed.physical_id, PhoneNumberDescription=desired.description or ""
            )
            return attrs.evolve(observed, stability=Stability.PENDING)
        # FAILED is also what a number shows whose last change failed: it is as usable as before.
        return attrs.evolve(observed, stability=Stability.ACTIVE)

    def release(self, physical_id: str, policy: OnDelete) -> None:  # noqa: ARG002 - nothing stands in its way
        """ReleasePhoneNumber; counts for 180 days."""
        try:
            services.connect().release_phone_number(PhoneNumberId=physical_id)
        except HandlerError as failure:
            if failure.error_code is not HandlerErrorCode.NOT_FOUND:
                raise

    def _search(self, desired: ConnectPhoneNumberProperties) -> list[str]:
        search: Any = services.connect().search_available_phone_numbers
        answer = search(
            TargetArn=desired.target_arn,
            PhoneNumberCountryCode=desired.country_code,
            PhoneNumberType=desired.type,
            MaxResults=_CANDIDATES,
            **({"PhoneNumberPrefix": desired.prefix} if desired.prefix is not None else {}),
        )
        numbers = [item["PhoneNumber"] for item in answer.get("AvailableNumbersList", [])]
        random.shuffle(numbers)
        return numbers


def _claimed(answer: Mapping[str, Any]) -> Observed:
    """What a claim tells: nothing but the id. All else is read when it has settled."""
    return Observed(
        physical_id=answer["PhoneNumberArn"],
        stability=Stability.PENDING,
        arn=answer["PhoneNumberArn"],
        attributes={},
        live={},
        newly_purchased=True,
    )


def _observed(summary: Mapping[str, Any]) -> Observed:
    status = summary.get("PhoneNumberStatus", {})
    number = summary["PhoneNumber"]
    return Observed(
        physical_id=summary["PhoneNumberArn"],
        stability=_STABILITY[status["Status"]],
        arn=summary["PhoneNumberArn"],
        message=re.sub(r"\s+", " ", text(status.get("Message"))).strip().rstrip("."),
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
