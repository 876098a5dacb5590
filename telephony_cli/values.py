"""Resolves the properties that a stack declares, as far as its parameters and resources determine them."""

import re
from collections.abc import Mapping
from typing import Any

from telephony.cloudformation.changes import is_unknown

_SUBSTITUTION = re.compile(r"\$\{(!?)([^}]*)\}")
_NO_VALUE = object()
_LISTS = re.compile(r"(?:.*<)?(?:CommaDelimitedList|List<.*>)>?")


class UnresolvedError(Exception):
    """A value is known to CloudFormation only, or must not be shown."""


class Values:
    """What Ref returns: parameters, physical IDs, and pseudo parameters."""

    def __init__(self, template: Mapping[str, Any], stack: Mapping[str, Any], physical_ids: Mapping[str, str]) -> None:
        _, partition, _, region, account, _ = stack["StackId"].split(":", 5)
        self._values: dict[str, Any] = {
            "AWS::AccountId": account,
            "AWS::NoValue": _NO_VALUE,
            "AWS::Partition": partition,
            "AWS::Region": region,
            "AWS::StackId": stack["StackId"],
            "AWS::StackName": stack["StackName"],
            **physical_ids,
        }
        declared = template.get("Parameters", {})
        for parameter in stack.get("Parameters", []):
            name = parameter["ParameterKey"]
            about = declared.get(name, {})
            if str(about.get("NoEcho", "false")).lower() != "true":
                value = parameter.get("ResolvedValue", parameter.get("ParameterValue", ""))
                is_list = _LISTS.fullmatch(str(about.get("Type"))) is not None
                self._values[name] = [item.strip() for item in value.split(",")] if is_list else value

    def properties(self, declared: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """Return the properties that can be resolved, and the names of the others."""
        resolved: dict[str, Any] = {}
        others: set[str] = set()
        for name, value in declared.items():
            try:
                known = self._resolve(value)
            except UnresolvedError:
                others.add(name)
            else:
                resolved |= {} if known is _NO_VALUE else {name: known}
        return resolved, others

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not _NO_VALUE]
        return self._resolve_map(value) if isinstance(value, dict) else self._scalar(value)

    def _resolve_map(self, value: dict[Any, Any]) -> Any:
        match value:
            case {"Ref": str(name)} if len(value) == 1:
                return self._ref(name)
            case {"Fn::Sub": str(text)} if len(value) == 1:
                return self._scalar(self._substitute(text, {}))
            case {"Fn::Sub": [str(text), dict(variables)]} if len(value) == 1:
                return self._scalar(self._substitute(text, variables))
            case {"Fn::Join": [str(separator), parts]} if len(value) == 1:
                return self._scalar(separator.join(map(str, self._resolve(parts))))
        if any(str(name).startswith("Fn::") for name in value):
            raise UnresolvedError
        members = {str(name): self._resolve(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not _NO_VALUE}

    def _scalar(self, value: Any) -> str:
        if is_unknown(value):
            raise UnresolvedError
        # CloudFormation sends every scalar as a string.
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _ref(self, name: str) -> Any:
        if name not in self._values or is_unknown(self._values[name]):
            raise UnresolvedError
        return self._values[name]

    def _substitute(self, text: str, variables: Mapping[str, Any]) -> str:
        def value(match: re.Match[str]) -> str:
            literal, name = match[1], match[2].strip()
            if literal:
                return f"${{{match[2]}}}"
            return str(self._resolve(variables[name]) if name in variables else self._ref(name))

        return _SUBSTITUTION.sub(value, text)
