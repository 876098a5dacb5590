"""Resources of pinpoint-sms-voice-v2 and their representation in API responses.

Describe responses omit PricingTier, which is optional: its values are not documented.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from local.telecom.behaviours import behaves
from local.telecom.clock import timestamp
from local.telecom.rules import Json, TagStore, present


@dataclass
class Keyword:
    """A keyword and the action that it starts."""

    kind: ClassVar[str] = "keyword"
    serial: int
    id: str
    message: str
    action: str

    def response(self) -> Json:
        """Return KeywordInformation."""
        return {"Keyword": self.id, "KeywordMessage": self.message, "KeywordAction": self.action}


def _default_keywords() -> dict[str, Keyword]:
    """Return the keywords that every number has ([UG] keywords), with sample messages."""
    help_message = "This is an automated message service. Reply STOP to opt out."
    stop_message = "You have been opted out and will receive no further messages."
    return {
        "HELP": Keyword(1, "HELP", help_message, "AUTOMATIC_RESPONSE"),
        "STOP": Keyword(2, "STOP", stop_message, "OPT_OUT"),
    }


@dataclass(kw_only=True)
class Record:
    """The members that every taggable resource has."""

    kind: ClassVar[str]
    serial: int
    id: str
    arn: str
    created: float
    tags: TagStore = field(default_factory=TagStore)

    def tags_response(self) -> Json:
        """Return the Tags member of the response to a Create request."""
        return {"Tags": tag_list(self.tags.written)}


@dataclass(kw_only=True)
class Settings(Record):
    """Settings of a phone number. A pool takes them from its first number."""

    message_type: str
    protected: bool = False
    two_way_enabled: bool = False
    two_way_channel_arn: str | None = None
    two_way_channel_role: str | None = None
    self_managed_opt_outs: bool = False
    opt_out_list: str = "Default"
    keywords: dict[str, Keyword] = field(default_factory=_default_keywords)

    def settings_response(self) -> Json:
        """Return the members that all responses share, without unset ones."""
        return present(
            MessageType=self.message_type,
            CreatedTimestamp=timestamp(self.created),
            TwoWayEnabled=self.two_way_enabled,
            TwoWayChannelArn=self.two_way_channel_arn,
            TwoWayChannelRole=self.two_way_channel_role,
            SelfManagedOptOutsEnabled=self.self_managed_opt_outs,
            OptOutListName=self.opt_out_list,
        )


@dataclass(kw_only=True)
class PhoneNumber(Settings):
    """An origination number. `active_at` is infinite while its registration is pending."""

    kind = "phone-number"
    number: str
    country: str
    capabilities: list[str]
    number_type: str
    price: str
    active_at: float
    registration_id: str | None = None
    international: bool = False
    pool_id: str | None = None
    pool_until: float = -math.inf
    gone_at: float | None = None

    @behaves("sms.number.activation", "sms.number.registration", "sms.release.gradual")
    def status(self, now: float) -> str:
        """Return the status at `now`."""
        if self.gone_at is not None:
            return "DISASSOCIATING" if now < self.gone_at else "DELETED"
        return "ACTIVE" if now >= self.active_at else "PENDING"

    @behaves("sms.number.synchronous", "sms.number.price")
    def response(self, now: float) -> Json:
        """Return the members that Request, Update, Release and Describe share."""
        return self.settings_response() | present(
            PhoneNumberArn=self.arn,
            PhoneNumberId=self.id,
            PhoneNumber=self.number,
            Status=self.status(now),
            IsoCountryCode=self.country,
            NumberCapabilities=self.capabilities,
            NumberType=self.number_type,
            MonthlyLeasingPrice=self.price,
            RegistrationId=self.registration_id,
        )

    def described(self, now: float) -> Json:
        """Return the members that Request and Describe share."""
        return self.updated(now) | present(PoolId=self.pool_id)

    def updated(self, now: float) -> Json:
        """Return the members that Request, Update and Describe share."""
        flags = {"InternationalSendingEnabled": self.international, "DeletionProtectionEnabled": self.protected}
        return self.response(now) | flags


@dataclass(kw_only=True)
class SenderId(Record):
    """A sender ID in one country; `id` is upper case."""

    kind = "sender-id"
    capabilities: ClassVar[list[str]] = ["SMS"]
    country: str
    message_types: list[str]
    protected: bool = False

    def response(self) -> Json:
        """Return the members that Request, Update, Release and Describe share."""
        return {
            "SenderIdArn": self.arn,
            "SenderId": self.id,
            "IsoCountryCode": self.country,
            "MessageTypes": self.message_types,
            "MonthlyLeasingPrice": "0.00",
            "Registered": False,
        }

    def described(self) -> Json:
        """Return the members that Request, Update and Describe share."""
        return self.response() | {"DeletionProtectionEnabled": self.protected}


@dataclass(kw_only=True)
class Pool(Settings):
    """A pool of numbers and sender IDs. `members` maps their ARNs to serials, in the order of joining."""

    kind = "pool"
    shared_routes: bool = False
    members: dict[str, int] = field(default_factory=dict)

    def response(self, status: str) -> Json:
        """Return the members that all responses share."""
        members = {"PoolArn": self.arn, "PoolId": self.id, "Status": status, "SharedRoutesEnabled": self.shared_routes}
        return self.settings_response() | members

    def described(self, status: str = "ACTIVE") -> Json:
        """Return the members that Create, Update and Describe share."""
        return self.response(status) | {"DeletionProtectionEnabled": self.protected}


@dataclass(kw_only=True)
class OptOutList(Record):
    """A list of destination numbers that opted out; `id` is its name."""

    kind = "opt-out-list"

    def response(self) -> Json:
        """Return OptOutListInformation."""
        return {"OptOutListArn": self.arn, "OptOutListName": self.id, "CreatedTimestamp": timestamp(self.created)}


@dataclass(kw_only=True)
class Registration(Record):
    """A registration; `status` is Options.registration_status at its creation."""

    kind = "registration"
    type: str
    status: str

    def response(self) -> Json:
        """Return RegistrationInformation."""
        return {
            "RegistrationArn": self.arn,
            "RegistrationId": self.id,
            "RegistrationType": self.type,
            "RegistrationStatus": self.status,
            "CurrentVersionNumber": 1,
            "CreatedTimestamp": timestamp(self.created),
        }


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags in the form of the API."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
