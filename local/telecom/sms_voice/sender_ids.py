"""Requesting, updating, releasing and describing sender IDs."""

import math

from local.telecom.behaviours import behaves
from local.telecom.rules import Answer
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, Validation
from local.telecom.sms_voice.records import SenderId, present, tag_list
from local.telecom.sms_voice.state import Readers, State, flag, passes, tags_in

_FILTERS: Readers[SenderId] = {
    "sender-id": lambda sender: sender.id,
    "iso-country-code": lambda sender: sender.country,
    "message-type": lambda sender: sender.message_types,
    "deletion-protection-enabled": lambda sender: flag(sender.protected),
    "registered": lambda sender: flag(sender.registered),
}
# [UG] sender-id: countries that have no sender IDs at all.
_WITHOUT = ("US", "CA", "CN")


class SenderIds(State):
    """The sender IDs of one account in one Region."""

    def request_sender_id(self, parameters: Answer) -> Answer:
        """Take a sender ID: there is no status and nothing to wait for."""
        return self.once("RequestSenderId", parameters, lambda: self._take(parameters))

    @behaves("sms.sender_id.upper_case", "sms.sender_id.default_type")
    def _take(self, parameters: Answer) -> Answer:
        name, country, now = parameters["SenderId"].upper(), parameters["IsoCountryCode"], self.clock.now()
        self.refuse(
            not any(letter.isalpha() for letter in name) or name.strip("-") != name,
            Validation(
                "sms.sender_id.letters",
                "A sender ID has at least one letter and does not start or end with a hyphen.",
                "INVALID_PARAMETER",
                ("SenderId", "must contain a letter and not start or end with a hyphen"),
            ),
        )
        self.refuse(
            country in _WITHOUT,
            Validation(
                "sms.sender_id.country",
                f"Sender IDs are not supported in {country}.",
                "SENDER_ID_NOT_SUPPORTED",
                ("IsoCountryCode", "does not support sender IDs"),
            ),
        )
        held = self.sender_ids.get((name, country))
        if held:
            self.refuse(
                held,
                Conflict(
                    "sms.sender_id.exists",
                    f"The sender ID {name} in {country} exists already.",
                    reason="RESOURCE_ALREADY_EXISTS",
                    resource_type="sender-id",
                    resource_id=name,
                ),
            )
            return self._requested(held)
        released = self.sender_ids_released.get((name, country), -math.inf)
        self.refuse(
            now < released + self.options.sender_id_release_seconds,
            Validation(
                "sms.sender_id.propagation",
                f"The sender ID {name} requires registration in {country}.",
                "SENDER_ID_REQUIRES_REGISTRATION",
            ),
        )
        self.refuse(
            len(self.sender_ids) >= self.options.sender_ids,
            QuotaExceeded(
                "sms.sender_id.quota", "You have reached the quota of sender IDs.", reason="SENDER_IDS_PER_ACCOUNT"
            ),
        )
        sender = SenderId(
            serial=self.serial(),
            id=name,
            arn=self.arn_of(f"sender-id/{name}/{country}"),
            country=country,
            message_types=parameters.get("MessageTypes") or ["TRANSACTIONAL"],
            created=now,
            protected=parameters.get("DeletionProtectionEnabled", False),
        )
        self.write_tags(sender.tags, tags_in(parameters))
        self.sender_ids[name, country] = sender
        return self._requested(sender)

    def _requested(self, sender: SenderId) -> Answer:
        return sender.as_answer() | {
            "DeletionProtectionEnabled": sender.protected,
            "Tags": tag_list(sender.tags.written),
        }

    def update_sender_id(self, parameters: Answer) -> Answer:
        """Switch deletion protection, the only thing that can be changed."""
        sender = self.sender_id_of(parameters["SenderId"], parameters["IsoCountryCode"])
        sender.protected = parameters.get("DeletionProtectionEnabled", sender.protected)
        return sender.as_answer() | self._rest(sender)

    def _rest(self, sender: SenderId) -> Answer:
        return {"DeletionProtectionEnabled": sender.protected} | present(RegistrationId=sender.registration_id)

    def release_sender_id(self, parameters: Answer) -> Answer:
        """Give the sender ID back."""
        sender = self.sender_id_of(parameters["SenderId"], parameters["IsoCountryCode"])
        self.refuse(
            sender.protected,
            Conflict(
                "sms.sender_id.protected",
                f"Deletion protection is enabled for the sender ID {sender.id}.",
                reason="DELETION_PROTECTION_ENABLED",
                resource_type="sender-id",
                resource_id=sender.id,
            ),
        )
        self.refuse(
            any(sender.arn in pool.members for pool in self.pools.values()),
            Conflict(
                "sms.sender_id.pool",
                f"The sender ID {sender.id} is associated with a pool.",
                reason="SENDER_ID_ASSOCIATED_TO_POOL",
                resource_type="sender-id",
                resource_id=sender.id,
            ),
        )
        del self.sender_ids[sender.id, sender.country]
        self.sender_ids_released[sender.id, sender.country] = self.clock.now()
        return sender.as_answer() | present(RegistrationId=sender.registration_id)

    def describe_sender_ids(self, parameters: Answer) -> Answer:
        """Return sender IDs by name and country, or all that pass the filters."""
        self.refuse(
            parameters.get("SenderIds") and "Owner" in parameters,
            Validation(
                "sms.describe.owner",
                "Owner and SenderIds can't be used at the same time.",
                "PARAMETERS_CANNOT_BE_USED_TOGETHER",
            ),
        )
        named = [self.sender_id_of(one["SenderId"], one["IsoCountryCode"]) for one in parameters.get("SenderIds", [])]
        chosen = [
            (sender.serial, sender)
            for sender in named or self.sender_ids.values()
            if passes(sender, parameters.get("Filters", []), _FILTERS) and parameters.get("Owner") != "SHARED"
        ]
        page, token = self.page(sorted(chosen, key=lambda pair: pair[0]), parameters, default=100)
        return {"SenderIds": [self._described_sender(sender) for sender in page]} | present(NextToken=token)

    @behaves("sms.sender_id.mixed_case")
    def _described_sender(self, sender: SenderId) -> Answer:
        types = sender.message_types
        if self.applies("sms.sender_id.mixed_case"):
            types = [name.capitalize() for name in types]
        return sender.as_answer() | self._rest(sender) | {"MessageTypes": types}
