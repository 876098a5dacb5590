"""Simulates CloudFormation and Lambda's asynchronous invocation for a custom resource provider.

The simulator knows events, responses and stacks, but no resource types. A rule that AWS doesn't document names the
report it is based on, or is marked as assumed.
"""

from tests.contract.cloudformation.api import KnownStack, StacksApi
from tests.contract.cloudformation.events import event
from tests.contract.cloudformation.invoker import AsyncInvoker
from tests.contract.cloudformation.queue import QueueApi
from tests.contract.cloudformation.stack import CloudFormation, Stack
from tests.contract.cloudformation.template import ValidationError

__all__ = ["AsyncInvoker", "CloudFormation", "KnownStack", "QueueApi", "Stack", "StacksApi", "ValidationError", "event"]
