"""The examples, as they are and with changes that somebody could make by hand."""

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
    """Reads `!Sub text` as {"Fn::Sub": text}, and so on; Ref and Condition keep their names."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    # JSON knows no dotted GetAtt.
    return {name: node.value.split(".", 1) if tag == "GetAtt" else node.value}


_Loader.add_multi_constructor("!", _intrinsic)


class Template:
    """A template that is changed without touching its file."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    @classmethod
    def example(cls, name: str) -> Self:
        """Read examples/NAME.yaml."""
        return cls(yaml.load((EXAMPLES / f"{name}.yaml").read_text(), Loader=_Loader))  # noqa: S506 - a SafeLoader

    def types(self) -> Counter[str]:
        """How many resources of each type it declares."""
        return Counter(resource["Type"] for resource in self._body["Resources"].values())

    def logical_id(self, resource_type: str) -> str:
        """The one resource of that type."""
        (found,) = [name for name, resource in self._body["Resources"].items() if resource["Type"] == resource_type]
        return str(found)

    def changed(self, resource_type: str, **properties: Any) -> Self:
        """The template with these properties of its one resource of that type, in place of those it has."""
        body = copy.deepcopy(self._body)
        body["Resources"][self.logical_id(resource_type)]["Properties"] |= properties
        return type(self)(body)

    def write(self, path: Path) -> Path:
        """Write it as JSON, which is YAML too; give the path back."""
        path.write_text(json.dumps(self._body, indent=2))
        return path
