"""`telephony list`: the numbers and sender IDs of the account and Region."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from telephony.aws import tag_index
from telephony.data import data
from telephony.model.recovery import RELEASE_AFTER
from telephony.model.resource import Observed, Resource
from telephony.model.tags import ADOPTED, MANAGED_BY, Owner
from telephony_cli.account import number_of, types
from telephony_cli.output import Format, parse_price, price, show_json, show_table, total

_COLUMNS = ("Type", "Number", "Resource", "Status", "Pool", "Price", "Protected", "Adopted", "Released on")


@data
class Entry:
    """One number or sender ID."""

    type_name: str
    observed: Observed
    tags: Mapping[str, str]

    @property
    def price(self) -> Decimal | None:
        """The monthly price, or None if it is unknown."""
        return parse_price(self.observed.attributes)

    @property
    def adopted(self) -> bool:
        """Whether the provider has adopted it."""
        return self.tags.get(MANAGED_BY[0]) == ADOPTED

    def document(self) -> dict[str, Any]:
        """Return the JSON of one entry."""
        owner = Owner.of(self.tags)
        return {
            "type": self.type_name,
            "physical_id": self.observed.physical_id,
            "arn": self.observed.arn,
            "number": number_of(self.observed.attributes),
            "stack_id": owner.stack_id if owner is not None else None,
            "logical_id": owner.logical_resource_id if owner is not None else None,
            "status": self.observed.attributes.get("Status") or str(self.observed.stability),
            "pool_ids": list(self.observed.pool_ids),
            "monthly_price": price(self.price),
            "protected": self.observed.protected,
            "adopted": self.adopted,
            "release_after": self.tags.get(RELEASE_AFTER),
        }

    def row(self) -> list[str]:
        """Return the row of one entry."""
        owner = Owner.of(self.tags)
        return [
            self.type_name.removeprefix("Custom::"),
            number_of(self.observed.attributes),
            "-" if owner is None else str(owner),
            self.observed.attributes.get("Status") or str(self.observed.stability),
            ", ".join(self.observed.pool_ids) or "-",
            price(self.price) or "unknown",
            "yes" if self.observed.protected else "no",
            "yes" if self.adopted else "no",
            self.tags.get(RELEASE_AFTER, "-")[:10],
        ]


def show(output: Format) -> None:
    """Show every number and sender ID, and the total of the known prices."""
    found = [entry for resource in types() for entry in _entries(resource)]
    known, unknown = total(entry.price for entry in found)
    if output is Format.JSON:
        monthly = {"known": price(known), "unknown": unknown}
        show_json({"numbers": [entry.document() for entry in found], "monthly_price": monthly})
        return
    count = f"{len(found)} numbers and sender IDs" if len(found) != 1 else "1 number or sender ID"
    rest = f", and {unknown} of unknown price" if unknown else ""
    show_table(_COLUMNS, [entry.row() for entry in found], f"{count}: {price(known)} USD per month{rest}.")


def _entries(resource: Resource[Any]) -> Iterator[Entry]:
    indexed = tag_index.read(resource.tagging_type, MANAGED_BY[0], MANAGED_BY[1], ADOPTED)
    for observed in resource.read_all():
        tags = observed.tags
        if tags is None:
            tags = resource.read_tags(observed) if indexed is None else indexed.get(observed.arn, {})
        yield Entry(resource.type_name, observed, tags)
