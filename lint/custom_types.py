"""cfn-lint rules for the types of this provider, driven by schemas/.

cfn-lint accepts every property and attribute of a Custom:: type, and does not apply registry schemas to them (1.43.0).
`append_rules: [lint]` in .cfnlintrc, or `--append-rules lint`, adds these rules to cfn-lint and `sam validate --lint`.
IDs from E9000 are reserved for custom rules (cfn-lint, docs/rules.md).
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
    """Return the schemas by type name."""
    files = sorted((Path(__file__).parent.parent / "schemas").glob("*.json"))
    loaded = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return {schema["typeName"]: schema for schema in loaded}


def declarable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of what a template can declare: without read-only properties."""
    read_only = {pointer.removeprefix("/properties/") for pointer in schema.get("readOnlyProperties", [])}
    return {
        "type": "object",
        "definitions": schema["definitions"],
        "properties": {name: value for name, value in schema["properties"].items() if name not in read_only},
        # cfn-lint requires the ServiceToken of every custom resource itself (E3003).
        "required": [name for name in schema["required"] if name != "ServiceToken"],
        "additionalProperties": False,
    }


class DeclaredProperties(CfnLintJsonSchema):  # type: ignore[misc]
    """E9100, reported at the invalid property."""

    id = "E9100"
    shortdesc = "Properties of a telephony resource"
    description = "The properties of a Custom:: type of this provider match its schema"
    source_url = _SOURCE
    tags = ("resources", "properties", "custom")

    def __init__(self) -> None:
        self._declarable = {f"Resources/{name}/Properties": declarable(schema) for name, schema in schemas().items()}
        super().__init__(keywords=list(self._declarable), all_matches=True)

    def validate(self, validator: Validator, keywords: str, instance: Any, _schema: Any) -> ValidationResult:
        """Check the properties of one resource. The keyword contains its type."""
        yield from super().validate(validator, keywords, instance, self._declarable[keywords])

    def extend_validator(
        self, validator: Validator, schema: Any, context: Any, validators: dict[str, Any] | None = None
    ) -> Validator:
        """Accept every `{{resolve:...}}`, whose value is unknown, and only true and false as Booleans."""
        function_filter = validator.function_filter.evolve(validate_dynamic_references=True)
        extended = {**(validators or {}), "type": _type}
        return super().extend_validator(validator.evolve(function_filter=function_filter), schema, context, extended)


def _type(validator: Validator, kinds: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if kinds == "boolean" and isinstance(instance, str) and instance not in {"true", "false"}:
        yield ValidationError(f"{instance!r} is not of type 'boolean'")
    else:
        yield from cfn_type(validator, kinds, instance, schema)


class KnownAttributes(CloudFormationLintRule):  # type: ignore[misc]
    """E9101, reported at the function."""

    id = "E9101"
    shortdesc = "Attributes of a telephony resource"
    description = "Fn::GetAtt and Fn::Sub name attributes that the Custom:: type of this provider has"
    source_url = _SOURCE
    tags = ("functions", "getatt", "sub", "custom")

    def __init__(self) -> None:
        super().__init__()
        self._attributes = {name: schema["attributes"] for name, schema in schemas().items()}

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Check every reference to a resource of a known type."""
        types = {name: str(resource.get("Type")) for name, resource in cfn.get_resources().items()}
        matches = []
        for path, logical_id, attribute in _references(cfn):
            type_name = types.get(logical_id, "")
            known = self._attributes.get(type_name)
            if known is not None and attribute not in known:
                text = f"{type_name} has no attribute {attribute!r}: it has {', '.join(known)}"
                matches.append(RuleMatch(path, text))
        return matches


class AdoptionPolicy(CloudFormationLintRule):  # type: ignore[misc]
    """E9102, reported at Adopt."""

    id = "E9102"
    shortdesc = "DeletionPolicy of an adopted telephony resource"
    description = "A resource that adopts an existing phone number or sender ID declares its DeletionPolicy"
    source_url = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html"
    tags = ("resources", "deletionpolicy", "custom")

    def __init__(self) -> None:
        super().__init__()
        self._adopting = {name for name, schema in schemas().items() if "Adopt" in schema["properties"]}

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Check every resource that adopts. `Adopt: false` adopts nothing."""
        text = (
            "Declare DeletionPolicy beside Adopt. An adopted number or sender ID is never released: Delete removes the "
            "provider's tags from it, Retain keeps them"
        )
        matches = []
        for name, resource in cfn.get_resources().items():
            match resource:
                case {"DeletionPolicy": _} | {"Properties": {"Adopt": False | "false"}}:
                    continue
                case {"Type": str(type_name), "Properties": {"Adopt": _}} if type_name in self._adopting:
                    matches.append(RuleMatch(["Resources", name, "Properties", "Adopt"], text))
        return matches


def _references(cfn: Template) -> Iterator[tuple[list[Any], str, str]]:
    """Yield path, logical ID and attribute of every Fn::GetAtt and every attribute in Fn::Sub."""
    for *path, target in cfn.search_deep_keys("Fn::GetAtt"):
        match target.split(".", 1) if isinstance(target, str) else target:
            case [str(logical_id), str(attribute)]:
                yield path, logical_id, attribute
    for *path, target in cfn.search_deep_keys("Fn::Sub"):
        text = target[0] if isinstance(target, list) and target else target
        for logical_id, attribute in _SUB_ATTRIBUTE.findall(text) if isinstance(text, str) else ():
            yield path, logical_id, attribute
