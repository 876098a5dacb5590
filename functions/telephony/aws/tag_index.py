"""Reads tags from the Resource Groups Tagging API, 100 resources per call.

Source: Resource Groups Tagging API Reference, "GetResources". docs/unverified.md lists what it leaves open.
"""

from collections.abc import Mapping

from telephony.aws import services
from telephony.errors import HandlerError
from telephony.observability import logger


def read(resource_type: str, key: str, *values: str) -> Mapping[str, Mapping[str, str]] | None:
    """Return the tags of the resources of a type that have one tag with one of these values, by ARN.

    Returns None if the service refuses the call, does not know the type, or shows no resource of the type at all.
    """
    get = services.tagging().get_resources
    filters = [{"Key": key, "Values": [*values]}]
    listed = services.paginate(
        get,
        "ResourceTagMappingList",
        token_name="PaginationToken",  # noqa: S106 - a parameter
        ResourceTypeFilters=[resource_type],
        TagFilters=filters,
        ResourcesPerPage=100,
    )
    try:
        tags = {each["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in listed}
        if not tags and not get(ResourceTypeFilters=[resource_type], ResourcesPerPage=1)["ResourceTagMappingList"]:
            return None
    except HandlerError as refused:
        # The ledger and the tags of each number show the same, with more calls.
        logger.warning("The tag index can't be read", extra={"resource_type": resource_type, "cause": str(refused)})
        return None
    return tags
