"""Backend of pinpoint-sms-voice-v2: all operations, and those of opt-out lists, registrations, limits and tags."""

from moto.core.base_backend import BackendDict

from local.telecom.rules import Json, TagStore, idempotent
from local.telecom.sms_voice.exceptions import AccessDenied, Conflict, QuotaExceeded, ResourceNotFound
from local.telecom.sms_voice.keywords import Keywords
from local.telecom.sms_voice.pools import Pools
from local.telecom.sms_voice.records import OptOutList, Registration, tag_list
from local.telecom.sms_voice.state import tags_in


class SmsVoiceBackend(Pools, Keywords):
    """One account in one Region. Each operation is a method that takes the request and returns the response."""

    @idempotent
    def create_opt_out_list(self, parameters: Json) -> Json:
        """Create an opt-out list."""
        name = parameters["OptOutListName"]
        existing = self.opt_out_lists.get(name)
        if existing:
            self.reject_if(existing, Conflict("sms.opt_out_list.exists", "RESOURCE_ALREADY_EXISTS", existing))
        exhausted = len(self.opt_out_lists) >= self.options.opt_out_lists
        self.reject_if(exhausted, QuotaExceeded("sms.opt_out_list.quota", "OPT_OUT_LISTS_PER_ACCOUNT"))
        created = self.opt_out_lists[name] = self.new(OptOutList, name, parameters)
        return created.response() | created.tags_response()

    def describe_opt_out_lists(self, parameters: Json) -> Json:
        """Return opt-out lists by name, or all."""
        self.check_owner(parameters, "OptOutListNames")
        named = [self.opt_out_list_of(name) for name in parameters.get("OptOutListNames", [])]
        held = named or self.owned(OptOutList, self.opt_out_lists.values(), parameters)
        return self.describe("OptOutLists", held, OptOutList.response, parameters)

    def delete_opt_out_list(self, parameters: Json) -> Json:
        """Delete an opt-out list that no number or pool uses."""
        found = self.opt_out_list_of(parameters["OptOutListName"])
        in_use = any(user.opt_out_list == found.id for user in [*self.held_numbers(), *self.pools.values()])
        self.reject_if(in_use, Conflict("sms.opt_out_list.in_use", "RESOURCE_NOT_EMPTY", found))
        del self.opt_out_lists[found.id]
        return found.response()

    @idempotent
    def create_registration(self, parameters: Json) -> Json:
        """Create a registration in the status that Options.registration_status sets."""
        exhausted = len(self.registrations) >= self.options.registrations
        self.reject_if(exhausted, QuotaExceeded("sms.registration.quota", "REGISTRATIONS_PER_ACCOUNT"))
        kind, status = parameters["RegistrationType"], self.options.registration_status
        created = self.new(Registration, self.new_id("registration"), parameters, type=kind, status=status)
        self.registrations[created.id] = created
        return created.response() | created.tags_response()

    def describe_registrations(self, parameters: Json) -> Json:
        """Return registrations by ID, or all that match the filters."""
        named = [self.registration_of(name) for name in parameters.get("RegistrationIds", [])]
        return self.describe("Registrations", named or self.registrations.values(), Registration.response, parameters)

    def describe_account_limits(self, parameters: Json) -> Json:
        """Return the quotas that this service enforces, and their use."""
        limits = (
            ("PHONE_NUMBERS", len(self.held_numbers()), self.options.phone_numbers),
            ("POOLS", len(self.pools), self.options.pools),
            ("OPT_OUT_LISTS", len(self.opt_out_lists), self.options.opt_out_lists),
            ("SENDER_IDS", len(self.sender_ids), self.options.sender_ids),
            ("REGISTRATIONS", len(self.registrations), self.options.registrations),
        )
        page, more = self.page(enumerate(limits), parameters)
        return {"AccountLimits": [{"Name": name, "Used": used, "Max": maximum} for name, used, maximum in page]} | more

    def tag_resource(self, parameters: Json) -> Json:
        """Add or change tags."""
        store = self._tags_of(parameters["ResourceArn"])
        self.write_tags(store, store.written | tags_in(parameters))
        return {}

    def untag_resource(self, parameters: Json) -> Json:
        """Remove tags; unknown keys are ignored."""
        store, removed = self._tags_of(parameters["ResourceArn"]), set(parameters["TagKeys"])
        self.write_tags(store, {key: value for key, value in store.written.items() if key not in removed})
        return {}

    def list_tags_for_resource(self, parameters: Json) -> Json:
        """Return the tags that are visible now."""
        arn = parameters["ResourceArn"]
        return {"ResourceArn": arn, "Tags": tag_list(self._tags_of(arn).read(self.clock.now()))}

    def _tags_of(self, arn: str) -> TagStore:
        self.drop_released()
        for table in (self.phone_numbers, self.sender_ids, self.pools, self.opt_out_lists, self.registrations):
            for one in table.values():
                if one.arn == arn:
                    return one.tags
        self.reject_if(arn in self.shared, AccessDenied("sms.tags.shared", f"Not authorized to access {arn}."))
        kind = arn.rsplit(":", maxsplit=1)[-1].split("/", maxsplit=1)[0]
        raise ResourceNotFound("sms.tags.unknown", kind, arn)


# moto looks for this name: the service's without hyphens, and "_backends".
pinpointsmsvoicev2_backends = BackendDict(SmsVoiceBackend, "pinpoint-sms-voice-v2")
