"""cfn-lint rules for the types of this provider, driven by schemas/.

cfn-lint knows nothing of a Custom:: type: it lets every property and every attribute pass, and its registry schemas do
not reach them (1.43.0 and later). `append_rules: [lint]` in .cfnlintrc, or `--append-rules lint`, makes plain cfn-lint,
and `sam validate --lint`, check them. Ids from E9000 on are for rules outside of cfn-lint (docs/rules.md there).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfnlint.jsonschema import ValidationError, ValidationResult, Validator  # type: ignore[import-untyped]
from cfnlint.jsonschema._keywords_cfn import cfn_type  # type: ignore[import-untyped]
from cfnlint.rules import CloudFormationLintRule, RuleMatch  # type: ignore[import-untyped]
from cfnlint.rules.jsonschema.CfnLintJsonSchema import CfnLintJsonSchema  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from cfnlint.template import Template  # type: ignore[import-untyped]

_SOURCE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-custom-resources.html"
_SUB_ATTRIBUTE = re.compile(r"\$\{\s*([A-Za-z0-9]+)\.([A-Za-z0-9.]+)\s*\}")


def schemas() -> dict[str, dict[str, Any]]:
    """The schemas beside this directory, by type name."""
    files = sorted((Path(__file__).parent.parent / "schemas").glob("*.json"))
    loaded = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return {schema["typeName"]: schema for schema in loaded}


def declarable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a template may declare: the schema without the properties that only the provider sets."""
    read_only = {pointer.removeprefix("/properties/") for pointer in schema.get("readOnlyProperties", [])}
    return {
        "type": "object",
        "definitions": schema["definitions"],
        "properties": {name: value for name, value in schema["properties"].items() if name not in read_only},
        # cfn-lint itself asks for the ServiceToken of every custom resource (E3003).
        "required": [name for name in schema["required"] if name != "ServiceToken"],
        "additionalProperties": False,
    }


class DeclaredProperties(CfnLintJsonSchema):  # type: ignore[misc]
    """E9100, at the property that is wrong."""

    id = "E9100"
    shortdesc = "Properties of a telephony resource"
    description = "The properties of a Custom:: type of this provider fit its schema"
    source_url = _SOURCE
    tags = ("resources", "properties", "custom")

    def __init__(self) -> None:
        self._declarable = {f"Resources/{name}/Properties": declarable(schema) for name, schema in schemas().items()}
        super().__init__(keywords=list(self._declarable), all_matches=True)

    def validate(self, validator: Validator, keywords: str, instance: Any, _schema: Any) -> ValidationResult:
        """Check the properties of one resource of the type that the keyword names."""
        yield from super().validate(validator, keywords, instance, self._declarable[keywords])

    def extend_validator(
        self, validator: Validator, schema: Any, context: Any, validators: dict[str, Any] | None = None
    ) -> Validator:
        """Let the value of a `{{resolve:...}}` pass, which nobody knows here, and only true and false be Booleans."""
        patient = validator.function_filter.evolve(validate_dynamic_references=True)
        known = {**(validators or {}), "type": _type}
        return super().extend_validator(validator.evolve(function_filter=patient), schema, context, known)


def _type(validator: Validator, kinds: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if kinds == "boolean" and isinstance(instance, str) and instance not in {"true", "false"}:
        yield ValidationError(f"{instance!r} is not of type 'boolean'")
    else:
        yield from cfn_type(validator, kinds, instance, schema)


class KnownAttributes(CloudFormationLintRule):  # type: ignore[misc]
    """E9101, at the function."""

    id = "E9101"
    shortdesc = "Attributes of a telephony resource"
    description = "Fn::GetAtt and Fn::Sub name attributes that the Custom:: type of this provider has"
    source_url = _SOURCE
    tags = ("functions", "getatt", "sub", "custom")

    def __init__(self) -> None:
        super().__init__()
        self._attributes = {name: schema["attributes"] for name, schema in schemas().items()}

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Look at every reference to a resource of a known type."""
        types = {name: str(resource.get("Type")) for name, resource in cfn.get_resources().items()}
        matches = []
        for path, logical_id, attribute in (*_get_atts(cfn), *_subs(cfn)):
            type_name = types.get(logical_id, "")
            known = self._attributes.get(type_name)
            if known is not None and attribute not in known:
                text = f"{type_name} has no attribute {attribute!r}: it has {', '.join(known)}"
                matches.append(RuleMatch(path, text))
        return matches


type _Reference = tuple[list[Any], str, str]
"""Where it stands, the logical id, the attribute."""


def _get_atts(cfn: Template) -> Iterator[_Reference]:
    for *path, target in cfn.search_deep_keys("Fn::GetAtt"):
        parts = target.split(".", 1) if isinstance(target, str) else target
        match parts:
            case [str(logical_id), str(attribute)]:
                yield path, logical_id, attribute


def _subs(cfn: Template) -> Iterator[_Reference]:
    for *path, target in cfn.search_deep_keys("Fn::Sub"):
        text = target[0] if isinstance(target, list) and target else target
        if isinstance(text, str):
            for logical_id, attribute in _SUB_ATTRIBUTE.findall(text):
                yield path, logical_id, attribute
