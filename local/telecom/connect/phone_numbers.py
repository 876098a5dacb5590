"""Searching, claiming, importing, updating and releasing numbers, and their association with flows."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from moto.connect.models import ConnectBackend
from moto.core.resource_tagging import TaggedResource

from local.telecom.behaviours import behaves
from local.telecom.connect.exceptions import Idempotency, InvalidParameter, ResourceInUse, ResourceNotFound
from local.telecom.connect.inventory import kind_of, numbers
from local.telecom.connect.records import DAY, ClaimedNumber
from local.telecom.rules import Json, Rules, idempotent
from local.telecom.sms_voice.exceptions import ResourceNotFound as SourceNotFound
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends
from local.telecom.sms_voice.records import PhoneNumber

_CYCLE = 180 * DAY
_UUID = re.compile(r"[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}")
_MAXIMUM_TAGS = 50  # [API] TagMap


@dataclass(frozen=True)
class Target:
    """An instance or a traffic distribution group. Responses contain the ID of an instance only."""

    arn: str
    instance_id: str | None


class PhoneNumbers(Rules, ConnectBackend):  # type: ignore[misc]
    """The phone numbers of one account in one Region, in addition to moto's instances."""

    arn_service = "connect"
    token_failure = "connect.token.failure"  # noqa: S105 - the id of a behaviour

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.claimed: dict[str, ClaimedNumber] = {}
        self.groups: dict[str, Json] = {}
        """The traffic distribution groups by ARN, in the form of the API."""
        self._taken: set[str] = set()  # by other customers
        self._cooldown_ends: dict[str, float] = {}  # of released numbers
        self._claims_and_releases: list[float] = []

    def token_mismatch(self, token: str) -> Idempotency:
        """Return the error for a ClientToken that is reused with other parameters."""
        message = f"The client token {token} is already used with other parameters."
        return Idempotency("connect.token.mismatch", message)

    def next_token_error(self, token: str) -> InvalidParameter:
        """Return the error for an invalid NextToken."""
        return InvalidParameter("any.next_token", f"The next token is not valid: {token}")

    @behaves("connect.claim.lapse")
    def drop_expired(self) -> None:
        """Remove the failed claims that were not retried within a day; their numbers can be claimed again."""
        now = self.clock.now()
        self.claimed = {name: number for name, number in self.claimed.items() if now < number.expires_at}

    def held_numbers(self) -> list[ClaimedNumber]:
        """Return the numbers that are claimed or being claimed, oldest first."""
        self.drop_expired()
        return [number for number in self.claimed.values() if not number.claim_failed]

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        """Yield what the tagging service shows of this backend. moto's own tagging service uses this too."""
        self.drop_expired()
        yield from super().iter_tagged_resources()
        yield from self.indexed((one.arn, one.tags) for one in self.claimed.values())

    def number_of(self, name: str) -> ClaimedNumber:
        """Return the number with this ID or ARN."""
        self.drop_expired()
        number = self.claimed.get(name.removeprefix(self.arn_of("phone-number/")))
        if number is None:
            raise ResourceNotFound("connect.number.unknown", f"Phone number {name} not found.")
        return number

    def search_available_phone_numbers(self, parameters: Json) -> Json:
        """Return numbers that can be claimed. Equal searches get equal numbers."""
        if self._target(parameters) is None:
            raise InvalidParameter("connect.target.search", "The target of the search does not exist.")
        prefix = parameters.get("PhoneNumberPrefix", "+")
        invalid = InvalidParameter("connect.search.prefix", "The prefix must contain + as part of the country code.")
        self.reject_if(not prefix.startswith("+"), invalid)
        country, kind = parameters["PhoneNumberCountryCode"], parameters["PhoneNumberType"]
        available = (
            (index, number)
            for index, number in enumerate(numbers(country, kind))
            if number.startswith(prefix) and self._available(number)
        )
        page, more = self.page(available, parameters, default=10)
        found = [{"PhoneNumber": number, "PhoneNumberCountryCode": country, "PhoneNumberType": kind} for number in page]
        return {"AvailableNumbersList": found} | more

    @behaves("connect.claim.cooldown")
    def _available(self, number: str) -> bool:
        claimed = any(one.number == number for one in self.claimed.values())
        cooling = self.clock.now() < self._cooldown_ends.get(number, 0.0) and self.enabled("connect.claim.cooldown")
        return not (claimed or cooling or number in self._taken)

    @idempotent
    def claim_phone_number(self, parameters: Json) -> Json:
        """Start to claim a number; DescribePhoneNumber returns the result."""
        token = parameters.get("ClientToken", "")
        invalid = InvalidParameter("connect.token.uuid", f"The client token {token} is not a UUID.", pinned=False)
        self.reject_if(token and not _UUID.fullmatch(token), invalid)
        target, number = self._existing_target(parameters), parameters["PhoneNumber"]
        self._check_limit()
        self.drop_expired()
        retried = next((one for one in self.claimed.values() if one.number == number and one.claim_failed), None)
        kind = kind_of(number)
        if retried is None:
            self._lose_race(number)
            available = kind is not None and self._available(number)
            taken = InvalidParameter("connect.claim.taken", f"Phone number not available: {number}")
            self.reject_if(not available, taken)
        else:
            del self.claimed[retried.id]
        number_id = retried.id if retried else str(uuid.uuid4())
        # The inventory has the number unless connect.claim.taken is disabled.
        return self._start_claim(number_id, number, kind or ("US", "DID"), target, parameters)

    def _lose_race(self, number: str) -> None:
        """Let another customer claim the number first, as often as Options.race_losses says."""
        if self.options.race_losses > 0:
            self.world.options = self.options.changed({"race_losses": self.options.race_losses - 1})
            self._taken.add(number)

    @behaves("connect.claim.quota", "connect.claim.asynchronous")
    def _start_claim(
        self, number_id: str, number: str, kind: tuple[str, str], target: Target, parameters: Json
    ) -> Json:
        now = self.clock.now()
        claimed = ClaimedNumber(
            serial=self.next_serial(),
            id=number_id,
            arn=self.arn_of(f"phone-number/{number_id}"),
            number=number,
            country=kind[0],
            type=kind[1],
            target_arn=target.arn,
            instance_id=target.instance_id,
            created=now,
            settles_at=now + self.options.claim_seconds,
            description=parameters.get("PhoneNumberDescription"),
            source_arn=parameters.get("SourcePhoneNumberArn"),
            failure=self._quota_failure(target),
        )
        if claimed.failure:
            claimed.expires_at = claimed.settles_at + DAY
        self.write_number_tags(claimed, parameters.get("Tags", {}))
        self.claimed[claimed.id] = claimed
        self._claims_and_releases.append(now)
        return claimed.identity()

    def _quota_failure(self, target: Target) -> str | None:
        """Return the status message if the target's quota is exhausted."""
        count = sum(number.target_arn == target.arn for number in self.held_numbers())
        if count < self.options.connect_numbers or not self.enabled("connect.claim.quota"):
            return None
        return f"The target has reached its limit of {self.options.connect_numbers} claimed phone numbers."

    def _check_limit(self) -> None:
        since = self.clock.now() - _CYCLE
        self._claims_and_releases = [at for at in self._claims_and_releases if at > since]
        allowed = self.options.claim_release_limit * self.options.connect_numbers
        message = "Allowed limit exceeded: phone numbers were claimed and released too often in the last 180 days."
        self.reject_if(len(self._claims_and_releases) >= allowed, InvalidParameter("connect.claim.limit", message))

    @idempotent
    def import_phone_number(self, parameters: Json) -> Json:
        """Start to import a number of the SMS service."""
        target, arn = self._existing_target(parameters), parameters["SourcePhoneNumberArn"]
        source = self._source(arn)
        self._check_limit()
        imported = any(number.source_arn == source.arn for number in self.held_numbers())
        message = f"The phone number {arn} is already imported."
        self.reject_if(imported, InvalidParameter("connect.import.taken", message))
        number_type = "TOLL_FREE" if source.number_type == "TOLL_FREE" else "DID"
        kind = (source.country, number_type)
        return self._start_claim(str(uuid.uuid4()), source.number, kind, target, parameters)

    def _source(self, arn: str) -> PhoneNumber:
        sms = self.world.store(pinpointsmsvoicev2_backends)[self.account_id][self.region_name]
        try:
            found: PhoneNumber = sms.number_of(arn)
        except SourceNotFound as error:
            raise ResourceNotFound("connect.import.source", f"Phone number {arn} not found.") from error
        return found

    def describe_phone_number(self, parameters: Json) -> Json:
        """Return the number and the status of its last operation."""
        number = self.number_of(parameters["PhoneNumberId"])
        if not self.visible(number.created):
            raise ResourceNotFound("any.describe_lag", f"Phone number {number.id} not found.")
        return {"ClaimedPhoneNumberSummary": number.described(self.clock.now())}

    @idempotent
    @behaves("connect.update.asynchronous", "connect.update.flow")
    def update_phone_number(self, parameters: Json) -> Json:
        """Start to move the number to another target. Its flow association is not moved."""
        number, target = self._idle(parameters["PhoneNumberId"]), self._existing_target(parameters)
        number.failure = None if target.arn == number.target_arn else self._quota_failure(target)
        if number.failure is None and target.arn != number.target_arn:
            number.target_arn, number.instance_id, number.flow = target.arn, target.instance_id, None
        number.settles_at = self.clock.now() + self.options.update_seconds
        return number.identity()

    @idempotent
    def update_phone_number_metadata(self, parameters: Json) -> Json:
        """Start to change the description."""
        number = self._idle(parameters["PhoneNumberId"])
        number.description = parameters.get("PhoneNumberDescription", number.description)
        number.settles_at = self.clock.now() + self.options.update_seconds
        return {}

    @idempotent
    @behaves("connect.claim.cooldown", "connect.claim.limit")
    def release_phone_number(self, parameters: Json) -> Json:
        """Release the number at once; it is not available for 180 days."""
        number, now = self._idle(parameters["PhoneNumberId"]), self.clock.now()
        del self.claimed[number.id]
        self.remember_deleted(number.arn, number.tags, now)
        self._cooldown_ends[number.number] = now + _CYCLE
        self._claims_and_releases.append(now)
        return {}

    def list_phone_numbers_v2(self, parameters: Json) -> Json:
        """Return the numbers of a target, or all."""
        target = None
        if parameters.get("TargetArn") or parameters.get("InstanceId"):
            target = self._existing_target(parameters)
        countries, kinds = parameters.get("PhoneNumberCountryCodes"), parameters.get("PhoneNumberTypes")
        found = [
            (number.serial, number)
            for number in self.held_numbers()
            if self.visible(number.created)
            and (target is None or number.target_arn == target.arn)
            and (not countries or number.country in countries)
            and (not kinds or number.type in kinds)
            and number.number.startswith(parameters.get("PhoneNumberPrefix", ""))
        ]
        page, more = self.page(found, parameters)
        return {"ListPhoneNumbersSummaryList": [number.summary() for number in page]} | more

    def associate_phone_number_contact_flow(self, parameters: Json) -> Json:
        """Associate the number with a flow. Flows are not simulated: any ID is accepted."""
        number, instance = self._at_instance(parameters)
        flow = parameters["ContactFlowId"]
        arn = flow if flow.startswith("arn:") else f"{instance.arn}/contact-flow/{flow}"
        number.flow = (instance.instance_id or "", arn)
        return {}

    def disassociate_phone_number_contact_flow(self, parameters: Json) -> Json:
        """Remove the number's association with a flow, if any."""
        number, _ = self._at_instance(parameters)
        number.flow = None
        return {}

    @behaves("connect.flow.type")
    def list_flow_associations(self, parameters: Json) -> Json:
        """Return the flow associations of an instance's numbers."""
        instance = self._existing_target(parameters)
        voice = parameters.get("ResourceType", "VOICE_PHONE_NUMBER") == "VOICE_PHONE_NUMBER"
        found = [
            (number.serial, {"ResourceId": number.arn, "FlowId": number.flow[1], "ResourceType": "VOICE_PHONE_NUMBER"})
            for number in self.held_numbers()
            if voice and number.flow and number.flow[0] == instance.instance_id
        ]
        page, more = self.page(found, parameters)
        return {"FlowAssociationSummaryList": page} | more

    def _at_instance(self, parameters: Json) -> tuple[ClaimedNumber, Target]:
        """Return the number and the instance of a flow association."""
        instance = self._existing_target({"InstanceId": parameters["InstanceId"]})
        number = self.number_of(parameters["PhoneNumberId"])
        group = self.groups.get(number.target_arn)
        message = f"Phone number {number.id} is not claimed to the instance {instance.arn}."
        self.reject_if(
            (group["InstanceArn"] if group else number.target_arn) != instance.arn,
            ResourceNotFound("connect.flow.instance", message),
        )
        return number, instance

    def _idle(self, name: str) -> ClaimedNumber:
        """Return the number if no operation on it is in progress."""
        number = self.number_of(name)
        message = f"An operation on the phone number {number.id} is in progress."
        busy = ResourceInUse("connect.number.busy", message, resource_type="PHONE_NUMBER", resource_id=number.id)
        self.reject_if(number.status(self.clock.now()) == "IN_PROGRESS", busy)
        return number

    def _existing_target(self, parameters: Json) -> Target:
        target = self._target(parameters)
        if target is None:
            name = parameters.get("TargetArn") or parameters.get("InstanceId")
            raise ResourceNotFound("connect.target.unknown", f"{name} not found.")
        return target

    def _target(self, parameters: Json) -> Target | None:
        """Return the instance or traffic distribution group that the request names, None if it does not exist."""
        name = parameters.get("TargetArn") or parameters.get("InstanceId")
        if not name:
            raise InvalidParameter("connect.target.missing", "You must enter InstanceId or TargetArn.")
        if name in self.groups:
            return Target(name, None)
        instance = self.instances.get(name.removeprefix(self.arn_of("instance/")))
        return Target(self.arn_of(f"instance/{instance.id}"), instance.id) if instance else None

    @behaves("connect.tags.quota")
    def write_number_tags(self, number: ClaimedNumber, tags: dict[str, str]) -> None:
        """Replace all tags of a number."""
        message = f"At most {_MAXIMUM_TAGS} tags per resource."
        self.reject_if(len(tags) > _MAXIMUM_TAGS, InvalidParameter("connect.tags.quota", message))
        number.tags.write(tags, self.clock.now(), self.options.tags_lag_seconds)
