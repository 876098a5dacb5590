"""What phone numbers and sender IDs of AWS End User Messaging SMS have in common: the API calls both identities.

They carry tags, join pools, can be protected, and are released in the same way.
"""

import abc
from collections.abc import Iterable, Mapping
from typing import Any

from telephony.aws import services
from telephony.errors import HandlerError, HandlerErrorCode, RetryableError
from telephony.model.properties import Properties, Tag
from telephony.model.resource import Observed, OnDelete, Resource, differences, tag_changes

_RELEASE_BLOCKERS = frozenset(
    {"DELETION_PROTECTION_ENABLED", "PHONE_NUMBER_ASSOCIATED_TO_POOL", "SENDER_ID_ASSOCIATED_TO_POOL"}
)
_NOT_IN_POOL = frozenset({"PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL"})


class OriginationIdentity[P: Properties](Resource[P]):
    """A resource type of pinpoint-sms-voice-v2 that messages are sent from."""

    @abc.abstractmethod
    def release_unused(self, physical_id: str) -> None:
        """Make the one call that releases it."""

    @abc.abstractmethod
    def pool_identity(self, observed: Observed) -> str:
        """Give the OriginationIdentity parameter of the pool operations."""

    def read_tags(self, observed: Observed) -> Mapping[str, str]:
        """ListTagsForResource; the describe calls do not tell."""
        if observed.tags is not None:
            return observed.tags
        try:
            answer = services.sms_voice().list_tags_for_resource(ResourceArn=observed.arn)
        except HandlerError as failure:
            if failure.error_code is not HandlerErrorCode.NOT_FOUND:
                raise
            return {}  # Gone since it was listed.
        return {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}

    def is_converged(self, observed: Observed, desired: P) -> bool:
        """Whether nothing differs; of tags that were not read nothing is certain."""
        return (desired.tags is None or observed.newly_purchased) and not differences(
            observed, desired, replacement=False
        )

    def converge_tags(self, observed: Observed, desired: Iterable[Tag] | None) -> None:
        """Set and remove tags; none is touched without a declaration."""
        if desired is None or observed.newly_purchased:
            return
        to_set, to_remove = tag_changes(self.read_tags(observed), desired)
        if to_set:
            services.sms_voice().tag_resource(ResourceArn=observed.arn, Tags=api_tags(to_set))
        if to_remove:
            services.sms_voice().untag_resource(ResourceArn=observed.arn, TagKeys=to_remove)

    def release(self, physical_id: str, policy: OnDelete) -> None:
        """Release it; what stands in the way is taken away first, if the policy allows that."""
        try:
            self._release_if_present(physical_id)
        except HandlerError as refused:
            if refused.aws_reason not in _RELEASE_BLOCKERS:
                raise
            try:
                self._remove_release_blockers(physical_id, policy, refused)
                self._release_if_present(physical_id)
            except HandlerError as still:
                if still.error_code is HandlerErrorCode.NOT_FOUND:
                    return  # Somebody else has released it meanwhile.
                if still is refused or still.aws_reason not in _RELEASE_BLOCKERS:
                    raise
                # The service sees the end of a membership or of a protection a little later.
                raise RetryableError(
                    still.error_code, still.cause, still.remedy, aws_code=still.aws_code, aws_reason=still.aws_reason
                ) from None

    def leave_pools(self, observed: Observed, pool_ids: Iterable[str]) -> None:
        """Take it out of its pools; out already is a success."""
        for pool_id in pool_ids:
            try:
                services.sms_voice().disassociate_origination_identity(
                    PoolId=pool_id,
                    OriginationIdentity=self.pool_identity(observed),
                    # Without it a sender ID is refused as INVALID_ARN (terraform-provider-aws#50038).
                    IsoCountryCode=observed.attributes["IsoCountryCode"],
                )
            except HandlerError as failure:
                if failure.error_code is not HandlerErrorCode.NOT_FOUND and failure.aws_reason not in _NOT_IN_POOL:
                    raise

    def _release_if_present(self, physical_id: str) -> None:
        try:
            self.release_unused(physical_id)
        except HandlerError as failure:
            if failure.error_code is not HandlerErrorCode.NOT_FOUND:
                raise

    def _remove_release_blockers(self, physical_id: str, policy: OnDelete, refused: HandlerError) -> None:
        observed = self.read(physical_id)
        if observed is None:
            return
        if observed.protected and not policy.lift_deletion_protection:
            raise refused
        pool_ids = self.read_pool_ids(observed)
        if pool_ids and not policy.leave_pools:
            raise refused
        # Pools first: the protection of a pooled number cannot be changed.
        self.leave_pools(observed, pool_ids)
        if observed.protected:
            self.disable_protection(observed)


def api_tags(tags: Mapping[str, str]) -> list[Any]:
    """Tags as the API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
