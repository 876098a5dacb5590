"""The blocks of a documentation page that say what the code says: hand-written prose stands around them.

A block begins with `<!-- begin generated: NAME -->` and ends with `<!-- end generated -->`; what stands between is
replaced. The form is that of the resource pages in the AWS CloudFormation Template Reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from telephony.model.properties import PropertyInfo, Rule
from tools.types import (
    ROOT,
    SERVICE_TIMEOUT,
    SERVICE_TOKEN,
    Described,
    Property,
    allowed_values,
    anchored,
    every_type,
    is_nested,
    items_of,
    nested_in,
    properties_of,
    scalar,
)

_UPDATES = (
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html"
)
_NO_INTERRUPTION = f"[No interruption]({_UPDATES}#update-no-interrupt)"
_REPLACEMENT = f"[Replacement]({_UPDATES}#update-replacement), refused unless `AllowReplacement` allows it"
_NOT_SUPPORTED = "Updates are not supported"

_BLOCK = re.compile(r"(<!-- begin generated: ([^\n]+) -->\n).*?(<!-- end generated -->)", re.DOTALL)

INDEX_BLOCKS = ("types",)
BLOCKS = ("syntax", "properties", "return values", "permissions")
"""What every page has, besides `example` with the template that shows its type alone."""


class PageError(ValueError):
    """A page cannot be brought up to date; says why."""


def blocks_of(page: str) -> list[str]:
    """The names of a page's blocks, in their order."""
    return [match[2] for match in _BLOCK.finditer(page)]


def renewed(page: str, write: Callable[[str], str]) -> str:
    """The page with every block's content replaced by `write(NAME)`."""
    return _BLOCK.sub(lambda match: f"{match[1]}{write(match[2])}{match[3]}", page)


def written(described: Described) -> str:
    """The page of a type, brought up to date. Raise PageError if it, or one of its blocks, is not there."""
    page = _read(described.page_path.name)
    needed = [*BLOCKS, f"example {described.example_path.name}"]
    missing = [name for name in needed if name not in blocks_of(page)]
    if missing:
        lines = ", ".join(f"<!-- begin generated: {name} --><!-- end generated -->" for name in missing)
        raise PageError(f"docs/{described.page_path.name} lacks {lines} (the end on a line of its own)")
    return renewed(page, lambda name: _block(described, name))


def index() -> str:
    """docs/README.md, brought up to date."""
    page = _read("README.md")
    if blocks_of(page) != list(INDEX_BLOCKS):
        raise PageError("docs/README.md has to have the block `types`, and no other")
    return renewed(page, lambda _: _types())


def _read(name: str) -> str:
    path = ROOT / "docs" / name
    if not path.is_file():
        raise PageError(f"docs/{name} is missing: its prose has to be written")
    return path.read_text(encoding="utf-8")


def _block(described: Described, name: str) -> str:
    writers = {
        "syntax": _syntax,
        "properties": _properties,
        "return values": _return_values,
        "permissions": _permissions,
    }
    if name.startswith("example "):
        return _example(name.removeprefix("example "))
    if name not in writers:
        raise PageError(f"docs/{described.page_path.name}: there is no block of the name {name}")
    return writers[name](described)


def _types() -> str:
    rows = [
        f"| [`{described.resource.type_name}`]({described.page_path.name}) | {described.description.rstrip('.')} "
        f"| {_identifier(described)} | `{described.resource.properties.id_example.replace('|', '\\|')}` |"
        for described in every_type()
    ]
    return "\n".join(["| type | what it is | `Ref` | for example |", "|---|---|---|---|", *rows]) + "\n"


def _identifier(described: Described) -> str:
    return " and ".join(f"`{name}`" for name in described.identifier)


def _syntax(described: Described) -> str:
    type_name, members = described.resource.type_name, _members(described)
    lines = [
        "### JSON",
        "",
        "<pre>",
        "{",
        f'  "Type" : "{type_name}",',
        '  "Properties" : {',
        *_json(members, "", indent=4),
        "  }",
        "}",
        "</pre>",
        "",
        "### YAML",
        "",
        "<pre>",
        f"Type: {type_name}",
        "Properties:",
        *_yaml(members, "", indent=2),
        "</pre>",
    ]
    return "\n".join(lines) + "\n"


type Member = tuple[str, Any]
"""A property's name and its type, or the name of its type."""


def _members(described: Described) -> list[Member]:
    own = [(name, one.kind) for name, one in described.properties.items()]
    return sorted([*own, ("ServiceTimeout", "Integer"), ("ServiceToken", "String")], key=lambda member: member[0])


def _json(members: Iterable[Member], owner: str, indent: int) -> list[str]:
    lines = []
    for name, kind in members:
        type_name = _linked(kind, html=True)
        value = f"[ {type_name}, ... ]" if items_of(kind) is not None else type_name
        lines.append(f'{" " * indent}"{_anchor(owner, name)}" : {value},')
    return [*lines[:-1], lines[-1].removesuffix(",")]


