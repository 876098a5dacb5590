"""The contract that a resource type fulfils: what it declares about itself, and five verbs.

    acquire   buy it; the only verb that spends money
    find      is there one bought for this purchase, whose answer was lost?
    read      how it is now, or None
    converge  change in place what differs, and only that
    release   give it back

A verb makes its calls and raises what they mean (errors.py). It does not sleep, retry, log or know CloudFormation.
"""

import abc
import uuid
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, ClassVar, cast

import attrs

from telephony.model.properties import Nested, Properties, Tag, declared, parse_lenient, prop, property_name

TAG_PREFIX = "cfn-telephony:"
_NAMESPACE = uuid.UUID("6d8b2f0e-5f6e-5b0c-9a44-3c0a8c1f7b52")


class Stability(StrEnum):
    """How a thing stands, for whoever waits for it."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    FAILED = "FAILED"


@attrs.frozen(repr=False, eq=False)
class Observed:
    """A thing as it is now, read from the service or from the answer that brought it."""

    physical_id: str
    stability: Stability
    attributes: Mapping[str, str]
    """For Fn::GetAtt; what a service leaves out is an empty string, so that a template's GetAtt never fails."""
    live: Mapping[str, Any]
    """The declared properties, by field name, as the service has them."""
    arn: str
    protected: bool = False
    pool_ids: tuple[str, ...] = ()
    message: str = ""
    """Why it FAILED."""
    newly_purchased: bool = False
    """Bought just now: nothing was configured on it by anyone yet."""
    tags: Mapping[str, str] | None = None
    """None: not read."""


@attrs.frozen(kw_only=True, repr=False, eq=False)
class OnDelete(Nested):
    """What a Delete may do to get it released."""

    lift_deletion_protection: bool = prop("Whether to switch deletion protection off.", default=False)
    leave_pools: bool = prop("Whether to take it out of its pools.", default=False)


@attrs.frozen(repr=False)
class Owner:
    """Whose a number is, as tags say it. The values are what CloudFormation calls them."""

    stack_id: str
    logical_resource_id: str

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Owner | None":
        """Whom the ownership tags name; None if this provider did not buy it."""
        stack_id, logical_id = tags.get(f"{TAG_PREFIX}stack-id"), tags.get(f"{TAG_PREFIX}logical-id")
        return cls(stack_id, logical_id) if stack_id and logical_id else None

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Whether the ownership tags name this resource of this stack."""
        return self == Owner.of(tags)


@attrs.frozen(repr=False, eq=False)
class Purchase:
    """One purchase: who wants it, and what makes it recognisable afterwards."""

    owner: Owner
    request_id: str
    opened_at: float
    """Seconds since the epoch; nothing that belongs to it was created before."""
    attempt: int
    candidate: str | None
    """Connect: the E.164 number that is claimed; it is written down before."""

    def token(self, operation: str, candidate: str = "") -> str:
        """The ClientToken: the same for a repeated attempt, another one after a definite refusal.

        A lower-case UUID, which fits pinpoint-sms-voice-v2 (1 to 64 printable characters) and Connect (UUID only).
        """
        owner = self.owner
        parts = (owner.stack_id, owner.logical_resource_id, self.request_id, operation, candidate or str(self.attempt))
        return str(uuid.uuid5(_NAMESPACE, "|".join(parts)))

    @property
    def ownership_tags(self) -> dict[str, str]:
        """The tags that go with the purchase, and by which it is found when its answer was lost."""
        return {
            f"{TAG_PREFIX}managed-by": "cfn-telephony",
            f"{TAG_PREFIX}stack-id": self.owner.stack_id,
            f"{TAG_PREFIX}logical-id": self.owner.logical_resource_id,
            f"{TAG_PREFIX}request-id": self.request_id,
        }

    def tags(self, declared_tags: Iterable[Tag] | None) -> dict[str, str]:
        """The declared tags and the ownership tags."""
        return {tag.key: tag.value for tag in declared_tags or ()} | self.ownership_tags

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Whether a thing with these tags was bought for this purchase."""
        return self.owner.owns(tags) and tags.get(f"{TAG_PREFIX}request-id") == self.request_id


@attrs.frozen(repr=False)
class Difference:
    """One declared property that the live thing does not have."""

    property_name: str
    live: Any
    desired: Any

    def __str__(self) -> str:
        """For a Reason."""
        return f"{self.property_name} (is {_plain(self.live)}, declared {_plain(self.desired)})"


