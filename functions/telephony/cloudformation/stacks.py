"""Reads the status of CloudFormation stacks, and the physical IDs that they reference."""

from telephony.aws import services
from telephony.errors import HandlerError


def status(stack_id: str) -> str | None:
    """Return the StackStatus. None if the stack does not exist."""
    try:
        stacks = services.cloudformation().describe_stacks(StackName=stack_id)["Stacks"]
    except HandlerError as failure:
        if _does_not_exist(failure):
            return None
        raise
    return stacks[0]["StackStatus"] if stacks else None


def physical_resource_id(stack_id: str, logical_resource_id: str) -> str | None:
    """Return the physical ID that the stack references. None if the stack or the resource does not exist."""
    try:
        response = services.cloudformation().describe_stack_resource(
            StackName=stack_id, LogicalResourceId=logical_resource_id
        )
    except HandlerError as failure:
        if _does_not_exist(failure):
            return None
        raise
    return response["StackResourceDetail"].get("PhysicalResourceId")


def _does_not_exist(failure: HandlerError) -> bool:
    """CloudFormation has no error code of its own for a stack that does not exist."""
    return failure.aws_code == "ValidationError" and "does not exist" in failure.cause