def _yaml(members: Iterable[Member], owner: str, indent: int) -> list[str]:
    lines = []
    for name, kind in members:
        margin, type_name = " " * indent, _linked(kind, html=True)
        if items_of(kind) is not None:
            lines += [f"{margin}{_anchor(owner, name)}:", f"{margin}  - {type_name}"]
        elif is_nested(kind):
            lines += [f"{margin}{_anchor(owner, name)}:", f"{margin}  {type_name}"]
        else:
            lines.append(f"{margin}{_anchor(owner, name)}: {type_name}")
    return lines


def _anchor(owner: str, name: str) -> str:
    return f'<a href="#{(owner + name).lower()}">{name}</a>'


def _linked(kind: Any, *, html: bool) -> str:
    """The name of a type, or of the items of a list, with a link to where it is described."""
    member = items_of(kind) or kind
    if isinstance(member, str):
        return member
    if not is_nested(member):
        return scalar(member)
    name = member.__name__
    return f'<a href="#{name.lower()}-properties">{name}</a>' if html else f"[{name}](#{name.lower()}-properties)"


def _properties(described: Described) -> str:
    """Every property, then those of the types that nest in them, each under an anchor of its own."""
    rules = described.resource.properties.rules
    entries = {
        name: _entry(name, one, _update(described, name, one.known), rules)
        for name, one in described.properties.items()
    }
    entries["ServiceTimeout"] = _always("ServiceTimeout", SERVICE_TIMEOUT, "Integer", required=False)
    entries["ServiceToken"] = _always("ServiceToken", SERVICE_TOKEN, "String", required=True)
    lines = [line for name in sorted(entries) for line in [*entries[name], ""]]
    for name, cls in nested_in(described.resource.properties).items():
        members = properties_of(cls)
        lines += [f"### {name} properties", "", (cls.__doc__ or "").strip(), "", "<pre>"]
        lines += [*_yaml([(member, one.kind) for member, one in members.items()], name, indent=0), "</pre>", ""]
        for member, one in members.items():
            lines += [*_entry(member, one, "", cls.rules, owner=name), ""]
    return "\n".join(lines)


def _entry(name: str, one: Property, update: str, rules: Iterable[Rule], owner: str = "") -> list[str]:
    """One property, in the order of the AWS pages: description, Required, Type, constraints, Update requires."""
    kind, known = one.kind, one.known
    of_list = items_of(kind) is not None
    type_name = _linked(kind, html=False)
    values = allowed_values(items_of(kind) or kind)
    heading = f"{owner}.{name}" if owner else name
    size = "items" if of_list else "" if kind is int else "length"
    facts = {
        "Required": "Yes" if known.required else "No",
        "Type": f"Array of {type_name}" if of_list else type_name,
        "Default": _default(one.default),
        "Allowed values": " | ".join(f"`{value}`" for value in values),
        "Pattern": f"`{anchored(known.pattern)}`" if known.pattern else "",
        f"Minimum {size}".strip(): _bound(known.minimum),
        f"Maximum {size}".strip(): _bound(known.maximum),
        "Rules": " ".join(f"`{rule.path}` {rule.text}" for rule in rules if rule.path == name),
        "Update requires": update,
    }
    stated = [f"*{fact}*: {value}  " for fact, value in facts.items() if value]
    return [f"#### {heading}", "", known.description, "", *stated]


def _always(name: str, description: str, type_name: str, *, required: bool) -> list[str]:
    update = _NOT_SUPPORTED if required else _NO_INTERRUPTION
    bounds = [] if required else ["*Minimum*: 1  ", "*Maximum*: 3600  "]
    stated = [f"*Required*: {'Yes' if required else 'No'}  ", f"*Type*: {type_name}  ", *bounds]
    return [f"#### {name}", "", description, "", *stated, f"*Update requires*: {update}  "]


def _default(default: Any) -> str:
    if default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _bound(bound: int | None) -> str:
    return "" if bound is None else str(bound)


def _update(described: Described, name: str, known: PropertyInfo) -> str:
    resource = described.resource
    if known.create_only_not_readable:
        return "Nothing: it counts when the number is bought, and a later change has no effect"
    if known.create_only and resource.identity_fields and name not in resource.identity_fields:
        return f"{_NOT_SUPPORTED}: the new {resource.display_name} would have the same id as the present one"
    return _REPLACEMENT if known.create_only else _NO_INTERRUPTION


def _return_values(described: Described) -> str:
    resource = described.resource
    joined = ", joined by a vertical bar" if len(described.identifier) > 1 else ""
    given = (
        "When you pass the logical ID of this resource to the intrinsic `Ref` function, `Ref` returns the "
        f"{_identifier(described)}{joined}. For example: `{resource.properties.id_example}`."
    )
    lines = [
        "### Ref",
        "",
        given,
        "",
        "### Fn::GetAtt",
        "",
        "Every value is a string; what the service leaves out is the empty one.",
        "",
    ]
    for name, description in resource.attributes.items():
        lines += [f"`{name}`  ", description, ""]
    return "\n".join(lines)


def _permissions(described: Described) -> str:
    return "".join(f"- `{action}`\n" for action in described.resource.permissions)


def _example(name: str) -> str:
    path = ROOT / "examples" / name
    if not path.is_file():
        raise PageError(f"examples/{name} is missing")
    return f"```yaml\n{path.read_text(encoding='utf-8')}```\n"
