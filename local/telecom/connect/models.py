"""The backend of Connect: moto's, with phone numbers, their tags, and traffic distribution groups."""

import uuid

from moto.core.base_backend import BackendDict

from local.telecom.connect.exceptions import ResourceNotFound
from local.telecom.connect.phone_numbers import PhoneNumbers
from local.telecom.connect.records import Group
from local.telecom.rules import Answer


class TelecomConnectBackend(PhoneNumbers):
    """One account in one Region. Operations of ours take the request and return the answer; moto's are as they were."""

    def create_traffic_distribution_group(self, parameters: Answer) -> Answer:
        """Make a group for an instance."""
        return self.once("CreateTrafficDistributionGroup", parameters, lambda: self._create_group(parameters))

    def _create_group(self, parameters: Answer) -> Answer:
        instance, group_id = self._existing_target({"InstanceId": parameters["InstanceId"]}), str(uuid.uuid4())
        made = Group(
            id=group_id,
            arn=self.arn_of(f"traffic-distribution-group/{group_id}"),
            name=parameters["Name"],
            instance_arn=instance.arn,
            description=parameters.get("Description"),
            tags=parameters.get("Tags", {}),
        )
        self.groups[made.arn] = made
        return {"Id": made.id, "Arn": made.arn}

    def describe_traffic_distribution_group(self, parameters: Answer) -> Answer:
        """Return a group by id or ARN."""
        name = parameters["TrafficDistributionGroupId"]
        own = self.arn_of("traffic-distribution-group/")
        group = self.groups.get(own + name.removeprefix(own))
        if group is None:
            raise ResourceNotFound("connect.group.unknown", f"Traffic distribution group {name} not found.")
        members = {
            "Id": group.id,
            "Arn": group.arn,
            "Name": group.name,
            "Description": group.description,
            "InstanceArn": group.instance_arn,
            "Status": "ACTIVE",
            "Tags": group.tags or None,
        }
        return {"TrafficDistributionGroup": {name: value for name, value in members.items() if value is not None}}

    def tag_resource(self, resource_arn: str, tags: dict[str, str]) -> None:
        """Add tags, or change them."""
        if ":phone-number/" not in resource_arn:
            super().tag_resource(resource_arn, tags)
            return
        number = self.number_of(resource_arn)
        self.write_number_tags(number, number.tags.written | tags)

    def untag_resource(self, resource_arn: str, tag_keys: list[str]) -> None:
        """Remove tags; a key that is not there is no matter."""
        if ":phone-number/" not in resource_arn:
            super().untag_resource(resource_arn, tag_keys)
            return
        number = self.number_of(resource_arn)
        rest = {key: value for key, value in number.tags.written.items() if key not in tag_keys}
        self.write_number_tags(number, rest)

    def list_tags_for_resource(self, resource_arn: str) -> dict[str, str]:
        """Return the tags that can be seen now."""
        if ":phone-number/" not in resource_arn:
            return dict(super().list_tags_for_resource(resource_arn))
        return self.number_of(resource_arn).tags.read(self.clock.now())


OWN_OPERATIONS = frozenset(
    name for owner in (PhoneNumbers, TelecomConnectBackend) for name in vars(owner) if not name.startswith("_")
) - {"tag_resource", "untag_resource", "list_tags_for_resource"}

# The name under which moto looks for it.
telecomconnect_backends = BackendDict(TelecomConnectBackend, "connect")
