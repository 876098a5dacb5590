"""Base class of the resource types of AWS End User Messaging SMS: tags, and release."""

import abc
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from telephony.aws import services
from telephony.errors import HandlerError, NotFoundError, RetryableError
from telephony.model.properties import Properties, Tag
from telephony.model.resource import Observed, ReleasePolicy, Resource, Stability, differences
from telephony.model.tags import tag_changes

IN_POOL = "PHONE_NUMBER_ASSOCIATED_TO_POOL"
_RELEASE_BLOCKERS = frozenset({"DELETION_PROTECTION_ENABLED", IN_POOL, "SENDER_ID_ASSOCIATED_TO_POOL"})
NOT_ACTIVE = "RESOURCE_NOT_ACTIVE"


class SmsResource[P: Properties](Resource[P]):
    """A resource type of pinpoint-sms-voice-v2."""

    @abc.abstractmethod
    def call_release(self, physical_id: str) -> None:
        """Make the one call that releases it."""

    def leave_pools(self, observed: Observed, pool_ids: Iterable[str]) -> None:
        """Remove it from pools. Called only if `read_pool_ids` returned any."""
        raise NotImplementedError

    def read_tags(self, observed: Observed) -> Mapping[str, str]:
        """Call ListTagsForResource, because the describe calls do not return tags."""
        if observed.tags is not None:
            return observed.tags
        return self.read_tags_by_arn(observed.arn) or {}

    def read_tags_by_arn(self, arn: str) -> Mapping[str, str] | None:
        """ListTagsForResource."""
        try:
            response = services.sms_voice().list_tags_for_resource(ResourceArn=arn)
        except NotFoundError:
            return None
        return {tag["Key"]: tag["Value"] for tag in response.get("Tags", [])}

    def is_converged(self, observed: Observed, desired: P) -> bool:
        """Return whether nothing differs. Tags that were not read may differ."""
        if self.polls_until_stable and observed.stability is Stability.PENDING:
            return False
        tags_known = desired.tags is None or observed.newly_purchased
        return tags_known and not differences(observed, desired, create_only=False)

    def converge_tags(self, observed: Observed, desired: Iterable[Tag] | None) -> None:
        """Remove tags, then set tags, so that the limit is not exceeded. Without a declaration, no tag changes."""
        if desired is None or observed.newly_purchased:
            return
        to_set, to_remove = tag_changes(self.read_tags(observed), desired)
        if to_remove:
            self.remove_tags(observed.arn, to_remove)
        if to_set:
            self.add_tags(observed.arn, to_set)

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        services.sms_voice().tag_resource(ResourceArn=arn, Tags=api_tags(tags))

    def remove_tags(self, arn: str, keys: Iterable[str]) -> None:
        """UntagResource."""
        services.sms_voice().untag_resource(ResourceArn=arn, TagKeys=list(keys))

    def release(self, physical_id: str, policy: ReleasePolicy) -> None:
        """Release it. If protection or a pool prevents that, remove the blocker first, if the policy allows it."""
        try:
            self._call_release(physical_id)
        except HandlerError as refused:
            if refused.aws_reason == NOT_ACTIVE and self.read(physical_id) is None:
                return  # An earlier call has started the release.
            if refused.aws_reason not in _RELEASE_BLOCKERS:
                raise
            try:
                # Whether the resource itself does not exist, the next call shows.
                with suppress(NotFoundError):
                    self._remove_release_blockers(physical_id, policy, refused)
                self._call_release(physical_id)
            except HandlerError as still:
                if still is refused or still.aws_reason not in _RELEASE_BLOCKERS:
                    raise
                # The service sees the removal with a delay.
                raise still.as_kind(RetryableError) from None

    def _call_release(self, physical_id: str) -> None:
        with suppress(NotFoundError):
            self.call_release(physical_id)

    def _remove_release_blockers(self, physical_id: str, policy: ReleasePolicy, refused: HandlerError) -> None:
        observed = self.read(physical_id)
        if observed is None:
            return
        if observed.protected and not policy.lift_deletion_protection:
            raise refused
        pool_ids = self.read_pool_ids(observed)
        if pool_ids and not policy.leave_pools:
            raise refused
        if pool_ids:
            # Pools first: the service refuses to change the protection of a phone number in a pool.
            self.leave_pools(observed, pool_ids)
        if observed.protected:
            self.disable_protection(observed)


def api_tags(tags: Mapping[str, str]) -> list[Any]:
    """Return tags in the form of the API."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
