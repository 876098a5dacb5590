"""Every Reason of the provider's own: the word, what happened, and what to do. docs/errors.md is generated from it.

What the services refuse has its meaning in errors.py; its text is the service's own.
"""

from collections.abc import Mapping

import attrs

from telephony.errors import HandlerError, HandlerErrorCode


@attrs.frozen(repr=False, eq=False)
class Reason:
    """A failure's text, with `{placeholders}` for what it is about."""

    error_code: HandlerErrorCode
    cause: str
    remedy: str

    def failure(self, **about: object) -> HandlerError:
        """Give the failure to raise."""
        return self.as_kind(HandlerError, **about)

    def as_kind[F: HandlerError](self, kind: type[F], /, **about: object) -> F:
        """Give it as a more telling class of failure."""
        return kind(self.error_code, self.cause.format(**about), self.remedy.format(**about))


NOT_VALID = Reason(
    HandlerErrorCode.INVALID_REQUEST,
    "{count} not valid; no call was made.\n{violations}",
    "",
)
UNKNOWN_TYPE = Reason(HandlerErrorCode.INVALID_REQUEST, "{type} is not a type of this provider.", "It has {known}.")
TOO_LATE = Reason(
    HandlerErrorCode.NOT_STABILIZED,
    "The request came after its ServiceTimeout: CloudFormation no longer waits for it, and nothing was done.",
    "Deploy again; if it happens often, allow more ServiceTimeout.",
)
GIVEN_UP = Reason(
    HandlerErrorCode.RESOURCE_CONFLICT,
    "This request for a {noun} was given up before; nothing is bought for it again.",
    "Deploy again.",
)
SUPERSEDED = Reason(
    HandlerErrorCode.RESOURCE_CONFLICT,
    "A Delete or a newer Update of this resource was worked on before this request; no {noun} was bought or changed.",
    "Deploy again.",
)
DELETED_WHILE_BUYING = Reason(
    HandlerErrorCode.RESOURCE_CONFLICT,
    "A Delete came while the {noun} was being bought; it was released again.",
    "Deploy again.",
)
DELETED_WHILE_SETTING_UP = Reason(
    HandlerErrorCode.RESOURCE_CONFLICT,
    "A Delete came while the {noun} was being set up; it was released again.",
    "Deploy again.",
)
NEVER_WORKED = Reason(
    HandlerErrorCode.INTERNAL_FAILURE,
    "No run of this request came to buying a {noun}.",
    "See the provider's log for the cause, then deploy again.",
)
NEVER_LEARNT = Reason(
    HandlerErrorCode.INTERNAL_FAILURE,
    "Whether a {noun} was bought for this request could not be found out, although it was tried until the end.",
    "The provider's daily sweep looks for it again and reports it; deploy again.",
)
OUT_OF_TIME = Reason(
    HandlerErrorCode.NOT_STABILIZED,
    "{cause}",
    "Nothing was bought as far as is known; deploy again, with more ServiceTimeout.",
)
TOO_MANY_AHEAD = Reason(
    HandlerErrorCode.THROTTLING,
    "{line}",
    "ServiceTimeout leaves {left} seconds: allow more, or declare fewer at once.",
)
STILL_UNKNOWN = Reason(
    HandlerErrorCode.INTERNAL_FAILURE,
    "{cause}",
    "No further attempt is made; see the provider's log, then deploy again.",
)
GONE = Reason(
    HandlerErrorCode.NOT_FOUND,
    "The {noun} {id} is gone: it was released outside of this stack.",
    "Deploy again.",
)
DOES_NOT_EXIST = Reason(
    HandlerErrorCode.NOT_FOUND,
    "The {noun} {id} does not exist: it was released outside of this stack.",
    "Remove the resource from the template, deploy, and declare it again under another logical id.",
)
NOT_OURS = Reason(
    HandlerErrorCode.ACCESS_DENIED,
    "The {noun} {id} is not managed by this resource: neither the ledger nor its tags say so. It was left as it is.",
    "Release or change it where it is managed; to take the resource out of this stack, retain it.",
)
STILL_PENDING = Reason(
    HandlerErrorCode.NOT_STABILIZED,
    "The {noun} {id} is still {status} after the WaitTimeoutSeconds of {seconds}.",
    "Allow more time, or do without WaitForActive.",
)
STILL_PENDING_AT_THE_END = Reason(
    HandlerErrorCode.NOT_STABILIZED,
    "The {noun} {id} is still {status}.",
    "Allow more ServiceTimeout, or do without WaitForActive.",
)
CLAIM_FAILED = Reason(
    HandlerErrorCode.NOT_STABILIZED,
    "The {noun} {id} FAILED: {message}.",
    "Mend the cause and deploy again; the failed claim lapses by itself and costs nothing.",
)
CHANGE_FAILED = Reason(
    HandlerErrorCode.NOT_STABILIZED,
    "A change of the {noun} {id} FAILED: {message}.",
    "The number is still yours: mend the cause and deploy again.",
)
NOT_KEPT = Reason(
    HandlerErrorCode.NOT_STABILIZED,
    "The {noun} {id} does not keep what is declared.",
    "Look for somebody else who changes it at the same time.",
)
SAME_KEY = Reason(
    HandlerErrorCode.NOT_UPDATABLE,
    "{changes} of {id} cannot be changed in place, and the new {noun} would have the same id: it cannot be made before "
    "the old one goes.",
    "Remove the resource from the template, deploy, and declare it again with the new values.",
)
REPLACEMENT_REFUSED = Reason(
    HandlerErrorCode.NOT_UPDATABLE,
    "{changes} of {id} cannot be changed in place: that needs a new {noun}, and the present one would be released for "
    "good.",
    "Take the change back, or set AllowReplacement: {id} to let this one go.",
)
NOT_RELEASABLE = Reason(
    HandlerErrorCode.RESOURCE_CONFLICT,
    "{changes} of {id} cannot be changed in place, and {id} {hindrances}: CloudFormation could not release it "
    "afterwards, and would drop it silently. Nothing was bought.",
    "Switch the protection off, or take it out of its pools, in an update of its own first.",
)
SENDER_ID_EXISTS = Reason(
    HandlerErrorCode.ALREADY_EXISTS,
    "The sender ID {sender_id} exists already in {country}, and is not managed by this resource.",
    "Choose another SenderId, or release the present one first.",
)
NONE_AVAILABLE = Reason(
    HandlerErrorCode.NOT_FOUND,
    "No {type} number of {country}{beginning} is available to {target}.",
    "Declare another Prefix or Type; numbers that need documents are never in the inventory (AWS Support).",
)
TAKEN = Reason(
    HandlerErrorCode.RESOURCE_CONFLICT,
    "{cause}",
    "Declare another PhoneNumber, or CountryCode, Type and Prefix.",
)


def catalogue() -> Mapping[str, Reason]:
    """Every Reason by its name."""
    return {name: value for name, value in globals().items() if isinstance(value, Reason)}
