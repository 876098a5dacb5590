"""The backend of pinpoint-sms-voice-v2: pools and keywords from their own modules, the small things here."""

from moto.core.base_backend import BackendDict

from local.telecom.rules import Answer, TagStore
from local.telecom.sms_voice.exceptions import Conflict, QuotaExceeded, ResourceNotFound
from local.telecom.sms_voice.keywords import Keywords
from local.telecom.sms_voice.pools import Pools
from local.telecom.sms_voice.records import OptOutList, Registration, present, tag_list
from local.telecom.sms_voice.state import Readers, passes, tags_in

_REGISTRATION_FILTERS: Readers[Registration] = {
    "registration-type": lambda one: one.type,
    "registration-status": lambda one: one.status,
}


class SmsVoiceBackend(Pools, Keywords):
    """One account in one Region. Each operation is a method that takes the request and returns the answer."""

    def create_opt_out_list(self, parameters: Answer) -> Answer:
        """Make an opt-out list."""
        return self.once("CreateOptOutList", parameters, lambda: self._create_opt_out_list(parameters))

    def _create_opt_out_list(self, parameters: Answer) -> Answer:
        name = parameters["OptOutListName"]
        self.refuse(
            name in self.opt_out_lists,
            Conflict(
                "sms.opt_out_list.exists",
                f"The opt-out list {name} exists already.",
                reason="RESOURCE_ALREADY_EXISTS",
                resource_type="opt-out-list",
                resource_id=name,
            ),
        )
        self.refuse(
            len(self.opt_out_lists) >= self.options.opt_out_lists,
            QuotaExceeded(
                "sms.opt_out_list.quota",
                "You have reached the quota of opt-out lists.",
                reason="OPT_OUT_LISTS_PER_ACCOUNT",
            ),
        )
        made = OptOutList(
            serial=self.serial(), name=name, arn=self.arn_of(f"opt-out-list/{name}"), created=self.clock.now()
        )
        tags = tags_in(parameters)
        self.write_tags(made.tags, tags)
        self.opt_out_lists[name] = made
        return made.as_answer() | {"Tags": tag_list(tags)}

    def describe_opt_out_lists(self, parameters: Answer) -> Answer:
        """Return opt-out lists by name, or all."""
        named = [self.opt_out_list_of(name) for name in parameters.get("OptOutListNames", [])]
        shared = parameters.get("Owner") == "SHARED"
        chosen = [] if shared else [(one.serial, one) for one in named or self.opt_out_lists.values()]
        page, token = self.page(sorted(chosen, key=lambda pair: pair[0]), parameters, default=100)
        return {"OptOutLists": [one.as_answer() for one in page]} | present(NextToken=token)

    def delete_opt_out_list(self, parameters: Answer) -> Answer:
        """Delete an opt-out list that nobody uses."""
        found = self.opt_out_list_of(parameters["OptOutListName"])
        users = [*self.held_numbers(), *self.pools.values()]
        self.refuse(
            any(user.opt_out_list == found.name for user in users),
            Conflict(
                "sms.opt_out_list.in_use",
                f"The opt-out list {found.name} is in use.",
                reason="RESOURCE_NOT_EMPTY",
                resource_type="opt-out-list",
                resource_id=found.name,
            ),
        )
        del self.opt_out_lists[found.name]
        return found.as_answer()

    def create_registration(self, parameters: Answer) -> Answer:
        """Make a registration, in the status that the options say."""
        return self.once("CreateRegistration", parameters, lambda: self._create_registration(parameters))

    def _create_registration(self, parameters: Answer) -> Answer:
        self.refuse(
            len(self.registrations) >= self.options.registrations,
            QuotaExceeded(
                "sms.registration.quota",
                "You have reached the quota of registrations.",
                reason="REGISTRATIONS_PER_ACCOUNT",
            ),
        )
        registration_id = self.new_id("registration")
        made = Registration(
            serial=self.serial(),
            id=registration_id,
            arn=self.arn_of(f"registration/{registration_id}"),
            type=parameters["RegistrationType"],
            status=self.options.registration_status,
            created=self.clock.now(),
        )
        tags = tags_in(parameters)
        self.write_tags(made.tags, tags)
        self.registrations[made.id] = made
        return made.as_answer() | {"Tags": tag_list(tags)}

    def describe_registrations(self, parameters: Answer) -> Answer:
        """Return registrations by id, or all that pass the filters."""
        named = [self.registration_of(name) for name in parameters.get("RegistrationIds", [])]
        chosen = [
            (one.serial, one)
            for one in named or self.registrations.values()
            if passes(one, parameters.get("Filters", []), _REGISTRATION_FILTERS)
        ]
        page, token = self.page(sorted(chosen, key=lambda pair: pair[0]), parameters, default=100)
        return {"Registrations": [one.as_answer() for one in page]} | present(NextToken=token)

    def describe_account_limits(self, parameters: Answer) -> Answer:
        """Return what is used of each quota that this service keeps."""
        limits = (
            ("PHONE_NUMBERS", len(self.held_numbers()), self.options.phone_numbers),
            ("POOLS", len(self.pools), self.options.pools),
            ("OPT_OUT_LISTS", len(self.opt_out_lists), self.options.opt_out_lists),
            ("SENDER_IDS", len(self.sender_ids), self.options.sender_ids),
            ("REGISTRATIONS", len(self.registrations), self.options.registrations),
        )
        page, token = self.page(enumerate(limits), parameters, default=100)
        listed = [{"Name": name, "Used": used, "Max": maximum} for name, used, maximum in page]
        return {"AccountLimits": listed} | present(NextToken=token)

    def tag_resource(self, parameters: Answer) -> Answer:
        """Add tags, or change them."""
        store = self._tags_of(parameters["ResourceArn"])
        self.write_tags(store, store.written | tags_in(parameters))
        return {}

    def untag_resource(self, parameters: Answer) -> Answer:
        """Remove tags; a key that is not there is no matter."""
        store = self._tags_of(parameters["ResourceArn"])
        gone = set(parameters["TagKeys"])
        self.write_tags(store, {key: value for key, value in store.written.items() if key not in gone})
        return {}

    def list_tags_for_resource(self, parameters: Answer) -> Answer:
        """Return the tags that can be seen now."""
        arn = parameters["ResourceArn"]
        return {"ResourceArn": arn, "Tags": tag_list(self._tags_of(arn).read(self.clock.now()))}

    def _tags_of(self, arn: str) -> TagStore:
        self.drop_released()
        tables = (self.phone_numbers, self.sender_ids, self.pools, self.opt_out_lists, self.registrations)
        for table in tables:
            for one in table.values():
                if one.arn == arn:
                    return one.tags
        kind = arn.rsplit(":", maxsplit=1)[-1].split("/", maxsplit=1)[0]
        raise ResourceNotFound("sms.tags.unknown", kind, arn)


# The name under which moto looks for it: the service's without hyphens, and "_backends".
pinpointsmsvoicev2_backends = BackendDict(SmsVoiceBackend, "pinpoint-sms-voice-v2")
