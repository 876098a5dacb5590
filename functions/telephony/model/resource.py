"""The contract of a resource type: declarations about itself, and five verbs.

    acquire   purchase it; the only verb that spends money
    find      find a purchase whose response was lost
    read      read the current state, or None
    converge  change in place what differs, and nothing else
    release   release it

A verb makes AWS calls and raises the exceptions of errors.py. It does not sleep, retry or log, and does not know
CloudFormation.
"""

import abc
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, ClassVar

import attrs

from telephony.data import data
from telephony.model.properties import Properties, Tag, fields, iter_declared, property_name
from telephony.model.recovery import RECOVERY_WINDOW
from telephony.model.tags import ADOPTED, MANAGED_BY, TAG_PREFIX, Owner, tag_changes
from telephony.model.validation import parse_lenient, parse_property, shows_value

_NAMESPACE = uuid.UUID("6d8b2f0e-5f6e-5b0c-9a44-3c0a8c1f7b52")


class Stability(StrEnum):
    """Whether a resource is ready."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    FAILED = "FAILED"


@data
class Observed:
    """The current state of a resource, from a read or from the response of the call that purchased it."""

    physical_id: str
    stability: Stability
    attributes: Mapping[str, str]
    """Values for Fn::GetAtt. A value that the service omits is an empty string, so that Fn::GetAtt never fails."""
    live: Mapping[str, Any]
    """Live values of the declarable properties, by field name."""
    arn: str
    protected: bool = False
    pool_ids: tuple[str, ...] = ()
    message: str = ""
    """Why it is FAILED."""
    newly_purchased: bool = False
    """Purchased by the call that returned this state: it has no other settings yet."""
    tags: Mapping[str, str] | None = None
    """None if not read."""


@data
class Listed:
    """A resource in the listing of the account."""

    physical_id: str
    arn: str


@data
class ReleasePolicy:
    """The property OnDelete: the actions that are allowed if they are needed to release a resource."""

    lift_deletion_protection: bool = False
    leave_pools: bool = False
    allow_reuse: bool = False
    """Whether other resources can take the resource when it is pending release."""

    def blockers(self, protected: bool, pool_ids: Iterable[str]) -> list[str]:
        """Return what prevents a release, and what the policy does not allow to remove."""
        pools = "" if self.leave_pools else ", ".join(pool_ids)
        protection = ["has deletion protection enabled"] if protected and not self.lift_deletion_protection else []
        return [*protection, *([f"is in {pools}"] if pools else [])]


ALLOW_ALL = ReleasePolicy(lift_deletion_protection=True, leave_pools=True)
"""For a number that no stack uses."""


@data
class ClaimLimit:
    """A limit of the claims and releases of an account and Region. The service refuses a claim that would exceed it."""

    period: int
    """Seconds for which a claim or release counts."""
    percent: int
    """Claims and releases in a period, as a percentage of a quota."""
    quota_name: str
    """For a Reason."""


@data
class Purchase:
    """The identity of one purchase."""

    owner: Owner
    request_id: str
    request_time: int
    """Distinguishes requests with the same ID: when CloudFormation issued it, or 0 if the URL does not contain it."""
    opened_at: float
    """Seconds since the epoch. Nothing that belongs to the purchase was created earlier."""
    attempt: int
    candidate: str | None
    """Connect: the E.164 number to claim. It is recorded before the claim."""
    adopted: bool = False
    """The resource existed before, and is never released."""
    is_held_by_another: Callable[[str], bool] = lambda _: False
    """Returns whether another purchase holds a physical ID that is never used again, so that `find` can skip it."""

    def token(self, operation: str, candidate: str = "") -> str:
        """Return the ClientToken: the same when an attempt is repeated, another one after a definite refusal.

        A lowercase UUID is valid for pinpoint-sms-voice-v2 (1 to 64 printable characters) and for Connect (UUID only).
        """
        owner = self.owner
        request = f"{self.request_id}@{self.request_time}"
        attempt = (candidate, str(self.attempt)) if candidate else (str(self.attempt),)
        parts = (owner.stack_id, owner.logical_resource_id, request, operation, *attempt)
        return str(uuid.uuid5(_NAMESPACE, "|".join(parts)))

    @property
    def ownership_tags(self) -> dict[str, str]:
        """The tags that identify the purchase. `find` uses them if the response was lost."""
        return {
            MANAGED_BY[0]: ADOPTED if self.adopted else MANAGED_BY[1],
            f"{TAG_PREFIX}stack-id": self.owner.stack_id,
            f"{TAG_PREFIX}logical-id": self.owner.logical_resource_id,
            f"{TAG_PREFIX}request-id": self.request_id,
            f"{TAG_PREFIX}issued-at": str(self.request_time),
        }

    def tags(self, declared_tags: Iterable[Tag] | None) -> dict[str, str]:
        """Return the declared tags and the ownership tags."""
        return {tag.key: tag.value for tag in declared_tags or ()} | self.ownership_tags

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Return whether a resource with these tags was purchased for this purchase."""
        return all(tags.get(key) == value for key, value in self.ownership_tags.items())


