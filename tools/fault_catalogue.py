"""Fault catalogue: what can fail, what AWS does then, and what the provider guarantees.

A test that verifies a guarantee names the fault: `@pytest.mark.shows("request delivered twice concurrently")`.
Scenarios of tests/faults are listed as patterns of their names. tools/fault_matrix.py generates docs/faults.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Fault:
    """What can fail."""

    effect: str
    """What CloudFormation, Lambda or the service does."""
    guarantee: str
    scenarios: tuple[str, ...] = ()
    """Patterns for `python -m tests.faults --only`."""


FAULTS: Mapping[str, Mapping[str, Fault]] = {
    "Requests": {
        "request delivered twice in succession": Fault(
            "Lambda delivers an event at least once and can repeat one that succeeded.",
            "One purchase. The second invocation sends the same response bytes again.",
        ),
        "request delivered twice concurrently": Fault(
            "Lambda runs two invocations concurrently.",
            "One purchase. One invocation executes the request. The other one waits and sends the same bytes. If its "
            "time runs out, it raises an error without a response, and Lambda retries.",
            ("*/create/none/concurrent@tokens-forgotten", "*/create/pause*/redelivered-while-running"),
        ),
        "Create delivered after its Delete": Fault(
            "CloudFormation canceled the Create and deleted the resource; then Lambda delivers the Create.",
            "No purchase.",
        ),
        "Create delivered after its ServiceTimeout": Fault(
            "CloudFormation has stopped waiting for the Create. Lambda keeps an event for up to six hours.",
            "No purchase. The provider reads the age of the request from its ResponseURL.",
        ),
        "event not sent by CloudFormation": Fault(
            "A caller invokes the function with an arbitrary event.",
            "The provider raises an error. It makes no AWS call and sends no response, not even to the previous "
            "request.",
        ),
        "execution environment reused for another resource": Fault(
            "Lambda reuses the execution environment for events of other stacks.",
            "The response and the log of a request contain nothing of an earlier one.",
        ),
        "fifty numbers in one stack": Fault(
            "CloudFormation sends fifty Creates at once. The services allow one or two calls per second.",
            "Each call waits for its rate-limit reservation. Throttled calls are retried. Each number is purchased "
            "once.",
        ),
    },
    "Crashes and timeouts": {
        "process killed during a Create, then retried": Fault(
            "Lambda retries the event after one and two minutes.",
            "SUCCESS with one number, which is purchased once.",
            ("*/create/kill*/retries",),
        ),
        "process killed during a Create, never retried": Fault(
            "After the ServiceTimeout, CloudFormation sends a Delete with a generated physical ID.",
            "The Delete succeeds and releases any number that the Create purchased.",
            ("*/create/kill*/timed-out", "*/create/kill*/canceled"),
        ),
        "Delete while the Create is running": Fault(
            "Another resource failed. CloudFormation cancels the Create and sends a Delete with a generated ID.",
            "No number remains. Both requests get a response.",
            ("*/create/pause*/canceled-while-running",),
        ),
        "invocation close to its timeout": Fault(
            "Lambda ends the invocation at its timeout.",
            "The provider starts no purchase in the last seconds. It raises an error, and the retry purchases.",
        ),
        "all retries exhausted": Fault(
            "Lambda sends the event to the on-failure queue, which the continuation function reads.",
            "The continuation function sends a recorded outcome unchanged. For an unknown result it searches the "
            "purchase and responds FAILED, with the physical ID if it finds one. It purchases nothing.",
            ("*/create/kill*/retries-exhausted",),
        ),
    },
    "Telecom services": {
        "purchase call times out after the purchase": Fault(
            "The service completes the purchase, but the call times out.",
            "The call times out after 20 seconds. The provider finds the number by its ownership tags. If the tags are "
            "not visible yet, it repeats the call with the same ClientToken. One number is purchased.",
        ),
        "purchase response lost and ClientToken forgotten": Fault(
            "The service would complete a second purchase for the same ClientToken.",
            "Before it retries, the provider finds the number by its ownership tags.",
            ("*/create/kill*/retries@tokens-forgotten",),
        ),
        "tags visible late": Fault(
            "The service stores the tags with the purchase, but its listings do not show them yet.",
            "A retry uses the same ClientToken; with Connect, it waits for the tags. A Delete succeeds and records a "
            "purchase with result UNKNOWN. The sweep reports it, and releases the number if AllowSweepRelease is set.",
            ("*/create/kill*/retries@tags-late", "*/create/kill*/canceled@tags-very-late"),
        ),
        "calls throttled": Fault(
            "The service throttles, for example because other clients use the account.",
            "The provider retries with exponential back-off and jitter until its time runs out; then Lambda retries.",
        ),
        "purchase rejected by the service": Fault(
            "The service rejects the request: quota, permission, spending limit or invalid value.",
            "FAILED at once with the service's error code, and a physical ID which shows that no number exists. The "
            "Delete of that ID succeeds without a call.",
        ),
        "number stays PENDING": Fault(
            "Activation can take days. CloudFormation waits for at most one hour.",
            "SUCCESS with Status PENDING. With WaitForActive: FAILED before the timeout, with the real physical ID; "
            "the rollback releases the number.",
        ),
        "role not yet assumable": Fault(
            "The service cannot assume the role yet and returns RESOURCE_NOT_ACCESSIBLE.",
            "The provider retries for two minutes. Then it responds FAILED and names what to check.",
        ),
        "sender ID exists and belongs to another owner": Fault(
            "The service rejects the request, or silently returns the existing sender ID.",
            "FAILED with AlreadyExists. The following Delete does not release the existing sender ID.",
        ),
    },
    "State table": {
        "state table unavailable before the purchase": Fault(
            "DynamoDB is unreachable, does not respond, throttles or denies access.",
            "No purchase without a ledger record. The provider raises an error within ten seconds; the retry "
            "purchases.",
        ),
        "state table unavailable after the purchase": Fault(
            "DynamoDB fails at a later write.",
            "The provider repeats the write or raises an error. The retry uses the number that was purchased.",
            ("*/create/reset*/retries", "*/create/error*/retries"),
        ),
    },
    "Response": {
        "response not accepted at first": Fault(
            "S3 returns 503 or resets the connection.",
            "The provider repeats the PUT with the same bytes until S3 accepts it.",
        ),
        "response rejected": Fault(
            "S3 returns 403 or 404: the URL has expired or was altered.",
            "One attempt per invocation. The provider raises an error. Lambda's retries send the response again, and "
            "finally the continuation function does.",
        ),
        "response host unreachable": Fault(
            "The connection is refused, the host name is unknown, the certificate is wrong, or the host does not "
            "respond.",
            "The provider retries until shortly before the invocation ends, then raises an error. The error does not "
            "contain the URL.",
        ),
        "response redirected": Fault(
            "The host redirects with status 307.",
            "The provider does not follow the redirect and treats the response as not accepted.",
        ),
        "Reason of any length and character set": Fault(
            "CloudFormation accepts at most 4096 bytes.",
            "The body fits and is valid JSON. IDs are complete; a long Reason is truncated.",
        ),
        "attributes of any type and size": Fault(
            "CloudFormation accepts only strings, and 4096 bytes in total.",
            "Every attribute is a string. If the attributes do not fit, the response is FAILED with the real physical "
            "ID.",
        ),
    },
    "Updates": {
        "update in place": Fault(
            "CloudFormation sends an Update. The same physical ID in the response keeps the resource.",
            "The physical ID stays. The provider changes only the properties that differ, with as few calls as "
            "possible.",
        ),
        "update that requires replacement": Fault(
            "A new physical ID makes CloudFormation delete the old one after the whole stack is updated.",
            "FAILED unless AllowReplacement permits it. Then one number is purchased, and the Update releases none.",
        ),
        "cleanup after a replacement": Fault(
            "CloudFormation deletes the old physical ID in the cleanup phase, and gives up after three failures.",
            "The old number is released. The new number does not change.",
            ("*/cleanup/kill*/retries",),
        ),
        "replacement fails partway": Fault(
            "CloudFormation rolls back with the physical ID of the response.",
            "FAILED with the old physical ID, and the new number is released. If the release fails: FAILED with the "
            "new ID, so that CloudFormation deletes it.",
            ("*/replace/kill*/retries",),
        ),
        "replacement response lost": Fault(
            "CloudFormation rolls back with the old physical ID and never learns the new one.",
            "The rollback releases the new number. The old number does not change.",
            ("*/replace/kill*/timed-out", "*/replace/kill*/canceled"),
        ),
        "rollback of a partly applied update": Fault(
            "CloudFormation sends an Update with the previous properties. OldResourceProperties are those that failed.",
            "The provider reads the number and restores the declared settings.",
            ("*/update/kill*/rolled-back",),
        ),
        "Update of a released number": Fault(
            "The number was released outside of the stack.",
            "FAILED with NotFound and the remedy. The provider purchases no other number.",
        ),
    },
    "Deletes": {
        "Delete repeated": Fault(
            "CloudFormation or an operator repeats the Delete, or Lambda delivers it twice.",
            "SUCCESS if the number is already released.",
            ("*/delete/kill*/retries",),
        ),
        "Delete of a protected number": Fault(
            "The service rejects the release while deletion protection is enabled.",
            "FAILED with the remedy, unless OnDelete allows to lift the protection. The rollback of a failed Create "
            "always lifts a protection that this Create enabled.",
        ),
        "Delete of a number in use": Fault(
            "The service rejects the release of a number that is in a pool, the last one of a pool, or in a "
            "registration.",
            "FAILED with the remedy. If OnDelete allows it, the provider removes the number from its pool first and "
            "waits until that takes effect.",
        ),
        "forged Delete": Fault(
            "A caller that may invoke the function sends a Delete with an arbitrary physical ID.",
            "The provider changes or releases a number only if the ledger or the ownership tags assign it to this "
            "resource of this stack.",
        ),
        "Delete with invalid properties": Fault(
            "CloudFormation sends properties that an older version accepted, or that made the Create fail.",
            "A Delete never fails because of its properties.",
        ),
    },
    "Properties and secrets": {
        "invalid boolean value": Fault(
            "CloudFormation sends every value as a string.",
            "Only true and false are valid. Anything else is FAILED, names the property, and makes no AWS call.",
        ),
        "secret in logs, tables or errors": Fault(
            "Many people can read logs, tables, stack events and error messages. Services quote the values that they "
            "refuse: escaped, line by line or truncated.",
            "None of them contains the signature of a ResponseURL or a NoEcho value, at any log level. Every test of "
            "the provider verifies this. A NoEcho value has at least four characters; an identifier that the service "
            "returns, such as a phone number or a sender ID, is not one.",
            ("*/create/kill*/retries",),
        ),
    },
}
"""Faults by section and by the name that tests refer to."""

CONTRACT_TESTS: Mapping[str, str] = {
    "contract_create_delete": "A Create returns the declared values, and the Delete succeeds.",
    "contract_create_create": (
        "A second resource with the same properties: AlreadyExists if the properties contain the ID (sender IDs), "
        "otherwise another number. The same request again creates nothing."
    ),
    "contract_create_read": "The service has the declared values. A custom resource has no read handler.",
    "contract_create_list": "The sweep lists the resource. A custom resource has no list handler.",
    "contract_create_taggable": "The resource has the declared tags and the provider's own tags.",
    "contract_update_read": "The physical ID stays, and the service has the new values.",
    "contract_update_list": "The sweep lists the resource under the same ID.",
    "contract_update_tag_updatable": "Changed tags are updated in place.",
    "contract_update_without_create": "FAILED with NotFound and a message.",
    "contract_delete_read": "The service no longer has the resource.",
    "contract_delete_list": "The sweep no longer lists the resource.",
    "contract_delete_update": "FAILED with NotFound and a message.",
    "contract_delete_delete": (
        "SUCCESS without attributes, not NotFound: a custom resource has no error codes, and FAILED would block the "
        "deletion of the stack."
    ),
    "contract_delete_create": "The same properties create a new resource, with the same ID if it is declared.",
    "every failure has a code and a message": (
        "Every Reason starts with one of CloudFormation's error codes and a message."
    ),
    "every handler responds in time": (
        "The provider responds before the ServiceTimeout. A custom resource cannot respond IN_PROGRESS."
    ),
}
"""CloudFormation's contract tests for registry types, and what a custom resource does instead."""
