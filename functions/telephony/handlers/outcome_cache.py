"""Executes a request's operation once, and caches its outcome.

Powertools keeps outcomes for a day, which is longer than Lambda can redeliver an event, so that every delivery has the
same response. The key contains the time of issue: when a failed operation is retried, CloudFormation can send the same
RequestId with a newer URL, and that request is executed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, cast

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

from telephony import clock, reasons
from telephony.aws import clients, state_table
from telephony.cloudformation.response import Outcome
from telephony.errors import HandlerError, UnknownOutcomeError
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.model.resource import Observed
from telephony.observability import logger
from telephony.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

EXPIRES_AFTER = 86_400
"""Seconds. Lambda discards events after six hours, and a signed URL is valid for two."""
_PARTITION, _PREFIX = "outcome", "outcome"

Operation = Callable[[Invocation], Observed | None]


def execute_once(invocation: Invocation, operation: Operation) -> Outcome:
    """Return the request's outcome, from the cache or by executing the operation.

    Raises UnknownOutcomeError if the request must be continued later, or if another invocation still processes it.
    """
    backoff = Backoff()
    while True:
        try:
            return _cached(invocation, operation)
        # The state is inconsistent if the record expired between two reads.
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError):
            if not invocation.wait(backoff):
                raise UnknownOutcomeError("Another invocation of this request is still in progress.") from None
        except IdempotencyPersistenceLayerError as error:
            if isinstance(error.__cause__, clients.dynamodb().exceptions.ConditionalCheckFailedException):
                continue  # Another invocation has written its outcome, which is the response.
            if isinstance(error.__cause__, UnknownOutcomeError):
                raise error.__cause__ from None
            raise state_table.unavailable(error.__cause__ or error) from None


class _WriteOnceLayer(DynamoDBPersistenceLayer):
    """Powertools' persistence layer. An invocation that outlived its lease does not change another one's outcome."""

    def _update_record(self, data_record: DataRecord) -> None:
        update: Any = {
            "TableName": self.table_name,
            "Key": self._get_key(data_record.idempotency_key),
            "UpdateExpression": "SET #data = :data, #expiry = :expiry, #status = :status",
            "ConditionExpression": "attribute_not_exists(#status) OR #status <> :status",
            "ExpressionAttributeNames": {
                "#data": self.data_attr,
                "#expiry": self.expiry_attr,
                "#status": self.status_attr,
            },
            "ExpressionAttributeValues": {
                ":data": {"S": data_record.response_data},
                ":expiry": {"N": str(data_record.expiry_timestamp)},
                ":status": {"S": data_record.status},
            },
        }
        writes = _with_outcome.get()
        # If another invocation has written the records, the outcome is recorded alone.
        if not writes or state_table.transact({"Update": update}, *writes):
            self.client.update_item(**update)

    def _delete_record(self, data_record: DataRecord) -> None:
        with suppress(clients.dynamodb().exceptions.ConditionalCheckFailedException):
            self.client.delete_item(
                TableName=self.table_name,
                Key=self._get_key(data_record.idempotency_key),
                ConditionExpression="#status <> :completed",
                ExpressionAttributeNames={"#status": self.status_attr},
                ExpressionAttributeValues={":completed": {"S": "COMPLETED"}},
            )


_with_outcome: ContextVar[list[Any]] = ContextVar("with_outcome")
"""The writes of the lifecycle that belong to the outcome."""


class _RemainingTime:
    """Limits how long Powertools keeps a record in progress to the duration of a lease.

    By default it is the timeout of the function, which outlasts both of Lambda's retries after an early crash.
    """

    def __init__(self, ends_at: float) -> None:
        self._ends_at = ends_at

    def get_remaining_time_in_millis(self) -> int:
        return int(min(settings().lease_duration, max(1.0, self._ends_at - clock.now())) * 1000)


@cache
def _cache() -> tuple[IdempotencyConfig, _WriteOnceLayer]:
    config = IdempotencyConfig(
        event_key_jmespath="[StackId, RequestId, Time, LogicalResourceId, RequestType]",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=EXPIRES_AFTER,
        hash_function="sha256",
    )
    layer = _WriteOnceLayer(
        table_name=settings().state_table,
        key_attr="pk",
        sort_key_attr="sk",
        static_pk_value=_PARTITION,
        boto3_client=clients.dynamodb(),
    )
    return config, layer


def _cached(invocation: Invocation, operation: Operation) -> Outcome:
    config, layer = _cache()
    config.register_lambda_context(cast("Any", _RemainingTime(invocation.ends_at)))
    request = invocation.request

    def execute(*, identity: dict[str, str]) -> dict[str, Any]:  # noqa: ARG001 - Powertools reads it
        invocation.with_outcome.clear()
        outcome = _execute(invocation, operation)
        _with_outcome.set(invocation.with_outcome if outcome.status == "SUCCESS" else [])
        return {
            "status": outcome.status,
            "physical_resource_id": outcome.physical_resource_id,
            "reason": outcome.reason,
            "data": dict(outcome.data),
        }

    # The prefix is constant, because the continuation reads what the provider wrote.
    idempotent = idempotent_function(
        execute, data_keyword_argument="identity", persistence_store=layer, config=config, key_prefix=_PREFIX
    )
    record = idempotent(
        identity={
            "StackId": request.stack_id,
            "RequestId": request.request_id,
            "Time": str(request.time),
            "LogicalResourceId": request.logical_resource_id,
            "RequestType": request.request_type,
        }
    )
    return Outcome(**record)


def _execute(invocation: Invocation, operation: Operation) -> Outcome:
    request = invocation.request
    default_id = request.physical_resource_id or request.not_created_id
    try:
        observed = operation(invocation)
    except HandlerError as failure:
        logger.warning(
            "Request failed",
            extra={"error": failure.error_code, "code": failure.aws_code, "reason_code": failure.aws_reason},
        )
        # A failed Update or Delete must return the physical ID that CloudFormation already has.
        created = failure.physical_id if request.request_type == "Create" else None
        return Outcome("FAILED", created or default_id, reason=str(failure))
    except UnknownOutcomeError as error:
        if not invocation.final:
            raise
        created = error.physical_id if request.request_type == "Create" else None
        return Outcome("FAILED", created or default_id, reason=str(reasons.STILL_UNKNOWN.after(error)))
    if observed is None:
        return Outcome("SUCCESS", default_id)
    return Outcome("SUCCESS", observed.physical_id, data=observed.attributes)
