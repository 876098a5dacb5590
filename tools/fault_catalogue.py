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
            "One purchase. One invocation executes the request. The other one waits, if necessary in the queue, and "
            "sends the same bytes.",
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
        "RequestId sent again with a newer URL": Fault(
            "CloudFormation retries a failed operation with the same RequestId (aws-cdk issues 35957 and 35988).",
            "The same URL gets the same response. A newer URL continues a purchase that has not ended, and else "
            "starts a new one. After that, the older URL purchases nothing.",
            (
                "*/create/kill*/resent",
                "*/create/pause*/resent-while-running",
                "*/create/kill*/retried-after-failure",
                "*/create/kill*/retried-after-rollback",
            ),
        ),
        "Update and its rollback issued in the same second": Fault(
            "Another resource fails at once. Both requests have the same time of issue, and Lambda can deliver the "
            "Update after its rollback.",
            "The Update purchases nothing while the stack is rolling back.",
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
            "The Delete succeeds and releases the number that the Create purchased. If the Create was complete, "
            "CloudFormation's events must show that it never had the ID.",
            ("*/create/kill*/timed-out", "*/create/kill*/canceled"),
        ),
        "Delete while the Create is running": Fault(
            "Another resource failed. CloudFormation cancels the Create and sends a Delete with a generated ID.",
            "No number remains. Both requests get a response.",
            ("*/create/pause*/canceled-while-running",),
        ),
        "invocation close to its timeout": Fault(
            "Lambda ends the invocation at its timeout.",
            "The provider starts no purchase in the last seconds. The request is continued from the queue.",
        ),
        "all retries exhausted": Fault(
            "The provider could not send the request to its queue. Lambda retries twice, and then sends it there.",
            "The continuation function continues the request as any other.",
            ("*/create/kill*/retries-exhausted",),
        ),
    },
    "Queue": {
        "reservation later than the invocation": Fault(
            "Other requests have reserved the calls of the next minutes.",
            "The request keeps its reservation and waits in the queue. A request that can't be in time is answered "
            "FAILED at once, with the number of reserved calls, and takes no reservation.",
            ("*/none/retries@contended",),
        ),
        "process killed while a request waits": Fault(
            "The provider is killed before or after it sends the message, or the continuation at any call. Lambda "
            "retries the event, or the queue delivers the message again after its visibility timeout.",
            "SUCCESS with one number, which is purchased once. If its reservations are lost, the request waits longer.",
            ("*/kill*/retries@contended", "*/kill*/canceled@contended", "*/kill*/retries@settled-late"),
        ),
        "temporary refusal that outlasts the invocation": Fault(
            "A role has not propagated, or a pool is not ready.",
            "The call is repeated for two minutes, over several invocations. Then the refusal is the answer.",
        ),
        "service unavailable for longer than an invocation": Fault(
            "Every call fails for minutes.",
            "The request is continued until two minutes before its ServiceTimeout. One number is purchased.",
        ),
        "message delivered twice": Fault(
            "SQS delivers a message at least once, and a repeated event sends a second message.",
            "Each delivery makes its step under version and lease. All of them send the same bytes.",
            ("*@twice", "*@doubled", "*/pause*/redelivered-while-running@contended"),
        ),
        "message delivered early, late or out of order": Fault(
            "A changed visibility is not kept, the queue is behind, or the message of a later request comes first.",
            "A message that comes before its step is due is hidden again, and nothing else happens. A late step does "
            "what is still possible; after the deadline the answer is FAILED, and nothing is changed.",
            ("*@early", "*@late", "*@unhidden", "*@interleaved", "*/timed-out@contended"),
        ),
        "message in the dead-letter queue": Fault(
            "The message was received a thousand times. An operator redrives it, possibly hours later.",
            "The stack waits until its ServiceTimeout, and an alarm is raised. The redriven request changes nothing "
            "after its deadline, and is dropped when its ResponseURL has expired.",
            ("*@dead", "*/redriven@contended"),
        ),
        "message sent by a newer version": Fault(
            "The provider is upgraded or rolled back while requests wait.",
            "The message waits in the queue for the newer version. Its last delivery before the ServiceTimeout is "
            "answered FAILED. A request item with unknown attributes only loses its reservations.",
            ("*@newer", "*@upgraded"),
        ),
        "queue unavailable": Fault(
            "SendMessage or ChangeMessageVisibility fails.",
            "If the provider can't send, it raises, and Lambda retries. A message that can't be hidden is delivered "
            "again after the visibility timeout of the queue.",
            ("*@unsent", "*/error*/retries@contended", "*/drop*@contended"),
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
            "A retry uses the same ClientToken; with Connect, it waits for the tags. A Delete succeeds and ends the "
            "purchase: nothing more is purchased for it. The sweep searches again, reports the number, and releases it "
            "if AllowSweepRelease is set.",
            ("*/create/kill*/retries@tags-late", "*/create/kill*/canceled@tags-very-late"),
        ),
        "calls throttled": Fault(
            "The service throttles, for example because other clients use the account.",
            "The call is reserved again and repeated, if necessary from the queue, until two minutes before "
            "ServiceTimeout.",
        ),
        "purchase rejected by the service": Fault(
            "The service rejects the request: quota, permission, spending limit or invalid value.",
            "FAILED at once with the service's error code, and a physical ID which shows that no number exists. The "
            "Delete of that ID succeeds without a call.",
        ),
        "documented error of a service": Fault(
            "A call fails with an error that the SDK's model of the service lists, once or lastingly.",
            "The request is answered as errors.md shows. What can pass is retried. Every Reason says what to do.",
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
            "FAILED with AlreadyExists, unless the ownership tags name this purchase. The following Delete does not "
            "release the existing sender ID.",
        ),
        "sender ID released by hand and requested again": Fault(
            "An operator releases the sender ID. Another stack, another resource or an operator requests the same one.",
            "The ownership tags are read before each change and release, and before each repetition of a release. They "
            "name another purchase: the Update fails with NotFound, and the Delete succeeds without a release.",
            ("sms-sender-id/delete/kill*/name-taken",),
        ),
        "sender ID requested by two stacks at once": Fault(
            "The service rejects one of the requests, or returns the same sender ID to both.",
            "The stack whose tags the sender ID has owns it. The other request fails with AlreadyExists, and its "
            "Delete releases nothing.",
            ("sms-sender-id*/create/pause*/raced",),
        ),
        "purchase refused while an earlier attempt is unknown": Fault(
            "The first call is still running in the service, or its response was lost. The retry is refused: a "
            "ConflictException, a quota, or a number that is no longer available.",
            "ClientToken and candidate stay the same, and the provider searches by ownership tags. Only several "
            "searches over five minutes that find nothing make the refusal final.",
        ),
        "new number not visible yet": Fault(
            "The service does not describe a number right after its purchase.",
            "An Update or a rollback reads for two minutes before it fails with NotFound.",
        ),
        "change of a Connect number FAILED": Fault(
            "DescribePhoneNumber shows FAILED, as for a failed claim. The number is still held and billed.",
            "Only a claim that was never CLAIMED counts as failed. The number is updated, returned to by a rollback, "
            "and released like any other.",
        ),
    },
    "State table": {
        "state table unavailable before the purchase": Fault(
            "DynamoDB is unreachable, does not respond, throttles or denies access.",
            "No purchase without a ledger record. The request is continued from the queue, and purchases when the "
            "table answers again.",
        ),
        "state table unavailable after the purchase": Fault(
            "DynamoDB fails at a later write.",
            "The provider repeats the write. The request is continued from the queue, and uses the number that was "
            "purchased.",
            ("*/create/reset*/retries", "*/create/error*/retries"),
        ),
        "record written by a newer version": Fault(
            "After a rollback of the provider, the ledger holds a record with a state that this version does not know.",
            "The provider changes nothing. The request waits in the queue for the newer version. Its last invocation "
            "responds FAILED.",
            ("*@upgraded",),
        ),
    },
    "Response": {
        "response not accepted at first": Fault(
            "S3 returns 503 or resets the connection.",
            "The provider repeats the PUT with the same bytes until S3 accepts it.",
        ),
        "response rejected": Fault(
            "S3 returns 403 or 404: the URL has expired or was altered.",
            "One attempt per invocation. The response is sent again from the queue, until the URL has expired.",
        ),
        "response host unreachable": Fault(
            "The connection is refused, the host name is unknown, the certificate is wrong, or the host does not "
            "respond.",
            "The provider retries until shortly before the invocation ends. The response is sent again from the queue. "
            "The log does not contain the URL.",
        ),
        "response accepted late or lost": Fault(
            "CloudFormation has canceled the request, so that it ignores the response: the number is complete, and no "
            "stack uses it.",
            "The next Delete or Update of the resource within 90 days releases the number if CloudFormation's events "
            "prove that it never had the ID. Otherwise the sweep reports it.",
            ("*/create/kill*/ignored-response", "*/create/kill*/deleted-later", "*/replace/kill*/deleted-later"),
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
            ("*/cleanup/kill*/retries", "*/cleanup/kill*/given-up"),
        ),
        "replacement fails partway": Fault(
            "CloudFormation rolls back to the old physical ID.",
            "FAILED with the old physical ID, and the new number is released. If the release fails, the next request "
            "of the resource or the sweep releases the new number.",
            ("*/replace/kill*/retries",),
        ),
        "replacement response lost": Fault(
            "CloudFormation rolls back with the old physical ID and never learns the new one.",
            "The rollback releases the new number, because CloudFormation's events show that it never had the ID. The "
            "old number does not change.",
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
            "The same URL gets the same response, also if that is FAILED. A new request succeeds if the number is "
            "already released, and continues a release that is not complete.",
            ("*/delete/kill*/retries",),
        ),
        "Delete while the stack is in no operation": Fault(
            "The Delete is repeated, late or forged: CloudFormation waits for a Delete only during an operation.",
            "DescribeStacks is read directly before the decision. If it shows no operation of the stack for ten "
            "seconds: FAILED with ResourceConflict, and nothing is released.",
        ),
        "stack of another account": Fault(
            "The policy of the provider function allows another account to invoke it, so that a stack there can name "
            "its ServiceToken.",
            "If StackAccounts does not list the account: FAILED with AccessDenied. Nothing is purchased or changed, "
            "and no number is released that the account purchased earlier. The Delete of a Create that was refused "
            "succeeds.",
        ),
        "Delete after its ServiceTimeout": Fault(
            "CloudFormation has stopped waiting. The operator may have decided to keep the number.",
            "FAILED with NotStabilized. Nothing is released. The same applies to an Update.",
            ("*/delete/kill*/retained-after-timeout",),
        ),
        "Delete out of time": Fault(
            "No call of the release gets a response, in any attempt.",
            "FAILED, and the ledger notes the release. A repeated Delete continues it. An Update that names the number "
            "takes it back.",
            ("*/delete/kill*/retries-exhausted",),
        ),
        "number retained by a policy": Fault(
            "CloudFormation removes the resource from the stack and sends no Delete. The logical ID may be declared "
            "again.",
            "DELETE_SKIPPED in the stack's events shows it; the ledger records it. No later request and no sweep "
            "releases the number, however old it is.",
            ("*/create/kill*/retained-by-rollback", "*/delete/kill*/retained-after-timeout"),
        ),
        "adoption interrupted": Fault(
            "An invocation is killed, or a call fails, while a resource adopts an existing number or gives it up.",
            "The record says that the number is adopted before the first tag is set. A retry sets the tags, and a "
            "Delete removes them. No request, rollback or sweep releases the number or changes its settings.",
            ("*-adopted/create/kill*/*", "*-adopted/delete/kill*/*"),
        ),
        "two resources adopt one number": Fault(
            "Two Creates read at the same time that no resource holds the number.",
            "The holder item is written in the same transaction as the record, on the condition that it is as it was "
            "read. One Create is FAILED with AlreadyExists and changes nothing.",
            ("*-adopted/create/pause*/raced",),
        ),
        "recovery interrupted": Fault(
            "An invocation is killed, or a call fails, while a number becomes pending release, is taken or reused, "
            "or is released because it is due.",
            "Each transition is one transaction on the record of the number. A retry continues it. A number that was "
            "taken is not purchased, and a taker that fails or is canceled returns it with its due date.",
            ("*-recovered/*/kill*/*", "*-reused/create/kill*/*", "*-recovered/create/kill*/fails"),
        ),
        "number pending release wanted twice": Fault(
            "Two of these act at the same time: a Create that takes the number back or reuses it, another one, the "
            "release of the number because it is due, an adoption, an operator who restores or protects it.",
            "One of them gets the number. Another Create purchases one. A release that has begun is stopped only "
            "by deletion protection. The number has the tags of the purchase that holds it.",
            ("*-re*/create/pause*/raced", "*-re*/create/pause*/*-while-running", "*-recovered/due/pause*/*"),
        ),
        "Update delivered after the Delete of its number": Fault(
            "Another resource failed, and the stack was deleted without a rollback. Lambda retries the Update after "
            "that.",
            "FAILED with ResourceConflict. The number stays pending release.",
            ("*-recovered/update/kill*/rollback-failed",),
        ),
        "events or stacks not readable": Fault(
            "DescribeStacks or DescribeStackEvents is denied, throttled, fails or shows an old state; or the events do "
            "not reach back to the purchase.",
            "Failed reads are retried. Without proof nothing is released: the Delete is FAILED, or the number is left "
            "alone and counted in NumbersNotReleased. Only for a stack of an account in StackAccounts, AccessDenied "
            "does not prevent a Delete that names the number.",
        ),
        "Delete of a protected number": Fault(
            "The service rejects the release while deletion protection is enabled.",
            "FAILED with the remedy, unless OnDelete allows to lift the protection. The rollback of a failed Create "
            "always lifts a protection that this Create enabled.",
        ),
        "deletion protection enabled by an operator": Fault(
            "An Update had declared protection, and a later Update or a rollback removed it. Then an operator enables "
            "it.",
            "FAILED with the remedy. A Delete lifts protection without OnDelete only until an Update sees it disabled.",
        ),
        "Delete of a number in use": Fault(
            "The service rejects the release of a number that is in a pool, the last one of a pool, or in a "
            "registration.",
            "FAILED with the remedy. If OnDelete allows it, the provider removes the number from its pool first and "
            "waits until that takes effect.",
        ),
        "forged Delete": Fault(
            "A caller that may invoke the function sends a Delete with an arbitrary physical ID.",
            "A Delete of a number that the ledger or the ownership tags do not assign to this resource succeeds "
            "without a release; an Update fails with AccessDenied. A number of this resource is released only during "
            "an operation of its stack.",
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

LIMITS: Mapping[str, str] = {
    "A sender ID is released and requested again by another owner within the milliseconds between the read of its tags "
    "and the release. The service has no conditional release.": "The sender ID of the new owner is released.",
    "Two providers with two state tables run in one account and Region.": (
        "Each ledger knows only its own purchases. If a stack changes the ServiceToken of a resource during a "
        "purchase, the other provider does not continue it, and its number can remain until a sweep reports it. Both "
        "sweeps report the same numbers, and calls are throttled more often."
    ),
    "The service has forgotten the ClientToken, and does not show the tags of the purchase in any search.": (
        "A second number is purchased. The next request of the resource or the sweep releases it."
    ),
    "An invocation is frozen for longer than its lease after its last check, and then makes its call.": (
        "A purchase has the same ClientToken, so that a second number is purchased only if the service has forgotten "
        "it; the provider releases that number. A release takes effect, even if an Update has taken the Delete back "
        "meanwhile: the number is lost."
    ),
    "Two requests that change settings of one resource in place are issued in the same second, and Lambda delivers "
    "them in the wrong order.": "The number has the settings of the earlier request until the next Update.",
    "An operator enables deletion protection after an Update that enables it was interrupted, and before an Update "
    "sees it disabled.": "A Delete whose properties do not declare the protection lifts it, even without OnDelete.",
}
"""What is not guaranteed, with the consequence."""

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
