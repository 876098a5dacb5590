"""Backend of Connect: moto's, with phone numbers, their tags, and traffic distribution groups."""

import uuid

from moto.core.base_backend import BackendDict

from local.telecom.connect.exceptions import ResourceNotFound
from local.telecom.connect.phone_numbers import PhoneNumbers
from local.telecom.rules import Json, idempotent, present


class TelecomConnectBackend(PhoneNumbers):
    """One account in one Region. OWN_OPERATIONS take the request and return the response; others are moto's."""

    @idempotent
    def create_traffic_distribution_group(self, parameters: Json) -> Json:
        """Create a traffic distribution group for an instance; it is ACTIVE at once."""
        instance, group_id = self._existing_target({"InstanceId": parameters["InstanceId"]}), str(uuid.uuid4())
        arn = self.arn_of(f"traffic-distribution-group/{group_id}")
        self.groups[arn] = present(
            Id=group_id,
            Arn=arn,
            Name=parameters["Name"],
            Description=parameters.get("Description"),
            InstanceArn=instance.arn,
            Status="ACTIVE",
            Tags=parameters.get("Tags") or None,
        )
        return {"Id": group_id, "Arn": arn}

    def describe_traffic_distribution_group(self, parameters: Json) -> Json:
        """Return a traffic distribution group by ID or ARN."""
        name = parameters["TrafficDistributionGroupId"]
        own = self.arn_of("traffic-distribution-group/")
        group = self.groups.get(own + name.removeprefix(own))
        if group is None:
            raise ResourceNotFound("connect.group.unknown", f"Traffic distribution group {name} not found.")
        return {"TrafficDistributionGroup": group}

    def tag_resource(self, resource_arn: str, tags: dict[str, str]) -> None:
        """Add or change tags."""
        if ":phone-number/" in resource_arn:
            number = self.number_of(resource_arn)
            self.write_number_tags(number, number.tags.written | tags)
        else:
            super().tag_resource(resource_arn, tags)

    def untag_resource(self, resource_arn: str, tag_keys: list[str]) -> None:
        """Remove tags; unknown keys are ignored."""
        if ":phone-number/" in resource_arn:
            number = self.number_of(resource_arn)
            rest = {key: value for key, value in number.tags.written.items() if key not in tag_keys}
            self.write_number_tags(number, rest)
        else:
            super().untag_resource(resource_arn, tag_keys)

    def list_tags_for_resource(self, resource_arn: str) -> dict[str, str]:
        """Return the tags that are visible now."""
        if ":phone-number/" not in resource_arn:
            return dict(super().list_tags_for_resource(resource_arn))
        return self.number_of(resource_arn).tags.read(self.clock.now())


OWN_OPERATIONS = frozenset(
    name for owner in (PhoneNumbers, TelecomConnectBackend) for name in vars(owner) if not name.startswith("_")
) - {"tag_resource", "untag_resource", "list_tags_for_resource"}

# moto looks for this name.
telecomconnect_backends = BackendDict(TelecomConnectBackend, "connect")
