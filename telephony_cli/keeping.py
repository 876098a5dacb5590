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
            yaml.safe_dump(template, opened, sort_keys=False, allow_unicode=True, width=120)
    except FileExistsError:
        raise Failure(f"{file} exists. Name another file with --generate-template.") from None
    except OSError as error:
        raise Failure(f"{file} can't be written: {error.strerror}.") from None
    owner = Owner.of(resource.read_tags(observed))
    if owner is not None:
        names = f"{owner.stack_id.split('/')[1]}/{owner.logical_resource_id}"
        show_error(f"{names} has this {resource.display_name}. Remove it there with DeletionPolicy: Retain first.")
    if output is Format.JSON:
        show_json({"file": str(file), "physical_id": observed.physical_id, "template": template})
        return
    show_text(f"Wrote {file}. Deploy it with a provider whose parameter AllowAdoption is true.")


def _template(resource: Resource[Any], observed: Observed, provider_stack: str) -> dict[str, Any]:
    # A sender ID is identified by its other properties.
    is_switch = isinstance(fields(resource.properties)["Adopt"][0].default, bool)
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
    for resource in types():
        for observed in resource.read_all():
            if reference in {observed.arn, observed.physical_id, number_of(observed.attributes)}:
                return resource, observed
    raise Failure(f"{reference} is no number or sender ID of the account in {region()}. `telephony list` shows them.")
