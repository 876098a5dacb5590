"""What phone numbers and sender IDs of AWS End User Messaging SMS have in common: the API calls both identities.

They carry tags, join pools, can be protected, and are released in the same way.
"""

import abc
from collections.abc import Iterable, Mapping
from typing import Any

from telephony.aws import services
from telephony.errors import Failure, Unsettled, Word
from telephony.model.properties import Properties, Tag
from telephony.model.resource import Observed, OnDelete, Resource, differences, tag_changes

_IN_THE_WAY = frozenset(
    {"DELETION_PROTECTION_ENABLED", "PHONE_NUMBER_ASSOCIATED_TO_POOL", "SENDER_ID_ASSOCIATED_TO_POOL"}
)
_NOT_IN_POOL = frozenset({"PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL"})


class OriginationIdentity[P: Properties](Resource[P]):
    """A resource type of pinpoint-sms-voice-v2 that messages are sent from."""

    @abc.abstractmethod
    def give_back(self, physical_id: str) -> None:
        """Make the one call that releases it."""

    @abc.abstractmethod
    def name_in_pool(self, observed: Observed) -> str:
        """Give the OriginationIdentity parameter of the pool operations."""

    def tags(self, observed: Observed) -> Mapping[str, str]:
        """ListTagsForResource; the describe calls do not tell."""
        if observed.tags is not None:
            return observed.tags
        try:
            answer = services.sms_voice().list_tags_for_resource(ResourceArn=observed.arn)
        except Failure as failure:
            if failure.word is not Word.NOT_FOUND:
                raise
            return {}  # Gone since it was listed.
        return {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}

    def complete(self, observed: Observed, desired: P) -> bool:
        """Whether nothing differs; of tags that were not read nothing is certain."""
        return (desired.tags is None or observed.fresh) and not differences(observed, desired, replacement=False)

    def converge_tags(self, observed: Observed, desired: Iterable[Tag] | None) -> None:
        """Set and remove tags; none is touched without a declaration."""
        if desired is None or observed.fresh:
            return
        to_set, to_remove = tag_changes(self.tags(observed), desired)
        if to_set:
            services.sms_voice().tag_resource(ResourceArn=observed.arn, Tags=api_tags(to_set))
        if to_remove:
            services.sms_voice().untag_resource(ResourceArn=observed.arn, TagKeys=to_remove)

    def release(self, physical_id: str, policy: OnDelete) -> None:
        """Release it; what stands in the way is taken away first, if the policy allows that."""
        try:
            self._give_back(physical_id)
        except Failure as refused:
            if refused.reason not in _IN_THE_WAY:
                raise
            try:
                self._clear_the_way(physical_id, policy, refused)
                self._give_back(physical_id)
            except Failure as still:
                if still.word is Word.NOT_FOUND:
                    return  # Somebody else has released it meanwhile.
                if still is refused or still.reason not in _IN_THE_WAY:
                    raise
                # The service sees the end of a membership or of a protection a little later.
                raise Unsettled(still.word, still.cause, still.cure, code=still.code, reason=still.reason) from None

    def leave_pools(self, observed: Observed, pool_ids: Iterable[str]) -> None:
        """Take it out of its pools; out already is a success."""
        for pool_id in pool_ids:
            try:
                services.sms_voice().disassociate_origination_identity(
                    PoolId=pool_id,
                    OriginationIdentity=self.name_in_pool(observed),
                    # Without it a sender ID is refused as INVALID_ARN (terraform-provider-aws#50038).
                    IsoCountryCode=observed.attributes["IsoCountryCode"],
                )
            except Failure as failure:
                if failure.word is not Word.NOT_FOUND and failure.reason not in _NOT_IN_POOL:
                    raise

    def _give_back(self, physical_id: str) -> None:
        try:
            self.give_back(physical_id)
        except Failure as failure:
            if failure.word is not Word.NOT_FOUND:
                raise

    def _clear_the_way(self, physical_id: str, policy: OnDelete, refused: Failure) -> None:
        observed = self.read(physical_id)
        if observed is None:
            return
        if observed.protected and not policy.lift_deletion_protection:
            raise refused
        pool_ids = self.pools(observed)
        if pool_ids and not policy.leave_pools:
            raise refused
        # Pools first: the protection of a pooled number cannot be changed.
        self.leave_pools(observed, pool_ids)
        if observed.protected:
            self.unprotect(observed)


def api_tags(tags: Mapping[str, str]) -> list[Any]:
    """Tags as the API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
