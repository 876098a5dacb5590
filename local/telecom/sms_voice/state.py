"""State of the SMS backend: tables, lookup by ID or ARN, filters, tags."""

import dataclasses
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.core.base_backend import BaseBackend
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource

from local.telecom.behaviours import behaves
from local.telecom.rules import Json, Rules, TagStore
from local.telecom.sms_voice.exceptions import QuotaExceeded, ResourceNotFound, Validation
from local.telecom.sms_voice.records import (
    Keyword,
    OptOutList,
    PhoneNumber,
    Pool,
    Record,
    Registration,
    SenderId,
)

_MAXIMUM_TAGS = 200  # [API] TagList
_LISTS = {"MessageType": "MessageTypes", "NumberCapability": "NumberCapabilities"}


class State(Rules, TaggableResourcesMixin, BaseBackend):  # type: ignore[misc]
    """One account in one Region. Tables are keyed by ID; sender IDs by (ID, country)."""

    arn_service = SERVICE_NAMESPACE = "sms-voice"
    token_failure = "sms.token.failure"  # noqa: S105 - the id of a behaviour

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.phone_numbers: dict[str, PhoneNumber] = {}
        self.sender_ids: dict[tuple[str, str], SenderId] = {}
        self.sender_ids_released: dict[tuple[str, str], float] = {}
        self.pools: dict[str, Pool] = {}
        self.registrations: dict[str, Registration] = {}
        self.roles_seen: dict[str, float] = {}
        self.opt_out_lists: dict[str, OptOutList] = {"Default": self.new(OptOutList, "Default", {})}
        self.shared: dict[str, Record] = {}
        """The resources that other accounts share with this one by AWS RAM, by ARN."""

    def token_mismatch(self, token: str) -> Validation:
        """Return the error for a ClientToken that is reused with other parameters."""
        return Validation("sms.token.mismatch", "INVALID_PARAMETER", ("ClientToken", f"{token} is already used"))

    def next_token_error(self, token: str) -> Validation:
        """Return the error for an invalid NextToken."""
        return Validation("any.next_token", "INVALID_NEXT_TOKEN", message=f"The next token is not valid: {token}")

    def new[Item: Record](self, kind: type[Item], name: str, parameters: Json, **members: Any) -> Item:
        """Return a new resource with the tags of the request. The ARN of a sender ID includes its country."""
        path = f"{kind.kind}/{name}/{members['country']}" if kind is SenderId else f"{kind.kind}/{name}"
        arn, now = self.arn_of(path), self.clock.now()
        created = kind(serial=self.next_serial(), id=name, arn=arn, created=now, **members)
        self.write_tags(created.tags, tags_in(parameters))
        return created

    def new_id(self, kind: str) -> str:
        """Return `kind-` and 32 hexadecimal digits, the format of the service's IDs."""
        return f"{kind}-{uuid.uuid4().hex}"

    def held_numbers(self) -> list[PhoneNumber]:
        """Return the numbers that are not being released, oldest first."""
        self.drop_released()
        return [number for number in self.phone_numbers.values() if number.gone_at is None]

    def drop_released(self) -> None:
        """Remove the numbers whose release is complete."""
        now = self.clock.now()
        for number in [one for one in self.phone_numbers.values() if one.gone_at is not None and one.gone_at <= now]:
            del self.phone_numbers[number.id]
            self.remember_deleted(number.arn, number.tags, number.gone_at or now)

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        """Yield what the tagging service shows of this backend. moto's own tagging service uses this too."""
        self.drop_released()
        tables = (self.phone_numbers, self.sender_ids, self.pools)
        return self.indexed((one.arn, one.tags) for table in tables for one in table.values())

    def owns_arn(self, arn: str) -> bool:
        """Return False: moto's tagging service can't change tags of this backend."""
        del arn
        return False

    @behaves("sms.number.unknown")
    def number_of(self, name: str) -> PhoneNumber:
        """Return the number with this ID or ARN."""
        self.drop_released()
        return self._lookup(self.phone_numbers, name, ResourceNotFound("sms.number.unknown", "phone-number", name))

    def sender_id_of(self, key: Json) -> SenderId:
        """Return the sender ID with this SenderId (a name in any case, or an ARN) and IsoCountryCode."""
        name = key["SenderId"]
        local = name.split("/")[1] if name.startswith("arn:") and name.count("/") > 1 else name
        sender = self.sender_ids.get((local.upper(), key["IsoCountryCode"]))
        if sender is None:
            raise ResourceNotFound("sms.sender_id.unknown", "sender-id", name)
        return sender

    @behaves("sms.shared.arn")
    def pool_of(self, name: str) -> Pool:
        """Return the pool with this ID or ARN. A shared pool is known by its ARN only."""
        if isinstance(shared := self.shared.get(name), Pool):
            return shared
        return self._lookup(self.pools, name, ResourceNotFound("sms.pool.unknown", "pool", name))

    def opt_out_list_of(self, name: str) -> OptOutList:
        """Return the opt-out list with this name or ARN. A shared list is known by its ARN only."""
        if isinstance(shared := self.shared.get(name), OptOutList):
            return shared
        unknown = ResourceNotFound("sms.opt_out_list.unknown", "opt-out-list", name)
        return self._lookup(self.opt_out_lists, name, unknown)

    def registration_of(self, name: str) -> Registration:
        """Return the registration with this ID or ARN."""
        unknown = ResourceNotFound("sms.registration.unknown", "registration", name)
        return self._lookup(self.registrations, name, unknown)

    def _lookup[Item](self, table: dict[str, Item], name: str, unknown: ResourceNotFound) -> Item:
        """Return the item with this ID, or ARN of this account and Region."""
        own = self.arn_of("")
        found = table.get(name.removeprefix(own).split("/")[-1] if name.startswith(own) else name)
        if found is None:
            raise unknown
        return found

    @behaves("sms.tags.quota")
    def write_tags(self, store: TagStore, tags: dict[str, str]) -> None:
        """Replace all tags of a resource."""
        self.reject_if(len(tags) > _MAXIMUM_TAGS, QuotaExceeded("sms.tags.quota", "TAGS_PER_RESOURCE"))
        store.write(tags, self.clock.now(), self.options.tags_lag_seconds)

    def invalid_if(self, condition: object, behaviour: str, reason: str, field: str, rule: str) -> None:
        """Raise ValidationException for a field if the condition holds and the behaviour is enabled."""
        self.reject_if(condition, Validation(behaviour, reason, (field, rule)))

    def share(self, arn: str, account: "State") -> None:
        """Share a resource with another account."""
        tables: tuple[dict[Any, Any], ...] = (self.phone_numbers, self.sender_ids, self.pools, self.opt_out_lists)
        [found] = [one for table in tables for one in table.values() if one.arn == arn]
        account.shared[arn] = dataclasses.replace(found, serial=account.next_serial())

    @behaves("sms.describe.shared")
    def owned[Item: Record](self, kind: type[Item], own: Iterable[Item], parameters: Json) -> list[Item]:
        """Return the resources that the Owner of a Describe request selects. Without it: own and shared ones."""
        shared = [one for one in self.shared.values() if isinstance(one, kind)]
        owner = parameters.get("Owner")
        return [*(own if owner != "SHARED" else ()), *(shared if owner != "SELF" else ())]

    def check_owner(self, parameters: Json, names: str) -> None:
        """Reject a Describe request that has both Owner and a list of names."""
        both, rule = parameters.get(names) and "Owner" in parameters, f"can't be used with {names}"
        self.invalid_if(both, "sms.describe.owner", "PARAMETERS_CANNOT_BE_USED_TOGETHER", "Owner", rule)

    def visible_only[Item: Record](self, named: Iterable[Item]) -> list[Item]:
        """Return the named items. Raises ResourceNotFound if one is too new to be described."""
        items = list(named)
        for item in items:
            if not self.visible(item.created):
                raise ResourceNotFound("any.describe_lag", item.kind, item.id)
        return items

    def describe[Item: Record | Keyword](
        self, member: str, held: Iterable[Item], response: Callable[[Item], Json], parameters: Json
    ) -> Json:
        """Return the response of a Describe operation: a page of the resources that match the filters."""
        found = matching(held, response, parameters)
        page, more = self.page([(item.serial, item) for item in found], parameters)
        return {member: list(map(response, page))} | more


def matching[Item](items: Iterable[Item], response: Callable[[Item], Json], parameters: Json) -> list[Item]:
    """Return the items whose response matches the request's filters."""
    filters = parameters.get("Filters", [])
    return [item for item in items if all(_values(response(item), one["Name"]) & set(one["Values"]) for one in filters)]


def _values(members: Json, name: str) -> set[str]:
    """Return what a filter is compared with: booleans are lower-case text, an unset value is empty.

    The filter `iso-country-code` is compared with the member IsoCountryCode.
    """
    member = name.title().replace("-", "")
    value: Any = members.get(member, members.get(_LISTS.get(member, ""), ""))
    return set(value) if isinstance(value, list) else {str(value).lower() if isinstance(value, bool) else value}


def tags_in(parameters: Json) -> dict[str, str]:
    """Return the Tags of a request by key."""
    return {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])}
