"""`telephony restore` and `telephony adopt`: what keeps a number."""

import re
from pathlib import Path
from typing import Any

import yaml

from telephony.errors import HandlerError
from telephony.lifecycle.recovery import restore as restore_number
from telephony.model.properties import fields
from telephony.model.resource import Observed, Resource
from telephony.model.tags import Owner
from telephony.model.validation import parse
from telephony_cli.account import Failure, Patience, number_of, region, types
from telephony_cli.output import Format, show_error, show_json, show_text


class _Dumper(yaml.SafeDumper):
    """Quotes every string that CloudFormation could read as a number, such as 088888888888 or 123e4567.

    Source: aws-cli, issue 3991.
    """


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if re.match(r"[-+.]*[0-9]", value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def restore(reference: str, output: Format) -> None:
    """Keep a number that is pending release. Raises Failure if it is not."""
    _, observed = _find(reference)
    if not restore_number(Patience(), observed.physical_id):
        raise Failure(f"{reference} is not pending release. Nothing was changed.")
    number = number_of(observed.attributes)
    if output is Format.JSON:
        show_json({"physical_id": observed.physical_id, "number": number, "restored": True})
        return
    show_text(
        f"{number} ({observed.physical_id}) is no longer due: it stays in the account, and is billed.",
        "To use it in a stack, run `telephony adopt`. To end it, release it by hand.",
    )


def adopt(reference: str, file: Path, provider_stack: str, output: Format) -> None:
    """Write a template that adopts an existing number with its live settings. Changes nothing in the account."""
    resource, observed = _find(reference)
    template = _template(resource, observed, provider_stack)
    try:
        with file.open("x", encoding="utf-8") as opened:
            yaml.dump(template, opened, _Dumper, sort_keys=False, allow_unicode=True, width=120)
    except FileExistsError:
        raise Failure(f"{file} exists. Name another file with --generate-template.") from None
    except OSError as error:
        raise Failure(f"{file} can't be written: {error.strerror}.") from None
    owner = Owner.of(resource.read_tags(observed))
    if owner is not None:
        remedy = "If it is still declared there, remove it with DeletionPolicy: Retain first."
        show_error(f"The tags of this {resource.display_name} name {owner}. {remedy}")
    if output is Format.JSON:
        show_json({"file": str(file), "physical_id": observed.physical_id, "template": template})
        return
    show_text(f"Wrote {file}. Deploy it with a provider whose parameter AllowAdoption is true.")


def _template(resource: Resource[Any], observed: Observed, provider_stack: str) -> dict[str, Any]:
    known = fields(resource.properties)
    if "Adopt" not in known:
        raise Failure(f"The provider can't adopt a {resource.display_name}.")
    # A sender ID is identified by its other properties.
    is_switch = isinstance(known["Adopt"][0].default, bool)
    declaration = {"Adopt": is_switch or observed.physical_id, **resource.declaration(observed)}
    try:
        parse(resource.properties, declaration)
    except HandlerError as invalid:
        raise Failure(f"{observed.physical_id} can't be declared. {' '.join(invalid.cause.split())}") from None
    declared = {
        "Type": resource.type_name,
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {"ServiceToken": {"Fn::ImportValue": f"{provider_stack}-ServiceToken"}, **declaration},
    }
    return {"Resources": {resource.type_name.removeprefix("Custom::"): declared}}


def _find(reference: str) -> tuple[Resource[Any], Observed]:
    """Return the number or sender ID with this ID, ARN or number. Raises Failure if there is none."""
    for resource in types():
        if re.fullmatch(resource.properties.id_pattern, reference):
            observed = resource.read(reference)
            if observed is not None:
                return resource, observed
    found = [
        (resource, observed)
        for resource in types()
        for observed in resource.read_all()
        if reference in {observed.arn, observed.physical_id, number_of(observed.attributes)}
    ]
    if len(found) > 1:  # A name in several countries, or a number that Amazon Connect has imported.
        ids = ", ".join(observed.physical_id for _, observed in found)
        raise Failure(f"{reference} is not unique. Name the ID instead: {ids}.")
    if found:
        return found[0]
    raise Failure(f"{reference} is no number or sender ID of the account in {region()}. `telephony list` shows them.")
