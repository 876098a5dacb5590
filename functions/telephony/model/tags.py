"""Tags: ownership, and the changes that bring live tags to the declared ones."""

from collections.abc import Iterable, Mapping

from telephony.data import data
from telephony.model.properties import Tag

TAG_PREFIX = "cfn-telephony:"
"""Prefix of the ownership tags."""
MANAGED_BY = (f"{TAG_PREFIX}managed-by", "cfn-telephony")
"""The tag of everything that this provider purchased."""
ADOPTED = "cfn-telephony-adopted"
"""The value of this tag on what the provider has adopted. It has no permission to release that."""


@data
class Owner:
    """The stack resource that owns a number, by CloudFormation's names."""

    stack_id: str
    logical_resource_id: str

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Owner | None":
        """Return the owner named by ownership tags, or None if this provider did not purchase the resource."""
        stack_id, logical_id = tags.get(f"{TAG_PREFIX}stack-id"), tags.get(f"{TAG_PREFIX}logical-id")
        return cls(stack_id, logical_id) if stack_id and logical_id else None

    def __str__(self) -> str:
        """Return the name of the stack, as far as the ID shows one, and the logical ID."""
        return f"{'/'.join(self.stack_id.split('/')[1:2]) or self.stack_id}/{self.logical_resource_id}"


def tag_changes(tags: Mapping[str, str], desired: Iterable[Tag]) -> tuple[Mapping[str, str], list[str]]:
    """Return the tags to set and the keys to remove. Reserved tags are never removed."""
    declared = {tag.key: tag.value for tag in desired}
    to_set = {key: value for key, value in declared.items() if tags.get(key) != value}
    reserved = (TAG_PREFIX, "aws:")
    return to_set, sorted(key for key in tags if key not in declared and not key.startswith(reserved))
