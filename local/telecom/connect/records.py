"""What Connect holds, and how the API writes it down."""

import math
from dataclasses import dataclass, field

from local.telecom.behaviours import behaves
from local.telecom.rules import Answer, TagStore

DAY = 86_400.0


@dataclass(kw_only=True)
class ClaimedNumber:
    """A claimed or imported number. `settles_at` is when its last operation is through, with `failure` if it failed.

    A claim that failed lapses a day later: `lapses_at` is infinite for one that did not.
    """

    serial: int
    id: str
    arn: str
    number: str
    country: str
    type: str
    target_arn: str
    instance_id: str | None
    settles_at: float
    description: str | None = None
    failure: str | None = None
    lapses_at: float = math.inf
    source_arn: str | None = None
    flow: tuple[str, str] | None = None  # instance id, flow ARN
    tags: TagStore = field(default_factory=TagStore)

    @property
    def never_claimed(self) -> bool:
        """Tell whether the claim itself failed, or is going to."""
        return self.lapses_at < math.inf

    @behaves("connect.claim.asynchronous", "connect.update.asynchronous")
    def status(self, now: float) -> str:
        """Return the status now."""
        if now < self.settles_at:
            return "IN_PROGRESS"
        return "FAILED" if self.failure else "CLAIMED"

    def summary(self) -> Answer:
        """Return the members that ListPhoneNumbersV2 and DescribePhoneNumber share."""
        members = {
            "PhoneNumberId": self.id,
            "PhoneNumberArn": self.arn,
            "PhoneNumber": self.number,
            "PhoneNumberCountryCode": self.country,
            "PhoneNumberType": self.type,
            "PhoneNumberDescription": self.description,
            "TargetArn": self.target_arn,
            "InstanceId": self.instance_id,
            "SourcePhoneNumberArn": self.source_arn,
        }
        return {name: value for name, value in members.items() if value is not None}

    def described(self, now: float) -> Answer:
        """Return ClaimedPhoneNumberSummary."""
        status = {"Status": self.status(now)}
        if status["Status"] == "FAILED" and self.failure:
            status["Message"] = self.failure
        tags = self.tags.read(now)
        return self.summary() | {"PhoneNumberStatus": status} | ({"Tags": tags} if tags else {})


@dataclass(kw_only=True)
class Group:
    """A traffic distribution group; ACTIVE from the start."""

    id: str
    arn: str
    name: str
    instance_arn: str
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