@data
class Difference:
    """A declared property whose live value differs."""

    property_name: str
    live: Any
    desired: Any
    shows_value: bool
    """Whether a message may show the values."""

    def __str__(self) -> str:
        """Return the text for a Reason."""
        values = f" (is {_plain(self.live)}, declared {_plain(self.desired)})" if self.shows_value else ""
        return self.property_name + values


class Resource[P: Properties](abc.ABC):
    """A resource type. An instance serves one request."""

    type_name: ClassVar[str]
    display_name: ClassVar[str]
    """The noun for messages: phone number, sender ID."""
    properties: ClassVar[type[Properties]]
    attributes: ClassVar[Mapping[str, str]]
    """Fn::GetAtt names and their descriptions."""
    permissions: ClassVar[tuple[str, ...]]
    """The IAM actions that the verbs need."""
    polls_until_stable: ClassVar[bool] = False
    """Always wait until the resource is ACTIVE or FAILED, because a purchase can still fail."""
    tagging_type: ClassVar[str]
    """The name of the type in the Resource Groups Tagging API."""
    reusable_ids: ClassVar[bool] = False
    """The ID of a released resource can be purchased again, by anybody: its tags are read before it is changed."""
    recoverable: ClassVar[bool] = False
    """Whether a recovery window can apply. Its ID is never used again, and its type has the property."""
    release_call: ClassVar[tuple[str, str]]
    """Service and operation of the call in `release`. It is reserved before the release is decided."""
    identity_fields: ClassVar[tuple[str, ...]] = ()
    """The properties that form the physical ID, in order. A replacement must change one, or both have the same ID."""

    claim_limit: ClassVar[ClaimLimit | None] = None

    @abc.abstractmethod
    def purchase_calls(self, desired: P) -> list[tuple[str, str]]:
        """Return service and operation of the calls of a Create: first the call in `acquire`.

        They are reserved together, so that a purchase does not begin before it can be completed.
        """

    def select_candidate(self, desired: P) -> str | None:  # noqa: ARG002 - most services choose the number themselves
        """Choose the number to purchase, if the service leaves that to the caller. Purchases nothing."""
        return None

    def quota(self, desired: P, *, at_least: float | None = None) -> float | None:
        """Return the quota of `claim_limit`, or None if it is unknown. Called only if there is a limit.

        at_least: None can also mean that the quota is at least this.
        """
        raise NotImplementedError

    def is_full(self, desired: P, quota: float | None) -> bool:
        """Return whether the quota itself permits no further number. Called only if there is a claim limit."""
        raise NotImplementedError

    @abc.abstractmethod
    def acquire(self, desired: P, purchase: Purchase) -> Observed:
        """Purchase it in one call. Raises HandlerError if nothing was purchased, UnknownOutcomeError if unknown."""

    @abc.abstractmethod
    def find(self, desired: P | None, purchase: Purchase) -> Observed | None:
        """Find what was purchased for this purchase, by its ownership tags.

        desired narrows the search. It is None on delete, where the declaration may have changed.
        """

    def locate(self, desired: P) -> Observed | None:
        """Read the existing resource that the declaration adopts, or None. Called only if `Adopt` is declared."""
        raise NotImplementedError

    @abc.abstractmethod
    def read(self, physical_id: str) -> Observed | None:
        """Read the current state. None if the resource is deleted or being deleted."""

    @abc.abstractmethod
    def list_all(self) -> Iterator[Listed]:
        """Yield every resource of this type in the account and Region, for the sweep. Makes no call for each."""

    def read_all(self) -> Iterator[Observed]:
        """Yield the state of every resource of this type in the account and Region, for the command line."""
        return (observed for each in self.list_all() if (observed := self.read(each.physical_id)) is not None)

    def declaration(self, observed: Observed) -> dict[str, Any]:
        """Return the live settings as a template declares them, for the command line."""
        declared = {}
        for name, (field, info) in fields(self.properties).items():
            value = observed.live.get(field.name)
            if value not in {None, ""}:
                # The API does not keep the case of these values.
                value = normalize_values(value) if info.normalize is normalize_values else value
                declared[name] = list(value) if isinstance(value, tuple) else value
        reserved = (TAG_PREFIX, "aws:")
        tags = {key: value for key, value in self.read_tags(observed).items() if not key.startswith(reserved)}
        return declared | ({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]} if tags else {})

    @abc.abstractmethod
    def read_tags(self, observed: Observed) -> Mapping[str, str]:
        """Return the tags. Makes a call only if `observed` does not contain them."""

    @abc.abstractmethod
    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Set tags."""

    @abc.abstractmethod
    def remove_tags(self, arn: str, keys: Iterable[str]) -> None:
        """Remove tags. Those that are not set are ignored."""

    def conflicts(self, observed: Observed, desired: P) -> list[str]:
        """Return what differs between an existing resource and its declaration, for a message."""
        differing = [
            *differences(observed, desired, create_only=True),
            *differences(observed, desired, create_only=False),
        ]
        changed = desired.tags is not None and any(tag_changes(self.read_tags(observed), desired.tags))
        return [*map(str, differing), *(["Tags"] if changed else [])]

    def read_tags_by_arn(self, arn: str) -> Mapping[str, str] | None:
        """Return the tags, or None if the resource does not exist. Called only if `reusable_ids` is True."""
        raise NotImplementedError

    @abc.abstractmethod
    def converge(self, observed: Observed, desired: P) -> Observed:
        """Change in place what differs. Enables deletion protection last.

        A change that takes time returns Stability.PENDING. The caller polls, and calls again with the new state.
        """

    def prepare(self, observed: Observed, desired: P) -> None:  # noqa: B027 - most types have nothing to prepare
        """Set what can be set on a new resource that is not ACTIVE yet, so that `converge` does not have to."""

    @abc.abstractmethod
    def is_converged(self, observed: Observed, desired: P) -> bool:
        """Return whether `converge` is certain to change nothing. Makes no call.

        False while PENDING if `polls_until_stable`, because the purchase is complete when this is True.
        """

    @abc.abstractmethod
    def release(self, physical_id: str, policy: ReleasePolicy) -> None:
        """Release it. A resource that no longer exists is a success. Raises RetryableError for temporary blockers."""

    def disconnect(self, physical_id: str, policy: ReleasePolicy) -> bool:
        """Prepare it for a recovery window: no stack uses it. Returns False if it does not exist.

        Called only if `recoverable` is True. Raises HandlerError for what the policy does not allow.
        """
        raise NotImplementedError

    def fits(self, observed: Observed, desired: P) -> bool:  # noqa: ARG002 - depends on the type
        """Return whether another declaration can reuse it, which does not differ in any create-only property."""
        return True

    def disable_protection(self, observed: Observed) -> None:
        """Disable deletion protection. Called only if observed.protected is True."""
        raise NotImplementedError

    def read_pool_ids(self, observed: Observed) -> tuple[str, ...]:
        """Return the IDs of the pools that contain it."""
        return observed.pool_ids

    def recovery_window(self, declared: Mapping[str, Any], default: int) -> int:
        """Return the recovery window of a declaration in days. default: of the provider."""
        if not self.recoverable:
            return 0
        days: int | None = parse_property(self.properties, RECOVERY_WINDOW, declared)
        return default if days is None else days

    def release_policy(self, raw: object) -> ReleasePolicy:
        """Return what an OnDelete declaration allows. Nothing, if the type has no OnDelete property."""
        on_delete = next((field for name, (field, _) in fields(self.properties).items() if name == "OnDelete"), None)
        allowed = parse_lenient(on_delete.type, raw) if on_delete is not None and on_delete.type is not None else None
        return ReleasePolicy(**attrs.asdict(allowed)) if allowed is not None else ReleasePolicy()


def differences(observed: Observed, desired: Properties, *, create_only: bool) -> list[Difference]:
    """Return the declared properties whose live value differs: those that require replacement, or the others.

    A property that is not declared never differs. A property that is not readable never differs after the purchase.
    """
    found = []
    for field, info, wanted in iter_declared(desired):
        field_name = field.name
        if field_name not in observed.live or info.create_only is not create_only or info.create_only_not_readable:
            continue
        normalize = info.normalize or (lambda value: value)
        live = observed.live[field_name]
        if normalize(live) != normalize(wanted):
            found.append(Difference(property_name(field_name), live, wanted, shows_value(field.type, info)))
    return found


def normalize_values(value: Any) -> Any:
    """Normalize a list of values whose order and case the API does not keep."""
    return value if value is None else tuple(sorted(str(item).upper() for item in value))


def resource_id(value: str | None) -> str | None:
    """Return the ID of an ID or ARN. The APIs accept both and return one."""
    return value if value is None else value.rsplit("/", 1)[-1]


def text(value: object) -> str:
    """Return an attribute value as a string. None is the empty string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(_plain(item) for item in value)
    return text(value) or "none"
