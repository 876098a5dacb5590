"""What the service holds, and how the API writes it down."""

import math
from dataclasses import dataclass, field
from typing import Any

from local.telecom.behaviours import behaves
from local.telecom.clock import timestamp
from local.telecom.rules import Answer, TagStore

# A message of AWS's own for the two keywords that every number has ([UG] keywords: HELP and STOP are default keywords).
_HELP = ("AUTOMATIC_RESPONSE", "This is an automated message service. Reply STOP to opt out.")
_STOP = ("OPT_OUT", "You have been opted out and will receive no further messages.")


@dataclass
class Keyword:
    """A word that somebody may send, and what happens then."""

    serial: int
    keyword: str
    message: str
    action: str

    def as_answer(self) -> Answer:
        """Return KeywordInformation."""
        return {"Keyword": self.keyword, "KeywordMessage": self.message, "KeywordAction": self.action}


@dataclass(kw_only=True)
class Settings:
    """What a number and a pool both have: a pool takes it from its first number."""

    two_way_enabled: bool = False
    two_way_channel_arn: str | None = None
    two_way_channel_role: str | None = None
    self_managed_opt_outs: bool = False
    opt_out_list: str = "Default"
    keywords: dict[str, Keyword] = field(
        default_factory=lambda: {
            "HELP": Keyword(1, "HELP", _HELP[1], _HELP[0]),
            "STOP": Keyword(2, "STOP", _STOP[1], _STOP[0]),
        }
    )

    def settings_answer(self) -> Answer:
        """Return the members that all answers share; unset ones are left out."""
        return present(
            TwoWayEnabled=self.two_way_enabled,
            TwoWayChannelArn=self.two_way_channel_arn,
            TwoWayChannelRole=self.two_way_channel_role,
            SelfManagedOptOutsEnabled=self.self_managed_opt_outs,
            OptOutListName=self.opt_out_list,
        )


@dataclass(kw_only=True)
class PhoneNumber(Settings):
    """An origination number. Times are the clock's; `active_at` is infinite while a registration is awaited."""

    serial: int
    id: str
    arn: str
    number: str
    country: str
    message_type: str
    capabilities: list[str]
    number_type: str
    price: str
    created: float
    active_at: float
    registration_id: str | None = None
    international: bool = False
    protected: bool = False
    pool_id: str | None = None
    pool_until: float = -math.inf
    gone_at: float | None = None
    tags: TagStore = field(default_factory=TagStore)

    @behaves("sms.number.activation", "sms.number.registration", "sms.release.gradual")
    def status(self, now: float) -> str:
        """Return the status now."""
        if self.gone_at is not None:
            return "DISASSOCIATING" if now < self.gone_at else "DELETED"
        return "ACTIVE" if now >= self.active_at else "PENDING"

    @behaves("sms.number.synchronous", "sms.number.price")
    def as_answer(self, now: float) -> Answer:
        """Return the members that Request, Update, Release and Describe share."""
        return self.settings_answer() | present(
            PhoneNumberArn=self.arn,
            PhoneNumberId=self.id,
            PhoneNumber=self.number,
            Status=self.status(now),
            IsoCountryCode=self.country,
            MessageType=self.message_type,
            NumberCapabilities=self.capabilities,
            NumberType=self.number_type,
            MonthlyLeasingPrice=self.price,
            RegistrationId=self.registration_id,
            CreatedTimestamp=timestamp(self.created),
        )

    def flags_answer(self) -> Answer:
        """Return the two switches, which Release does not answer."""
        return {"InternationalSendingEnabled": self.international, "DeletionProtectionEnabled": self.protected}


@dataclass(kw_only=True)
class SenderId:
    """A sender ID in one country; `id` is upper case."""

    serial: int
    id: str
    arn: str
    country: str
    message_types: list[str]
    created: float
    protected: bool = False
    registered: bool = False
    registration_id: str | None = None
    tags: TagStore = field(default_factory=TagStore)

    def as_answer(self) -> Answer:
        """Return the members that Request, Update, Release and Describe share."""
        return {
            "SenderIdArn": self.arn,
            "SenderId": self.id,
            "IsoCountryCode": self.country,
            "MessageTypes": self.message_types,
            "MonthlyLeasingPrice": "0.00",
            "Registered": self.registered,
        }


@dataclass(kw_only=True)
class Pool(Settings):
    """Numbers and sender IDs that are used as one; `members` are ARNs in the order of joining."""

    serial: int
    id: str
    arn: str
    message_type: str
    created: float
    protected: bool = False
    members: dict[str, int] = field(default_factory=dict)
    tags: TagStore = field(default_factory=TagStore)

    def as_answer(self, status: str) -> Answer:
        """Return the members that Create, Delete and Describe share."""
        return self.settings_answer() | {
            "PoolArn": self.arn,
            "PoolId": self.id,
            "Status": status,
            "MessageType": self.message_type,
            "SharedRoutesEnabled": False,
            "CreatedTimestamp": timestamp(self.created),
        }


@dataclass(kw_only=True)
class OptOutList:
    """Destination numbers that want no messages."""

    serial: int
    name: str
    arn: str
    created: float
    tags: TagStore = field(default_factory=TagStore)

    def as_answer(self) -> Answer:
        """Return OptOutListInformation."""
        return {"OptOutListArn": self.arn, "OptOutListName": self.name, "CreatedTimestamp": timestamp(self.created)}


@dataclass(kw_only=True)
class Registration:
    """A registration; `status` is Options.registration_status when it was made."""

    serial: int
    id: str
    arn: str
    type: str
    status: str
    created: float
    tags: TagStore = field(default_factory=TagStore)

    def as_answer(self) -> Answer:
        """Return RegistrationInformation."""
        return {
            "RegistrationArn": self.arn,
            "RegistrationId": self.id,
            "RegistrationType": self.type,
            "RegistrationStatus": self.status,
            "CurrentVersionNumber": 1,
            "CreatedTimestamp": timestamp(self.created),
        }


def present(**members: Any) -> Answer:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as the API lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
