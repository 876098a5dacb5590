"""Resources of Connect and their representation in API responses."""

import math
from dataclasses import dataclass, field

from local.telecom.behaviours import behaves
from local.telecom.rules import Json, TagStore, present

DAY = 86_400.0


@dataclass(kw_only=True)
class ClaimedNumber:
    """A claimed or imported number. `settles_at` is the end of its last operation, `failure` the error of that.

    A failed claim expires after a day; `expires_at` of any other number is infinite.
    """

    serial: int
    id: str
    arn: str
    number: str
    country: str
    type: str
    target_arn: str
    instance_id: str | None
    created: float
    settles_at: float
    description: str | None = None
    failure: str | None = None
    expires_at: float = math.inf
    source_arn: str | None = None
    flow: tuple[str, str] | None = None  # instance ID, flow ARN
    tags: TagStore = field(default_factory=TagStore)

    @property
    def claim_failed(self) -> bool:
        """Whether the claim itself failed, or will fail when it settles."""
        return self.expires_at < math.inf

    @behaves("connect.claim.asynchronous", "connect.update.asynchronous")
    def status(self, now: float) -> str:
        """Return the status at `now`."""
        if now < self.settles_at:
            return "IN_PROGRESS"
        return "FAILED" if self.failure else "CLAIMED"

    def identity(self) -> Json:
        """Return the response of an operation that changes the number."""
        return {"PhoneNumberId": self.id, "PhoneNumberArn": self.arn}

    def summary(self) -> Json:
        """Return the members that ListPhoneNumbersV2 and DescribePhoneNumber share."""
        return self.identity() | present(
            PhoneNumber=self.number,
            PhoneNumberCountryCode=self.country,
            PhoneNumberType=self.type,
            PhoneNumberDescription=self.description,
            TargetArn=self.target_arn,
            InstanceId=self.instance_id,
            SourcePhoneNumberArn=self.source_arn,
        )

    def described(self, now: float) -> Json:
        """Return ClaimedPhoneNumberSummary."""
        status = {"Status": self.status(now)}
        if status["Status"] == "FAILED" and self.failure:
            status["Message"] = self.failure
        return self.summary() | present(PhoneNumberStatus=status, Tags=self.tags.read(now) or None)
