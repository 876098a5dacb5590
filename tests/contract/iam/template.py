"""The roles of template.yaml with their policies, for given parameters."""

from __future__ import annotations

from functools import cache
from typing import Any

import attrs
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from tests.contract.cloudformation.events import ACCOUNT, REGION
from tests.contract.cloudformation.intrinsics import NO_VALUE, Deployment
from tests.contract.cloudformation.queue import QUEUE_ARN
from tests.contract.iam.evaluation import Decision, Request, Statement, decide
from tools.types import ROOT

NAMES = {"RequestQueue": QUEUE_ARN.split(":")[5], "StateTable": "state"}
"""The names of resources in the recorded calls, by logical ID. All others have their logical IDs as names."""
ARNS = {
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
    "AWS::Serverless::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
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


class _Recorded(Deployment):
    """Names resources as the recorded calls do. Ref of a resource is its logical ID."""

    def _generated(self, name: str) -> str:
        return name

    def _getatt(self, target: list[str]) -> str:
        logical_id, attribute = target
        assert attribute == "Arn"
        kind = self.template["Resources"][logical_id]["Type"]
        return ARNS[kind].format(NAMES.get(logical_id, logical_id))


class Template:
    """The template with these parameters."""

    def __init__(self, **parameters: str) -> None:
        loaded = _load()
        assert parameters.keys() <= loaded["Parameters"].keys()
        self._resources: dict[str, Any] = loaded["Resources"]
        self._deployment = _Recorded(loaded, parameters)

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
        return str(self._resolve({"Fn::GetAtt": [logical_id, "Arn"]}))

    def _resolve(self, value: Any) -> Any:
        return self._deployment.resolve(value)

    def _identity_policies(self, role: str) -> tuple[Statement, ...]:
        properties = self._resources[role]["Properties"]
        assert self._resolve(properties["PermissionsBoundary"]) is NO_VALUE
        found: list[Statement] = []
        for policy in properties["Policies"]:
            found += self._statements(role, policy["PolicyDocument"])
        for attached in self._resolve(properties.get("ManagedPolicyArns", [])):
            found += self._statements(attached, self._resources[attached]["Properties"]["PolicyDocument"])
        return tuple(found)

    def _statements(self, policy: str, document: dict[str, Any]) -> list[Statement]:
        resolved = self._resolve(document)
        assert resolved["Version"] == "2012-10-17"
        return [Statement.parse(policy, statement) for statement in resolved["Statement"]]


@cache
def _load() -> dict[str, Any]:
    loaded: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))
    return loaded
