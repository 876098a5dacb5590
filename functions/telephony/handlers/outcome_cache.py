"""Finished outcomes, and their cache: the outcome of a request is idempotent, its delivery is not.

Powertools keeps what a request came to for a day, which is longer than Lambda can deliver its event again. FAILED is
kept for Create and Update, so that every delivery says the same; never for Delete, which an operator repeats after
having cleared the way, and which CloudFormation repeats by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import attrs
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
)

from telephony import clock, reasons, resources
from telephony.aws import clients
from telephony.cloudformation.request import Request
from telephony.cloudformation.response import Outcome
from telephony.errors import HandlerError, UnknownOutcomeError
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.model.properties import free_text_values
from telephony.model.resource import Observed
from telephony.observability import logger
from telephony.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

KEPT = 86_400
"""Seconds; Lambda's oldest event is six hours old, and a signed URL lives for two."""
_SECRET = 4
"""Characters from which on a text can be told from the words around it."""
_PARTITION, _PREFIX = "outcome", "outcome"

Decision = Callable[[Invocation], Observed | None]


def decide(invocation: Invocation, decision: Decision) -> Outcome:
    """Give the outcome of the request: the recorded one, or what the decision comes to now.

    Raise UnknownOutcomeError if it is not known, or if another invocation has been at it until the time was up.
    """
    backoff = Backoff()
    while True:
        try:
            return _remembered(invocation, decision)
        except _NotKept as failed:
            return failed.outcome
        except IdempotencyAlreadyInProgressError:
            if not invocation.wait(backoff, until=invocation.ends_at):
                raise UnknownOutcomeError("Another run of this request has not come to its end.") from None
        except IdempotencyInconsistentStateError:
            continue  # The record expired between two reads of it.
        except IdempotencyPersistenceLayerError as error:
            if isinstance(error.__cause__, clients.dynamodb().exceptions.ConditionalCheckFailedException):
                continue  # Another run has finished before this one: what it has answered is the answer.
            raise UnknownOutcomeError(
                f"The state table did not answer ({type(error.__cause__ or error).__name__})."
            ) from None


class _FirstOutcomeStays(DynamoDBPersistenceLayer):
    """Powertools' layer, but that a run which was slower than its lease does not write over another one's outcome."""

    def _update_record(self, data_record: DataRecord) -> None:
        self.client.update_item(
            TableName=self.table_name,
            Key=self._get_key(data_record.idempotency_key),
            UpdateExpression="SET #data = :data, #expiry = :expiry, #status = :status",
            ConditionExpression="attribute_not_exists(#status) OR #status <> :status",
            ExpressionAttributeNames={
                "#data": self.data_attr,
                "#expiry": self.expiry_attr,
                "#status": self.status_attr,
            },
            ExpressionAttributeValues={
                ":data": {"S": data_record.response_data},
                ":expiry": {"N": str(data_record.expiry_timestamp)},
                ":status": {"S": data_record.status},
            },
        )


class _NotKept(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.status)
        self.outcome = outcome


class _Remaining:
    """Tells Powertools how long a record may stay in progress: not longer than the ledger's lease.

    A record that lived as long as the function may run would outlast both of Lambda's retries after an early crash.
    """

    def __init__(self, ends_at: float) -> None:
        self._ends_at = ends_at

    def get_remaining_time_in_millis(self) -> int:
        return int(min(settings().lease, max(1.0, self._ends_at - clock.now())) * 1000)


@cache
def _cache() -> tuple[IdempotencyConfig, _FirstOutcomeStays]:
    config = IdempotencyConfig(
        event_key_jmespath="[StackId, RequestId, LogicalResourceId, RequestType]",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=KEPT,
        hash_function="sha256",
    )
    layer = _FirstOutcomeStays(
        table_name=settings().state_table,
        key_attr="pk",
        sort_key_attr="sk",
        static_pk_value=_PARTITION,
        boto3_client=clients.dynamodb(),
    )
    return config, layer


def _remembered(invocation: Invocation, decision: Decision) -> Outcome:
    config, layer = _cache()
    config.register_lambda_context(cast("Any", _Remaining(invocation.ends_at)))
    request = invocation.request

    def remember(*, identity: dict[str, str]) -> dict[str, Any]:  # noqa: ARG001 - Powertools reads it
        outcome = _outcome(invocation, decision)
        if outcome.status == "FAILED" and request.request_type == "Delete":
            raise _NotKept(outcome)
        return attrs.asdict(outcome)

    # A constant prefix, not the function's name: the last resort reads what the provider wrote.
    kept = idempotent_function(
        remember, data_keyword_argument="identity", persistence_store=layer, config=config, key_prefix=_PREFIX
    )
    record = kept(
        identity={
            "StackId": request.stack_id,
            "RequestId": request.request_id,
            "LogicalResourceId": request.logical_resource_id,
            "RequestType": request.request_type,
        }
    )
    return Outcome(**record)


def _without_secrets(reason: str, request: Request) -> str:
    """A service may repeat in its message what it was given, and a Reason is seen by many."""
    try:
        declaration = resources.by_type(request.resource_type).properties
    except HandlerError:
        return reason
    for secret in sorted(set(free_text_values(declaration, request.properties)), key=len, reverse=True):
        if len(secret) >= _SECRET:
            reason = reason.replace(secret, "[declared text]")
    return reason


def _outcome(invocation: Invocation, decision: Decision) -> Outcome:
    request = invocation.request
    named = request.physical_resource_id or request.not_created_id
    try:
        observed = decision(invocation)
    except HandlerError as failure:
        logger.warning(
            "Failed", extra={"error": failure.error_code, "code": failure.aws_code, "reason_code": failure.aws_reason}
        )
        # Of an Update or a Delete it stays the id that CloudFormation has, whichever number the failure is about.
        known = failure.physical_id if request.request_type == "Create" else None
        return Outcome("FAILED", known or named, reason=_without_secrets(str(failure), request))
    except UnknownOutcomeError as undecided:
        if not invocation.final:
            raise
        told = reasons.STILL_UNKNOWN.failure(cause=undecided.cause)
        known = undecided.physical_id if request.request_type == "Create" else None
        return Outcome("FAILED", known or named, reason=f"{undecided.error_code}: {told.cause} {told.remedy}")
    if observed is None:
        return Outcome("SUCCESS", named)
    return Outcome("SUCCESS", observed.physical_id, data=observed.attributes)
