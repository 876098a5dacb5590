"""Searching, claiming, importing, updating and releasing numbers, and the flows that they are tied to."""

import re
import uuid
from dataclasses import dataclass

from moto.connect.models import ConnectBackend

from local.telecom.behaviours import behaves
from local.telecom.connect.exceptions import Idempotency, InvalidParameter, ResourceInUse, ResourceNotFound
from local.telecom.connect.inventory import kind_of, numbers
from local.telecom.connect.records import DAY, ClaimedNumber, Group
from local.telecom.rules import Answer, Rules
from local.telecom.sms_voice.exceptions import ResourceNotFound as SourceNotFound
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends
from local.telecom.sms_voice.records import PhoneNumber

_CYCLE = 180 * DAY
_UUID = re.compile(r"[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}")
_MAXIMUM_TAGS = 50  # [API] TagMap


@dataclass(frozen=True)
class Target:
    """An instance or a traffic distribution group; only an instance has an id that answers carry."""

    arn: str
    instance_id: str | None


class PhoneNumbers(Rules, ConnectBackend):  # type: ignore[misc]
    """The phone numbers of one account in one Region, beside moto's instances."""

    token_failure = "connect.token.failure"  # noqa: S105 - the id of a behaviour

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.start()
        self.claimed: dict[str, ClaimedNumber] = {}
        self.groups: dict[str, Group] = {}
        self._taken: set[str] = set()  # by other customers
        self._cooling: dict[str, float] = {}  # released here, until when
        self._claims_and_releases: list[float] = []

    def token_mismatch(self, token: str) -> Idempotency:
        """Return the error for a ClientToken that comes again with other parameters."""
        message = f"The client token {token} was used before with other parameters."
        return Idempotency("connect.token.mismatch", message)

    def next_token_error(self, token: str) -> InvalidParameter:
        """Return the error for a NextToken that this service did not give out."""
        return InvalidParameter("any.next_token", f"The next token is not valid: {token}")

    def arn_of(self, resource: str) -> str:
        """Return the ARN of `type/id`."""
        return f"arn:{self.partition}:connect:{self.region_name}:{self.account_id}:{resource}"

    @behaves("connect.claim.lapse")
    def drop_lapsed(self) -> None:
        """Forget the failed claims that nobody retried within a day: their numbers can be claimed again."""
        now = self.clock.now()
        self.claimed = {name: number for name, number in self.claimed.items() if now < number.lapses_at}

    def held_numbers(self) -> list[ClaimedNumber]:
        """Return what is claimed or about to be, by age."""
        self.drop_lapsed()
        return [number for number in self.claimed.values() if not number.never_claimed]

    def number_of(self, name: str) -> ClaimedNumber:
        """Return the number with that id or ARN."""
        self.drop_lapsed()
        number = self.claimed.get(name.removeprefix(self.arn_of("phone-number/")))
        if number is None:
            raise ResourceNotFound("connect.number.unknown", f"Phone number {name} not found.")
        return number

    def search_available_phone_numbers(self, parameters: Answer) -> Answer:
        """Return numbers that could be claimed: the same ones to everybody who asks the same."""
        if self._target(parameters) is None:
            raise InvalidParameter("connect.target.search", "The target of the search does not exist.")
        prefix = parameters.get("PhoneNumberPrefix", "+")
        self.refuse(
            not prefix.startswith("+"),
            InvalidParameter("connect.search.prefix", "The prefix must contain + as part of the country code."),
        )
        country, kind = parameters["PhoneNumberCountryCode"], parameters["PhoneNumberType"]
        free = [
            (index, number)
            for index, number in enumerate(numbers(country, kind))
            if number.startswith(prefix) and self._available(number)
        ]
        page, token = self.page(free, parameters, default=10)
        found = [{"PhoneNumber": number, "PhoneNumberCountryCode": country, "PhoneNumberType": kind} for number in page]
        return {"AvailableNumbersList": found} | ({"NextToken": token} if token else {})

    @behaves("connect.claim.cooldown")
    def _available(self, number: str) -> bool:
        held = any(one.number == number for one in self.claimed.values())
        cooling = self.clock.now() < self._cooling.get(number, 0.0) and self.applies("connect.claim.cooldown")
        return not (held or cooling or number in self._taken)

    def claim_phone_number(self, parameters: Answer) -> Answer:
        """Begin to claim a number; how it went is told by DescribePhoneNumber."""
        token = parameters.get("ClientToken", "")
        self.refuse(
            token and not _UUID.fullmatch(token),
            InvalidParameter("connect.token.uuid", f"The client token {token} is not a UUID.", pinned=False),
        )
        return self.once("ClaimPhoneNumber", parameters, lambda: self._claim(parameters))

    def _claim(self, parameters: Answer) -> Answer:
        target, number = self._existing_target(parameters), parameters["PhoneNumber"]
        self._check_limit()
        self.drop_lapsed()
        retried = next((one for one in self.claimed.values() if one.number == number and one.never_claimed), None)
        kind = kind_of(number)
        if retried is None:
            self._race(number)
            available = kind is not None and self._available(number)
            self.refuse(not available, InvalidParameter("connect.claim.taken", f"Phone number not available: {number}"))
        else:
            del self.claimed[retried.id]
        country, number_type = kind or ("US", "DID")  # of no kind only if connect.claim.taken is off
        made = self._hold(
            number=number,
            country=country,
            number_type=number_type,
            target=target,
            parameters=parameters,
            number_id=retried.id if retried else None,
        )
        return {"PhoneNumberId": made.id, "PhoneNumberArn": made.arn}

    def _race(self, number: str) -> None:
        """Let somebody else be faster, as often as the options say."""
        if self.options.race_losses > 0:
            self.world.options = self.options.changed({"race_losses": self.options.race_losses - 1})
            self._taken.add(number)

    @behaves("connect.claim.quota", "connect.claim.asynchronous")
    def _hold(
        self,
        *,
        number: str,
        country: str,
        number_type: str,
        target: Target,
        parameters: Answer,
        number_id: str | None = None,
    ) -> ClaimedNumber:
        now, number_id = self.clock.now(), number_id or str(uuid.uuid4())
        made = ClaimedNumber(
            serial=self.serial(),
            id=number_id,
            arn=self.arn_of(f"phone-number/{number_id}"),
            number=number,
            country=country,
            type=number_type,
            target_arn=target.arn,
            instance_id=target.instance_id,
            settles_at=now + self.options.claim_seconds,
            description=parameters.get("PhoneNumberDescription"),
            source_arn=parameters.get("SourcePhoneNumberArn"),
            failure=self._quota_failure(target),
        )
        if made.failure:
            made.lapses_at = made.settles_at + DAY
        self.write_number_tags(made, parameters.get("Tags", {}))
        self.claimed[made.id] = made
        self._claims_and_releases.append(now)
        return made

    def _quota_failure(self, target: Target) -> str | None:
        """Return what is told when the target has no room for another number."""
        there = sum(number.target_arn == target.arn for number in self.held_numbers())
        if there < self.options.connect_numbers or not self.applies("connect.claim.quota"):
            return None
        return f"The target has reached its limit of {self.options.connect_numbers} claimed phone numbers."

    def _check_limit(self) -> None:
        since = self.clock.now() - _CYCLE
        self._claims_and_releases = [at for at in self._claims_and_releases if at > since]
        allowed = self.options.claim_release_limit * self.options.connect_numbers
        self.refuse(
            len(self._claims_and_releases) >= allowed,
            InvalidParameter(
                "connect.claim.limit",
                "Allowed limit exceeded: phone numbers were claimed and released too often in the last 180 days.",
            ),
        )

    def import_phone_number(self, parameters: Answer) -> Answer:
        """Begin to import a number of the SMS service."""
        return self.once("ImportPhoneNumber", parameters, lambda: self._import(parameters))

    def _import(self, parameters: Answer) -> Answer:
        target, arn = self._existing_target(parameters), parameters["SourcePhoneNumberArn"]
        source = self._source(arn)
        self._check_limit()
        self.refuse(
            any(number.source_arn == source.arn for number in self.held_numbers()),
            InvalidParameter("connect.import.taken", f"The phone number {arn} is imported already."),
        )
        number_type = "TOLL_FREE" if source.number_type == "TOLL_FREE" else "DID"
        made = self._hold(
            number=source.number,
            country=source.country,
            number_type=number_type,
            target=target,
            parameters=parameters,
        )
        return {"PhoneNumberId": made.id, "PhoneNumberArn": made.arn}

    def _source(self, arn: str) -> PhoneNumber:
        sms = self.world.store(pinpointsmsvoicev2_backends)[self.account_id][self.region_name]
        try:
            found: PhoneNumber = sms.number_of(arn)
        except SourceNotFound as error:
            raise ResourceNotFound("connect.import.source", f"Phone number {arn} not found.") from error
        return found

    def describe_phone_number(self, parameters: Answer) -> Answer:
        """Return the number, and how its last operation went."""
        number = self.number_of(parameters["PhoneNumberId"])
        return {"ClaimedPhoneNumberSummary": number.described(self.clock.now())}

    def update_phone_number(self, parameters: Answer) -> Answer:
        """Begin to move the number to another target; its flow stays behind."""
        return self.once("UpdatePhoneNumber", parameters, lambda: self._update(parameters))

    @behaves("connect.update.asynchronous", "connect.update.flow")
    def _update(self, parameters: Answer) -> Answer:
        number, target = self._idle(parameters["PhoneNumberId"]), self._existing_target(parameters)
        number.failure = None if target.arn == number.target_arn else self._quota_failure(target)
        if number.failure is None and target.arn != number.target_arn:
            number.target_arn, number.instance_id, number.flow = target.arn, target.instance_id, None
        number.settles_at = self.clock.now() + self.options.update_seconds
        return {"PhoneNumberId": number.id, "PhoneNumberArn": number.arn}

    def update_phone_number_metadata(self, parameters: Answer) -> Answer:
        """Begin to change the description."""
        return self.once("UpdatePhoneNumberMetadata", parameters, lambda: self._update_metadata(parameters))

    def _update_metadata(self, parameters: Answer) -> Answer:
        number = self._idle(parameters["PhoneNumberId"])
        number.description = parameters.get("PhoneNumberDescription", number.description)
        number.settles_at = self.clock.now() + self.options.update_seconds
        return {}

    def release_phone_number(self, parameters: Answer) -> Answer:
        """Give the number back: it is gone at once, and cannot be had for 180 days."""
        return self.once("ReleasePhoneNumber", parameters, lambda: self._release(parameters))

    @behaves("connect.claim.cooldown", "connect.claim.limit")
    def _release(self, parameters: Answer) -> Answer:
        number, now = self._idle(parameters["PhoneNumberId"]), self.clock.now()
        del self.claimed[number.id]
        self._cooling[number.number] = now + _CYCLE
        self._claims_and_releases.append(now)
        return {}

    def list_phone_numbers_v2(self, parameters: Answer) -> Answer:
        """Return the numbers of a target, or all."""
        target = None
        if parameters.get("TargetArn") or parameters.get("InstanceId"):
            target = self._existing_target(parameters)
        countries, kinds = parameters.get("PhoneNumberCountryCodes"), parameters.get("PhoneNumberTypes")
        chosen = [
            (number.serial, number)
            for number in self.held_numbers()
            if (target is None or number.target_arn == target.arn)
            and (not countries or number.country in countries)
            and (not kinds or number.type in kinds)
            and number.number.startswith(parameters.get("PhoneNumberPrefix", ""))
        ]
        page, token = self.page(chosen, parameters, default=100)
        return {"ListPhoneNumbersSummaryList": [number.summary() for number in page]} | (
            {"NextToken": token} if token else {}
        )

    def associate_phone_number_contact_flow(self, parameters: Answer) -> Answer:
        """Tie the number to a flow; flows themselves are not kept here, so any id will do."""
        number, instance = self._at_instance(parameters)
        flow = parameters["ContactFlowId"]
        arn = flow if flow.startswith("arn:") else f"{instance.arn}/contact-flow/{flow}"
        number.flow = (instance.instance_id or "", arn)
        return {}

    def disassociate_phone_number_contact_flow(self, parameters: Answer) -> Answer:
        """Untie the number from its flow, if it has one."""
        number, _ = self._at_instance(parameters)
        number.flow = None
        return {}

    @behaves("connect.flow.type")
    def list_flow_associations(self, parameters: Answer) -> Answer:
        """Return which numbers of an instance are tied to which flows."""
        instance = self._existing_target(parameters)
        voice = parameters.get("ResourceType", "VOICE_PHONE_NUMBER") == "VOICE_PHONE_NUMBER"
        chosen = [
            (number.serial, {"ResourceId": number.arn, "FlowId": number.flow[1], "ResourceType": "VOICE_PHONE_NUMBER"})
            for number in self.held_numbers()
            if voice and number.flow and number.flow[0] == instance.instance_id
        ]
        page, token = self.page(chosen, parameters, default=100)
        return {"FlowAssociationSummaryList": page} | ({"NextToken": token} if token else {})

    def _at_instance(self, parameters: Answer) -> tuple[ClaimedNumber, Target]:
        """Return the number and the instance that a flow association names."""
        instance = self._existing_target({"InstanceId": parameters["InstanceId"]})
        number = self.number_of(parameters["PhoneNumberId"])
        group = self.groups.get(number.target_arn)
        at = group.instance_arn if group else number.target_arn
        self.refuse(
            at != instance.arn,
            ResourceNotFound(
                "connect.flow.instance", f"Phone number {number.id} is not claimed to the instance {instance.arn}."
            ),
        )
        return number, instance

    def _idle(self, name: str) -> ClaimedNumber:
        """Return the number, if nothing else is being done with it."""
        number = self.number_of(name)
        self.refuse(
            number.status(self.clock.now()) == "IN_PROGRESS",
            ResourceInUse(
                "connect.number.busy",
                f"An operation on the phone number {number.id} is in progress.",
                resource_type="PHONE_NUMBER",
                resource_id=number.id,
            ),
        )
        return number

    def _existing_target(self, parameters: Answer) -> Target:
        target = self._target(parameters)
        if target is None:
            name = parameters.get("TargetArn") or parameters.get("InstanceId")
            raise ResourceNotFound("connect.target.unknown", f"{name} not found.")
        return target

    def _target(self, parameters: Answer) -> Target | None:
        """Return the instance or traffic distribution group that the request names, None if there is none such."""
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
        self.refuse(
            len(tags) > _MAXIMUM_TAGS,
            InvalidParameter("connect.tags.quota", f"At most {_MAXIMUM_TAGS} tags per resource."),
        )
        number.tags.write(tags, self.clock.now(), self.options.tags_lag_seconds)
