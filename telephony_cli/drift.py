"""`telephony drift`: where the numbers of a stack differ from its template."""

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from telephony import resources
from telephony.cloudformation import stacks, templates
from telephony.cloudformation.changes import properties_of
from telephony.data import data
from telephony.errors import HandlerError
from telephony.model.declarations import changed_properties, declared
from telephony.model.resource import Observed, Resource
from telephony_cli.account import Failure, number_of, stack
from telephony_cli.output import Format, show_json, show_table
from telephony_cli.values import Values

_COLUMNS = ("Resource", "Status", "Number", "Differences")


class Status(StrEnum):
    """The statuses of CloudFormation's drift detection."""

    IN_SYNC = "IN_SYNC"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    NOT_CHECKED = "NOT_CHECKED"


@data
class Drift:
    """The drift of one resource."""

    logical_id: str
    type_name: str
    physical_id: str
    status: Status
    number: str = ""
    properties: Sequence[tuple[str, Any, Any]] = ()
    """Name, declared value, live value."""
    not_compared: Sequence[str] = ()
    """Properties whose declared value is known to CloudFormation only, or secret."""
    reason: str = ""
    """Why it was not checked."""

    def document(self) -> dict[str, Any]:
        """Return the JSON of a resource."""
        differing = [{"name": name, "declared": value, "live": live} for name, value, live in self.properties]
        return {
            "logical_id": self.logical_id,
            "type": self.type_name,
            "physical_id": self.physical_id,
            "number": self.number or None,
            "status": str(self.status),
            "properties": differing,
            "not_compared": list(self.not_compared),
            "reason": self.reason or None,
        }

    def row(self) -> list[str]:
        """Return the row of a resource."""
        texts = [f"{name}: declared {_text(value)}, live {_text(live)}" for name, value, live in self.properties]
        texts += [f"Not compared: {', '.join(self.not_compared)}"] if self.not_compared else []
        texts += [self.reason] if self.reason else []
        return [self.logical_id, str(self.status), self.number or self.physical_id, "\n".join(texts) or "-"]


def show(stack_name: str, output: Format) -> bool:
    """Show the drift of a stack. Returns whether a number is modified or deleted."""
    found = _drifts(stack_name)
    drifted = [each for each in found if each.status in {Status.MODIFIED, Status.DELETED}]
    if output is Format.JSON:
        show_json({"stack_name": stack_name, "resources": [each.document() for each in found]})
    else:
        line = f"Different from the template: {len(drifted)} of {len(found)}."
        show_table(_COLUMNS, [each.row() for each in found], line)
    return bool(drifted)


def _drifts(stack_name: str) -> list[Drift]:
    described = stack(stack_name)
    listed = stacks.existing_resources(described["StackId"])
    own = [each for each in listed if each["ResourceType"] in resources.type_names()]
    if not own:
        return []  # A stack in review has no template.
    try:
        template = templates.read(described["StackId"])
    except ValueError as error:
        raise Failure(f"The template of {stack_name} can't be read: {error}") from None
    ids = {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in listed}
    values = Values(template, described, ids)
    return [_drift(each, template["Resources"].get(each["LogicalResourceId"], {}), values) for each in own]


def _drift(listed: Mapping[str, Any], declaration: Mapping[str, Any], values: Values) -> Drift:
    resource, physical_id = resources.by_type(listed["ResourceType"]), listed.get("PhysicalResourceId", "")
    names: dict[str, Any] = {"logical_id": listed["LogicalResourceId"], "type_name": resource.type_name}
    names["physical_id"] = physical_id
    if not re.fullmatch(resource.properties.id_pattern, physical_id):
        return Drift(**names, status=Status.NOT_CHECKED, reason="The resource was not created.")
    try:
        observed = resource.read(physical_id)
        if observed is None:
            return Drift(**names, status=Status.DELETED)
        raw, others = values.properties(properties_of(declaration))
        differing = _differing(resource, observed, raw, others)
    except HandlerError as failure:
        if failure.aws_code:
            raise  # A call of this command was refused.
        return Drift(**names, status=Status.NOT_CHECKED, reason=failure.cause.replace("\n", " "))
    return Drift(
        **names,
        status=Status.MODIFIED if differing else Status.IN_SYNC,
        number=number_of(observed.attributes),
        properties=differing,
        not_compared=sorted(others),
    )


def _differing(
    resource: Resource[Any], observed: Observed, raw: Mapping[str, Any], others: set[str]
) -> list[tuple[str, Any, Any]]:
    found = changed_properties(resource, observed, declared(resource, raw, others))
    live = resource.declaration(observed) if found else {}
    return [(each.property_name, raw.get(each.property_name), live.get(each.property_name)) for each in found]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "nothing" if value is None else json.dumps(value)
