"""The roles of template.yaml with their policies, for given parameters."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import attrs
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from tests.contract.cloudformation.events import ACCOUNT, REGION
from tests.contract.cloudformation.queue import QUEUE_ARN
from tests.contract.iam.evaluation import Decision, Request, Statement, decide
from tools.types import ROOT

NO_VALUE = object()
PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": NO_VALUE,
}
NAMES = {"RequestQueue": QUEUE_ARN.split(":")[5], "StateTable": "state"}
"""The names of resources in the recorded calls, by logical ID. All others have their logical IDs as names."""
ARNS = {
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
}


@attrs.frozen
class Principal:
    """A caller. `statements`: those of its own policies, and of the policies of resources."""

    arn: str
    statements: tuple[Statement, ...]

    def decide(self, request: Request, *, secure: bool = True) -> Decision:
        """Evaluate a request of this principal. Without an ARN, it is an AWS service."""
        context = {"aws:securetransport": (str(secure).lower(),)} | dict(request.context)
        if self.arn:
            context["aws:principalarn"] = (self.arn,)
        return decide(attrs.evolve(request, context=context), self.statements)


class Template:
    """The template with these parameters."""

    def __init__(self, **parameters: str) -> None:
        loaded = _load()
        self._resources: dict[str, Any] = loaded["Resources"]
        self._conditions: dict[str, Any] = loaded["Conditions"]
        assert parameters.keys() <= loaded["Parameters"].keys()
        defaults = {name: one.get("Default") for name, one in loaded["Parameters"].items()}
        self._values: dict[str, Any] = defaults | PSEUDO_PARAMETERS | parameters

    def roles(self) -> dict[str, Principal]:
        """The roles, by logical ID."""
        return {
            name: Principal(self.arn(name), self._identity_policies(name) + self.resource_policies())
            for name, resource in self._resources.items()
            if resource["Type"] == "AWS::IAM::Role"
        }

    def resource_policies(self) -> tuple[Statement, ...]:
        """The statements of the policies of queues."""
        found: list[Statement] = []
        for name, resource in self._resources.items():
            if resource["Type"] == "AWS::SQS::QueuePolicy":
                found += self._statements(name, resource["Properties"]["PolicyDocument"])
        return tuple(found)

    def arn(self, logical_id: str) -> str:
        name = NAMES.get(logical_id, logical_id)
        return ARNS[self._resources[logical_id]["Type"]].format(name)

    def _identity_policies(self, role: str) -> tuple[Statement, ...]:
        properties = self._resources[role]["Properties"]
        assert self._resolve(properties["PermissionsBoundary"]) is NO_VALUE
        found: list[Statement] = []
        for policy in properties["Policies"]:
            found += self._statements(role, policy["PolicyDocument"])
        for attached in self._resolve(properties["ManagedPolicyArns"]):
            found += self._statements(attached, self._resources[attached]["Properties"]["PolicyDocument"])
        return tuple(found)

    def _statements(self, policy: str, document: dict[str, Any]) -> list[Statement]:
        resolved = self._resolve(document)
        assert resolved["Version"] == "2012-10-17"
        return [Statement.parse(policy, statement) for statement in resolved["Statement"]]

    def _resolve(self, value: Any) -> Any:
        """Resolve intrinsic functions, and remove what is AWS::NoValue. Ref of a resource is its logical ID."""
        if isinstance(value, list):
            return [one for one in map(self._resolve, value) if one is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return argument if argument in self._resources else self._values[argument]
            if function.startswith("Fn::"):
                return self._call(function, argument)
        members = {key: self._resolve(one) for key, one in value.items()}
        return {key: one for key, one in members.items() if one is not NO_VALUE}

    def _call(self, function: str, argument: Any) -> Any:
        match function:
            case "Fn::GetAtt":
                logical_id, attribute = argument
                assert attribute == "Arn"
                return self.arn(logical_id)
            case "Fn::Sub":
                return re.sub(r"\$\{([^}]+)\}", lambda found: self._substitute(found[1]), argument)
            case "Fn::If":
                condition, met, not_met = argument
                return self._resolve(met if self._resolve(self._conditions[condition]) else not_met)
            case "Fn::Split":
                separator, text = argument
                return self._resolve(text).split(separator)
            case "Fn::Equals":
                first, second = self._resolve(argument)
                return first == second
            case "Fn::Not":
                (condition,) = self._resolve(argument)
                return not condition
        raise NotImplementedError(function)

    def _substitute(self, name: str) -> str:
        logical_id, _, attribute = name.partition(".")
        return str(self._resolve({"Fn::GetAtt": [logical_id, attribute]} if attribute else {"Ref": name}))


@cache
def _load() -> dict[str, Any]:
    loaded: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))
    return loaded
