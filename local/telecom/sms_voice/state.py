"""What every part of the SMS backend uses: the tables, looking up by id or ARN, filters, tags."""

import uuid
from collections.abc import Callable, Iterable, Mapping

from moto.core.base_backend import BaseBackend

from local.telecom.behaviours import behaves
from local.telecom.rules import Answer, Rules, TagStore
from local.telecom.sms_voice.exceptions import QuotaExceeded, ResourceNotFound, Validation
from local.telecom.sms_voice.records import OptOutList, PhoneNumber, Pool, Registration, SenderId


class State(Rules, BaseBackend):  # type: ignore[misc]
    """One account in one Region. Tables are keyed by id, sender IDs by (id, country)."""

    token_failure = "sms.token.failure"  # noqa: S105 - the id of a behaviour

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.start()
        self.phone_numbers: dict[str, PhoneNumber] = {}
        self.sender_ids: dict[tuple[str, str], SenderId] = {}
        self.sender_ids_released: dict[tuple[str, str], float] = {}
        self.pools: dict[str, Pool] = {}
        self.registrations: dict[str, Registration] = {}
        self.roles_seen: dict[str, float] = {}
        default = OptOutList(
            serial=self.serial(), name="Default", arn=self.arn_of("opt-out-list/Default"), created=self.clock.now()
        )
        self.opt_out_lists: dict[str, OptOutList] = {"Default": default}

    def token_mismatch(self, token: str) -> Validation:
        """Return the error for a ClientToken that comes again with other parameters."""
        message = f"The client token {token} was used before with other parameters."
        return Validation("sms.token.mismatch", message, "INVALID_PARAMETER", pinned=False)

    def next_token_error(self, token: str) -> Validation:
        """Return the error for a NextToken that this service did not give out."""
        return Validation("any.next_token", f"The next token is not valid: {token}", "INVALID_NEXT_TOKEN")

    def arn_of(self, resource: str) -> str:
        """Return the ARN of `type/id`."""
        return f"arn:{self.partition}:sms-voice:{self.region_name}:{self.account_id}:{resource}"

    def new_id(self, kind: str) -> str:
        """Return `kind-` and 32 hexadecimal digits, as the ids of the service look."""
        return f"{kind}-{uuid.uuid4().hex}"

    def held_numbers(self) -> list[PhoneNumber]:
        """Return the numbers that are held and not on their way out, by age."""
        self.drop_released()
        return [number for number in self.phone_numbers.values() if number.gone_at is None]

    def drop_released(self) -> None:
        """Forget the numbers whose release is through."""
        now = self.clock.now()
        for number in [one for one in self.phone_numbers.values() if one.gone_at is not None and one.gone_at <= now]:
            del self.phone_numbers[number.id]

    @behaves("sms.number.unknown")
    def number_of(self, name: str) -> PhoneNumber:
        """Return the number with that id or ARN."""
        self.drop_released()
        number = self.phone_numbers.get(self._local(name))
        if number is None:
            raise ResourceNotFound("sms.number.unknown", "phone-number", name)
        return number

    def sender_id_of(self, name: str, country: str) -> SenderId:
        """Return the sender ID with that name (any case) or ARN in the country."""
        local = name.split("/")[1] if name.startswith("arn:") and name.count("/") > 1 else name
        sender = self.sender_ids.get((local.upper(), country))
        if sender is None:
            raise ResourceNotFound("sms.sender_id.unknown", "sender-id", name)
        return sender

    def pool_of(self, name: str) -> Pool:
        """Return the pool with that id or ARN."""
        pool = self.pools.get(self._local(name))
        if pool is None:
            raise ResourceNotFound("sms.pool.unknown", "pool", name)
        return pool

    def opt_out_list_of(self, name: str) -> OptOutList:
        """Return the opt-out list with that name or ARN."""
        found = self.opt_out_lists.get(self._local(name))
        if found is None:
            raise ResourceNotFound("sms.opt_out_list.unknown", "opt-out-list", name)
        return found

    def registration_of(self, name: str) -> Registration:
        """Return the registration with that id or ARN."""
        found = self.registrations.get(self._local(name))
        if found is None:
            raise ResourceNotFound("sms.registration.unknown", "registration", name)
        return found

    def _local(self, name: str) -> str:
        """Return the id in an ARN of this account and Region; anything else as it is, which then is unknown."""
        own = self.arn_of("")
        return name.removeprefix(own).split("/")[-1] if name.startswith(own) else name

    @behaves("sms.tags.quota")
    def write_tags(self, store: TagStore, tags: dict[str, str]) -> None:
        """Replace all tags of a resource."""
        self.refuse(
            len(tags) > 200,  # noqa: PLR2004 - [API] TagList: 200 at most
            QuotaExceeded("sms.tags.quota", "At most 200 tags per resource.", reason="TAGS_PER_RESOURCE"),
        )
        store.write(tags, self.clock.now(), self.options.tags_lag_seconds)


def tags_in(parameters: Answer) -> dict[str, str]:
    """Return the Tags of a request by key."""
    return {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])}


type Readers[Item] = Mapping[str, Callable[[Item], str | Iterable[str]]]


def passes[Item](item: Item, filters: Iterable[Answer], readers: Readers[Item]) -> bool:
    """Tell whether every filter has one of its values in the item."""
    for one in filters:
        found = readers[one["Name"]](item)
        values = {found} if isinstance(found, str) else set(found)
        if not values & set(one["Values"]):
            return False
    return True


def flag(value: bool) -> str:
    """Return a boolean as filters write it."""
    return "true" if value else "false"
