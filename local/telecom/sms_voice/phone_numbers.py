"""Requesting, updating, releasing and describing phone numbers."""

import math
from collections.abc import Callable, Iterator

from local.telecom.behaviours import behaves
from local.telecom.rules import Json, idempotent
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, Validation
from local.telecom.sms_voice.numbers import PRICES, inventory, preferred
from local.telecom.sms_voice.records import PhoneNumber, Pool
from local.telecom.sms_voice.state import State

_INVALID, _MISSING = "INVALID_PARAMETER", "MISSING_PARAMETER"
_UNSUPPORTED = "UNSPECIFIED_PARAMETER_NOT_SUPPORTED"


class PhoneNumbers(State):
    """The phone numbers of one account in one Region."""

    check_match: Callable[[PhoneNumber, Pool], None]  # see Pools
    join: Callable[[PhoneNumber, Pool], None]

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
        now = self.clock.now()
        number = self.new(
            PhoneNumber,
            self.new_id("phone"),
            parameters,
            number=self._pick(parameters),
            country=parameters["IsoCountryCode"],
            message_type=parameters["MessageType"],
            capabilities=parameters["NumberCapabilities"],
            number_type=parameters["NumberType"],
            price=PRICES[parameters["NumberType"]],
            opt_out_list=opt_out_list,
            active_at=self._active_at(parameters, now),
            registration_id=registration_id,
            international=parameters.get("InternationalSendingEnabled", False),
            protected=parameters.get("DeletionProtectionEnabled", False),
        )
        if pool:
            self.check_match(number, pool)
        self._used.add(number.number)
        self.phone_numbers[number.id] = number
        if pool:
            self.join(number, pool)
        # The response never says ACTIVE: Terraform always waits.
        return number.described(now) | {"Status": "PENDING"} | number.tags_response()

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
        capabilities = set(parameters["NumberCapabilities"])
        us, simulator, ten_dlc = country == "US", kind == "SIMULATOR", kind == "TEN_DLC"
        promotional = parameters["MessageType"] != "TRANSACTIONAL"
        us_long_code = us and kind == "LONG_CODE" and capabilities & {"SMS", "MMS"}
        mms_abroad = "MMS" in capabilities and country not in ("US", "CA")
        for invalid, behaviour, field, rule in (
            (simulator and promotional, "sms.number.simulator_type", "MessageType", "must be TRANSACTIONAL"),
            (simulator and not us, "sms.number.simulator_country", "IsoCountryCode", "must be US"),
            (ten_dlc and not us, "sms.number.ten_dlc_country", "IsoCountryCode", "must be US"),
            (us_long_code, "sms.number.us_long_code", "NumberType", "must be TEN_DLC or TOLL_FREE in US"),
            (mms_abroad, "sms.number.mms_country", "NumberCapabilities", "MMS requires US or CA"),
        ):
            self.invalid_if(invalid, behaviour, _INVALID, field, rule)
        missing = ten_dlc and not parameters.get("RegistrationId")
        self.invalid_if(missing, "sms.number.ten_dlc_registration", _MISSING, "RegistrationId", "is required")
        preferring, rule = parameters.get("NumberPreference") and not (ten_dlc and us), "requires TEN_DLC in US"
        self.invalid_if(preferring, "sms.number.preference", _UNSUPPORTED, "NumberPreference", rule)
        self._check_international(parameters.get("InternationalSendingEnabled", False), country, kind)

    def _check_international(self, requested: bool, country: str, kind: str) -> None:
        invalid, field = requested and (kind, country) != ("TOLL_FREE", "US"), "InternationalSendingEnabled"
        reason = "INTERNATIONAL_SENDING_NOT_SUPPORTED"
        self.invalid_if(invalid, "sms.number.international", reason, field, "must be false")

    def _pick(self, parameters: Json) -> str:
        """Return the first unused number that matches the preference."""
        first = next(self._available(parameters["IsoCountryCode"], parameters), None)
        if first is None:
            field = ("NumberPreference", "matches no available number")
            raise Validation("sms.number.preference_unmet", _INVALID, field)
        return first[1]

    def _available(self, country: str, parameters: Json) -> Iterator[tuple[int, str]]:
        preferences = parameters.get("NumberPreference", [])
        numbers = enumerate(inventory(country, parameters["NumberType"]))
        return ((i, number) for i, number in numbers if number not in self._used and preferred(number, preferences))

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
        return number.updated(now)

    def change_settings(self, held: PhoneNumber | Pool, parameters: Json) -> None:
        """Change the settings that UpdatePhoneNumber and UpdatePool share."""
        enabled = parameters.get("TwoWayEnabled", held.two_way_enabled)
        channel = parameters.get("TwoWayChannelArn", held.two_way_channel_arn)
        missing, reason = enabled and not channel, "TWO_WAY_CHANNEL_NOT_PRESENT"
        self.invalid_if(missing, "sms.update.two_way_channel", reason, "TwoWayChannelArn", "is required")
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
        repeated = Conflict("sms.release.repeated", "RESOURCE_NOT_ACTIVE", number)
        self.reject_if(number.gone_at is not None, repeated)
        if number.gone_at is None:
            number.gone_at = now + self.options.release_seconds
        return number.response(now)

    def describe_phone_numbers(self, parameters: Json) -> Json:
        """Return numbers by ID, or all that match the filters."""
        self.check_owner(parameters, "PhoneNumberIds")
        self.drop_released()
        now = self.clock.now()
        named = self.visible_only(self.number_of(name) for name in parameters.get("PhoneNumberIds", []))
        own = [one for one in self.phone_numbers.values() if self.visible(one.created)]
        held = named or self.owned(PhoneNumber, own, parameters)
        return self.describe("PhoneNumbers", held, lambda number: number.described(now), parameters)

    def list_available_phone_numbers(self, parameters: Json) -> Json:
        """Return the numbers that a request with the same preference can get."""
        country, registration = parameters["IsoCountryCode"], parameters.get("RegistrationId")
        self.invalid_if(country != "US", "sms.available.country", _INVALID, "IsoCountryCode", "must be US")
        self.invalid_if(not registration, "sms.available.registration", _MISSING, "RegistrationId", "is required")
        if registration:
            self.registration_of(registration)
        page, more = self.page(self._available("US", parameters), parameters, default=10)
        return {"AvailablePhoneNumbers": page} | more
