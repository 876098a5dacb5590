"""The example templates, unchanged and with changed properties."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any, Self

import yaml

from local.aws import ROOT

EXAMPLES = ROOT / "examples"


class _Loader(yaml.SafeLoader):
    """Reads short intrinsic functions in their full form, for example `!Sub text` as {"Fn::Sub": text}."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    # JSON does not support the dotted form of GetAtt.
    return {name: node.value.split(".", 1) if tag == "GetAtt" else node.value}


_Loader.add_multi_constructor("!", _intrinsic)


class Template:
    """A template in memory."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    @classmethod
    def example(cls, name: str) -> Self:
        """Read examples/NAME.yaml."""
        return cls(yaml.load((EXAMPLES / f"{name}.yaml").read_text(), Loader=_Loader))  # noqa: S506 - a SafeLoader

    def purchases(self) -> Counter[str]:
        """Return the number of resources of each type that are purchased, not adopted."""
        resources = self._body["Resources"].values()
        return Counter(resource["Type"] for resource in resources if "Adopt" not in resource["Properties"])

    def logical_id(self, resource_type: str) -> str:
        """Return the logical ID of the only resource of this type."""
        (found,) = [name for name, resource in self._body["Resources"].items() if resource["Type"] == resource_type]
        return str(found)

    def changed(self, resource_type: str, **properties: Any) -> Self:
        """Return a copy in which the only resource of this type has these properties too."""
        body = copy.deepcopy(self._body)
        body["Resources"][self.logical_id(resource_type)]["Properties"] |= properties
        return type(self)(body)

    def write(self, path: Path) -> Path:
        """Write the template as JSON, which is valid YAML; return the path."""
        path.write_text(json.dumps(self._body, indent=2))
        return path
