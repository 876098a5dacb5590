"""Reads templates. The Lambda layer has PyYAML for the guard only."""

import json
from typing import Any, cast

import yaml

from telephony.aws import services

_SHORT_FORMS = {"Ref": "Ref", "Condition": "Condition"}


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's YAML: with short forms of intrinsic functions, without aliases and dates. Keys are text.

    Source: CloudFormation User Guide, "CloudFormation template formats".
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("An alias.")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(cast("yaml.MappingNode", node), deep=True)
    return {_SHORT_FORMS.get(suffix, f"Fn::{suffix}"): value}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if not tag.endswith((":timestamp", ":value"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_multi_constructor("!", _intrinsic)


def read(stack_name: str) -> dict[str, Any]:
    """Return the template of a stack, after its transforms."""
    body: Any = services.cloudformation().get_template(StackName=stack_name, TemplateStage="Processed")["TemplateBody"]
    return parse(body)


def parse(body: Any) -> dict[str, Any]:
    """Return a template in JSON or YAML, which boto3 may have parsed. Raises ValueError if it is neither."""
    loaded = body
    if isinstance(body, str):
        try:
            loaded = json.loads(body)  # Hundreds of times as fast, and JSON permits tabs.
        except ValueError:
            try:
                loaded = yaml.load(body, _Loader)  # noqa: S506 - a SafeLoader
            except yaml.YAMLError as error:
                raise ValueError("The template is neither JSON nor YAML.") from error
    if not isinstance(loaded, dict):
        raise ValueError("The template is not a map.")  # noqa: TRY004 - part of its format
    return loaded