class Resource[P: Properties](abc.ABC):
    """A resource type. An instance serves one request."""

    type_name: ClassVar[str]
    display_name: ClassVar[str]
    """What it is, for messages: phone number, sender ID."""
    properties: ClassVar[type[Properties]]
    attributes: ClassVar[Mapping[str, str]]
    """Fn::GetAtt names and what they hold."""
    permissions: ClassVar[tuple[str, ...]]
    """The IAM actions that its verbs need."""
    id_pattern: ClassVar[str]
    """What a PhysicalResourceId of this type looks like; what does not was made up by CloudFormation."""
    id_example: ClassVar[str]
    polls_until_stable: ClassVar[bool] = False
    """Whether it is always waited for: a claim that may still fail is no number yet."""
    identity_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that make up the id: a replacement that keeps all of them cannot be created before the old one goes."""

    @abc.abstractmethod
    def purchase_call(self, desired: P) -> tuple[str, str]:
        """Service and operation of the one call of `acquire`: its turn is waited for before the lease is taken."""

    def select_candidate(self, desired: P) -> str | None:  # noqa: ARG002 - most services select_candidate by themselves
        """Choose what exactly to buy, where that is the buyer's to do. Makes calls, and buys nothing."""
        return None

    @abc.abstractmethod
    def acquire(self, desired: P, purchase: Purchase) -> Observed:
        """Buy one, in one call. Raise HandlerError if certain that nothing was bought, UnknownOutcomeError if not."""

    @abc.abstractmethod
    def find(self, desired: P | None, purchase: Purchase) -> Observed | None:
        """Find what was bought for this purchase, by its ownership tags.

        desired narrows the search; a Delete has no declaration that can be relied upon, and gives None.
        """

    @abc.abstractmethod
    def read(self, physical_id: str) -> Observed | None:
        """Read one; None if it is gone or going."""

    @abc.abstractmethod
    def list_all(self) -> Iterator[Observed]:
        """Everything of this type in the account and Region, whoever owns it; for the sweep."""

    @abc.abstractmethod
    def read_tags(self, observed: Observed) -> Mapping[str, str]:
        """Read its tags, if the observation does not hold them already."""

    @abc.abstractmethod
    def converge(self, observed: Observed, desired: P) -> Observed:
        """Change in place what differs; deletion protection is switched on last."""

    @abc.abstractmethod
    def is_converged(self, observed: Observed, desired: P) -> bool:
        """Whether it is certain, without a call, that `converge` has nothing to change."""

    @abc.abstractmethod
    def release(self, physical_id: str, policy: OnDelete) -> None:
        """Give it back; gone already is a success. Raise RetryableError while something that passes is in the way."""

    def disable_protection(self, observed: Observed) -> None:
        """Switch deletion protection off; only called where Observed.protected says that it is on."""
        raise NotImplementedError

    def read_pool_ids(self, observed: Observed) -> tuple[str, ...]:
        """Ids of the pools it is in."""
        return observed.pool_ids

    def policy(self, raw: object) -> OnDelete:
        """What a Delete may do; nothing, where the type has nothing in the way."""
        return cast("OnDelete", parse_lenient(OnDelete, raw))


def differences(observed: Observed, desired: Properties, *, replacement: bool) -> list[Difference]:
    """What is declared and live otherwise, of the properties that need a replacement or of the others.

    What is not declared never differs, and what can only be told at the purchase never does afterwards.
    """
    found = []
    for field_name, known, wanted in declared(desired):
        if field_name not in observed.live or known.create_only is not replacement or known.create_only_not_readable:
            continue
        same = known.normalize or (lambda value: value)
        live = observed.live[field_name]
        if same(live) != same(wanted):
            found.append(Difference(property_name(field_name), live, wanted))
    return found


def tag_changes(tags: Mapping[str, str], desired: Iterable[Tag]) -> tuple[Mapping[str, str], list[str]]:
    """Tags to set, and keys to remove: everything that is declared stands, nothing else does, but for reserved ones."""
    wanted = {tag.key: tag.value for tag in desired}
    to_set = {key: value for key, value in wanted.items() if tags.get(key) != value}
    reserved = (TAG_PREFIX, "aws:")
    return to_set, sorted(key for key in tags if key not in wanted and not key.startswith(reserved))


def normalize_values(value: Any) -> Any:
    """Values in any order and case as one: the APIs do not keep either."""
    return value if value is None else tuple(sorted(str(item).upper() for item in value))


def resource_id(value: str | None) -> str | None:
    """An id, of an id or an ARN: the APIs take both and answer one."""
    return value if value is None else value.rsplit("/", 1)[-1]


def text(value: object) -> str:
    """An attribute's value as CloudFormation wants it: a string; nothing is the empty one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(_plain(item) for item in value)
    return text(value) or "none"
