"""Requesting, updating, releasing and describing phone numbers."""

import math

from local.telecom.behaviours import behaves
from local.telecom.rules import Answer
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, Validation
from local.telecom.sms_voice.numbers import inventory, preferred, price_of
from local.telecom.sms_voice.records import PhoneNumber, Pool, present, tag_list
from local.telecom.sms_voice.state import Readers, State, flag, passes, tags_in

_FILTERS: Readers[tuple[PhoneNumber, str]] = {
    "status": lambda it: it[1],
    "iso-country-code": lambda it: it[0].country,
    "message-type": lambda it: it[0].message_type,
    "number-capability": lambda it: it[0].capabilities,
    "number-type": lambda it: it[0].number_type,
    "two-way-enabled": lambda it: flag(it[0].two_way_enabled),
    "self-managed-opt-outs-enabled": lambda it: flag(it[0].self_managed_opt_outs),
    "opt-out-list-name": lambda it: it[0].opt_out_list,
    "deletion-protection-enabled": lambda it: flag(it[0].protected),
    "two-way-channel-arn": lambda it: it[0].two_way_channel_arn or "",
}


class PhoneNumbers(State):
    """The phone numbers of one account in one Region."""

    _used: set[str]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._used = set()

    def request_phone_number(self, parameters: Answer) -> Answer:
        """Lease a number: known at once, ACTIVE later."""
        return self.once("RequestPhoneNumber", parameters, lambda: self._request(parameters))

    def _request(self, parameters: Answer) -> Answer:
        self._check_combination(parameters)
        opt_out_list = self.opt_out_list_of(parameters.get("OptOutListName", "Default")).name
        pool = self.pool_of(parameters["PoolId"]) if parameters.get("PoolId") else None
        registration = parameters.get("RegistrationId")
        if registration:
            registration = self._completed(registration)
        self.refuse(
            len(self.held_numbers()) >= self.options.phone_numbers,
            QuotaExceeded(
                "sms.number.quota", "You have reached the quota of phone numbers.", reason="PHONE_NUMBERS_PER_ACCOUNT"
            ),
        )
        now, number_id = self.clock.now(), self.new_id("phone")
        number = PhoneNumber(
            serial=self.serial(),
            id=number_id,
            arn=self.arn_of(f"phone-number/{number_id}"),
            number=self._pick(parameters),
            country=parameters["IsoCountryCode"],
            message_type=parameters["MessageType"],
            capabilities=parameters["NumberCapabilities"],
            number_type=parameters["NumberType"],
            price=price_of(parameters["NumberType"]),
            opt_out_list=opt_out_list,
            created=now,
            active_at=self._active_at(parameters, now),
            registration_id=registration,
            international=parameters.get("InternationalSendingEnabled", False),
            protected=parameters.get("DeletionProtectionEnabled", False),
        )
        if pool:
            self.check_fits(number, pool)
        self._used.add(number.number)
        self.phone_numbers[number.id] = number
        tags = tags_in(parameters)
        self.write_tags(number.tags, tags)
        if pool:
            self.join(number, pool)
        # The request itself never answers ACTIVE: Terraform always has to wait.
        answer = number.as_answer(now) | number.flags_answer() | {"Status": "PENDING", "Tags": tag_list(tags)}
        return answer | present(PoolId=number.pool_id)

    def check_fits(self, number: PhoneNumber, pool: Pool) -> None:
        """Raise if the number cannot be in the pool (see Pools)."""
        raise NotImplementedError

    def join(self, number: PhoneNumber, pool: Pool) -> None:
        """Make the number a member of the pool (see Pools)."""
        raise NotImplementedError

    @behaves("sms.number.activation", "sms.number.registration")
    def _active_at(self, parameters: Answer, now: float) -> float:
        country, kind = parameters["IsoCountryCode"], parameters["NumberType"]
        regulated = kind in ("TEN_DLC", "TOLL_FREE") or (kind == "LONG_CODE" and country != "CA")
        if regulated and self.options.registration_pending:
            return math.inf
        return now + self.options.activation_seconds

    def _completed(self, name: str) -> str:
        registration = self.registration_of(name)
        self.refuse(
            registration.status != "COMPLETE",
            Conflict(
                "sms.registration.incomplete",
                f"The registration {registration.id} is {registration.status}, not COMPLETE.",
                reason="REGISTRATION_NOT_COMPLETE",
                resource_type="registration",
                resource_id=registration.id,
            ),
        )
        return registration.id

    def _check_combination(self, parameters: Answer) -> None:
        """Raise for a country, type, capability or message type that cannot go together."""
        country, kind = parameters["IsoCountryCode"], parameters["NumberType"]
        capabilities = set(parameters["NumberCapabilities"])
        wrong, missing = "INVALID_PARAMETER", "MISSING_PARAMETER"
        self.refuse(
            kind == "SIMULATOR" and parameters["MessageType"] != "TRANSACTIONAL",
            Validation(
                "sms.number.simulator_type",
                "A SIMULATOR phone number must have the message type TRANSACTIONAL.",
                wrong,
                ("MessageType", "must be TRANSACTIONAL"),
            ),
        )
        self.refuse(
            kind == "SIMULATOR" and country != "US",
            Validation(
                "sms.number.simulator_country",
                "Simulator phone numbers are available in US only.",
                wrong,
                ("IsoCountryCode", "must be US"),
            ),
        )
        self.refuse(
            kind == "TEN_DLC" and country != "US",
            Validation(
                "sms.number.ten_dlc_country",
                "10DLC phone numbers are available in US only.",
                wrong,
                ("IsoCountryCode", "must be US"),
            ),
        )
        self.refuse(
            kind == "TEN_DLC" and not parameters.get("RegistrationId"),
            Validation(
                "sms.number.ten_dlc_registration",
                "A 10DLC phone number needs an approved campaign registration.",
                missing,
                ("RegistrationId", "is required"),
            ),
        )
        self.refuse(
            kind == "LONG_CODE" and country == "US" and capabilities & {"SMS", "MMS"},
            Validation(
                "sms.number.us_long_code",
                "Long codes for SMS are not available in US; request a 10DLC or toll-free number.",
                wrong,
                ("NumberType", "must not be LONG_CODE"),
            ),
        )
        self.refuse(
            "MMS" in capabilities and country not in ("US", "CA"),
            Validation(
                "sms.number.mms_country",
                "MMS is available in US and CA only.",
                wrong,
                ("NumberCapabilities", "must not contain MMS"),
            ),
        )
        self.refuse(
            parameters.get("NumberPreference") and (kind, country) != ("TEN_DLC", "US"),
            Validation(
                "sms.number.preference",
                "Number preferences apply to TEN_DLC requests in US only.",
                "UNSPECIFIED_PARAMETER_NOT_SUPPORTED",
                ("NumberPreference", "must be absent"),
            ),
        )
        self._check_international(parameters.get("InternationalSendingEnabled", False), country, kind)

    def _check_international(self, wanted: bool, country: str, kind: str) -> None:
        self.refuse(
            wanted and (kind, country) != ("TOLL_FREE", "US"),
            Validation(
                "sms.number.international",
                "International sending is supported for US toll-free numbers only.",
                "INTERNATIONAL_SENDING_NOT_SUPPORTED",
                ("InternationalSendingEnabled", "must be false"),
            ),
        )

    def _pick(self, parameters: Answer) -> str:
        """Return the first number that was never given out and that fits the preference."""
        preferences = parameters.get("NumberPreference", [])
        for number in inventory(parameters["IsoCountryCode"], parameters["NumberType"]):
            if number not in self._used and preferred(number, preferences):
                return number
        raise Validation(
            "sms.number.preference_unmet",
            "No phone number that fits the request is available.",
            "INVALID_PARAMETER",
            ("NumberPreference", "matches no available phone number"),
        )

    def update_phone_number(self, parameters: Answer) -> Answer:
        """Change what can be changed; members that are not sent stay as they are."""
        number, now = self.number_of(parameters["PhoneNumberId"]), self.clock.now()
        self.refuse(
            number.pool_id,
            Conflict(
                "sms.update.pool",
                f"The phone number {number.id} is associated with the pool {number.pool_id}.",
                reason="PHONE_NUMBER_ASSOCIATED_TO_POOL",
                resource_type="phone-number",
                resource_id=number.id,
            ),
        )
        self.refuse(
            number.status(now) != "ACTIVE",
            Conflict(
                "sms.update.pending",
                f"The phone number {number.id} is {number.status(now)}, not ACTIVE.",
                reason="RESOURCE_NOT_ACTIVE",
                resource_type="phone-number",
                resource_id=number.id,
            ),
        )
        enabled = parameters.get("TwoWayEnabled", number.two_way_enabled)
        channel = parameters.get("TwoWayChannelArn", number.two_way_channel_arn)
        self.refuse(
            enabled and not channel,
            Validation(
                "sms.update.two_way_channel",
                "Two-way messaging needs a channel.",
                "TWO_WAY_CHANNEL_NOT_PRESENT",
                ("TwoWayChannelArn", "is required"),
            ),
        )
        if "TwoWayChannelRole" in parameters:
            self._check_role(parameters["TwoWayChannelRole"], now)
        international = parameters.get("InternationalSendingEnabled", number.international)
        self._check_international(international, number.country, number.number_type)
        if "OptOutListName" in parameters:
            number.opt_out_list = self.opt_out_list_of(parameters["OptOutListName"]).name
        number.two_way_enabled, number.two_way_channel_arn = enabled, channel
        number.two_way_channel_role = parameters.get("TwoWayChannelRole", number.two_way_channel_role)
        number.self_managed_opt_outs = parameters.get("SelfManagedOptOutsEnabled", number.self_managed_opt_outs)
        number.international = international
        number.protected = parameters.get("DeletionProtectionEnabled", number.protected)
        return number.as_answer(now) | number.flags_answer()

    def _check_role(self, role: str, now: float) -> None:
        since = self.roles_seen.setdefault(role, now)
        self.refuse(
            now < since + self.options.role_propagation_seconds,
            Validation(
                "sms.update.role",
                f"Could not assume IAM role {role}",
                "RESOURCE_NOT_ACCESSIBLE",
                ("TwoWayChannelRole", "cannot be assumed"),
            ),
        )

    @behaves("sms.release.gradual", "sms.release.pool_lag")
    def release_phone_number(self, parameters: Answer) -> Answer:
        """Give the number back for good."""
        number, now = self.number_of(parameters["PhoneNumberId"]), self.clock.now()
        self.refuse(
            number.protected,
            Conflict(
                "sms.release.protected",
                f"Deletion protection is enabled for the phone number {number.id}.",
                reason="DELETION_PROTECTION_ENABLED",
                resource_type="phone-number",
                resource_id=number.id,
            ),
        )
        self.refuse(
            number.pool_id or (now < number.pool_until and self.applies("sms.release.pool_lag")),
            Conflict(
                "sms.release.pool",
                f"The phone number {number.id} is associated with a pool.",
                reason="PHONE_NUMBER_ASSOCIATED_TO_POOL",
                resource_type="phone-number",
                resource_id=number.id,
            ),
        )
        if number.gone_at is None:
            number.gone_at = now + self.options.release_seconds
        return number.as_answer(now)

    def describe_phone_numbers(self, parameters: Answer) -> Answer:
        """Return numbers by id, or all that pass the filters."""
        self.refuse(
            parameters.get("PhoneNumberIds") and "Owner" in parameters,
            Validation(
                "sms.describe.owner",
                "Owner and PhoneNumberIds can't be used at the same time.",
                "PARAMETERS_CANNOT_BE_USED_TOGETHER",
            ),
        )
        self.drop_released()
        named = [self.number_of(name) for name in parameters.get("PhoneNumberIds", [])]
        now = self.clock.now()
        chosen = [
            (number.serial, number)
            for number in named or self.phone_numbers.values()
            if passes((number, number.status(now)), parameters.get("Filters", []), _FILTERS)
            and parameters.get("Owner") != "SHARED"
        ]
        page, token = self.page(sorted(chosen, key=lambda pair: pair[0]), parameters, default=100)
        return {"PhoneNumbers": [self._described(number, now) for number in page]} | present(NextToken=token)

    def _described(self, number: PhoneNumber, now: float) -> Answer:
        return number.as_answer(now) | number.flags_answer() | present(PoolId=number.pool_id)

    def list_available_phone_numbers(self, parameters: Answer) -> Answer:
        """Return numbers that a request with the same preference could get."""
        self.refuse(
            parameters["IsoCountryCode"] != "US",
            Validation(
                "sms.available.country",
                "ListAvailablePhoneNumbers supports US only.",
                "INVALID_PARAMETER",
                ("IsoCountryCode", "must be US"),
            ),
        )
        self.refuse(
            not parameters.get("RegistrationId"),
            Validation(
                "sms.available.registration",
                "A registration is required for TEN_DLC numbers.",
                "MISSING_PARAMETER",
                ("RegistrationId", "is required"),
            ),
        )
        if parameters.get("RegistrationId"):
            self.registration_of(parameters["RegistrationId"])
        preferences = parameters.get("NumberPreference", [])
        fitting = [
            (index, number)
            for index, number in enumerate(inventory("US", parameters["NumberType"]))
            if number not in self._used and preferred(number, preferences)
        ]
        page, token = self.page(fitting, parameters, default=10)
        return {"AvailablePhoneNumbers": page} | present(NextToken=token)
