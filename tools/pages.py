"""Generates the blocks of documentation pages that follow from the code. The prose around them is written by hand.

A block begins with `<!-- begin generated: NAME -->` and ends with `<!-- end generated -->`. The pages have the form of
the resource pages in the AWS CloudFormation Template Reference.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from telephony.model.properties import PropertyInfo
from telephony.model.rules import Rule
from tools.types import (
    ROOT,
    Described,
    GenerationError,
    Property,
    allowed_values,
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
_REPLACEMENT = f"[Replacement]({_UPDATES}#update-replacement). Refused unless `AllowReplacement` allows it."
_NOT_SUPPORTED = "Updates are not supported."

_BLOCK = re.compile(r"(<!-- begin generated: ([^\n]+) -->\n).*?(<!-- end generated -->)", re.DOTALL)


class PageError(GenerationError):
    """A page can't be generated. The text says why."""


def render(described: Described) -> str:
    """Return the page of a type with current blocks."""
    writers: dict[str, Callable[[Described], str]] = {
        "syntax": _syntax,
        "properties": _properties,
        "return values": _return_values,
        "permissions": lambda one: "".join(f"- `{action}`\n" for action in one.resource.permissions),
        f"example {described.example_path.name}": _example,
    }
    return _with_blocks(described.page_path, {name: partial(write, described) for name, write in writers.items()})


def render_index(path: Path) -> str:
    """Return a page with the current table of types."""
    return _with_blocks(path, {"types": partial(_types, path.parent)})


def _with_blocks(path: Path, writers: Mapping[str, Callable[[], str]]) -> str:
    """Return the text of a page, with the content of its blocks replaced."""
    name = path.relative_to(ROOT)
    if not path.is_file():
        raise PageError(f"{name} is missing: write its prose")
    page = path.read_text(encoding="utf-8")
    blocks = {match[2] for match in _BLOCK.finditer(page)}
    if missing := [block for block in writers if block not in blocks]:
        lines = ", ".join(f"<!-- begin generated: {block} --><!-- end generated -->" for block in missing)
        raise PageError(f"{name} lacks {lines} (the end on a line of its own)")
    if unknown := blocks - writers.keys():
        raise PageError(f"{name} contains blocks that are not generated: {', '.join(sorted(unknown))}")
    return _BLOCK.sub(lambda match: f"{match[1]}{writers[match[2]]()}{match[3]}", page)


def _types(directory: Path) -> str:
    lines = ["| type | what it is | `Ref` | page |", "|---|---|---|---|"]
    for described in every_type():
        what, ref = described.description.rstrip("."), _ref(described).replace("|", "\\|")
        page = f"[{described.name}]({described.page_path.relative_to(directory)})"
        lines.append(f"| `{described.resource.type_name}` | {what} | {ref} | {page} |")
    return "\n".join(lines) + "\n"


def _ref(described: Described) -> str:
    return f"`{'|'.join(described.identifier)}`"


def _syntax(described: Described) -> str:
    type_name, members = described.resource.type_name, described.properties
    json = ["{", f'  "Type" : "{type_name}",', '  "Properties" : {', *_json(members), "  }", "}"]
    yaml = [f"Type: {type_name}", "Properties:", *_yaml(members, "", indent=2)]
    return "".join(
        f"{heading}\n\n<pre>\n{'\n'.join(lines)}\n</pre>\n"
        for heading, lines in (("### JSON", json), ("\n### YAML", yaml))
    )


def _json(members: Mapping[str, Property]) -> list[str]:
    lines = []
    for name, one in members.items():
        type_name = _linked(one.kind, html=True)
        value = f"[ {type_name}, ... ]" if items_of(one.kind) is not None else type_name
        lines.append(f'    "{_anchor("", name)}" : {value},')
    return [*lines[:-1], lines[-1].removesuffix(",")]


def _yaml(members: Mapping[str, Property], owner: str, indent: int) -> list[str]:
    lines = []
    margin = " " * indent
    for name, one in members.items():
        separator = (
            f"\n{margin}  - " if items_of(one.kind) is not None else f"\n{margin}  " if is_nested(one.kind) else " "
        )
        lines.append(f"{margin}{_anchor(owner, name)}:{separator}{_linked(one.kind, html=True)}")
    return lines


def _anchor(owner: str, name: str) -> str:
    return f'<a href="#{(owner + name).lower()}">{name}</a>'


def _linked(kind: Any, *, html: bool) -> str:
    """Return the name of a type, or of a list's items, with a link to its description."""
    member = items_of(kind) or kind
    if not is_nested(member):
        return scalar(member)
    name = member.__name__
    return f'<a href="#{name.lower()}-properties">{name}</a>' if html else f"[{name}](#{name.lower()}-properties)"


def _properties(described: Described) -> str:
    lines: list[str] = []
    for name, one in described.properties.items():
        lines += _entry(name, one, described.resource.properties.rules, update=_update(described, name, one.info))
    for name, cls in nested_in(described.resource.properties).items():
        members = properties_of(cls)
        lines += [f"### {name} properties", "", (cls.__doc__ or "").strip(), ""]
        lines += ["<pre>", *_yaml(members, name, indent=0), "</pre>", ""]
        for member, one in members.items():
            lines += _entry(f"{name}.{member}", one, cls.rules, update="")
    return "\n".join(lines)


def _entry(name: str, one: Property, rules: Iterable[Rule], *, update: str) -> list[str]:
    kind, info = one.kind, one.info
    is_list = items_of(kind) is not None
    type_name = _linked(kind, html=False)
    size = " items" if is_list else "" if kind is int else " length"
    default = str(one.default).lower() if isinstance(one.default, bool) else one.default
    facts = {
        "Required": "Yes" if info.required else "No",
        "Type": f"Array of {type_name}" if is_list else type_name,
        "Default": None if default is None else f"`{default}`",
        "Allowed values": " | ".join(f"`{value}`" for value in allowed_values(items_of(kind) or kind)),
        "Format": _sentence(info.pattern.text) if info.pattern else None,
        f"Minimum{size}": info.minimum,
        f"Maximum{size}": info.maximum,
        "Rules": " ".join(f"`{rule.path}` {rule.text}" for rule in rules if rule.path == name.rpartition(".")[2]),
        "Update requires": update,
    }
    stated = [f"*{fact}*: {value}  " for fact, value in facts.items() if value not in {None, ""}]
    return [f"#### {name}", "", info.description, "", *stated, ""]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].replace("<", "&lt;")


def _update(described: Described, name: str, info: PropertyInfo) -> str:
    resource = described.resource
    if name == "ServiceToken":
        return _NOT_SUPPORTED
    if info.create_only_not_readable:
        return "None. The property applies only at purchase."
    if info.create_only and resource.identity_fields and name not in resource.identity_fields:
        return f"{_NOT_SUPPORTED} The new {resource.display_name} would have the same ID as the current one."
    return _REPLACEMENT if info.create_only else _NO_INTERRUPTION


def _return_values(described: Described) -> str:
    lines = [
        "### Ref",
        "",
        f"`Ref` returns the {_ref(described)}. For example: `{described.resource.properties.id_example}`.",
        "",
        "### Fn::GetAtt",
        "",
        "All values are strings. A value that the service omits is an empty string.",
        "",
    ]
    for name, description in described.resource.attributes.items():
        lines += [f"`{name}`  ", description, ""]
    return "\n".join(lines)


def _example(described: Described) -> str:
    path = described.example_path
    if not path.is_file():
        raise PageError(f"examples/{path.name} is missing")
    return f"```yaml\n{path.read_text(encoding='utf-8')}```\n"
