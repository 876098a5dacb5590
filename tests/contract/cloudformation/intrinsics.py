"""Resolves parameters, conditions and intrinsic functions of the template, as CloudFormation does on deployment."""

import re
from typing import Any

import attrs

from tests.contract.cloudformation.events import ACCOUNT, REGION

NO_VALUE = object()


@attrs.frozen
class Deployment:
    """A deployment of the template with these values of parameters, and the defaults of the others.

    Ref of a resource is a name with its logical ID and a suffix of 12 characters, as CloudFormation generates it, and
    Fn::GetAtt an ARN with this name.
    """

    template: dict[str, Any]
    parameters: dict[str, str] = attrs.Factory(dict)
    stack_name: str = "cfn-telephony"
    region: str = REGION

    def resolve(self, value: Any) -> Any:
        """Resolve every function in a value. Raises AttributeError for a function that this class does not know."""
        if isinstance(value, list):
            return [member for member in map(self.resolve, value) if member is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        for name, argument in value.items():
            if name == "Ref" or name.startswith("Fn::"):
                return getattr(self, f"_{name.removeprefix('Fn::').lower()}")(argument)
        resolved = {name: self.resolve(member) for name, member in value.items()}
        return {name: member for name, member in resolved.items() if member is not NO_VALUE}

    def holds(self, condition: Any) -> bool:
        """Whether a condition is true, by its name or its definition."""
        return bool(self.resolve(self.template["Conditions"][condition] if isinstance(condition, str) else condition))

    def _ref(self, name: str) -> Any:
        pseudo = {
            "AWS::NoValue": NO_VALUE,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::Region": self.region,
            "AWS::StackName": self.stack_name,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.template["Parameters"]:
            return self.parameters.get(name, self.template["Parameters"][name].get("Default"))
        return self._generated(name)

    def _getatt(self, target: list[str]) -> str:
        name, attribute = target
        if attribute == "QueueName":
            return self._generated(name)
        assert attribute == "Arn", target
        _, service, kind = self.template["Resources"][name]["Type"].lower().split("::")
        return f"arn:aws:{service}:{self.region}:{ACCOUNT}:{kind}/{self._generated(name)}"

    def _sub(self, text: str) -> str:
        return re.sub(r"\$\{([\w:.]+)\}", lambda found: self._substitute(found[1]), text)

    def _substitute(self, name: str) -> str:
        return self._getatt(name.split(".")) if "." in name else str(self._ref(name))

    def _if(self, arguments: list[Any]) -> Any:
        condition, if_true, if_false = arguments
        return self.resolve(if_true if self.holds(condition) else if_false)

    def _not(self, conditions: list[Any]) -> bool:
        return not self.holds(conditions[0])

    def _equals(self, values: list[Any]) -> bool:
        one, other = self.resolve(values)
        return bool(one == other)

    def _split(self, arguments: list[Any]) -> list[str]:
        separator, text = self.resolve(arguments)
        return list(text.split(separator))

    def _generated(self, name: str) -> str:
        assert name in self.template["Resources"], name
        return f"{self.stack_name}-{name}-1A2B3C4D5E6F"
