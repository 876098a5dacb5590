"""Requesting, updating, releasing and describing sender IDs."""

import math

from local.telecom.behaviours import behaves
from local.telecom.rules import Json, idempotent
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, Validation
from local.telecom.sms_voice.records import SenderId
from local.telecom.sms_voice.state import State

# [UG] sender-id: countries without sender IDs.
_UNSUPPORTED = ("US", "CA", "CN")


class SenderIds(State):
    """The sender IDs of one account in one Region."""

    @idempotent
    @behaves("sms.sender_id.upper_case", "sms.sender_id.default_type")
    def request_sender_id(self, parameters: Json) -> Json:
        """Create a sender ID. It has no status: it can be used at once."""
        name, country, now = parameters["SenderId"].upper(), parameters["IsoCountryCode"], self.clock.now()
        malformed = not any(letter.isalpha() for letter in name) or name.strip("-") != name
        rule = "must contain a letter and not start or end with a hyphen"
        self.invalid_if(malformed, "sms.sender_id.letters", "INVALID_PARAMETER", "SenderId", rule)
        unsupported, rule = country in _UNSUPPORTED, "does not support sender IDs"
        self.invalid_if(unsupported, "sms.sender_id.country", "SENDER_ID_NOT_SUPPORTED", "IsoCountryCode", rule)
        held = self.sender_ids.get((name, country))
        if held:
            self.reject_if(held, Conflict("sms.sender_id.exists", "RESOURCE_ALREADY_EXISTS", held))
            return held.described() | held.tags_response()
        released = self.sender_ids_released.get((name, country), -math.inf)
        self.reject_if(
            now < released + self.options.sender_id_release_seconds,
            Validation("sms.sender_id.propagation", "SENDER_ID_REQUIRES_REGISTRATION"),
        )
        exhausted = len(self.sender_ids) >= self.options.sender_ids
        self.reject_if(exhausted, QuotaExceeded("sms.sender_id.quota", "SENDER_IDS_PER_ACCOUNT"))
        sender = self.new(
            SenderId,
            name,
            parameters,
            country=country,
            message_types=parameters.get("MessageTypes") or ["TRANSACTIONAL"],
            protected=parameters.get("DeletionProtectionEnabled", False),
        )
        self.sender_ids[name, country] = sender
        return sender.described() | sender.tags_response()

    def update_sender_id(self, parameters: Json) -> Json:
        """Change deletion protection, the only setting that can change."""
        sender = self.sender_id_of(parameters)
        sender.protected = parameters.get("DeletionProtectionEnabled", sender.protected)
        return sender.described()

    def release_sender_id(self, parameters: Json) -> Json:
        """Release a sender ID."""
        sender = self.sender_id_of(parameters)
        self.reject_if(sender.protected, Conflict("sms.sender_id.protected", "DELETION_PROTECTION_ENABLED", sender))
        pooled = any(sender.arn in pool.members for pool in self.pools.values())
        self.reject_if(pooled, Conflict("sms.sender_id.pool", "SENDER_ID_ASSOCIATED_TO_POOL", sender))
        del self.sender_ids[sender.id, sender.country]
        self.sender_ids_released[sender.id, sender.country] = now = self.clock.now()
        self.remember_deleted(sender.arn, sender.tags, now)
        return sender.response()

    @behaves("sms.sender_id.mixed_case")
    def describe_sender_ids(self, parameters: Json) -> Json:
        """Return sender IDs by name and country, or all that match the filters."""
        self.check_owner(parameters, "SenderIds")
        named = self.visible_only(self.sender_id_of(key) for key in parameters.get("SenderIds", []))
        own = [one for one in self.sender_ids.values() if self.visible(one.created)]
        held = named or self.owned(SenderId, own, parameters)
        described = self.describe("SenderIds", held, SenderId.described, parameters)
        if self.enabled("sms.sender_id.mixed_case"):
            for one in described["SenderIds"]:
                one["MessageTypes"] = [name.capitalize() for name in one["MessageTypes"]]
        return described
