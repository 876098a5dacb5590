"""Requesting, updating, releasing and describing phone numbers."""

import math

from local.telecom.behaviours import behaves
from local.telecom.rules import Json, idempotent
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, Validation
from local.telecom.sms_voice.numbers import PRICES, inventory, preferred
from local.telecom.sms_voice.records import PhoneNumber, Pool, present
from local.telecom.sms_voice.state import State

_FILTERS = {
    "iso-country-code": "country",
    "message-type": "message_type",
    "number-capability": "capabilities",
    "number-type": "number_type",
    "two-way-enabled": "two_way_enabled",
    "self-managed-opt-outs-enabled": "self_managed_opt_outs",
    "opt-out-list-name": "opt_out_list",
    "deletion-protection-enabled": "protected",
    "two-way-channel-arn": "two_way_channel_arn",
}
_INVALID, _MISSING = "INVALID_PARAMETER", "MISSING_PARAMETER"


class PhoneNumbers(State):
    """The phone numbers of one account in one Region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._used: set[str] = set()

    @idempotent
    def request_phone_number(self, parameters: Json) -> Json:
        """Lease a number. The response contains it; it becomes ACTIVE later."""
        self._check_combination(parameters)
        opt_out_list = self.opt_out_list_of(parameters.get("OptOutListName", "Default")).id
        pool = self.pool_of(parameters["PoolId"]) if parameters.get("PoolId") else None
        registration_id = self._completed(parameters["RegistrationId"]) if parameters.get("RegistrationId") else None
        exhausted = len(self.held_numbers()) >= self.options.phone_numbers
        self.reject_if(exhausted, QuotaExceeded("sms.number.quota", "PHONE_NUMBERS_PER_ACCOUNT"))
        now, number_id = self.clock.now(), self.new_id("phone")
        number = PhoneNumber(
            serial=self.next_serial(),
            id=number_id,
            arn=self.arn_of(f"phone-number/{number_id}"),
            number=self._pick(parameters),
            country=parameters["IsoCountryCode"],
            message_type=parameters["MessageType"],
            capabilities=parameters["NumberCapabilities"],
            number_type=parameters["NumberType"],
            price=PRICES[parameters["NumberType"]],
            opt_out_list=opt_out_list,
            created=now,
            active_at=self._active_at(parameters, now),
            registration_id=registration_id,
            international=parameters.get("InternationalSendingEnabled", False),
            protected=parameters.get("DeletionProtectionEnabled", False),
        )
        if pool:
            self.check_match(number, pool)
        self._used.add(number.number)
        self.phone_numbers[number.id] = number
        tags = self.tag_new(number, parameters)
        if pool:
            self.join(number, pool)
        # The response never says ACTIVE: Terraform always waits.
        return self._described(number, now) | {"Status": "PENDING"} | tags

    def check_match(self, number: PhoneNumber, pool: Pool) -> None:
        """Raise if the settings of the number and the pool differ (see Pools)."""
        raise NotImplementedError

    def join(self, number: PhoneNumber, pool: Pool) -> None:
        """Add the number to the pool (see Pools)."""
        raise NotImplementedError

    @behaves("sms.number.activation", "sms.number.registration")
    def _active_at(self, parameters: Json, now: float) -> float:
        country, kind = parameters["IsoCountryCode"], parameters["NumberType"]
        regulated = kind in ("TEN_DLC", "TOLL_FREE") or (kind == "LONG_CODE" and country != "CA")
        return math.inf if regulated and self.options.registration_pending else now + self.options.activation_seconds

    def _completed(self, name: str) -> str:
        registration = self.registration_of(name)
        self.reject_if(
            registration.status != "COMPLETE",
            Conflict("sms.registration.incomplete", "REGISTRATION_NOT_COMPLETE", registration),
        )
        return registration.id

    def _check_combination(self, parameters: Json) -> None:
        """Raise if the country, type, capabilities and message type can't be combined."""
        country, kind = parameters["IsoCountryCode"], parameters["NumberType"]
        capabilities, unsupported = set(parameters["NumberCapabilities"]), "UNSPECIFIED_PARAMETER_NOT_SUPPORTED"
        self.reject_if(
            kind == "SIMULATOR" and parameters["MessageType"] != "TRANSACTIONAL",
            Validation("sms.number.simulator_type", _INVALID, ("MessageType", "must be TRANSACTIONAL")),
        )
        self.reject_if(
            kind == "SIMULATOR" and country != "US",
            Validation("sms.number.simulator_country", _INVALID, ("IsoCountryCode", "must be US")),
        )
        self.reject_if(
            kind == "TEN_DLC" and country != "US",
            Validation("sms.number.ten_dlc_country", _INVALID, ("IsoCountryCode", "must be US")),
        )
        self.reject_if(
            kind == "TEN_DLC" and not parameters.get("RegistrationId"),
            Validation("sms.number.ten_dlc_registration", _MISSING, ("RegistrationId", "is required")),
        )
        self.reject_if(
            kind == "LONG_CODE" and country == "US" and capabilities & {"SMS", "MMS"},
            Validation("sms.number.us_long_code", _INVALID, ("NumberType", "must be TEN_DLC or TOLL_FREE in US")),
        )
        self.reject_if(
            "MMS" in capabilities and country not in ("US", "CA"),
            Validation("sms.number.mms_country", _INVALID, ("NumberCapabilities", "MMS requires US or CA")),
        )
        self.reject_if(
            parameters.get("NumberPreference") and (kind, country) != ("TEN_DLC", "US"),
            Validation("sms.number.preference", unsupported, ("NumberPreference", "requires TEN_DLC in US")),
        )
        self._check_international(parameters.get("InternationalSendingEnabled", False), country, kind)

    def _check_international(self, requested: bool, country: str, kind: str) -> None:
        reason = "INTERNATIONAL_SENDING_NOT_SUPPORTED"
        self.reject_if(
            requested and (kind, country) != ("TOLL_FREE", "US"),
            Validation("sms.number.international", reason, ("InternationalSendingEnabled", "must be false")),
        )

    def _pick(self, parameters: Json) -> str:
        """Return the first unused number that matches the preference."""
        available = self._available(parameters["IsoCountryCode"], parameters)
        if not available:
            raise Validation(
                "sms.number.preference_unmet", _INVALID, ("NumberPreference", "matches no available number")
            )
        return available[0][1]

    def _available(self, country: str, parameters: Json) -> list[tuple[int, str]]:
        preferences = parameters.get("NumberPreference", [])
        numbers = enumerate(inventory(country, parameters["NumberType"]))
        return [(i, number) for i, number in numbers if number not in self._used and preferred(number, preferences)]

    def update_phone_number(self, parameters: Json) -> Json:
        """Change settings; a member that is absent from the request does not change."""
        number, now = self.number_of(parameters["PhoneNumberId"]), self.clock.now()
        self.reject_if(number.pool_id, Conflict("sms.update.pool", "PHONE_NUMBER_ASSOCIATED_TO_POOL", number))
        inactive = number.status(now) != "ACTIVE"
        self.reject_if(inactive, Conflict("sms.update.pending", "RESOURCE_NOT_ACTIVE", number))
        international = parameters.get("InternationalSendingEnabled", number.international)
        self._check_international(international, number.country, number.number_type)
        self.change_settings(number, parameters)
        number.international = international
        return number.response(now) | number.flags_response()

    def change_settings(self, held: PhoneNumber | Pool, parameters: Json) -> None:
        """Change the settings that UpdatePhoneNumber and UpdatePool share."""
        enabled = parameters.get("TwoWayEnabled", held.two_way_enabled)
        channel = parameters.get("TwoWayChannelArn", held.two_way_channel_arn)
        missing = Validation(
            "sms.update.two_way_channel", "TWO_WAY_CHANNEL_NOT_PRESENT", ("TwoWayChannelArn", "is required")
        )
        self.reject_if(enabled and not channel, missing)
        if "TwoWayChannelRole" in parameters:
            self._check_role(parameters["TwoWayChannelRole"], self.clock.now())
        if "OptOutListName" in parameters:
            held.opt_out_list = self.opt_out_list_of(parameters["OptOutListName"]).id
        held.two_way_enabled, held.two_way_channel_arn = enabled, channel
        held.two_way_channel_role = parameters.get("TwoWayChannelRole", held.two_way_channel_role)
        held.self_managed_opt_outs = parameters.get("SelfManagedOptOutsEnabled", held.self_managed_opt_outs)
        held.protected = parameters.get("DeletionProtectionEnabled", held.protected)

    def _check_role(self, role: str, now: float) -> None:
        first_used = self.roles_seen.setdefault(role, now)
        field, message = ("TwoWayChannelRole", "cannot be assumed"), f"Could not assume IAM role {role}"
        self.reject_if(
            now < first_used + self.options.role_propagation_seconds,
            Validation("sms.update.role", "RESOURCE_NOT_ACCESSIBLE", field, message=message),
        )

    @behaves("sms.release.gradual", "sms.release.pool_lag")
    def release_phone_number(self, parameters: Json) -> Json:
        """Release a number permanently."""
        number, now = self.number_of(parameters["PhoneNumberId"]), self.clock.now()
        self.reject_if(number.protected, Conflict("sms.release.protected", "DELETION_PROTECTION_ENABLED", number))
        pooled = number.pool_id or (now < number.pool_until and self.enabled("sms.release.pool_lag"))
        self.reject_if(pooled, Conflict("sms.release.pool", "PHONE_NUMBER_ASSOCIATED_TO_POOL", number))
        if number.gone_at is None:
            number.gone_at = now + self.options.release_seconds
        return number.response(now)

    def describe_phone_numbers(self, parameters: Json) -> Json:
        """Return numbers by ID, or all that match the filters."""
        self.check_owner(parameters, "PhoneNumberIds")
        self.drop_released()
        now = self.clock.now()
        named = [self.number_of(name) for name in parameters.get("PhoneNumberIds", [])]
        held = named or self.phone_numbers.values()
        page, more = self.describe(held, parameters, _FILTERS, lambda number: number.status(now))
        return {"PhoneNumbers": [self._described(number, now) for number in page]} | more

    def _described(self, number: PhoneNumber, now: float) -> Json:
        return number.response(now) | number.flags_response() | present(PoolId=number.pool_id)

    def list_available_phone_numbers(self, parameters: Json) -> Json:
        """Return the numbers that a request with the same preference can get."""
        country, registration = parameters["IsoCountryCode"], parameters.get("RegistrationId")
        outside_us = Validation("sms.available.country", _INVALID, ("IsoCountryCode", "must be US"))
        self.reject_if(country != "US", outside_us)
        unregistered = Validation("sms.available.registration", _MISSING, ("RegistrationId", "is required"))
        self.reject_if(not registration, unregistered)
        if registration:
            self.registration_of(registration)
        page, more = self.page(self._available("US", parameters), parameters, default=10)
        return {"AvailablePhoneNumbers": page} | more
