"""The Reasons of failed requests: error code, cause, remedy. docs/errors.md is generated from them.

aws/errors.py holds the remedies for failures that the services report.
"""

from collections.abc import Mapping

from telephony.data import data
from telephony.errors import HandlerError, UnknownOutcomeError
from telephony.errors import HandlerErrorCode as Code


@data
class Reason:
    """The text of a failure, with `{placeholders}`."""

    error_code: Code
    cause: str
    remedy: str

    def failure(self, **values: object) -> HandlerError:
        """Return the failure to raise."""
        return self.as_kind(HandlerError, **values)

    def after(self, error: UnknownOutcomeError, **values: object) -> HandlerError:
        """Return the failure to raise after the last attempt, with the code, the cause and the remedy of its error."""
        failure = self.failure(cause=error.cause, remedy=error.remedy, **values)
        failure.error_code = error.error_code
        return failure

    def as_kind[F: HandlerError](self, kind: type[F], /, **values: object) -> F:
        """Return the failure as a subclass of HandlerError."""
        return kind(self.error_code, self.cause.format(**values), self.remedy.format(**values))


INVALID_PROPERTIES = Reason(
    Code.INVALID_REQUEST,
    "{count} not valid. No AWS call was made.\n{violations}",
    "",
)
UNKNOWN_TYPE = Reason(
    Code.INVALID_REQUEST,
    "{type} is not a resource type of this provider.",
    "Use one of {known}.",
)
ACCOUNT_NOT_ALLOWED = Reason(
    Code.ACCESS_DENIED,
    "The stack belongs to account {account}, which is not allowed to use this provider. Nothing was purchased, changed or "
    "released.",
    "Add the account to the parameter StackAccounts of the provider, or use a provider in the account of the stack.",
)
TOO_LATE = Reason(
    Code.NOT_STABILIZED,
    "The request arrived after its ServiceTimeout, when CloudFormation had stopped waiting. Nothing was changed.",
    "Redeploy the stack. If this happens often, increase ServiceTimeout.",
)
CANCELED = Reason(
    Code.RESOURCE_CONFLICT,
    "This request was already canceled or has failed. No further {noun} is purchased for it.",
    "Redeploy the stack.",
)
SUPERSEDED = Reason(
    Code.RESOURCE_CONFLICT,
    "A Delete or a newer Update of this resource was processed before this request. No {noun} was purchased or changed.",
    "Redeploy the stack.",
)
DELETED_DURING_PURCHASE = Reason(
    Code.RESOURCE_CONFLICT,
    "The resource was deleted while the {noun} was being purchased. The {noun} was released.",
    "Redeploy the stack.",
)
DELETED_DURING_SETUP = Reason(
    Code.RESOURCE_CONFLICT,
    "The resource was deleted while the {noun} was being configured. The {noun} was released.",
    "Redeploy the stack.",
)
NOT_REQUESTED = Reason(
    Code.INTERNAL_FAILURE,
    "All attempts failed before a {noun} was requested. The last one: {cause}",
    "{remedy}",
)
RESULT_UNKNOWN = Reason(
    Code.INTERNAL_FAILURE,
    "The result of the purchase is unknown after all attempts. A {noun} may have been purchased.",
    "The daily sweep searches for it and reports it. Redeploy the stack.",
)
OUT_OF_TIME = Reason(
    Code.NOT_STABILIZED,
    "{cause}",
    "No purchase is known to have been made. Increase ServiceTimeout and redeploy the stack.",
)
RATE_LIMITED = Reason(
    Code.THROTTLING,
    "{cause}",
    "Increase ServiceTimeout, or declare fewer resources per deployment.",
)
STILL_UNKNOWN = Reason(
    Code.INTERNAL_FAILURE,
    "{cause} No time is left for another attempt.",
    "{remedy}",
)
DEFECT = Reason(
    Code.INTERNAL_FAILURE,
    "The provider failed with an unexpected exception ({error}), in every attempt.",
    "Search the logs of the provider and the continuation for Unexpected exception, and report the entry. Then redeploy "
    "the stack.",
)
NEWER_VERSION = Reason(
    Code.INTERNAL_FAILURE,
    "The request was received by a newer version of the provider, and this version can't process it.",
    "Deploy the newer version of the provider again, then redeploy the stack.",
)
RELEASED_OUTSIDE = Reason(
    Code.NOT_FOUND,
    "The {noun} {id} no longer exists. It was released outside of this stack.",
    "Redeploy the stack.",
)
DOES_NOT_EXIST = Reason(
    Code.NOT_FOUND,
    "The {noun} {id} does not exist. It was released outside of this stack.",
    "Remove the resource from the template, deploy, and declare it again with another logical ID.",
)
NOT_OWNED = Reason(
    Code.ACCESS_DENIED,
    "The {noun} {id} does not belong to this resource, according to the ledger and its tags. It was not changed.",
    "Change or release it where it is managed. To remove the resource from this stack, retain it.",
)
NOT_IN_OPERATION = Reason(
    Code.RESOURCE_CONFLICT,
    "The {noun} {id} was not released: CloudFormation reports that no operation of the stack is in progress, so it does not "
    "wait for this Delete.",
    "If the {noun} is no longer needed, release it by hand. The daily sweep reports it.",
)
ANOTHER_PURCHASE = Reason(
    Code.NOT_FOUND,
    "The {noun} {id} does not have the tags that this resource gave it. It may have been released outside of this stack and "
    "requested again by another owner, so it was not changed.",
    "If its cfn-telephony tags were removed, add them again. Otherwise remove the resource from the template, deploy, and "
    "declare it again with another logical ID.",
)
STILL_PENDING = Reason(
    Code.NOT_STABILIZED,
    "The {noun} {id} is still {status} after WaitTimeoutSeconds ({seconds}).",
    "Increase WaitTimeoutSeconds, or remove WaitForActive.",
)
STILL_PENDING_AT_TIMEOUT = Reason(
    Code.NOT_STABILIZED,
    "The {noun} {id} is still {status}.",
    "Increase ServiceTimeout, or remove WaitForActive.",
)
CLAIM_FAILED = Reason(
    Code.NOT_STABILIZED,
    "The claim of {noun} {id} FAILED: {message}.",
    "Fix the cause and redeploy the stack. The service removes the failed claim and does not charge for it.",
)
CHANGE_FAILED = Reason(
    Code.NOT_STABILIZED,
    "A change of the {noun} {id} FAILED: {message}.",
    "The {noun} still belongs to this resource. Fix the cause and redeploy the stack.",
)
CHANGED_BY_OTHERS = Reason(
    Code.NOT_STABILIZED,
    "The {noun} {id} differs from its declaration again after every change.",
    "Find the other application that changes it at the same time.",
)
SAME_IDENTITY = Reason(
    Code.NOT_UPDATABLE,
    "{changes} of {id} can't be changed in place, and the replacement would have the same ID. It can't be created before "
    "the current {noun} is released.",
    "Remove the resource from the template, deploy, and declare it again with the new values.",
)
REPLACEMENT_REFUSED = Reason(
    Code.NOT_UPDATABLE,
    "{changes} of {id} can't be changed in place. The update requires a new {noun}, and the current one is then released, "
    "unless a policy, a recovery window or an adoption keeps it.",
    "Revert the change, or set AllowReplacement: {id} to allow the replacement.",
)
NOT_RELEASABLE = Reason(
    Code.RESOURCE_CONFLICT,
    "{changes} of {id} can't be changed in place, and {id} {blockers}. CloudFormation could not release it after the "
    "replacement and would not report that. Nothing was purchased.",
    "First disable deletion protection, or remove it from its pools, in a separate update.",
)
RELEASE_BLOCKED = Reason(
    Code.RESOURCE_CONFLICT,
    "The {noun} {id} can't be released or become pending release: it {blockers}. Nothing was changed.",
    "Disable deletion protection, or remove it from its pools: in an update, or with the API of the service if the stack "
    "is in DELETE_FAILED. Then delete again. To allow this on delete, declare LiftDeletionProtection or LeavePools in "
    "OnDelete and deploy that before the delete.",
)
AMBIGUOUS_RECOVERY = Reason(
    Code.RESOURCE_CONFLICT,
    "This resource can take back more than one {noun} that is pending release: {ids}. The provider does not choose one. "
    "Nothing was purchased or changed.",
    "Release all but one with the API of the service, or restore them (docs/operations.md, Recovery window). Then redeploy "
    "the stack, which takes back the last one. Or name one in Adopt.",
)
SENDER_ID_EXISTS = Reason(
    Code.ALREADY_EXISTS,
    "The sender ID {sender_id} already exists in {country} and does not belong to this resource.",
    "Choose another SenderId, adopt the existing one with Adopt: true, or release it first.",
)
ADOPTION_NOT_ALLOWED = Reason(
    Code.ACCESS_DENIED,
    "This provider does not adopt existing resources. The {noun} was not changed.",
    "Set the parameter AllowAdoption of the provider to true.",
)
NOTHING_TO_ADOPT = Reason(
    Code.NOT_FOUND,
    "The {noun} that Adopt names does not exist in this account and Region.",
    "Correct Adopt, or remove it to purchase a new {noun}.",
)
ADOPTION_CONFLICT = Reason(
    Code.NOT_UPDATABLE,
    "The {noun} {id} was not adopted and not changed. It differs from the declaration: {changes}.",
    "Declare its current settings, or omit them. A later update can change them.",
)
HELD_BY_ANOTHER = Reason(
    Code.ALREADY_EXISTS,
    "The {noun} {id} was not adopted and not changed. It belongs to the resource {logical_id} of the stack {stack_id}.",
    "Remove it from that stack with DeletionPolicy: Retain, then adopt it in a later deployment.",
)
NO_ROOM_FOR_TAGS = Reason(
    Code.SERVICE_LIMIT_EXCEEDED,
    "The {noun} {id} was not adopted and not changed. It has {count} tags, and the provider adds {added}. {maximum} are "
    "allowed.",
    "Remove tags from it.",
)
ADOPT_IN_UPDATE = Reason(
    Code.NOT_UPDATABLE,
    "{changes} of {id} can't be changed in place, and Adopt applies on creation only.",
    "Remove Adopt, or declare the {noun} to adopt with another logical ID.",
)
CLAIM_LIMIT_REACHED = Reason(
    Code.SERVICE_LIMIT_EXCEEDED,
    "Nothing was claimed. The service allows {limit} claims and releases in {days} days. This provider made {claims} claims "
    "and {releases} releases in this time, so another claim would exceed the limit.",
    "Wait: the next claim is possible from {day} (UTC). Or request an increase of {quota_name} in Service Quotas, or use a "
    "number that the account has (Adopt, ReusePendingRelease).",
)
CLAIMS_REFUSED = Reason(
    Code.SERVICE_LIMIT_EXCEEDED,
    "{cause} The target has fewer numbers than its quota, so the account has reached the limit of claims and releases in "
    "{days} days. The limit is {limit}. This provider made {claims} claims and {releases} releases in this time; others count "
    "too.",
    "Request an increase of {quota_name} in Service Quotas, or wait. Until {until} (UTC), or until the quota changes, the "
    "provider refuses claims without a call. The next claim then shows whether the service still refuses it.",
)
NONE_AVAILABLE = Reason(
    Code.NOT_FOUND,
    "No {type} number in {country}{prefix} is available for {target}.",
    "Declare another Prefix or Type. Numbers that require documents are never in the inventory; contact AWS Support.",
)
NUMBER_UNAVAILABLE = Reason(
    Code.RESOURCE_CONFLICT,
    "{cause}",
    "Declare another PhoneNumber, or CountryCode, Type and Prefix.",
)


def catalog() -> Mapping[str, Reason]:
    """Return every Reason by name."""
    return {name: value for name, value in globals().items() if isinstance(value, Reason)}
