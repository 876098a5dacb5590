"""CloudFormation and Lambda's asynchronous invocation, as a custom resource provider meets them.

A pure client of the provider: it knows events, answers and stacks, and nothing of what the resources are. Where AWS's
documentation is silent, a rule names the report it comes from, or says that it is assumed.
"""

from tests.contract.cloudformation.events import event
from tests.contract.cloudformation.invoker import AsyncInvoker, Invocation
from tests.contract.cloudformation.stack import CloudFormation, Stack, StackEvent
from tests.contract.cloudformation.template import ValidationError

__all__ = ["AsyncInvoker", "CloudFormation", "Invocation", "Stack", "StackEvent", "ValidationError", "event"]
